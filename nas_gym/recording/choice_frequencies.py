"""What the best architectures of a search have in common, beside the truth (L2NAS, Fig. 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.recording.curves import Curves
from nas_gym.spaces import SearchSpace
from nas_gym.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOP = 64
"""How many architectures are averaged, as in the observations of alpha mode."""


def choice_frequencies(
    task: Task, curves: Curves, trial: int, count: int = TOP
) -> NDArray[np.float32]:
    """Mean one-hot choices of the best architectures, found and true, ``(2, one_hot_size)``.

    The first row is of the distinct architectures of highest reward that the trial queried: its
    last observation in alpha mode, where ``count`` is that of the environment. The second is of
    the architectures of the whole space with the best reported metric; it is left out where nobody
    knows these. Both of the best ``count``, or as many as there are.
    """
    queried, first = np.unique(curves.indices[:, trial], return_index=True)
    best = [queried[np.argsort(-curves.rewards[first, trial], kind="stable")[:count]]]
    space = task.space
    if task.optimum is not None:
        best.append(np.argsort(task.regret(np.arange(space.size)), kind="stable")[:count])
    return np.stack([space.one_hot(space.decode(each)).mean(0) for each in best])


def plot_choice_frequencies(task: Task, curves: Curves, trial: int, count: int = TOP) -> Figure:
    """Draw both rows of :func:`choice_frequencies` as matrices, a row for each decision."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    space = task.space
    means = choice_frequencies(task, curves, trial, count)
    size = (1.6 + 0.85 * space.max_choices, 0.6 + 0.5 * space.num_decisions)
    figure = Figure(figsize=(len(means) * size[0], size[1] + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    (panels,) = figure.subplots(1, len(means), sharey=True, squeeze=False)
    found = min(count, curves.unique[-1, trial])
    titles = (
        f"best {found} found in {len(curves.indices)} queries, %",
        f"best {min(count, space.size)} of all {space.size:,}, %",
    )
    for axes, title, mean in zip(panels, titles, means, strict=False):
        _matrix(axes, space, mean)
        axes.set_title(title, fontsize=11)
    return figure


def _matrix(axes: Axes, space: SearchSpace, mean: NDArray[np.float32]) -> None:
    """Draw how often each choice was made at each decision, in percent."""
    shape = (space.num_decisions, space.max_choices)
    shares = np.full(shape, np.nan)
    shares[np.arange(space.max_choices) < space.num_choices[:, None]] = mean
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    same = len(set(space.choices)) == 1
    for (row, column), share in np.ndenumerate(shares):
        if np.isnan(share):
            continue
        text = f"{100 * share:.0f}" if same else f"{space.choices[row][column]}\n{100 * share:.0f}"
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 10 if same else 7}
        axes.text(column, row, text, color="white" if share > 0.6 else "black", **style)
    axes.set_yticks(range(space.num_decisions), space.decision_names)
    labels = space.choices[0] if same else ()
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
