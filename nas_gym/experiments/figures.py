"""Pictures of comparisons: curves, performance profiles, and who is better how often."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nas_gym.experiments.axes import plain_log_axis, regret_axis, thinned
from nas_gym.experiments.bootstrap import interval
from nas_gym.experiments.records import Trials
from nas_gym.experiments.statistics import final_regrets, normalized_regrets, performance_profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1b1b1d"
"""The colour of text and lines, which the report turns into that of its own text."""

# Okabe and Ito's palette, which colour-blind readers can tell apart, but for its yellow
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
_BLACK = "#1b1b1c"  # on the cells of a matrix, whatever the report's text is
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)))
_SIZE = (5.8, 3.7)  # inches
_LETTER = 0.083  # inches that a letter of a tick's label is wide
_LEGEND_WIDTH = 62  # characters that fit into a row of the legend

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
    "text.parse_math": False,  # a name may hold a $
    "svg.fonttype": "path",  # looks the same on every machine
}

Quantity = Literal["reports", "regrets"]


@dataclass(frozen=True)
class Style:
    """How an agent is drawn in every figure.

    Attributes:
        number: of the agent, from 0; its parts of an SVG have the class ``agent-<number>``.
        color: of its line and band.
        dashes: of its line.
    """

    number: int
    color: str
    dashes: Any

    @property
    def gid(self) -> str:
        """What marks the agent's parts of a figure."""
        return f"agent-{self.number}"


def styles(agents: Iterable[str]) -> dict[str, Style]:
    """A style for each of the distinct names, in order of appearance."""
    return {
        agent: Style(i, COLORS[i % len(COLORS)], _DASHES[i // len(COLORS) % len(_DASHES)])
        for i, agent in enumerate(dict.fromkeys(agents))
    }


def curves_figure(
    trials: Sequence[Trials],
    style: Mapping[str, Style],
    quantities: Sequence[Quantity] = ("reports", "regrets"),
    title: str = "",
) -> Figure:
    """Incumbents against queries in one environment: their reported metric, and its regret.

    Lines are means over trials, bands 95 % intervals of these means.

    Args:
        trials: of one environment, one agent each.
        style: see :func:`styles`; holds each of the agents.
        quantities: what to draw, a panel each.
        title: what to write above.
    """
    shown = [one for one in trials if one.seeds]
    agents = [one.agent for one in shown]
    with _panels(len(quantities), agents, style, title) as (figure, panels):
        for axes, quantity in zip(panels, quantities, strict=True):
            _curves(axes, shown, style, quantity)
    return figure


def _curves(
    axes: Axes, trials: Sequence[Trials], style: Mapping[str, Style], quantity: Quantity
) -> None:
    task = trials[0].task
    metric = task.metric(task.report)
    unit = f" ({metric.unit})" if metric.unit else ""
    queries = max(len(one.curves.regrets) for one in trials)
    # what was found by chance in the first few queries would flatten all that follows
    first = max(1, min(10, queries // 10))
    points = thinned(first, queries)
    means, lows, highs = [], [], []
    for one in trials:
        values = getattr(one.curves, quantity)[points - 1]
        (low, high), mean = interval(values, "mean"), values.mean(axis=1)
        _line(axes, style[one.agent], points, mean, low, high)
        means.append(mean)
        lows.append(low)
        highs.append(high)
    plain_log_axis(axes.xaxis, first, queries)
    axes.set_xlabel("queries")
    if quantity == "regrets":
        regret_axis(axes.yaxis, np.array(means), float(np.max(highs)))
        axes.set_ylabel(f"regret{unit}")
        return
    shown = [np.min(lows), np.max(highs)]
    if task.optimum is not None:
        shown.append(task.optimum)
        _draw_optimum(axes, task.optimum, above=not metric.maximize)
    bottom, top = min(shown), max(shown)
    room = 0.04 * (top - bottom) or 0.5
    axes.set_ylim(bottom - room, top + room)
    axes.set_ylabel(f"{metric.name}{unit}")


def _draw_optimum(axes: Axes, optimum: float, above: bool) -> None:
    axes.axhline(optimum, color=INK, linestyle=(0, (1, 2)), linewidth=1.2, zorder=1)
    axes.annotate(
        "optimum", (0.01, optimum), (0, 3 if above else -3), fontsize=9.5,
        xycoords=("axes fraction", "data"), textcoords="offset points",
        ha="left", va="bottom" if above else "top",
    )  # fmt: skip


def profile_figure(
    environments: Sequence[Sequence[Trials]], style: Mapping[str, Style], title: str = ""
) -> Figure:
    """The share of trials that end with at most so much regret; bands are 95 % intervals.

    Args:
        environments: the trials of each environment. Of several, regret is normalized (see
            :attr:`nas_gym.tasks.Task.regret_unit`), and only agents are shown that
            have trials in all of them.
        style: see :func:`styles`; holds each of the agents.
        title: what to write above.
    """
    if len(environments) > 1:
        regrets, label = normalized_regrets(environments), "normalized regret τ at the end"
    else:
        (members,) = environments
        regrets = {one.agent: [final_regrets(one)] for one in members if one.seeds}
        task = members[0].task
        unit = task.metric(task.report).unit
        label = "regret τ at the end" + (f" ({unit})" if unit else "")
    with _panels(1, list(regrets), style, title) as (figure, (axes,)):
        pooled = {agent: np.concatenate(parts) for agent, parts in regrets.items()}
        everything = np.concatenate(list(pooled.values()))
        limit = regret_axis(axes.xaxis, everything, float(everything.max()))
        taus = _steps(everything, limit)
        for agent, values in pooled.items():
            strata = [len(part) for part in regrets[agent]]
            share, low, high = performance_profile(values, taus, strata)
            _line(axes, style[agent], taus, share, low, high, drawstyle="steps-post")
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        axes.set_xlabel(label)
        axes.set_ylabel("trials with regret ≤ τ")
    return figure


def _steps(regrets: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Where profiles step, at most 300 points, from 0 to the end of the axis."""
    steps = np.unique(np.concatenate([[0.0], regrets, [limit]]))
    if len(steps) > 300:
        steps = steps[np.linspace(0, len(steps) - 1, 300).astype(int)]
    return steps


def improvement_figure(improvements: Mapping[str, Mapping[str, Any]], title: str = "") -> Figure:
    """A matrix: how probably the agent of the row ends with less regret than that of the column.

    In percent; in bold where 50 is outside the 95 % interval, which is given where there is room.

    Args:
        improvements: ``probability_of_improvement`` of
            :func:`nas_gym.experiments.statistics.summarize`.
        title: what to write above.
    """
    from matplotlib import colormaps

    agents = list(improvements)
    count = len(agents)
    rows, columns = ([_short(agent, length) for agent in agents] for length in (26, 18))
    row, column = (_LETTER * max(map(len, names)) for names in (rows, columns))
    slanted = count * (column + 0.1) > _SIZE[0] - 0.5 - row
    height = min(1.5 + 0.6 * count, 5.5) + 0.7 * column * slanted
    with _panels(1, [], {}, title, height=height) as (figure, (axes,)):
        # no cell is so dark that its number could not be read
        shades = colormaps["PuOr_r"]
        for i, a in enumerate(agents):
            for j, b in enumerate(agents):
                entry = improvements[a].get(b)
                if entry is None or entry["probability"] is None:
                    _box(axes, i, j, INK, alpha=0.07)
                    continue
                shade = shades(0.14 + 0.72 * entry["probability"])
                _box(axes, i, j, shade)
                dark = float(np.dot(shade[:3], (0.3, 0.59, 0.11))) < 0.5
                _cell(axes, i, j, entry, "white" if dark else _BLACK, count)
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


def _box(axes: Axes, i: int, j: int, color: Any, alpha: float = 1.0) -> None:
    from matplotlib.patches import Rectangle

    box = Rectangle((j - 0.48, i - 0.47), 0.96, 0.94, color=color, alpha=alpha, linewidth=0)
    axes.add_patch(box)


def _cell(axes: Axes, i: int, j: int, entry: Mapping[str, Any], color: str, agents: int) -> None:
    low, high = entry["interval"]
    bold = "bold" if low > 0.5 or high < 0.5 else "normal"
    style: dict[str, Any] = {"color": color, "ha": "center", "va": "center"}
    text = f"{100 * entry['probability']:.0f}"
    if agents > 5:
        axes.text(j, i, text, weight=bold, fontsize=min(10.5, 105 / agents), **style)
        return
    axes.text(j, i - 0.13, text, weight=bold, fontsize=13, **style)
    axes.text(j, i + 0.22, f"{100 * low:.0f} to {100 * high:.0f}", fontsize=9.5, **style)


def _line(
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
    step: Any = "post" if drawstyle == "steps-post" else None
    axes.fill_between(
        x, low, high, color=style.color, alpha=0.18, linewidth=0, gid=style.gid, step=step
    )


@contextmanager
def _panels(
    panels: int, agents: Sequence[str], style: Mapping[str, Style], title: str,
    height: float = _SIZE[1],
) -> Iterator[tuple[Figure, list[Axes]]]:  # fmt: skip
    """A figure with panels side by side, and a legend of the agents below them."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    names = [_short(agent, 40) for agent in agents]
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
    """The name, without its middle where it is too long: variants often differ at the end."""
    if len(name) <= length:
        return name
    return f"{name[: length // 2]}…{name[1 - length + length // 2 :]}"


def png(figure: Figure) -> bytes:
    """The figure as PNG, the same bytes each time."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context(_RC):
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an ``<svg>`` element to put into HTML.

    It is as wide as what it is in, writes in the colour of the text around it, and gives the
    parts of agents their classes. Its IDs begin with ``name``, so that several get along.

    Args:
        figure: what to draw.
        name: letters, digits and hyphens; of no other figure in the same page.
        label: what it shows, for those who do not see it.
    """
    from html import escape

    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({**_RC, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'id="agent-(\d+)"', r'class="agent-\1"', text)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = text.replace(INK, "currentColor")
    # a hundredth of a point is enough for paths, and halves the page
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), text)
    head, body = text[text.index("<svg") :].split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    assert view is not None
    return f'<svg role="img" aria-label="{escape(label)}" {view[0]}>{body}'
