"""Progress reporting during training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

EpochCallback = Callable[[int, dict[str, float]], None]
"""Function that is called after each epoch with the number of finished epochs and with metrics."""


@contextmanager
def progress_bar(label: str, epochs: int, *, visible: bool = True) -> Iterator[EpochCallback]:
    """Show a progress bar on the terminal; yield the callback that advances it.

    Args:
        label: Text before the bar.
        epochs: Number of epochs.
        visible: Whether to show the bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed}/{task.total} epochs{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not visible) as progress:
        bar = progress.add_task(label, total=epochs, figures="")

        def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
            names = (name.removesuffix("_accuracy") for name in metrics)
            pairs = zip(names, metrics.values(), strict=True)
            figures = "".join(f", {name} {value:.3g}" for name, value in pairs)
            progress.update(bar, completed=epoch, figures=figures)

        yield on_epoch
