"""Named columns of a user's file, and their errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.utils.errors import DamagedDataError, list_names, shorten

_LONGEST_MESSAGE = 2000

Cells = list[str] | NDArray[np.float64]


class UserFileError(DamagedDataError, ValueError):
    """Error if a user's file or an import argument is invalid; the message says what to do.

    Messages name arguments as in Python (``allow_missing=True``).
    """


def file_error(message: str, row: int | None = None, column: str | None = None) -> UserFileError:
    """Return an error that names a place in the file; ``row`` counts from 0, messages from 1."""
    places = [] if row is None else [f"data row {row + 1}"]
    places += [] if column is None else [f"column {shorten(column, 80)!r}"]
    text = ": ".join(filter(None, [", ".join(places), message]))
    return UserFileError(shorten(text, _LONGEST_MESSAGE))


def first_file_error(
    check: Callable[[Any], object], rows: Any, column: str | None
) -> UserFileError:
    """Return the error of the first row for which ``check`` raises an error.

    Args:
        check: Function of a batch of rows.
        rows: All rows; at least one of them is invalid.
        column: Name of the column, if the rows come from one column.
    """
    row = 0
    try:
        for row in range(len(rows)):
            check(rows[row : row + 1])
    except ValueError as error:
        return file_error(str(error), row, column)
    except Exception as error:  # the methods of a user's space can raise anything
        return file_error(f"{type(error).__name__}: {error}", row, column)
    raise AssertionError("Every row is valid by itself.")


def quote_names(names: Collection[str]) -> str:
    """Return names in quotation marks, separated by commas; a long list is cut."""
    return list_names(names, repr)


def parse_floats(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """Convert cells to numbers, and empty cells to NaN; return ``None`` if a cell is text."""
    if "_" in "".join(cells):  # float() reads 1_0 as 10
        return None
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        filled = [cell if cell.strip() else "nan" for cell in cells]
        return None if filled == list(cells) else parse_floats(filled)


@dataclass(frozen=True)
class FileColumn:
    """A named column with one cell per row.

    Attributes:
        name: Name of the column.
        cells: Strings, if the file has text or digits with leading zeros that may matter; numbers
            otherwise. Lists of equal length are an array of shape ``(n, length)``: genotypes, or
            one number per training run of an architecture.
    """

    name: str
    cells: Cells

    @cached_property
    def texts(self) -> list[str]:
        """Cells as text; empty if the file has numbers."""
        return [cell.strip() for cell in self.cells] if isinstance(self.cells, list) else []

    @cached_property
    def is_text(self) -> NDArray[np.bool_]:
        """Whether each cell is text: neither a number nor missing."""
        cells = self.cells
        if not isinstance(cells, list) or parse_floats(cells) is not None:
            return np.zeros(len(cells), bool)
        texts = {cell for cell in set(cells) if parse_floats([cell]) is None}
        return np.array([cell in texts for cell in cells])

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """Cells as numbers; NaN for a cell that is text or missing."""
        if not isinstance(self.cells, list):
            return self.cells
        numbers = np.full(len(self.cells), np.nan)
        places = np.flatnonzero(~self.is_text)
        numbers[places] = parse_floats([self.cells[place] for place in places])
        return numbers

    @property
    def is_matrix(self) -> bool:
        """Whether each cell is a list of numbers."""
        return not isinstance(self.cells, list) and self.cells.ndim == 2

    @property
    def has_genotypes(self) -> bool:
        """Whether the column is an array ``genotypes``: each cell is a whole genotype."""
        return self.is_matrix and self.name == "genotypes"

    def split_lists(self) -> list[FileColumn]:
        """Return a column of lists as the columns ``x`` (the mean), ``x@0``, ``x@1``, ….

        The numbers are positions in the lists. Another column is returned as it is.
        """
        if isinstance(self.cells, list) or not self.is_matrix:
            return [self]
        parts = [FileColumn(f"{self.name}@{i}", part) for i, part in enumerate(self.cells.T)]
        return [FileColumn(self.name, self.cells.mean(axis=1)), *parts]


def named_columns(columns: Iterable[tuple[str, Cells]]) -> dict[str, FileColumn]:
    """Return columns by name.

    Raises:
        UserFileError: If a name is missing or used twice, columns differ in length, or there are
            no rows.
    """
    named: dict[str, FileColumn] = {}
    for number, (name, cells) in enumerate(columns, start=1):
        name = name.strip()
        if not name:
            raise file_error(
                f"column {number} has no name. Name it or delete it "
                "(pandas writes row numbers in a column without a name, unless index=False)."
            )
        if name in named:
            raise repeated_name_error(name)
        named[name] = FileColumn(name, cells)
    lengths = {name: len(column.cells) for name, column in named.items()}
    if len(set(lengths.values())) > 1:
        numbers = list_names([f"{name!r}: {length}" for name, length in lengths.items()])
        raise file_error(f"all columns need the same number of rows; the numbers are {numbers}.")
    if not any(lengths.values()):
        raise file_error("the file has no rows. One row per architecture was expected.")
    return named


def repeated_name_error(name: str) -> UserFileError:
    """Return the error for two columns of the same name."""
    return file_error(f"two columns are named {shorten(name, 80)!r}. Rename or delete one.")


def check_names(argument: str, names: Iterable[str], existing: Iterable[str]) -> None:
    """Raise an error if an argument names columns that do not exist.

    Args:
        argument: Name of the argument.
        names: Value of the argument.
        existing: Names that exist.
    """
    existing = dict.fromkeys(existing)
    unknown = [name for name in names if name not in existing]
    if unknown:
        raise file_error(
            f"{argument}= names {quote_names(unknown)}, which does not exist. "
            f"Accepted: {quote_names(existing)}."
        )


def check_arguments(columns: Iterable[str], arguments: Mapping[str, Sequence[str]]) -> None:
    """Raise an error if arguments name a column that does not exist, or one column twice."""
    columns = list(columns)
    for argument, names in arguments.items():
        check_names(argument, names, columns)
    counts = Counter(name for names in arguments.values() for name in names)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        raise file_error(
            f"{quote_names(repeated)} is named twice. A column can be named only once in "
            f"{'=, '.join(arguments)}= together."
        )
