"""Frequencies of the choices of the best architectures, as in Fig. 2 of the L2NAS paper."""

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
"""Default number of architectures; alpha mode has the same default for its observations."""


def choice_frequencies(task: Task, curves: Curves, count: int = TOP) -> NDArray[np.float32]:
    """Return how often the best architectures, of the search and of the space, make each choice.

    Args:
        task: The task that was searched.
        curves: Curves of the trials of the search.
        count: Number of architectures that are averaged; fewer if there are fewer.

    Returns:
        Mean one-hot choices in [0, 1], ``(2, one_hot_size)`` float32. Row 0 averages, in each
        trial, the distinct architectures of highest reward that it queried, and then averages the
        trials. In alpha mode, this is the last observation of a trial if ``count`` is ``top_k``.
        Row 1 averages the architectures of lowest regret in the search space; it is missing if the
        regret of the whole space is unknown. In a task with objectives, the best architectures are
        those with the largest hypervolume alone.
    """
    space = task.space
    means = []
    scores = task.reported(curves.indices) if task.objectives else curves.rewards
    for indices, rewards in zip(curves.indices.T, scores.T, strict=True):
        queried, first = np.unique(indices, return_index=True)
        best = queried[np.argsort(-rewards[first], kind="stable")[:count]]
        means.append(space.one_hot(space.decode(best)).mean(0))
    rows = [np.mean(means, axis=0)]
    if task.ranked_regrets is not None:
        best = np.argsort(task.regret(np.arange(space.size)), kind="stable")[:count]
        rows.append(space.one_hot(space.decode(best)).mean(0))
    return np.stack(rows)


def plot_choice_frequencies(task: Task, curves: Curves, count: int = TOP) -> Figure:
    """Plot :func:`choice_frequencies` as matrices, with one row per decision.

    The title states the number of trials (and therefore of seeds) in the average.

    Args:
        task, curves, count: See :func:`choice_frequencies`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    space = task.space
    frequencies = choice_frequencies(task, curves, count)
    size = (1.6 + 0.85 * space.max_choices, 0.6 + 0.5 * space.num_decisions)
    figure = Figure(figsize=(len(frequencies) * size[0], size[1] + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    (panels,) = figure.subplots(1, len(frequencies), sharey=True, squeeze=False)
    queries, trials = curves.indices.shape
    found = min(count, int(curves.unique[-1].max()))
    seeds = "one seed" if trials == 1 else f"mean of {trials} seeds"
    titles = (
        f"best {found} found in {queries} queries\n{seeds}, %",
        f"best {min(count, space.size)} of all {space.size:,}, %",
    )
    for axes, title, frequency in zip(panels, titles, frequencies, strict=False):
        _plot_matrix(axes, space, frequency)
        axes.set_title(title, fontsize=11)
    return figure


def _plot_matrix(axes: Axes, space: SearchSpace, frequencies: NDArray[np.float32]) -> None:
    """Plot the frequency of each choice, ``(one_hot_size,)``, in percent."""
    shape = (space.num_decisions, space.max_choices)
    shares = np.full(shape, np.nan)
    shares[np.arange(space.max_choices) < space.num_choices[:, None]] = frequencies
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
