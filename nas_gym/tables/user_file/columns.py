"""The named columns of a user's file, and what may be wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.utils.errors import DamagedDataError

Cells = list[str] | NDArray[np.float64]


class UserFileError(DamagedDataError, ValueError):
    """A file, or what was asked of it, does not make a table; the message says what to do."""


def file_error(message: str, row: int | None = None, column: str | None = None) -> UserFileError:
    """The error of a place in the file; ``row`` counts from 0, the message from 1."""
    places = [] if row is None else [f"data row {row + 1}"]
    places += [] if column is None else [f"column {column!r}"]
    return UserFileError(": ".join(filter(None, [", ".join(places), message])))


def first_file_error(
    check: Callable[[Any], object], rows: Any, column: str | None
) -> UserFileError:
    """The error of the first row of which, as a batch of one, ``check`` complains."""
    row = 0
    try:
        for row in range(len(rows)):
            check(rows[row : row + 1])
    except ValueError as error:
        return file_error(str(error), row, column)
    raise AssertionError("Every row is right by itself.")


def quoted(names: Iterable[str]) -> str:
    """Names as messages list them."""
    return ", ".join(map(repr, names))


def floats(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """Cells as numbers, NaN for those that are empty; None where some cell is text."""
    if "_" in "".join(cells):  # float() reads 1_0 as 10
        return None
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        filled = [cell if cell.strip() else "nan" for cell in cells]
        return None if filled == list(cells) else floats(filled)


@dataclass(frozen=True)
class FileColumn:
    """One cell for each row.

    Attributes:
        name: the column's name.
        cells: as text where the file has text or digits, whose leading zeros may count; else
            numbers. The column ``genotypes`` may have shape ``(n, num_decisions)``.
    """

    name: str
    cells: Cells

    @cached_property
    def texts(self) -> list[str]:
        """The cells as text; none where the file holds numbers."""
        return [cell.strip() for cell in self.cells] if isinstance(self.cells, list) else []

    @cached_property
    def is_text(self) -> NDArray[np.bool_]:
        """Which cells are neither numbers nor missing."""
        cells = self.cells
        if not isinstance(cells, list) or floats(cells) is not None:
            return np.zeros(len(cells), bool)
        texts = {cell for cell in set(cells) if floats([cell]) is None}
        return np.array([cell in texts for cell in cells])

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The cells as numbers, NaN where one is text or missing."""
        if not isinstance(self.cells, list):
            return self.cells
        numbers = np.full(len(self.cells), np.nan)
        places = np.flatnonzero(~self.is_text)
        numbers[places] = floats([self.cells[place] for place in places])
        return numbers

    @property
    def is_matrix(self) -> bool:
        """Whether a cell is a whole genotype."""
        return not isinstance(self.cells, list) and self.cells.ndim == 2


def named_columns(columns: Iterable[tuple[str, Cells]]) -> dict[str, FileColumn]:
    """Columns by name, once every name is there and different, and every length the same."""
    named: dict[str, FileColumn] = {}
    for number, (name, cells) in enumerate(columns, start=1):
        name = name.strip()
        if not name:
            raise file_error(
                f"column {number} has no name. Name it or delete it "
                "(pandas writes its row numbers so unless told index=False)."
            )
        if name in named:
            raise file_error(f"two columns are named {name!r}. Rename or delete one.")
        named[name] = FileColumn(name, cells)
    lengths = {name: len(column.cells) for name, column in named.items()}
    if len(set(lengths.values())) > 1:
        raise file_error(f"every column needs as many rows as the others, there are {lengths}.")
    if not any(lengths.values()):
        raise file_error("there are no rows. One row for each architecture was expected.")
    return named


def check_names(argument: str, names: Iterable[str], there: Iterable[str]) -> None:
    """Raise the error of an argument that names what is not there."""
    there = list(there)
    unknown = [name for name in names if name not in there]
    if unknown:
        raise file_error(
            f"{argument}= names {quoted(unknown)}, which is not there. Expected: {quoted(there)}."
        )


def check_arguments(columns: Iterable[str], arguments: Mapping[str, Sequence[str]]) -> None:
    """Raise the error of arguments that name a column that is not there, or one twice."""
    columns = list(columns)
    for argument, names in arguments.items():
        check_names(argument, names, columns)
    every = [name for names in arguments.values() for name in names]
    repeated = [name for name in dict.fromkeys(every) if every.count(name) > 1]
    if repeated:
        raise file_error(
            f"{quoted(repeated)}: a column can be named once in {'=, '.join(arguments)}= together."
        )
