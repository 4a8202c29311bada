"""The metrics of a user's file: their values, and which of them a task uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas_gym.tables.table import Metric, Objective
from nas_gym.tables.user_columns import Column, check_names, fault, quoted


def objective_of(names: Sequence[str], signal: str | None, report: str | None) -> Objective:
    """The metric to search by, the only one by default, and the one to report.

    Raises:
        UserFileError: there is no metric, several and no ``signal``, or one that is not there.
    """
    if not names:
        raise fault("there is no metric. A column of numbers was expected.")
    if signal is None:
        if len(names) > 1:
            raise fault(f"say with signal= which metric to search by: {quoted(names)}.")
        signal = names[0]
    report = signal if report is None else report
    check_names("signal", [signal], names)
    check_names("report", [report], names)
    return Objective(signal, report)


def describe(
    names: Sequence[str], minimize: Sequence[str], units: Mapping[str, str]
) -> tuple[Metric, ...]:
    """The metrics of a table; raises ``UserFileError`` where an argument names another."""
    check_names("minimize", minimize, names)
    check_names("units", units, names)
    return tuple(Metric(name, units.get(name, ""), name not in minimize) for name in names)


def values_of(
    columns: Sequence[Column], objective: Objective, allow_missing: bool
) -> NDArray[np.float64]:
    """The numbers of metrics, shape ``(n, len(columns))``.

    Args:
        columns: the metrics.
        objective: those of which every number is needed.
        allow_missing: whether others may be missing, which makes them NaN.

    Raises:
        UserFileError: a cell is text, infinite, or missing where it may not be.
    """
    _check_no_labels(columns)
    needed = {objective.signal, objective.report}
    for column in columns:
        _check_numbers(column, allow_missing, column.name in needed)
    return np.column_stack([column.numbers for column in columns])


def _check_no_labels(columns: Sequence[Column]) -> None:
    """No column is text in all its rows; all such are named, so that they can be ignored at once."""
    labels = [
        column for column in columns if column.is_text.any() and np.isnan(column.numbers).all()
    ]
    if labels:
        row = int(np.argmax(labels[0].is_text))
        raise fault(
            f"{quoted(column.name for column in labels)} hold text, such as "
            f"{labels[0].texts[row]!r} in data row {row + 1}, where metrics were expected. Leave "
            "such columns out with ignore=, or name those of the architecture with arch= or "
            "decisions=."
        )


def _check_numbers(column: Column, allow_missing: bool, needed: bool) -> None:
    numbers = column.numbers
    if column.is_matrix:
        raise fault(
            "the column gives architectures, not a metric. Leave it out with ignore=, or others "
            "that give architectures.",
            column=column.name,
        )
    if column.is_text.any():
        row = int(np.argmax(column.is_text))
        raise fault(
            f"a number was expected, got {column.texts[row]!r}. Correct it, or if the column is "
            "no metric name it in decisions= or ignore=.",
            row,
            column.name,
        )
    if np.isinf(numbers).any():
        row = int(np.argmax(np.isinf(numbers)))
        raise fault(f"a finite number was expected, got {numbers[row]}.", row, column.name)
    if np.isnan(numbers).any() and (needed or not allow_missing):
        advice = (
            "The signal and the reported metric need one in every row."
            if allow_missing
            else "Fill it in, delete the row, or keep such cells as NaN with allow_missing=True."
        )
        row = int(np.argmax(np.isnan(numbers)))
        raise fault(f"the number is missing. {advice}", row, column.name)
