"""Figures of the training of a network: curves, confusion matrix and architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas_gym.envs.rendering import draw_architecture
from nas_gym.experiments.figures import COLORS, to_png
from nas_gym.networks.network import Network
from nas_gym.utils.errors import shorten
from nas_gym.utils.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NUMBERS = 15  # classes of a confusion matrix with numbers


def write_training_figures(
    folder: Path,
    network: Network,
    curves: Mapping[str, Sequence[float]],
    metrics: Mapping[str, Any],
    classes: Sequence[str],
) -> None:
    """Write ``curves.png``, ``confusion.png`` and ``architecture.png``.

    Args:
        folder: Folder of the files.
        network: Network of one architecture.
        curves: Values of each metric, one per epoch.
        metrics: ``test_accuracy`` in %, and the ``confusion`` matrix.
        classes: Names of the classes.

    Raises:
        DataError: If a file cannot be written.
    """
    from PIL import Image

    write_atomically(folder / "curves.png", to_png(_curves_figure(curves)))
    figure = _confusion_figure(metrics["confusion"], classes)
    write_atomically(folder / "confusion.png", to_png(figure))
    caption = f"test accuracy {metrics['test_accuracy']:.2f} %"
    pixels = draw_architecture(network.space, np.array(network.genotype), caption)
    content = BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    write_atomically(folder / "architecture.png", content.getvalue())


def _curves_figure(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Return one panel per metric, over the epochs."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(4 * len(curves), 3), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (name, values), color in zip(panels, curves.items(), COLORS, strict=False):
        axes.plot(range(1, len(values) + 1), values, color=color)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel(_LABELS.get(name, name))
    return figure


_LABELS = {
    "loss": "training loss",
    "rate": "learning rate",
    "valid_accuracy": "validation accuracy (%)",
}


def _confusion_figure(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Figure:
    """Return the confusion matrix; colours show shares of the images of a class."""
    from matplotlib.figure import Figure

    counts = np.array(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(2.5 + 0.45 * len(classes), 12)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [shorten(name, 20) for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("class")
    if len(classes) <= _MOST_NUMBERS:
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=color)
    return figure
