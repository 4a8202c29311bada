"""Pictures of searches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nas_gym.experiments.records import Curves
from nas_gym.tasks import Task

# Okabe and Ito's palette, which colour-blind readers can tell apart
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def plot_curves(task: Task, searches: Mapping[str, Curves], path: Path, title: str) -> None:
    """Draw the reported metric of the incumbent and its regret against queries, as PNG.

    The line is the mean over trials; the band, where there are several, the middle half of them.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    metric = task.metric(task.report)
    unit = f" ({metric.unit})" if metric.unit else ""
    for axes, name, label in (
        (left, "reports", f"{task.report.metric} of the incumbent{unit}"),
        (right, "regrets", f"regret{unit}"),
    ):
        lowest = np.inf
        for (agent, curves), color in zip(searches.items(), _COLORS * len(searches), strict=False):
            values = getattr(curves, name)
            queries = np.arange(1, len(values) + 1)
            axes.plot(queries, values.mean(axis=1), color=color, label=agent, linewidth=1.8)
            if values.shape[1] > 1:
                low, high = np.quantile(values, [0.25, 0.75], axis=1)
                axes.fill_between(queries, low, high, color=color, alpha=0.2, linewidth=0)
            lowest = min(lowest, float(values.mean(axis=1)[min(9, len(values) - 1) :].min()))
        axes.set_xlabel("queries")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if name == "reports" and metric.maximize and np.isfinite(lowest):
            # the first few random architectures would flatten everything after them
            best = task.optimum
            if best > lowest:
                room = 0.1 * (max(best, float(values.max())) - lowest)
                axes.set_ylim(lowest - room, best + room)
            axes.axhline(best, color="0.4", linestyle=":", linewidth=1, label="optimum")
        if name == "regrets":
            axes.set_yscale("symlog", linthresh=_smallest_positive(searches))
            axes.set_ylim(bottom=0)
    left.legend(frameon=False, loc="best")
    trials = max(curves.regrets.shape[1] for curves in searches.values())
    figure.suptitle(f"{title}: mean over {trials} seeds, band = middle half", fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def _smallest_positive(searches: Mapping[str, Curves]) -> float:
    means = np.concatenate([curves.regrets.mean(axis=1) for curves in searches.values()])
    positive = means[means > 0]
    # a power of ten, so that the labelled ticks above it are those of a logarithmic axis
    return float(10 ** np.floor(np.log10(positive.min()))) if len(positive) else 1e-3
