"""Tables and messages on the terminal."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table as Grid

console = Console()


def make_grid(*headers: str) -> Grid:
    """Return an empty table for the terminal that wraps long entries instead of cutting them.

    Args:
        *headers: Column headers; the first column is not wrapped.
    """
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        grid.add_column(header, overflow="fold")
    grid.columns[0].no_wrap = True
    return grid


def wrap_first_column_only(grid: Grid) -> None:
    """Let the first column of a table wrap, and no other."""
    grid.columns[0].no_wrap = False
    for column in grid.columns[1:]:
        column.no_wrap = True


def format_optimum(value: float | None, unit: str = "") -> str:
    """Return the best value of a metric with its unit, or ``unknown``."""
    return "unknown" if value is None else f"{value:.6g} {unit}".rstrip()


def print_tensorboard_command(folder: Path) -> None:
    """Print the command that shows a folder in TensorBoard."""
    command = shlex.join(["tensorboard", "--logdir", str(folder)])
    console.print(f"TensorBoard: {command}", markup=False)


def print_failures(agent: str, failures: dict[str, str]) -> None:
    """Print the errors of failed trials, one line for each distinct message.

    Args:
        agent: Label of the agent.
        failures: Error texts by seed; the first line of each is its message.
    """
    by_message: dict[str, list[str]] = {}
    for seed, error in failures.items():
        by_message.setdefault(error.splitlines()[0], []).append(seed)
    for message, seeds in by_message.items():
        which = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"
        console.print(f"{agent} failed: {message} ({which})", markup=False)
