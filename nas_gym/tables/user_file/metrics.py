"""Reading the metrics of a user's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas_gym.tables.table import Metric, Objective
from nas_gym.tables.user_file.columns import (
    FileColumn,
    check_names,
    file_error,
    quote_names,
    repeated_name_error,
)
from nas_gym.utils.errors import shorten


def read_metrics(
    columns: Sequence[FileColumn],
    signal: str | None,
    report: str | None,
    minimize: Sequence[str],
    units: Mapping[str, str],
    seconds: str | None,
    allow_missing: bool,
) -> tuple[tuple[Metric, ...], Objective, NDArray[np.float64]]:
    """Read the metrics of a file.

    A column ``x`` of lists gives the metrics ``x`` (the mean) and ``x@0``, ``x@1``, …, one per
    position in the lists. Arguments that name ``x`` apply to all these metrics.

    Args:
        columns: Columns of the metrics.
        signal: Metric to search by; the only metric, or the mean of the only one, if ``None``.
        report: Metric to report; the signal if ``None``.
        minimize: Metrics where lower is better.
        units: Units of metrics.
        seconds: Column with the training time in seconds.
        allow_missing: Whether metrics other than signal and report may have missing numbers.

    Returns:
        Descriptions of the metrics, the metrics of the task, and values of shape
        ``(n, number of metrics)``.

    Raises:
        UserFileError: If an argument names a column that is not a metric; if there is no metric, or
            several metrics and no ``signal``; if a cell is text or infinite, or missing although it
            is needed; or if a name has a colon.
    """
    _check_no_labels(columns)
    columns, wholes = _split_lists(columns)
    names = [column.name for column in columns]
    if signal is None and len(set(wholes)) == 1:
        signal = wholes[0]
    objective = _objective(names, signal, report)
    check_names("minimize", minimize, names)
    check_names("units", units, names)
    if seconds is not None:
        check_names("seconds", [seconds], names)
    for column in columns:
        needed = not allow_missing or column.name in (objective.signal, objective.report, seconds)
        _check_numbers(column, needed)
        if ":" in column.name:
            raise file_error(
                "the name of a metric has no ':', because tasks write 'table:metric'. Rename the "
                "column, or leave it out with ignore=.",
                column=column.name,
            )
    values = np.column_stack([column.numbers for column in columns])
    lower = {*minimize, *([] if seconds is None else [seconds])}
    metrics = [
        Metric(
            name,
            "s" if seconds in (name, whole) else units.get(name, units.get(whole, "")),
            not lower & {name, whole},
            seconds="" if seconds is None or seconds in (name, whole) else seconds,
        )
        for name, whole in zip(names, wholes, strict=True)
    ]
    return tuple(metrics), objective, values


def _split_lists(columns: Sequence[FileColumn]) -> tuple[list[FileColumn], list[str]]:
    """Return the columns after lists were split, and the original column name of each column."""
    pairs = [(part, column.name) for column in columns for part in column.split_lists()]
    names: set[str] = set()
    for part, _ in pairs:
        if part.name in names:
            raise repeated_name_error(part.name)
        names.add(part.name)
    return [part for part, _ in pairs], [name for _, name in pairs]


def _objective(names: Sequence[str], signal: str | None, report: str | None) -> Objective:
    if not names:
        raise file_error("the file has no metric. A column of numbers was expected.")
    if signal is None:
        if len(names) > 1:
            raise file_error(
                f"there are several metrics: {quote_names(names)}. Name the one to search by "
                "with signal=."
            )
        signal = names[0]
    report = signal if report is None else report
    check_names("signal", [signal], names)
    check_names("report", [report], names)
    return Objective(signal, report)


def _check_no_labels(columns: Sequence[FileColumn]) -> None:
    """Raise one error that names all columns of text, so that they can be ignored at once."""
    for column in columns:
        if column.has_genotypes:
            raise file_error(
                "this column has architectures, not a metric. Leave it out with ignore=.",
                column=column.name,
            )
    labels = [
        column
        for column in columns
        if not column.is_matrix and column.is_text.any() and np.isnan(column.numbers).all()
    ]
    if labels:
        row = int(np.argmax(labels[0].is_text))
        raise file_error(
            f"{quote_names([column.name for column in labels])} hold text, such as "
            f"{shorten(labels[0].texts[row], 80)!r} in data row {row + 1}; metrics are numbers. "
            "Leave these columns out with ignore=, or name the columns of the architecture with "
            "arch= or decisions=."
        )


def _check_numbers(column: FileColumn, needed: bool) -> None:
    """Raise an error if a cell is not a finite number, or missing although it is needed."""
    wrong = np.isinf(column.numbers) | column.is_text
    if needed:
        wrong |= np.isnan(column.numbers)
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    if column.is_text[row]:
        problem = f"a number was expected, got {shorten(column.texts[row], 80)!r}. Correct it"
    elif np.isinf(column.numbers[row]):
        problem = f"a finite number was expected, got {column.numbers[row]}. Correct it"
    else:
        problem = (
            "the number is missing. The signal and the reported metric need a number in every row; "
            "allow_missing=True accepts gaps in other metrics. Fill it in, delete the row"
        )
    raise file_error(f"{problem}, or leave the column out with ignore=.", row, column.name)
