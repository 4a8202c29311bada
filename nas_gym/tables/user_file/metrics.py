"""The metrics of a user's file: their values, and which of them a task uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas_gym.tables.table import Metric, Objective
from nas_gym.tables.user_file.columns import FileColumn, check_names, file_error, quoted


def read_metrics(
    columns: Sequence[FileColumn],
    signal: str | None,
    report: str | None,
    minimize: Sequence[str],
    units: Mapping[str, str],
    seconds: str | None,
    allow_missing: bool,
) -> tuple[tuple[Metric, ...], Objective, NDArray[np.float64]]:
    """The metrics in columns, those of the task, and their numbers, shape ``(n, len(columns))``.

    Raises:
        UserFileError: an argument names what is no metric; there is none, or several and no
            ``signal``; a cell is text, infinite, or missing where it may not be; a name
            has a colon.
    """
    _check_no_labels(columns)
    names = [column.name for column in columns]
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
                "a metric's name has no ':', which stands between table and metric where tasks "
                "name one. Rename the column, or leave it out with ignore=.",
                column=column.name,
            )
    metrics = [
        Metric(name, "s", False)
        if name == seconds
        else Metric(name, units.get(name, ""), name not in minimize, seconds=seconds or "")
        for name in names
    ]
    return tuple(metrics), objective, np.column_stack([column.numbers for column in columns])


def _objective(names: Sequence[str], signal: str | None, report: str | None) -> Objective:
    if not names:
        raise file_error("there is no metric. A column of numbers was expected.")
    if signal is None:
        if len(names) > 1:
            raise file_error(f"say with signal= which metric to search by: {quoted(names)}.")
        signal = names[0]
    report = signal if report is None else report
    check_names("signal", [signal], names)
    check_names("report", [report], names)
    return Objective(signal, report)


def _check_no_labels(columns: Sequence[FileColumn]) -> None:
    """Name all columns of nothing but text in one error, so that they can be ignored at once."""
    for column in columns:
        if column.is_matrix:
            raise file_error(
                "it gives architectures. Leave it out with ignore=.", column=column.name
            )
    labels = [
        column for column in columns if column.is_text.any() and np.isnan(column.numbers).all()
    ]
    if labels:
        row = int(np.argmax(labels[0].is_text))
        raise file_error(
            f"{quoted(column.name for column in labels)} hold text, such as "
            f"{labels[0].texts[row]!r} in data row {row + 1}, where metrics were expected. Leave "
            "such columns out with ignore=, or name those of the architecture with arch= or "
            "decisions=."
        )


def _check_numbers(column: FileColumn, needed: bool) -> None:
    """Every cell is a finite number, or missing where that is allowed."""
    wrong = np.isinf(column.numbers) | column.is_text
    if needed:
        wrong |= np.isnan(column.numbers)
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    if column.is_text[row]:
        problem = f"a number was expected, got {column.texts[row]!r}. Correct it"
    elif np.isinf(column.numbers[row]):
        problem = f"a finite number was expected, got {column.numbers[row]}. Correct it"
    else:
        problem = (
            "the number is missing. The signal and the reported metric need one in every row, "
            "others may be kept as NaN with allow_missing=True. Fill it in, delete the row"
        )
    raise file_error(f"{problem}, or leave the column out with ignore=.", row, column.name)
