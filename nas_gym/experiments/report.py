"""A comparison as one HTML file that needs nothing else, and its figures as PNG."""

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
    Style,
    curves_figure,
    improvement_figure,
    png,
    profile_figure,
    styles,
    svg,
)
from nas_gym.experiments.records import Trials
from nas_gym.experiments.statistics import BUDGETS, by_env
from nas_gym.utils.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL = "all environments"
FIGURES = ("curves", "profile", "improvement")
LABELS = {
    "reports": "Reported metric of the incumbents against queries",
    "regrets": "Regret of the incumbents against queries",
    "profile": "Performance profile",
    "improvement": "Probability of improvement",
}


@dataclass(frozen=True)
class Drawing:
    """A figure of the report: what kind it is, and its ``<svg>``."""

    kind: str
    svg: str


def write_report(
    trials: Sequence[Trials], summary: dict[str, Any], folder: Path, command: str
) -> Path:
    """Write ``report.html`` and the figures' PNGs, each whole or not at all.

    Args:
        trials: of every agent in every environment.
        summary: what :func:`nas_gym.experiments.statistics.summarize` makes of them.
        folder: where to.
        command: the command line that made them; not shown where empty.

    Returns:
        the report's path.
    """
    import jinja2

    for old in (each for name in FIGURES for each in folder.glob(f"{name}-*.png")):
        old.unlink()
    drawings = draw(trials, summary, folder)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    agents = list(dict.fromkeys(one.agent for one in trials))
    page = environment.get_template("report.html.jinja").render(
        summary=summary,
        drawings=drawings,
        agents=styles(agents),
        dashes=_dashes,
        ink=INK,
        decimals={env: _decimals(found) for env, found in summary["environments"].items()},
        rows={env: _rows(found) for env, found in summary["environments"].items()},
        budgets={env: _budgets(found) for env, found in summary["environments"].items()},
        failures=[
            (one.env, one.agent, seed, error)
            for one in trials
            for seed, error in one.failures.items()
        ],
        fewest=min(len(one.seeds) for one in trials),
        command=command,
        versions=f"nas_gym {nas_gym.__version__}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}",
        all=ALL,
    )
    path = folder / "report.html"
    write_atomically(path, page.encode())
    return path


def draw(
    trials: Sequence[Trials], summary: dict[str, Any], folder: Path
) -> dict[str, list[Drawing]]:
    """The figures of each environment where any trial finished, then those over all of them.

    Writes their PNGs into ``folder``.
    """
    style = styles(one.agent for one in trials)
    groups = by_env(trials)
    drawings: dict[str, list[Drawing]] = {}
    for env, members in groups.items():
        if not any(one.seeds for one in members):
            continue
        _write(curves_figure(members, style, title=env), folder, f"curves-{env}")
        improvements = summary["environments"][env]["probability_of_improvement"]
        drawings[env] = [
            _drawing(curves_figure(members, style, ["reports"]), "reports", env),
            _drawing(curves_figure(members, style, ["regrets"]), "regrets", env),
            *_distributions([members], improvements, env, style, folder),
        ]
    aggregate = summary["aggregate"]
    if aggregate and any(
        entry["normalized_regret"]["iqm"] is not None for entry in aggregate["agents"].values()
    ):
        improvements = aggregate["probability_of_improvement"]
        drawings[ALL] = _distributions(list(groups.values()), improvements, ALL, style, folder)
    return drawings


def _distributions(
    environments: Sequence[Sequence[Trials]],
    improvements: dict[str, Any],
    env: str,
    style: dict[str, Style],
    folder: Path,
) -> list[Drawing]:
    name = "all" if env == ALL else env
    _write(profile_figure(environments, style, env), folder, f"profile-{name}")
    drawings = [_drawing(profile_figure(environments, style), "profile", env)]
    if len(improvements) > 1:
        _write(improvement_figure(improvements, env), folder, f"improvement-{name}")
        drawings.append(_drawing(improvement_figure(improvements), "improvement", env))
    return drawings


def _drawing(figure: Figure, kind: str, env: str) -> Drawing:
    name = re.sub(r"[^A-Za-z0-9-]", "-", f"{kind}-{env}")
    return Drawing(kind, svg(figure, name, f"{LABELS[kind]}, {env}"))


def _write(figure: Figure, folder: Path, name: str) -> None:
    write_atomically(folder / f"{name}.png", png(figure))


def _dashes(style: Style) -> str:
    """An agent's line style, for ``stroke-dasharray`` of a line that is 3 wide."""
    return (
        "none" if style.dashes == "-" else " ".join(f"{2 * length:g}" for length in style.dashes[1])
    )


def _decimals(environment: dict[str, Any]) -> int:
    """How many decimals tell a thousandth of the median architecture's regret."""
    return max(0, 3 - math.floor(math.log10(environment["median_regret"])))


def _rows(environment: dict[str, Any]) -> list[dict[str, Any]]:
    """The results table of an environment: an agent a row, the best figures marked."""
    queries = str(environment["queries"])
    rows: list[dict[str, Any]] = []
    for agent, entry in environment["agents"].items():
        at_end = entry["at_queries"].get(queries)
        rows.append({"agent": agent, "entry": entry, "at_end": at_end if entry["trials"] else None})
    regrets = [row["at_end"]["regret"] for row in rows if row["at_end"]]
    for row in rows:
        row["best"] = {
            key
            for key in ("mean", "iqm")
            if row["at_end"]
            and row["at_end"]["regret"][key] == min(regret[key] for regret in regrets)
        }
    return rows


def _budgets(environment: dict[str, Any]) -> list[int]:
    """The budgets that were reached."""
    last = environment["queries"]
    return [q for q in BUDGETS if q < last] + [last]
