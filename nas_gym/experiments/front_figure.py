"""Figure of the Pareto fronts that agents found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas_gym.experiments.figures import INK, Style, figure_panels
from nas_gym.experiments.records import TrialResults
from nas_gym.recording.front_curves import found_front, median_attainment
from nas_gym.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_PANELS = 3


def front_figure(
    results: Sequence[TrialResults], style: Mapping[str, Style], title: str = ""
) -> Figure:
    """Return a figure of the fronts in one environment: each objective against the first.

    Circles are the architectures of the search space's Pareto front. Points are the front that an
    agent found in its trial of median hypervolume; in an SVG file, a point shows the architecture
    and its objectives under the pointer. With two objectives, a line is the median attainment curve
    of an agent: half of its trials found architectures that are at least as good. An axis leaves
    out the outermost 5 % of the values of the front if the other values take less than half of it.

    Args:
        results: Results of each agent in the environment.
        style: Style of each agent, see :func:`nas_gym.experiments.figures.styles`.
        title: Title of the figure.
    """
    task, shown = results[0].task, [one for one in results if one.seeds]
    others = range(1, min(len(task.objectives), _MOST_PANELS + 1))
    with figure_panels(len(others), [one.agent for one in shown], style, title) as (figure, panels):
        for axes, other in zip(panels, others, strict=True):
            every = _values(task, task.reported_front.indices)
            axes.scatter(
                every[:, other],
                every[:, 0],
                s=34,
                facecolors="none",
                edgecolors=INK,
                linewidths=0.8,
            )
            for one in shown:
                _draw_found(axes, one, style[one.agent], other)
                if len(task.objectives) == 2:
                    _draw_attainment(axes, one, style[one.agent])
            axes.set_xlim(_limits(every[:, other], axes.get_xlim()))
            axes.set_ylim(_limits(every[:, 0], axes.get_ylim()))
            axes.set_xlabel(_label(task, other))
            axes.set_ylabel(_label(task, 0))
    return figure


def _limits(values: NDArray[np.float64], limits: tuple[float, float]) -> tuple[float, float]:
    """Return the limits of an axis, which leave out isolated values at the ends of the front.

    Args:
        values: Values of the front in one objective, ``(m,)``.
        limits: Limits of the axis that show everything.
    """
    values = np.unique(values)
    left_out = len(values) // 20
    inner = values[left_out : len(values) - left_out]
    if not left_out or np.ptp(inner) >= np.ptp(values) / 2:
        return limits
    margin = 0.1 * float(np.ptp(inner))
    return float(inner[0]) - margin, float(inner[-1]) + margin


def _draw_found(axes: Axes, results: TrialResults, style: Style, other: int) -> None:
    """Draw the front of an agent's trial of median hypervolume."""
    task, regrets = results.task, results.curves.regrets[-1]
    trial = int(np.argsort(regrets, kind="stable")[len(regrets) // 2])
    indices = found_front(task, results.curves.indices[:, trial])
    values = _values(task, indices)
    axes.scatter(values[:, other], values[:, 0], s=9, color=style.color, gid=style.gid)
    texts = task.space.to_text(task.space.decode(indices))
    for text, row in zip(texts, values, strict=True):
        listed = ", ".join(f"{_label(task, i)} {value:.5g}" for i, value in enumerate(row))
        gid = f"hover|{style.number}|{results.agent}: {text}, {listed}"
        axes.scatter(row[other], row[0], s=81, color=style.color, alpha=0, gid=gid)


def _draw_attainment(axes: Axes, results: TrialResults, style: Style) -> None:
    """Draw the median attainment curve of an agent in a task with two objectives."""
    task = results.task
    curve = median_attainment(task, results.curves.indices) * _signs(task)
    axes.step(
        curve[:, 1], curve[:, 0], where="pre", color=style.color, linestyle=style.dashes,
        linewidth=1.2, alpha=0.7, gid=style.gid,
    )  # fmt: skip


def _values(task: Task, indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the reported objectives of architectures with their original signs, ``(n, D)``."""
    values: NDArray[np.float64] = task.reported_objectives(indices) * _signs(task)
    return values


def _signs(task: Task) -> NDArray[np.float64]:
    """Return 1 for each objective that is maximized, and -1 for each that is minimized."""
    return np.array([1.0 if task.metric(each).maximize else -1.0 for each in task.objectives])


def _label(task: Task, objective: int) -> str:
    """Return the name and the unit of a reported objective."""
    column = task.objectives[objective]
    shown = task.report if column == task.signal else column
    unit = task.metric(shown).unit
    return f"{shown} ({unit})" if unit else str(shown)
