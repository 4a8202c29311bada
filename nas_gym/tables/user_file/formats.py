"""Readers of the formats of users' files: CSV, JSON, Parquet and ``.npz``."""

from __future__ import annotations

import csv
import io
import json
import reprlib
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from decimal import Decimal
from functools import partial
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.tables.user_file.columns import (
    Cells,
    FileColumn,
    UserFileError,
    check_names,
    file_error,
    named_columns,
    parse_floats,
)
from nas_gym.utils.errors import DataError
from nas_gym.utils.files import open_npz
from nas_gym.utils.limits import check_unpacked_size

_ROWS_AT_ONCE = 200  # so few that their cells stay in the cache of the processor

_BYTES_OF_CELL = 8
_PARQUET = "the Parquet file"

_NUMBERS = {int, float, Decimal, type(None)}

NamedCells = list[tuple[str, Callable[[], Cells]]]


def read_columns(
    path: Path, content: bytes, ignored: Collection[str] = ()
) -> dict[str, FileColumn]:
    """Return the columns of a file by name.

    Args:
        path: Path of the file; its suffix determines the format.
        content: Content of the file.
        ignored: Columns to leave out; their content may be of any kind.

    Raises:
        UserFileError: If the suffix is unknown, or the content is not in this format, damaged or
            empty.
    """
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise file_error(
            f"the file's suffix is {suffix!r}. Accepted: {', '.join(READERS)}. Save the file in "
            "one of these formats."
        )
    if not content or content.isspace():
        raise file_error("the file is empty.")
    try:
        columns = [(name.strip(), cells) for name, cells in READERS[suffix](content)]
        check_names("ignore", ignored, [name for name, _ in columns])
        return named_columns((name, cells()) for name, cells in columns if name not in ignored)
    except (UserFileError, MemoryError):
        raise
    except DataError as error:  # larger than the limit
        raise file_error(str(error)) from error
    except Exception as error:  # a damaged file can raise any error
        kind = {".parquet": "Parquet", ".npz": "a .npz of arrays"}.get(suffix, suffix[1:].upper())
        raise file_error(f"the file is not {kind}, or was cut short: {error}.") from error


def _check_utf8(content: bytes) -> None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise file_error(
            f"line {line} is not UTF-8 text. Save the file with the encoding UTF-8."
        ) from error


def _cells(name: str, values: list[Any]) -> Cells:
    """Convert Python's values to the cells of a column."""
    kinds = set(map(type, values))
    if list in kinds:
        return _list_cells(name, values)
    if kinds <= _NUMBERS:
        with suppress(OverflowError):
            return np.array(values, np.float64)
    if not kinds <= _NUMBERS | {str, bool}:
        row = next(i for i, value in enumerate(values) if type(value) not in _NUMBERS | {str, bool})
        kind = type(values[row]).__name__
        raise file_error(
            f"a number or a string was expected, got a {kind}: {_excerpt(values[row])}. Correct "
            "it, or leave the column out with ignore=.",
            row,
            name,
        )
    return ["" if value is None else str(value) for value in values]


def _list_cells(name: str, values: list[Any]) -> Cells:
    """Convert lists of numbers, all of one length, to the cells of a column."""
    expected = next(len(value) for value in values if isinstance(value, list))
    for row, value in enumerate(values):
        is_list = isinstance(value, list) and len(value) == expected > 0
        if not is_list or not set(map(type, value)) <= _NUMBERS:
            raise file_error(
                f"a list of {expected} numbers was expected, like the first list of the column, "
                f"got {_excerpt(value)}. Correct it, or leave the column out with ignore=.",
                row,
                name,
            )
    try:
        return np.array(values, np.float64)
    except OverflowError as error:
        raise file_error(f"a number is too large: {error}.", column=name) from error


def _excerpt(value: Any) -> str:
    # reprlib looks at a few items only: the text of the whole value may be long
    return reprlib.repr(value)[:80]


# -- CSV -------------------------------------------------------------------------------------------


def _read_csv(content: bytes) -> NamedCells:
    _check_utf8(content)
    return _csv_columns(content, as_text=set())


def _csv_columns(content: bytes, as_text: set[int]) -> NamedCells:
    """Return the columns of a CSV file.

    Numbers are converted while the file is read, because the text of all cells needs more memory.

    Args:
        content: Content of the file.
        as_text: Numbers of the columns to return as text. A column that turns out to have text is
            added, and the file is read again.
    """
    first = set(as_text)
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline=""), strict=True)
    try:
        rows = filter(None, reader)  # skip empty lines
        header: list[str] = next(rows, [])
        if len(header) < 2:
            raise file_error(
                "a header of column names separated by commas was expected, got "
                f"{_excerpt(header)}."
            )
        parts: list[list[Any]] = [[] for _ in header]
        for number, chunk in enumerate(_chunks(rows)):
            _check_widths(chunk, len(header), number * _ROWS_AT_ONCE)
            for k, cells in enumerate(zip(*chunk, strict=True)):
                numbers = None if k in as_text else _floats_except_digits(cells)
                if numbers is None:
                    as_text.add(k)
                parts[k].append(cells if numbers is None else numbers)
    except csv.Error as error:
        raise file_error(
            f"line {reader.line_num}: {error}. Check that every quotation mark is closed."
        ) from error
    if any(k not in first and isinstance(parts[k][0], np.ndarray) for k in as_text):
        del parts
        return _csv_columns(content, as_text)  # cells already converted are needed as text
    joined = [list(chain(*part)) if k in as_text else _join(part) for k, part in enumerate(parts)]
    return [(name, partial(_same, cells)) for name, cells in zip(header, joined, strict=True)]


def _same(cells: Cells) -> Cells:
    return cells


def _chunks(rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    while chunk := list(islice(rows, _ROWS_AT_ONCE)):
        yield chunk


def _join(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate(parts) if parts else np.empty(0)


def _floats_except_digits(cells: tuple[str, ...]) -> NDArray[np.float64] | None:
    digits = "".join(cells).replace(" ", "").isdigit()  # such as the architecture 00123
    return None if digits else parse_floats(cells)


def _check_widths(rows: list[list[str]], width: int, before: int) -> None:
    if set(map(len, rows)) == {width}:
        return
    row, cells = next((i, len(cells)) for i, cells in enumerate(rows) if len(cells) != width)
    raise file_error(
        f"{width} cells were expected, as in the header; the row has {cells}. Put quotation marks "
        "around a cell that contains a comma.",
        before + row,
    )


# -- JSON ------------------------------------------------------------------------------------------


def _read_json(content: bytes) -> NamedCells:
    _check_utf8(content)
    loaded = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_distinct)
    return [(name, partial(_cells, name, cells)) for name, cells in _json_columns(loaded).items()]


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise file_error(
                f"the key {_excerpt(key)} appears twice in one object. Rename or delete one."
            )
        content[key] = value
    return content


def _json_columns(content: Any) -> dict[str, list[Any]]:
    if isinstance(content, dict) and content:
        if all(isinstance(value, list) for value in content.values()):
            return content
        if all(isinstance(value, dict) for value in content.values()):
            if any("arch" in record for record in content.values()):
                raise file_error(
                    "the keys become the column 'arch', but the records also have a column 'arch'. "
                    "Rename the column in the records."
                )
            content = [{"arch": key, **record} for key, record in content.items()]
    if not isinstance(content, list) or not all(isinstance(record, dict) for record in content):
        raise file_error(
            "a list of records, a dict of columns or a dict {architecture: {metric: value}} was "
            "expected."
        )
    keys = dict.fromkeys(key for record in content for key in record)
    return {key: [record.get(key) for record in content] for key in keys}


# -- Parquet ---------------------------------------------------------------------------------------


def _read_parquet(content: bytes) -> NamedCells:
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise file_error(
            "reading Parquet needs pyarrow. Run: pip install nas-gym[parquet]"
        ) from error
    # texts stay in dictionaries: one text that is repeated for all rows is stored once
    file = parquet.ParquetFile(arrow.BufferReader(content))
    schema = file.schema_arrow
    texts = [field.name for field in schema if _is_text(arrow, field.type)]
    cells = file.metadata.num_rows * max(1, file.metadata.num_columns)
    check_unpacked_size(_BYTES_OF_CELL * cells, _PARQUET, len(content))
    table = parquet.ParquetFile(arrow.BufferReader(content), read_dictionary=texts).read()
    return [
        (name, partial(_cells_of_arrow, arrow, name, column))
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]


def _is_text(arrow: Any, kind: Any) -> bool:
    types = arrow.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )


def _cells_of_arrow(arrow: Any, name: str, column: Any) -> Cells:
    if arrow.types.is_dictionary(column.type):
        return _cells(name, _texts_of_arrow(column))
    kind = column.type
    if arrow.types.is_floating(kind) or arrow.types.is_integer(kind):
        return np.asarray(column.to_numpy(), np.float64)  # missing numbers are NaN
    if arrow.types.is_nested(kind):
        values = sum(chunk.nbytes for chunk in column.chunks) // 8 + len(column)
        check_unpacked_size(_BYTES_OF_CELL * values, _PARQUET)
    return _cells(name, column.to_pylist())


def _texts_of_arrow(column: Any) -> list[Any]:
    """Return the texts of a column, each as one object however often it occurs."""
    cells: list[Any] = []
    size = 0
    for chunk in column.chunks:
        texts = chunk.dictionary.to_pylist()
        lengths = [len(text) if isinstance(text, str | bytes) else 1 for text in texts]
        places = chunk.indices.to_pylist()
        size += sum(lengths[place] for place in places if place is not None)
        check_unpacked_size(size, _PARQUET)  # columns are joined and searched as text
        cells += [None if place is None else texts[place] for place in places]
    return cells


# -- npz -------------------------------------------------------------------------------------------


def _read_npz(content: bytes) -> NamedCells:
    if content.startswith(b"\x93NUMPY"):
        raise file_error("the file has one array without a name. Save named arrays with np.savez.")
    arrays = open_npz(io.BytesIO(content), "the file")
    return [(name, partial(_array_cells, name, read)) for name, read in arrays.items()]


def _array_cells(name: str, read: Callable[[], NDArray[Any]]) -> Cells:
    try:
        array = read()
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise file_error(
            "the array has Python objects, which are not loaded, because that could run any code. "
            "Save numbers, or save text with astype(str).",
            column=name,
        ) from error
    if array.ndim != 1 and not (name == "genotypes" and array.ndim == 2):
        raise file_error(f"an array of shape (n,) was expected, got {array.shape}.", column=name)
    if array.dtype.kind in "iuf":
        return np.asarray(array, np.float64)
    if array.dtype.kind in "Ub" and array.ndim == 1:
        return _cells(name, array.tolist())
    raise file_error(
        f"numbers or text were expected, the array has dtype {array.dtype}.", column=name
    )


READERS: dict[str, Callable[[bytes], NamedCells]] = {
    ".csv": _read_csv,
    ".json": _read_json,
    ".parquet": _read_parquet,
    ".npz": _read_npz,
}
