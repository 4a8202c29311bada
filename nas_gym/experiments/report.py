"""Report of a comparison: one self-contained HTML file, and its figures as PNG files."""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nas_gym
from nas_gym.experiments.figures import (
    INK,
    Quantity,
    Style,
    curves_figure,
    improvement_figure,
    profile_figure,
    styles,
    to_png,
    to_svg,
)
from nas_gym.experiments.front_figure import front_figure
from nas_gym.experiments.records import TrialResults
from nas_gym.experiments.statistics import BUDGETS, below_ceiling, group_by_environment
from nas_gym.utils.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL = "all environments"
FIGURES = ("curves", "profile", "improvement", "front")
LABELS = {
    "reports": "Reported metric of the incumbents over the queries",
    "regrets": "Regret of the incumbents over the queries",
    "front": "Pareto fronts found",
    "log_ranks": "Rank of the incumbents over the queries",
    "profile": "Performance profile",
    "improvement": "Probability of improvement",
}


@dataclass(frozen=True)
class Drawing:
    """A figure of the report.

    Attributes:
        kind: Key of :data:`LABELS`.
        svg: The figure as an ``<svg>`` element.
    """

    kind: str
    svg: str


def write_report(
    results: Sequence[TrialResults], summary: dict[str, Any], folder: Path, command: str
) -> Path:
    """Write ``report.html`` and the PNG files of its figures; earlier files are replaced.

    Args:
        results: Results of every agent in every environment.
        summary: Return value of :func:`nas_gym.experiments.statistics.summarize_comparison`.
        folder: Output folder.
        command: Command line of the comparison; not shown if empty.

    Returns:
        Path of the report.
    """
    import jinja2

    for old in (each for name in FIGURES for each in folder.glob(f"{name}-*.png")):
        old.unlink()
    drawings = draw_figures(results, summary, folder)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    agents = list(dict.fromkeys(one.agent for one in results))
    page = environment.get_template("report.html.jinja").render(
        summary=summary,
        drawings=drawings,
        agents=styles(agents),
        dashes=_dashes,
        parts=lambda name: re.findall(r"[^(,:_]*[(,:_]*", name)[:-1],
        ink=INK,
        decimals={env: _decimals(found) for env, found in summary["environments"].items()},
        rows={env: _rows(found) for env, found in summary["environments"].items()},
        budgets={env: _budgets(found) for env, found in summary["environments"].items()},
        failures=_group_failures(results),
        num_failures=sum(len(one.failures) for one in results),
        fewest=min(len(one.seeds) for one in results),
        command=command,
        versions=f"nas_gym {nas_gym.__version__}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}",
        all=ALL,
    )
    path = folder / "report.html"
    write_atomically(path, page.encode())
    return path


def draw_figures(
    results: Sequence[TrialResults], summary: dict[str, Any], folder: Path
) -> dict[str, list[Drawing]]:
    """Return the figures of each environment with finished trials, then of all environments.

    Args:
        results: Results of every agent in every environment.
        summary: Return value of :func:`nas_gym.experiments.statistics.summarize_comparison`.
        folder: Folder that the PNG files are written to.
    """
    style = styles(one.agent for one in results)
    groups = group_by_environment(results)
    drawings: dict[str, list[Drawing]] = {}
    for env, members in groups.items():
        if not any(one.seeds for one in members):
            continue
        quantities: list[Quantity] = ["reports", "regrets"]
        if members[0].curves.log_ranks is not None:
            quantities.append("log_ranks")
        _write_png(curves_figure(members, style, quantities, env), folder, f"curves-{env}")
        improvements = summary["environments"][env]["probability_of_improvement"]
        drawings[env] = [
            *(_drawing(curves_figure(members, style, [each]), each, env) for each in quantities),
            *_draw_fronts(members, env, style, folder),
            *_draw_distributions([members], improvements, env, style, folder),
        ]
    aggregate = summary["aggregate"]
    if aggregate and any(
        entry["normalized_regret"]["iqm"] is not None for entry in aggregate["agents"].values()
    ):
        improvements = aggregate["probability_of_improvement"]
        drawings[ALL] = _draw_distributions(list(groups.values()), improvements, ALL, style, folder)
    return drawings


def _draw_fronts(
    members: Sequence[TrialResults], env: str, style: dict[str, Style], folder: Path
) -> list[Drawing]:
    """Return the figure of the fronts in a task with objectives, else nothing."""
    if not members[0].task.objectives:
        return []
    _write_png(front_figure(members, style, title=env), folder, f"front-{env}")
    return [_drawing(front_figure(members, style), "front", env)]


def _draw_distributions(
    environments: Sequence[Sequence[TrialResults]],
    improvements: dict[str, Any],
    env: str,
    style: dict[str, Style],
    folder: Path,
) -> list[Drawing]:
    """Return the performance profile and the probabilities of improvement."""
    name = "all" if env == ALL else env
    _write_png(profile_figure(environments, style, env), folder, f"profile-{name}")
    drawings = [_drawing(profile_figure(environments, style), "profile", env)]
    if len(improvements) > 1:
        _write_png(improvement_figure(improvements, env), folder, f"improvement-{name}")
        drawings.append(_drawing(improvement_figure(improvements), "improvement", env))
    return drawings


def _drawing(figure: Figure, kind: str, env: str) -> Drawing:
    name = re.sub(r"[^A-Za-z0-9-]", "-", f"{kind}-{env}")
    return Drawing(kind, to_svg(figure, name, f"{LABELS[kind]}, {env}"))


def _write_png(figure: Figure, folder: Path, name: str) -> None:
    write_atomically(folder / f"{name}.png", to_png(figure))


def _group_failures(results: Sequence[TrialResults]) -> list[dict[str, Any]]:
    """Return failed trials, grouped by environment, agent and message."""
    groups: dict[tuple[str, str, str], dict[int, str]] = {}
    for one in results:
        for seed, error in one.failures.items():
            groups.setdefault((one.env, one.agent, error.splitlines()[0]), {})[seed] = error
    return [
        {
            "env": env,
            "agent": agent,
            "message": message,
            "seeds": list(errors),
            "error": next(iter(errors.values())),
        }
        for (env, agent, message), errors in groups.items()
    ]


def _dashes(style: Style) -> str:
    """Return a style's dashes as a ``stroke-dasharray`` for lines of width 3."""
    return (
        "none" if style.dashes == "-" else " ".join(f"{2 * length:g}" for length in style.dashes[1])
    )


def _decimals(environment: dict[str, Any]) -> int:
    """Return the number of decimals that resolves a thousandth of the median regret."""
    return max(0, 3 - math.floor(math.log10(environment["median_regret"])))


def _rows(environment: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of an environment's results table, one per agent, with the best marked."""
    queries = str(environment["queries"])
    rows: list[dict[str, Any]] = []
    for agent, entry in environment["agents"].items():
        at_end = entry["at_queries"].get(queries)
        rows.append({"agent": agent, "entry": entry, "at_end": at_end if entry["trials"] else None})
    regrets = [row["at_end"]["regret"] for row in rows if row["at_end"]]
    for row in rows:
        row["lucky"] = bool(row["at_end"]) and below_ceiling(environment, row["agent"])
        row["best"] = {
            key
            for key in ("mean", "iqm")
            if row["at_end"]
            and row["at_end"]["regret"][key] == min(regret[key] for regret in regrets)
        }
    return rows


def _budgets(environment: dict[str, Any]) -> list[int]:
    """Return the numbers of queries in the table of regrets."""
    last = environment["queries"]
    return [q for q in BUDGETS if q < last] + [last]
