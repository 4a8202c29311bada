"""What is heard of a training while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, dict[str, float]], None]
"""Told after each epoch: how many are over, and figures by name."""


@contextmanager
def progress_bar(label: str, epochs: int) -> Iterator[Report]:
    """A progress bar on the terminal, and what advances it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed}/{task.total} epochs{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(label, total=epochs, figures="")

        def report(epoch: int, values: dict[str, float]) -> None:
            names = (name.removesuffix("_accuracy") for name in values)
            pairs = zip(names, values.values(), strict=True)
            figures = "".join(f", {name} {value:.3g}" for name, value in pairs)
            progress.update(bar, completed=epoch, figures=figures)

        yield report
