"""Figures of comparisons: curves, performance profiles and probabilities of improvement."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nas_gym.experiments.axes import log_spaced_integers, set_log_axis, set_regret_axis
from nas_gym.experiments.bootstrap import confidence_interval
from nas_gym.experiments.records import TrialResults
from nas_gym.experiments.statistics import final_regrets, normalized_regrets, performance_profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1b1b1d"
"""Colour of text and lines, which the report replaces by its text colour."""

# Okabe and Ito's palette, which colour-blind readers can tell apart, without its yellow; then
# colours of Tol's muted palette
COLORS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK,
    "#882255", "#999933", "#332288", "#AA4499", "#44AA99",
)  # fmt: skip
FEWEST_TRIALS = 5
"""Minimum number of trials for which an interval is drawn; with fewer trials, the interval would be
too narrow."""

_MOST_BANDS = 6  # agents whose bands can be told apart
_HOVER_POINTS = 12  # points of a curve that show their value when the pointer is over them
_BLACK = "#1b1b1c"  # text on the cells of a matrix; the report does not replace this colour
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)))
_SIZE = (5.8, 3.7)  # inches
_LETTER = 0.083  # width of a letter in a tick label, inches
_LEGEND_WIDTH = 62  # characters in a row of the legend, per panel

_RC: dict[Any, Any] = {
    "font.size": 11.0,
    "axes.labelsize": 11.0,
    "xtick.labelsize": 10.0,
    "ytick.labelsize": 10.0,
    "legend.fontsize": 10.0,
    "axes.titlesize": 11.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "text.parse_math": False,  # a name may contain a $
    "svg.fonttype": "path",  # looks the same on every machine
}

Quantity = Literal["reports", "regrets", "log_ranks"]


@dataclass(frozen=True)
class Style:
    """Line style of an agent in every figure.

    Attributes:
        number: Number of the agent, from 0; its SVG elements have the class ``agent-<number>``.
        color: Colour of its line and band.
        dashes: Dash pattern of its line.
    """

    number: int
    color: str
    dashes: Any

    @property
    def gid(self) -> str:
        """Group ID of the agent's elements in a figure."""
        return f"agent-{self.number}"


def styles(agents: Iterable[str]) -> dict[str, Style]:
    """Return one style per distinct name, in order of appearance."""
    return {
        agent: Style(i, COLORS[i % len(COLORS)], _DASHES[i // len(COLORS) % len(_DASHES)])
        for i, agent in enumerate(dict.fromkeys(agents))
    }


def curves_figure(
    results: Sequence[TrialResults],
    style: Mapping[str, Style],
    quantities: Sequence[Quantity] = ("reports", "regrets"),
    title: str = "",
) -> Figure:
    """Return a figure of the incumbents in one environment over the queries.

    Lines are means over trials. Bands are 95 % intervals of the means. They are omitted for agents
    with fewer than :data:`FEWEST_TRIALS` trials, and if there are many agents, because the bands
    would overlap.

    Args:
        results: Results of each agent in the environment.
        style: Style of each agent, see :func:`styles`.
        quantities: Quantities to draw, one panel each: the reported metric, its regret, and its
            rank as ``log10(1 + rank)``.
        title: Title of the figure.
    """
    shown = [one for one in results if one.seeds]
    agents = [one.agent for one in shown]
    with figure_panels(len(quantities), agents, style, title) as (figure, panels):
        for axes, quantity in zip(panels, quantities, strict=True):
            _draw_curves(axes, shown, style, quantity)
    return figure


def _draw_curves(
    axes: Axes, results: Sequence[TrialResults], style: Mapping[str, Style], quantity: Quantity
) -> None:
    """Draw one quantity of each agent, and set both axes."""
    task = results[0].task
    metric = task.report_metric
    unit = f" ({metric.unit})" if metric.unit else ""
    queries = max(len(one.curves.regrets) for one in results)
    # the first few incumbents are random, and their range would compress the rest of the curve
    first = max(1, min(10, queries // 10))
    points = log_spaced_integers(first, queries)
    means: list[NDArray[np.float64]] = []
    bounds: list[NDArray[np.float64]] = []
    for one in results:
        values = getattr(one.curves, quantity)[points - 1]
        (low, high), mean = confidence_interval(values, "mean"), values.mean(axis=1)
        means.append(mean)
        if len(one.seeds) < FEWEST_TRIALS:
            low, high = mean, mean
        has_band = len(results) <= _MOST_BANDS
        band = (low, high) if has_band else (mean, mean)
        bounds += band
        _draw_line(axes, style[one.agent], points, mean, *band)
        _add_hover_points(axes, one, style[one.agent], points, mean, low, high)
    set_log_axis(axes.xaxis, first, queries)
    axes.set_xlabel("queries")
    if quantity == "regrets":
        set_regret_axis(axes.yaxis, np.array(means), float(np.max(bounds)))
        axes.set_ylabel(f"regret{unit}")
        return
    if quantity == "log_ranks":
        axes.set_ylim(-0.04 * np.max(bounds) - 0.01, 1.04 * np.max(bounds) + 0.01)
        axes.set_ylabel("log₁₀(1 + rank)")
        return
    shown = [float(np.min(bounds)), float(np.max(bounds))]
    if task.optimum is not None:
        shown.append(task.optimum)
        _draw_optimum(axes, task.optimum, above=not metric.maximize)
    bottom, top = min(shown), max(shown)
    margin = 0.04 * (top - bottom) or 0.5
    axes.set_ylim(bottom - margin, top + margin)
    axes.set_ylabel(f"{metric.name}{unit}")


def _add_hover_points(
    axes: Axes, results: TrialResults, style: Style, points: NDArray[np.int64],
    mean: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64],
) -> None:  # fmt: skip
    """Add invisible points to a curve, whose values :func:`to_svg` makes tooltips."""
    for k in np.unique(np.linspace(0, len(points) - 1, _HOVER_POINTS).astype(int)):
        text = f"{results.agent}, {points[k]} queries: {mean[k]:.5g}"
        if low[k] < high[k]:
            text += f" [{low[k]:.5g}, {high[k]:.5g}]"
        gid = f"hover|{style.number}|{text}"
        axes.scatter(points[k], mean[k], s=81, color=style.color, alpha=0, gid=gid)


def _draw_optimum(axes: Axes, optimum: float, above: bool) -> None:
    """Draw a dotted line at the optimum, with its label above or below the line."""
    axes.axhline(optimum, color=INK, linestyle=(0, (1, 2)), linewidth=1.2, zorder=1)
    axes.annotate(
        "optimum", (0.01, optimum), (0, 3 if above else -3), fontsize=9.5,
        xycoords=("axes fraction", "data"), textcoords="offset points",
        ha="left", va="bottom" if above else "top",
    )  # fmt: skip


def profile_figure(
    environments: Sequence[Sequence[TrialResults]], style: Mapping[str, Style], title: str = ""
) -> Figure:
    """Return a performance profile: the fraction of trials with a final regret of at most τ.

    Bands are 95 % intervals. They are omitted if there are few trials, or if there are many agents,
    because the bands would overlap. With several environments, regrets are normalized (see
    :attr:`nas_gym.Task.regret_unit`), and only agents with trials in all environments are shown.

    Args:
        environments: Results of each environment.
        style: Style of each agent, see :func:`styles`.
        title: Title of the figure.
    """
    if len(environments) > 1:
        regrets, label = (
            normalized_regrets(environments),
            "normalized regret τ after the last query",
        )
    else:
        (members,) = environments
        regrets = {one.agent: [final_regrets(one)] for one in members if one.seeds}
        task = members[0].task
        unit = task.report_metric.unit
        label = "regret τ after the last query" + (f" ({unit})" if unit else "")
    with figure_panels(1, list(regrets), style, title) as (figure, (axes,)):
        pooled = {agent: np.concatenate(parts) for agent, parts in regrets.items()}
        everything = np.concatenate(list(pooled.values()))
        limit = set_regret_axis(axes.xaxis, everything, float(everything.max()))
        taus = _profile_steps(everything, limit)
        for agent, values in pooled.items():
            strata = [len(part) for part in regrets[agent]]
            share, low, high = performance_profile(values, taus, strata)
            if len(pooled) > _MOST_BANDS or min(strata) < FEWEST_TRIALS:
                low, high = share, share
            _draw_line(axes, style[agent], taus, share, low, high, drawstyle="steps-post")
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        axes.set_xlabel(label)
        axes.set_ylabel("trials with regret ≤ τ")
    return figure


def _profile_steps(regrets: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Return at most 300 positions of the profiles' steps, from 0 to the end of the axis."""
    steps = np.unique(np.concatenate([[0.0], regrets, [limit]]))
    if len(steps) > 300:
        steps = steps[np.linspace(0, len(steps) - 1, 300).astype(int)]
    return steps


def improvement_figure(improvements: Mapping[str, Mapping[str, Any]], title: str = "") -> Figure:
    """Return a matrix of the probability that the row's agent is better than the column's.

    Numbers are in percent, and bold if 50 is outside the 95 % interval. The interval is shown if
    there are at most five agents.

    Args:
        improvements: ``probability_of_improvement`` of
            :func:`nas_gym.experiments.statistics.summarize_comparison`.
        title: Title of the figure.
    """
    from matplotlib import colormaps

    agents = list(improvements)
    count = len(agents)
    rows, columns = ([_short(agent, length) for agent in agents] for length in (26, 18))
    row, column = (_LETTER * max(map(len, names)) for names in (rows, columns))
    slanted = count * (column + 0.1) > _SIZE[0] - 0.5 - row
    height = min(1.5 + 0.6 * count, 5.5) + 0.7 * column * slanted
    with figure_panels(1, [], {}, title, height=height) as (figure, (axes,)):
        # the colour map without its darkest ends, on which numbers would be hard to read
        shades = colormaps["PuOr_r"]
        for i, a in enumerate(agents):
            for j, b in enumerate(agents):
                entry = improvements[a].get(b)
                if entry is None or entry["probability"] is None:
                    _draw_box(axes, i, j, INK, alpha=0.07)
                    continue
                shade = shades(0.14 + 0.72 * entry["probability"])
                _draw_box(axes, i, j, shade)
                dark = float(np.dot(shade[:3], (0.3, 0.59, 0.11))) < 0.5
                _write_cell(axes, i, j, entry, "white" if dark else _BLACK, count)
        axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
        axes.set_yticks(range(count), rows)
        axes.set_xticks(range(count), columns)
        if slanted:
            axes.tick_params(axis="x", rotation=45)
            for tick in axes.get_xticklabels():
                tick.set(ha="right", rotation_mode="anchor")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_ylabel("this agent is better …")
        axes.set_xlabel("… than this one (% of pairs of trials)")
    return figure


def _draw_box(axes: Axes, i: int, j: int, color: Any, alpha: float = 1.0) -> None:
    from matplotlib.patches import Rectangle

    box = Rectangle((j - 0.48, i - 0.47), 0.96, 0.94, color=color, alpha=alpha, linewidth=0)
    axes.add_patch(box)


def _write_cell(
    axes: Axes, i: int, j: int, entry: Mapping[str, Any], color: str, agents: int
) -> None:
    """Write a probability, and its interval if there is room, into a cell of the matrix."""
    low, high = entry["interval"]
    bold = "bold" if low > 0.5 or high < 0.5 else "normal"
    style: dict[str, Any] = {"color": color, "ha": "center", "va": "center"}
    text = f"{100 * entry['probability']:.0f}"
    if agents > 5:
        axes.text(j, i, text, weight=bold, fontsize=min(10.5, 105 / agents), **style)
        return
    axes.text(j, i - 0.13, text, weight=bold, fontsize=13, **style)
    axes.text(j, i + 0.22, f"{100 * low:.0f} to {100 * high:.0f}", fontsize=9.5, **style)


def _draw_line(
    axes: Axes, style: Style, x: NDArray[Any], middle: NDArray[np.float64],
    low: NDArray[np.float64], high: NDArray[np.float64], drawstyle: str = "default",
) -> None:  # fmt: skip
    axes.plot(
        x,
        middle,
        color=style.color,
        linestyle=style.dashes,
        gid=style.gid,
        drawstyle=drawstyle,
        marker="o" if len(x) == 1 else None,
    )
    if np.array_equal(low, high):
        return
    step: Any = "post" if drawstyle == "steps-post" else None
    axes.fill_between(
        x, low, high, color=style.color, alpha=0.18, linewidth=0, gid=style.gid, step=step
    )


@contextmanager
def figure_panels(
    panels: int, agents: Sequence[str], style: Mapping[str, Style], title: str,
    height: float = _SIZE[1],
) -> Iterator[tuple[Figure, list[Axes]]]:  # fmt: skip
    """Yield a figure and its panels, which are in one row; add a legend of the agents on exit."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    # many names are shown in two columns
    names = [_short(agent, 40 if len(agents) <= _MOST_BANDS else 25) for agent in agents]
    longest = max(map(len, names), default=0) + 6
    columns = max(1, min(len(names), panels * _LEGEND_WIDTH // longest))
    rows = -(-len(names) // columns)
    with rc_context(_RC):
        size = (panels * _SIZE[0], height + 0.24 * rows + (0.3 if title else 0))
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        axes = list(figure.subplots(1, panels, squeeze=False)[0])
        if title:
            figure.suptitle(title, fontsize=12)
        yield figure, axes
        if agents:
            for one in axes:
                one.grid(color=INK, alpha=0.13, linewidth=0.7)
                one.set_axisbelow(True)
            handles = [
                Line2D([], [], color=style[agent].color, linestyle=style[agent].dashes)
                for agent in agents
            ]
            figure.legend(
                handles, names, loc="outside lower center", ncols=columns, frameon=False,
                handlelength=2.4, columnspacing=1.6, borderaxespad=0.2, labelspacing=0.35,
            )  # fmt: skip
        figure.draw_without_rendering()


def _short(name: str, length: int) -> str:
    """Return a name, without its middle if it is too long: variants often differ at the end."""
    if len(name) <= length:
        return name
    return f"{name[: length // 2]}…{name[1 - length + length // 2 :]}"


def to_png(figure: Figure) -> bytes:
    """Return the figure as PNG; equal figures give equal bytes."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context(_RC):
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def to_svg(figure: Figure, name: str, label: str) -> str:
    """Return the figure as an ``<svg>`` element for an HTML page.

    The element fills the width of its parent, uses the parent's text colour, and marks the
    elements of each agent with the class ``agent-<number>``. Its IDs begin with ``name``.

    Args:
        figure: Figure to convert.
        name: Letters, digits and hyphens; distinct from the names of other figures in the page.
        label: Description of the figure for screen readers.
    """
    from html import escape

    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({**_RC, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    hover = r'<g class="agent-\1 hover"><title>\2</title>'
    text = re.sub(r'<g id="hover\|(\d+)\|([^"]*)">', hover, text)
    text = re.sub(r'id="agent-(\d+)"', r'class="agent-\1"', text)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = text.replace(INK, "currentColor")
    # a resolution of a hundredth of a point is enough for paths, and halves the page's size
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), text)
    head, body = text[text.index("<svg") :].split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    assert view is not None
    return f'<svg role="img" aria-label="{escape(label)}" {view[0]}>{body}'
