"""Tables and messages on the terminal."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid

_NO_TERMINAL_WIDTH = 100_000  # columns of a pipe or file, where nothing is wrapped or cut
_LEAST_TEXT_WIDTH = 24  # columns that a text which may wrap keeps in a narrow terminal
_GAP = 3  # columns between two columns of a table

console = Console(width=None if sys.stdout.isatty() else _NO_TERMINAL_WIDTH)


def make_grid(*headers: str, wrapped: tuple[str, ...] = ()) -> Grid:
    """Return an empty table.

    Args:
        *headers: Column headers.
        wrapped: Headers of the columns whose texts may wrap; names and numbers never do.
    """
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        grid.add_column(header, overflow="fold", no_wrap=header not in wrapped)
    return grid


def print_grid(grid: Grid) -> None:
    """Print a table. If it does not fit a narrow terminal, its lines are longer than the screen."""
    least = 0
    for column in grid.columns:
        width = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
        least += _GAP + (width if column.no_wrap else min(width, _LEAST_TEXT_WIDTH))
    if least <= console.width:
        console.print(grid)
    else:
        Console(width=least).print(grid)


def print_json(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a list of objects as JSON."""
    print(json.dumps(rows, indent=1))


def format_optimum(value: float | None, unit: str = "") -> str:
    """Return the best value of a metric with its unit, or ``unknown``."""
    return "unknown" if value is None else f"{value:.6g} {unit}".rstrip()


def incumbent_headers(entry: Mapping[str, Any]) -> list[str]:
    """Return the headers of the cells that :func:`incumbent_cells` returns.

    Args:
        entry: Summary of an agent.
    """
    metrics = entry.get("incumbent_metrics", {})
    headers = [
        f"{name} ({each['unit']})" if each["unit"] else name for name, each in metrics.items()
    ]
    return headers + ["feasible"] * ("incumbent_feasible" in entry)


def incumbent_cells(entry: Mapping[str, Any]) -> list[str]:
    """Return the mean metrics of the last incumbents, and the share of feasible incumbents."""
    cells = [f"{each['mean']:.4g}" for each in entry.get("incumbent_metrics", {}).values()]
    if "incumbent_feasible" in entry:
        cells.append(f"{100 * entry['incumbent_feasible']:.0f} %")
    return cells


def describe_reward(task: Mapping[str, Any]) -> str:
    """Return the reward, or the objectives, and the constraints of a task.

    Args:
        task: Description of the task, from :meth:`nas_gym.Task.describe`.
    """
    reward = ", ".join(task.get("objectives", [task["reward"]]))
    constraints = task.get("constraints", [])
    return reward + f", subject to {' and '.join(constraints)}" * bool(constraints)


def describe_ceiling(regret: float, noise: float | None, unit: str) -> str:
    """Return sentences about the ceiling of a task.

    Args:
        regret: Regret at the ceiling.
        noise: Standard deviation of one value near the best; ``None`` if it is unknown.
        unit: Unit of the reported metric.
    """
    ceiling = f"Regret at the ceiling: {regret:.3g} {unit}".rstrip()
    if noise is None:
        return f"{ceiling}. This is the regret of the architecture with the highest reward."
    deviation = f"{noise:.3g} {unit}".rstrip()
    return (
        f"{ceiling}. The architecture with the highest reward is expected to have this regret when "
        f"it is trained again (standard deviation of one value near the best: {deviation})."
    )


def print_tensorboard_command(folder: Path) -> None:
    """Print the command that shows a folder in TensorBoard."""
    command = shlex.join(["tensorboard", "--logdir", str(folder)])
    console.print(f"TensorBoard: {command}", markup=False)


def print_failures(agent: str, failures: dict[str, str]) -> None:
    """Print the errors of failed trials, one line per distinct message.

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
