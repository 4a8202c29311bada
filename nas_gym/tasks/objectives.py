"""Objectives of tasks with vector rewards."""

from __future__ import annotations

from collections.abc import Sequence

from nas_gym.evaluators.base import Evaluator
from nas_gym.tasks.columns import Column, Signal

SIGNAL = "signal"
"""Name of the task's search signal in the argument ``objectives``."""


def parse_objectives(
    given: str | Sequence[str | Column], signal: Signal, default: Evaluator
) -> tuple[Signal, ...]:
    """Return the columns of the argument ``objectives`` of a task.

    Args:
        given: At least two columns, as text or objects, or their list separated by commas;
            ``"signal"`` is the search signal.
        signal: Search signal of the task.
        default: Evaluator of metrics that are written without an evaluator's name.

    Raises:
        TypeError: If the argument is neither text nor a sequence of columns.
        ValueError: If there is only one column, or one is listed twice.
    """
    if isinstance(given, str):
        given = [each.strip() for each in given.split(",")]
    if not isinstance(given, Sequence) or not all(isinstance(each, str | Column) for each in given):
        raise TypeError(f"objectives is a list of columns, got {given!r}.")
    found: list[Signal] = []
    for each in given:
        column = Column.parse(each, default) if isinstance(each, str) else each
        found.append(signal if each == SIGNAL and SIGNAL not in default.metrics else column)
    twice = [str(column) for column in found if found.count(column) > 1]
    if twice:
        raise ValueError(f"The objectives are different columns, but {twice[0]} is listed twice.")
    if len(found) < 2:
        raise ValueError(
            f"objectives has at least two columns, got {list(given)!r}. For one objective, use "
            "signal= and report=."
        )
    return tuple(found)
