"""A user's own file as a table: CSV, JSON, Parquet or ``.npz``."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import CategoricalSpace, NB201Space, NBGraphSpace, SearchSpace
from nas_gym.spaces.nbgraph import PROTEINS_OPERATIONS
from nas_gym.tables.errors import DamagedDataError
from nas_gym.tables.table import Metric, Objective, Table

MAX_CHOICES = 1000  # of a decision; more are measurements, and a prefix tree of them fills memory
MAX_CODE = 31  # a column of whole numbers from 0 to at most this numbers its choices

_ROWS_AT_ONCE = 1000  # few enough that their cells stay in the processor's cache
_ROWS_TO_PROBE = 100
_ARCH_NAME = re.compile(r"(arch(itecture)?|genotype|cell)(str(ing)?|code|encoding)?")
_DECISION_NAME = re.compile(
    r"(x|op|ops|operation|decision|choice|gene|edge)[_-]?\d+", re.IGNORECASE
)

Cells = list[str] | NDArray[np.float64]


class UserFileError(DamagedDataError, ValueError):
    """A file, or what was asked of it, does not make a table; the message says what to do."""


def read(
    path: str | Path,
    name: str,
    *,
    arch: str | None = None,
    decisions: str | Sequence[str] | None = None,
    space: SearchSpace | None = None,
    metrics: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] = (),
    signal: str | None = None,
    report: str | None = None,
    minimize: str | Sequence[str] = (),
    units: Mapping[str, str] | None = None,
    allow_missing: bool = False,
) -> Table:
    """Read a file of one architecture a row, in any order, all of a space or some.

    A file is ``.csv`` (UTF-8, commas, a header), ``.json`` (a list of records, a dict of columns,
    or a dict ``{architecture: {metric: value}}``), ``.parquet`` (``pip install nas-gym[parquet]``)
    or ``.npz`` (one array of shape ``(n,)`` for each column; ``genotypes`` of shape ``(n, L)`` may
    give the architectures). Nothing is written.

    The architecture of a row is one of

    - an arch string of NAS-Bench-201 or NAS-Bench-Graph, or a text of ``space``;
    - a string of digits, the choice of each decision (leading zeros count, so JSON, Parquet and
      ``.npz`` hold it as text);
    - one column for each decision.

    Where neither ``arch`` nor ``decisions`` says which, it is the one column that reads as an arch
    string; else of digit strings, known by its name (``arch``, ``genotype``, …) or by a leading
    zero; else the columns named like ``x0``, ``op_1`` or ``decision2`` that hold text or whole
    numbers; else every text column with two labels or more of which some repeats. More than one
    answer is an error. Every other column is a metric.

    The choices of digit strings and of ``genotypes`` are 0 to the largest of the decision, so that
    genotypes are those of the file. The choices of a decision's column are the labels that occur,
    in numeric order where all are numbers, else sorted as text; whole numbers that start at 0 and
    end at :data:`MAX_CODE` at most are 0 to the largest, whether each occurs or not.

    The table covers just what the file does. Where that is a whole known space, its space is that
    one (``NB201Space``, ``NBGraphSpace``, ``space``); otherwise it is a ``CategoricalSpace`` of the
    architectures given, with the known space's decisions and labels, whose text is the labels
    separated by commas rather than an arch string.

    Args:
        path: the file.
        name: the table's name, and its only data set's.
        arch: the column of arch strings or digit strings.
        decisions: the columns of the decisions, in order.
        space: the space that the architectures belong to. Its ``choices`` are then the labels.
        metrics: the columns to keep; all that are left by default.
        ignore: columns to leave out.
        signal: the metric to search by; the only one by default.
        report: the metric to report; ``signal`` by default.
        minimize: the metrics of which less is better.
        units: units of metrics, such as ``{"latency": "ms"}``.
        allow_missing: keep missing numbers as NaN, except in ``signal`` and ``report``.

    Returns:
        A table whose provenance names the file, its format and its sha256.

    Raises:
        UserFileError: the file is missing or damaged, or does not give one architecture and its
            numbers for each row, or an argument names what is not there. It is a ``ValueError``
            and a :class:`~nas_gym.tables.DamagedDataError`.
    """
    path = Path(path)
    if arch is not None and decisions is not None:
        _fail(path, "Give either arch= or decisions=, not both.")
    data = _read_bytes(path)
    contents = _read_contents(path, data)
    wanted = None if metrics is None else _names(metrics)
    given = [arch] if arch is not None else _names(decisions or ())
    left_out = _names(ignore)
    _check_arguments(contents, arch, given, wanted or [], left_out)

    found = _find(contents.without([*left_out, *(wanted or [])]), given, arch is not None, space)
    columns = _metric_columns(contents.without([*left_out, *found.columns]), wanted)
    objective = _objective(path, list(columns), signal, report)
    needed = {objective.signal, objective.report}
    rows = np.column_stack(
        [
            _metric_values(path, column, allow_missing, column.name in needed)
            for column in columns.values()
        ]
    )
    table_space, indices = _fit(path, found, name)
    values = np.empty_like(rows)
    values[indices] = rows
    return Table(
        name=name,
        space=table_space,
        metrics=_describe(path, list(columns), _names(minimize), units or {}),
        values=values,
        objectives={name: objective},
        provenance={
            "file": path.name,
            "sha256": hashlib.sha256(data).hexdigest(),
            "format": path.suffix.lower().removeprefix("."),
        },
    )


def _names(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _fail(path: Path, message: str, row: int | None = None, column: str | None = None) -> NoReturn:
    """Raise the error of a file; ``row`` counts from 0, the message from 1."""
    place = str(path)
    if row is not None:
        place += f", data row {row + 1}"
    if column is not None:
        place += f", column {column!r}"
    raise UserFileError(f"{place}: {message}")


# -- what a file holds -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    name: str
    cells: Cells

    @cached_property
    def _parsed(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        cells = self.cells
        if not isinstance(cells, list):
            return cells, np.zeros(len(cells), bool)
        numbers = _floats(cells)
        if numbers is not None:
            return numbers, np.zeros(len(cells), bool)
        parsed = {cell: _number(cell) for cell in set(cells)}
        found = [parsed[cell] for cell in cells]
        is_text = np.array([number is None for number in found], bool)
        return np.array(found, np.float64), is_text

    @property
    def numbers(self) -> NDArray[np.float64]:
        """The cells as numbers, NaN where one is text or missing."""
        return self._parsed[0]

    @property
    def is_text(self) -> NDArray[np.bool_]:
        """Which cells are neither numbers nor missing."""
        return self._parsed[1]

    @property
    def missing(self) -> NDArray[np.bool_]:
        return np.isnan(self.numbers) & ~self.is_text

    @property
    def is_number(self) -> bool:
        return not self.is_text.any()

    @cached_property
    def texts(self) -> list[str]:
        """The cells as text; none for a column of numbers that are stored as such."""
        return [cell.strip() for cell in self.cells] if isinstance(self.cells, list) else []


def _floats(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """Cells as numbers, or None where some cell is none."""
    if "_" in "".join(cells):  # float() reads 1_0 as 10
        return None
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None


def _number(text: str) -> float | None:
    if not text.strip():
        return np.nan
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class _Contents:
    path: Path
    columns: Mapping[str, _Column]
    genotypes: NDArray[np.int64] | None = None

    @property
    def names(self) -> list[str]:
        return [*self.columns, *([] if self.genotypes is None else ["genotypes"])]

    def without(self, names: Iterable[str]) -> _Contents:
        out = set(names)
        left = {name: column for name, column in self.columns.items() if name not in out}
        return _Contents(self.path, left, None if "genotypes" in out else self.genotypes)


def _check_arguments(
    contents: _Contents,
    arch: str | None,
    given: list[str],
    metrics: list[str],
    ignore: list[str],
) -> None:
    """Each column that an argument names is there, and is named once."""
    for argument, names, there in (
        ("arch" if arch is not None else "decisions", given, contents.names),
        ("metrics", metrics, list(contents.columns)),
        ("ignore", ignore, contents.names),
    ):
        unknown = [name for name in names if name not in there]
        if unknown:
            _fail(
                contents.path,
                f"{argument}= names {_quoted(unknown)}, which is not there. "
                f"The columns are {_quoted(there)}.",
            )
    every = [*given, *metrics, *ignore]
    repeated = [name for name in dict.fromkeys(every) if every.count(name) > 1]
    if repeated:
        _fail(
            contents.path,
            f"{_quoted(repeated)}: a column can be named once in arch=, decisions=, metrics= and "
            "ignore= together.",
        )


def _read_bytes(path: Path) -> bytes:
    if path.suffix.lower() not in _READERS:
        _fail(
            path,
            f"files that end in {', '.join(_READERS)} can be read, this one ends in "
            f"{path.suffix!r}. Save it as one of them.",
        )
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        _fail(path, "there is no such file. Check the name and the folder.")
    except OSError as error:
        _fail(path, f"the file could not be read: {error.strerror}.")
    if not data or data.isspace():
        _fail(path, "the file is empty.")
    return data


def _read_contents(path: Path, data: bytes) -> _Contents:
    cells = _READERS[path.suffix.lower()](path, data)
    genotypes = cells.pop("genotypes") if _is_matrix(cells.get("genotypes")) else None
    lengths = {name: len(column) for name, column in cells.items()}
    if genotypes is not None:
        lengths["genotypes"] = len(genotypes)
    if len(set(lengths.values())) > 1:
        _fail(path, f"every column needs as many rows as the others, there are {lengths}.")
    if not any(lengths.values()):
        _fail(path, "there are no rows. One row for each architecture was expected.")
    columns = {name: _Column(name, column) for name, column in cells.items()}
    return _Contents(path, columns, None if genotypes is None else _whole(path, genotypes))


def _is_matrix(cells: Cells | None) -> bool:
    return isinstance(cells, np.ndarray) and cells.ndim == 2


def _whole(path: Path, genotypes: Any) -> NDArray[np.int64]:
    right = (genotypes >= 0) & (genotypes < MAX_CHOICES) & (genotypes == np.floor(genotypes))
    if genotypes.shape[1] == 0 or not right.all():
        rows = np.flatnonzero(~right.all(axis=1))
        _fail(
            path,
            "the choice of each decision was expected, whole numbers from 0 to "
            f"{MAX_CHOICES - 1} in shape (n, L) with L of 1 or more.",
            int(rows[0]) if len(rows) else None,
            "genotypes",
        )
    whole: NDArray[np.int64] = genotypes.astype(np.int64)
    return whole


def _collect(path: Path, columns: Iterable[tuple[str, Cells]]) -> dict[str, Cells]:
    """Columns by name, once every name is there and different."""
    collected: dict[str, Cells] = {}
    for number, (name, cells) in enumerate(columns, start=1):
        name = name.strip()
        if not name:
            _fail(
                path,
                f"column {number} has no name. Name it or delete it "
                "(pandas writes its row numbers so unless told index=False).",
            )
        if name in collected:
            _fail(path, f"two columns are named {name!r}. Rename or delete one.")
        collected[name] = cells
    return collected


# -- formats ---------------------------------------------------------------------------------------


def _not_utf8(path: Path, data: bytes) -> NoReturn:
    line = 0
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    _fail(path, f"line {line} is not UTF-8 text. Save the file with the encoding UTF-8.")


def _csv_reader(data: bytes) -> Any:
    return csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline=""), strict=True)


def _read_csv(path: Path, data: bytes) -> dict[str, Cells]:
    reader = _csv_reader(data)
    rows = filter(None, reader)  # an empty line is no row
    try:
        header: list[str] = next(rows, [])
        if len(header) < 2:
            _fail(path, f"a header of names separated by commas was expected, got {header}.")
        cells = _csv_cells(path, rows, len(header))
    except UnicodeDecodeError:
        _not_utf8(path, data)
    except csv.Error as error:
        _fail(path, f"line {reader.line_num}: {error}. Is a quotation mark not closed?")
    for k in [k for k, column in enumerate(cells) if column is None]:
        texts = [row[k] for row in filter(None, _csv_reader(data))]
        cells[k] = texts[1:]
    return _collect(
        path,
        ((name, column) for name, column in zip(header, cells, strict=True) if column is not None),
    )


def _csv_cells(path: Path, rows: Iterator[list[str]], width: int) -> list[Cells | None]:
    """The columns; None for one that begins with numbers and goes on with text.

    Numbers are converted as they come, since the text of all cells would fill the memory. A column
    that begins with digits only stays text, as it may hold digit strings.
    """
    texts: list[list[str]] = [[] for _ in range(width)]
    numbers: list[list[NDArray[np.float64]]] = [[] for _ in range(width)]
    mixed: set[int] = set()
    count = 0
    while chunk := list(islice(rows, _ROWS_AT_ONCE)):
        _check_widths(path, chunk, width, count)
        count += len(chunk)
        for k, part in enumerate(zip(*chunk, strict=True)):
            if texts[k] or (not numbers[k] and "".join(part).replace(" ", "").isdigit()):
                texts[k].extend(part)
            elif k not in mixed:
                converted = _floats(part)
                if converted is not None:
                    numbers[k].append(converted)
                elif numbers[k]:
                    mixed.add(k)
                else:
                    texts[k].extend(part)
    return [
        None if k in mixed else np.concatenate(numbers[k]) if numbers[k] else texts[k]
        for k in range(width)
    ]


def _check_widths(path: Path, rows: list[list[str]], width: int, before: int) -> None:
    if set(map(len, rows)) == {width}:
        return
    row, cells = next((i, len(cells)) for i, cells in enumerate(rows) if len(cells) != width)
    _fail(
        path,
        f"{width} cells were expected as in the header, there are {cells}. Put quotation marks "
        "around a cell that has a comma in it.",
        before + row,
    )


def _read_json(path: Path, data: bytes) -> dict[str, Cells]:
    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = dict(pairs)
        if len(keys) < len(pairs):
            repeated = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
            _fail(path, f"the key {repeated!r} stands twice in one object. Rename or delete one.")
        return keys

    try:
        content = json.loads(data.decode("utf-8-sig"), object_pairs_hook=distinct)
    except UnicodeDecodeError:
        _not_utf8(path, data)
    except UserFileError:
        raise
    except (ValueError, RecursionError) as error:
        _fail(path, f"the file is not JSON, or was cut short: {error}.")
    columns = _json_columns(path, content)
    return _collect(path, ((name, _typed(path, name, cells)) for name, cells in columns.items()))


def _json_columns(path: Path, content: Any) -> dict[str, list[Any]]:
    if isinstance(content, dict) and content:
        if all(isinstance(value, list) for value in content.values()):
            return content
        if all(isinstance(value, dict) for value in content.values()):
            if any("arch" in record for record in content.values()):
                _fail(path, "the keys are the column 'arch', records have another. Rename it.")
            content = [{"arch": key, **record} for key, record in content.items()]
    if not isinstance(content, list) or not all(isinstance(record, dict) for record in content):
        _fail(
            path,
            "a list of records, a dict of columns or a dict {architecture: {metric: value}} was "
            "expected.",
        )
    keys = dict.fromkeys(key for record in content for key in record)
    return {key: [record.get(key) for record in content] for key in keys}


def _typed(path: Path, name: str, cells: list[Any]) -> Cells:
    kinds = set(map(type, cells))
    if kinds <= {int, float, type(None)}:
        with suppress(OverflowError):
            return np.array(cells, np.float64)
    for row, cell in enumerate(cells):
        if isinstance(cell, (list, dict)):
            _fail(path, f"a number or a text was expected, got {cell!r:.60}.", row, name)
    return ["" if cell is None else str(cell) for cell in cells]


def _read_parquet(path: Path, data: bytes) -> dict[str, Cells]:
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        _fail(path, "reading Parquet needs pyarrow. Run: pip install nas-gym[parquet]")
    try:
        table = parquet.ParquetFile(arrow.BufferReader(data)).read()
        columns = [
            (name, _arrow_cells(path, name, arrow, column))
            for name, column in zip(table.column_names, table.columns, strict=True)
        ]
    except UserFileError:
        raise
    except (arrow.ArrowException, OSError, ValueError) as error:
        _fail(path, f"the file is not Parquet, or was cut short: {error}.")
    return _collect(path, columns)


def _arrow_cells(path: Path, name: str, arrow: Any, column: Any) -> Cells:
    types = arrow.types
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        numbers: NDArray[np.float64] = column.cast(arrow.float64(), safe=False).to_numpy()
        return numbers
    if types.is_null(kind):
        return np.full(len(column), np.nan)
    if types.is_boolean(kind) or str(kind) in ("string", "large_string", "string_view"):
        return ["" if cell is None else str(cell) for cell in column.to_pylist()]
    _fail(path, f"numbers or text were expected, the column holds {kind}.", column=name)


def _read_npz(path: Path, data: bytes) -> dict[str, Cells]:
    try:
        arrays = np.load(io.BytesIO(data), allow_pickle=False)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            _fail(
                path, "the file holds one bare array. Save with np.savez, each array by its name."
            )
        return _collect(path, ((key, _array_cells(path, key, arrays)) for key in arrays.files))
    except UserFileError:
        raise
    except (
        ValueError, TypeError, AttributeError, EOFError, KeyError, OSError, NotImplementedError,
        SyntaxError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        _fail(path, f"the file is not a .npz of arrays, or was cut short: {error}.")


def _array_cells(path: Path, name: str, arrays: Any) -> Cells:
    try:
        array = arrays[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        _fail(
            path,
            "the array holds Python objects, which are not read, as that could run any code. "
            "Save numbers, or text with astype(str).",
            column=name,
        )
    if array.ndim != 1 and not (name == "genotypes" and array.ndim == 2):
        _fail(path, f"an array of shape (n,) was expected, got {array.shape}.", column=name)
    if array.dtype.kind in "iuf":
        numbers: NDArray[np.float64] = array.astype(np.float64)
        return numbers
    if array.dtype.kind in "Ub" and array.ndim == 1:
        return [str(cell) for cell in array.tolist()]
    _fail(path, f"numbers or text were expected, the array is of {array.dtype}.", column=name)


_READERS: dict[str, Callable[[Path, bytes], dict[str, Cells]]] = {
    ".csv": _read_csv,
    ".json": _read_json,
    ".parquet": _read_parquet,
    ".npz": _read_npz,
}


# -- architectures ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """The architectures of a file: the columns they came from, their space, one genotype a row."""

    columns: list[str]
    space: SearchSpace
    genotypes: NDArray[np.int64]


@cache
def _known_spaces() -> tuple[SearchSpace, ...]:
    return NB201Space(), NBGraphSpace(), NBGraphSpace(PROTEINS_OPERATIONS)


def _find(
    contents: _Contents, given: list[str], is_arch: bool, space: SearchSpace | None
) -> _Found:
    """The architectures, from the columns given or, where none are, from those that look so."""
    path, genotypes = contents.path, contents.genotypes
    if not given:
        given, is_arch = _detect(contents, space)
    if genotypes is not None:
        if given != ["genotypes"]:
            _fail(path, "'genotypes' gives the architecture too; leave it out with ignore=.")
        return _from_codes(path, genotypes, space, [])
    columns = [contents.columns[name] for name in given]
    return _from_texts(path, columns[0], space) if is_arch else _from_columns(path, columns, space)


def _detect(contents: _Contents, space: SearchSpace | None) -> tuple[list[str], bool]:
    """The columns of the architecture, and whether it is one of texts."""
    columns = list(contents.columns.values())
    texts = [column.name for column in columns if _is_arch_text(column, space)]
    texts = texts or [column.name for column in columns if _is_digits(column)]
    named = [column.name for column in columns if _numbers_a_decision(column)]
    if space is not None and set(space.decision_names) <= set(contents.columns):
        named = list(space.decision_names)
    answers = [[name] for name in texts] + ([named] if named else [])
    if contents.genotypes is not None:
        answers.append(["genotypes"])
    others = [
        column.name
        for column in columns
        if _has_arch_name(column) and column.name not in texts + named
    ]
    if len(answers) > 1 or (answers and others and not texts):
        every = "; or ".join(_quoted(names) for names in [*answers, *([others] if others else [])])
        _fail(
            contents.path,
            f"the architecture may be in {every}. Say which: arch= or decisions= names its "
            "columns, ignore= leaves others out.",
        )
    if not answers:
        return ([others[0]], True) if others else (_categories(contents, space), False)
    return answers[0], bool(texts)


def _has_arch_name(column: _Column) -> bool:
    return _ARCH_NAME.fullmatch(re.sub(r"[\W_]", "", column.name.lower())) is not None


def _is_arch_text(column: _Column, space: SearchSpace | None) -> bool:
    texts = column.texts[:_ROWS_TO_PROBE]
    return any(_parses(each, texts) for each in (_known_spaces() if space is None else [space]))


def _parses(space: SearchSpace, texts: Sequence[str]) -> bool:
    """Whether any text is of the space, so that a wrong row does not hide the column."""
    for text in texts:
        with suppress(ValueError):
            space.from_text([text])
            return True
    return False


def _are_digits(texts: Sequence[str]) -> bool:
    joined = "".join(texts)
    return joined.isascii() and joined.isdigit()


def _is_digits(column: _Column) -> bool:
    texts = column.texts
    if not _are_digits(texts):
        return False
    same_length = len(set(map(len, texts))) == 1 and len(texts[0]) > 1
    by_zero = same_length and any(text.startswith("0") for text in texts)
    return _has_arch_name(column) or (by_zero and not _DECISION_NAME.fullmatch(column.name))


def _numbers_a_decision(column: _Column) -> bool:
    if not _DECISION_NAME.fullmatch(column.name):
        return False
    numbers = column.numbers[~column.is_text & ~column.missing]
    return bool((numbers == np.floor(numbers)).all())


def _categories(contents: _Contents, space: SearchSpace | None) -> list[str]:
    columns = contents.columns
    labelled = [
        column.name
        for column in columns.values()
        if (column.is_text | column.missing).all()
        and 1 < len(set(column.texts)) < len(column.texts)
    ]
    if not labelled or space is not None:
        _fail(
            contents.path,
            f"no column gives the architecture; the columns are {_quoted(columns)}. Name one of "
            "arch strings or digit strings with arch=, or one for each decision with decisions=.",
        )
    return labelled


def _unreadable(text: str) -> str:
    return (
        f"{text!r} is not an architecture. Expected an arch string of NAS-Bench-201 "
        "('|op~0|+|op~0|op~1|+|op~0|op~1|op~2|') or NAS-Bench-Graph ('[0,0,1,3] gcn gat skip fc'), "
        "or a string of digits. For another notation give space=, or write one column for each "
        "decision."
    )


def _from_texts(path: Path, column: _Column, space: SearchSpace | None) -> _Found:
    texts = column.texts
    if not texts:
        _fail(
            path,
            "the column reads as numbers, in which leading zeros of digit strings would be lost. "
            "Store it as text, in CSV with digits only, or say what gives the architecture with "
            "arch= or decisions=.",
            column=column.name,
        )
    if "" in texts:
        _fail(path, "the architecture is missing.", texts.index(""), column.name)
    if _are_digits(texts) and (space is None or space.num_decisions > 1):
        return _from_codes(path, _split_digits(path, column.name, texts), space, [column.name])
    fitting = [each for each in _known_spaces() if _parses(each, texts[:_ROWS_TO_PROBE])]
    candidates = fitting if space is None else [space]
    if not candidates:
        row = next(row for row, text in enumerate(texts) if not _are_digits([text]))
        _fail(path, _unreadable(texts[row]), row, column.name)
    parsed = []
    for candidate in candidates:
        with suppress(ValueError):
            parsed.append(_Found([column.name], candidate, candidate.from_text(texts)))
    for found in parsed:
        if len(texts) == found.space.size:
            return found
    if parsed:
        return parsed[0]
    _fail_at_first(path, column.name, lambda row: candidates[0].from_text([texts[row]]), len(texts))


def _fail_at_first(
    path: Path, column: str | None, check: Callable[[int], object], rows: int
) -> NoReturn:
    """Name the first row of which ``check`` complains."""
    row = 0
    try:
        for row in range(rows):
            check(row)
    except ValueError as error:
        _fail(path, str(error), row, column)
    raise AssertionError("Some row was wrong, and none is.")


def _split_digits(path: Path, name: str, texts: list[str]) -> NDArray[np.int64]:
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    if (lengths != lengths[0]).any():
        row = int(np.argmax(lengths != lengths[0]))
        _fail(
            path,
            f"{texts[row]!r} has {lengths[row]} digits, data row 1 has {lengths[0]}. One digit for "
            "each decision was expected. Did leading zeros get lost, as in a spreadsheet?",
            row,
            name,
        )
    characters = np.array(texts).view(np.uint32).reshape(len(texts), -1)
    return characters.astype(np.int64) - ord("0")


def _from_codes(
    path: Path, genotypes: NDArray[np.int64], space: SearchSpace | None, columns: list[str]
) -> _Found:
    if space is None:
        choices = [[str(code) for code in range(last + 1)] for last in genotypes.max(axis=0)]
        space = CategoricalSpace(choices)
    elif genotypes.shape[1] != space.num_decisions:
        _fail(
            path,
            f"{genotypes.shape[1]} choices are given, {space.name} has {space.num_decisions} "
            "decisions.",
            column=columns[0] if columns else "genotypes",
        )
    return _Found(columns, space, genotypes)


def _from_columns(path: Path, columns: list[_Column], space: SearchSpace | None) -> _Found:
    if space is not None and len(columns) != space.num_decisions:
        _fail(
            path,
            f"{space.name} has {space.num_decisions} decisions, the file gives {len(columns)}: "
            f"{_quoted(column.name for column in columns)}.",
        )
    encoded = [_labels(path, column) for column in columns]
    names = [column.name for column in columns]
    if space is None:
        genotypes = np.column_stack([codes for _, codes in encoded])
        return _Found(names, CategoricalSpace([labels for labels, _ in encoded], names), genotypes)
    genotypes = np.column_stack(
        [
            _to_choices(path, name, labels, codes, choices)
            for name, (labels, codes), choices in zip(names, encoded, space.choices, strict=True)
        ]
    )
    return _Found(names, space, genotypes)


def _labels(path: Path, column: _Column) -> tuple[list[str], NDArray[np.int64]]:
    """The labels of a decision, in order, and the choice of each row."""
    if column.missing.any():
        row = int(np.argmax(column.missing))
        _fail(path, "the choice of this decision is missing.", row, column.name)
    labels, codes = (_number_labels if column.is_number else _text_labels)(column)
    if len(labels) > MAX_CHOICES:
        _fail(
            path,
            f"a decision may have {MAX_CHOICES} choices, this one has {len(labels)}. Is it a "
            "metric, or a label of the row? Name the decisions with decisions=.",
            column=column.name,
        )
    for code, label in enumerate(labels):
        if "," in label:
            row = int(np.argmax(codes == code))
            _fail(
                path,
                f"{label!r} has a comma, which separates decisions when an architecture is "
                "written as text. Write the label without.",
                row,
                column.name,
            )
    return labels, codes


def _number_labels(column: _Column) -> tuple[list[str], NDArray[np.int64]]:
    numbers, codes = np.unique(column.numbers, return_inverse=True)
    if not (numbers == np.floor(numbers)).all() or np.isinf(numbers).any():
        return [repr(number) for number in numbers.tolist()], codes
    if numbers[0] == 0 and numbers[-1] <= MAX_CODE:
        return [str(code) for code in range(int(numbers[-1]) + 1)], column.numbers.astype(np.int64)
    return [str(int(number)) for number in numbers.tolist()], codes


def _text_labels(column: _Column) -> tuple[list[str], NDArray[np.int64]]:
    texts = column.texts
    labels = sorted(set(texts))
    codes = {label: code for code, label in enumerate(labels)}
    return labels, np.fromiter((codes[text] for text in texts), np.int64, len(texts))


def _to_choices(
    path: Path, name: str, labels: list[str], codes: NDArray[np.int64], choices: tuple[str, ...]
) -> NDArray[np.int64]:
    positions = {label: position for position, label in enumerate(choices)}
    found = np.array([positions.get(label, -1) for label in labels])[codes]
    if (found < 0).any():
        row = int(np.argmax(found < 0))
        expected = ", ".join(choices)
        _fail(path, f"one of {expected} was expected, got {labels[codes[row]]!r}.", row, name)
    return found


def _canonical(space: SearchSpace, genotypes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Genotypes that are equal where they share an index; raises ``ValueError`` outside a space."""
    if space.size > np.iinfo(np.int64).max:  # has no indices
        space.contains(genotypes)
        return genotypes
    return space.decode(space.encode(genotypes))


def _fit(path: Path, found: _Found, name: str) -> tuple[SearchSpace, NDArray[np.int64]]:
    """The space that has just the architectures of the file, and the index of each row."""
    space, genotypes = found.space, found.genotypes
    try:
        genotypes = _canonical(space, genotypes)
    except ValueError:
        column = found.columns[0] if len(found.columns) == 1 else None
        given = genotypes[:, None]
        _fail_at_first(path, column, lambda row: _canonical(found.space, given[row]), len(given))
    if len(genotypes) != space.size:
        space = CategoricalSpace(space.choices, space.decision_names, genotypes, name)
    indices = space.encode(genotypes)
    order = np.argsort(indices, kind="stable")
    again = np.flatnonzero(indices[order][1:] == indices[order][:-1])
    if len(again):
        place = again[np.argmin(order[again + 1])]
        rows = order[place : place + 2]
        texts = dict.fromkeys(found.space.to_text(found.genotypes[rows]))
        _fail(
            path,
            f"data rows {rows[0] + 1} and {rows[1] + 1} are the same architecture, "
            f"{' and '.join(texts)}. One row for each was expected: delete one or take the mean. "
            "If a further column is a decision, name them all with decisions=.",
        )
    return space, indices


# -- metrics ---------------------------------------------------------------------------------------


def _metric_columns(contents: _Contents, wanted: list[str] | None) -> dict[str, _Column]:
    if wanted is None:
        _check_leftovers(contents)
    names = contents.columns if wanted is None else wanted
    if not names:
        _fail(contents.path, "there is no metric. A column of numbers was expected.")
    return {name: contents.columns[name] for name in names}


def _check_leftovers(contents: _Contents) -> None:
    texts = [
        column
        for column in contents.columns.values()
        if column.is_text.any() and (column.is_text | column.missing).all()
    ]
    if texts:
        row = int(np.argmax(texts[0].is_text))
        _fail(
            contents.path,
            f"{_quoted(column.name for column in texts)} hold text, such as "
            f"{texts[0].texts[row]!r} in data row {row + 1}, where metrics were expected. Leave "
            "such columns out with ignore=, or name those of the architecture with arch= or "
            "decisions=.",
        )


def _metric_values(
    path: Path, column: _Column, allow_missing: bool, needed: bool
) -> NDArray[np.float64]:
    if not column.is_number:
        row = int(np.argmax(column.is_text))
        _fail(
            path,
            f"a number was expected, got {column.texts[row]!r}. Correct it, or if the column is no "
            "metric name it in decisions= or ignore=.",
            row,
            column.name,
        )
    values = column.numbers
    if np.isinf(values).any():
        row = int(np.argmax(np.isinf(values)))
        _fail(path, f"a finite number was expected, got {values[row]}.", row, column.name)
    if np.isnan(values).any() and (needed or not allow_missing):
        advice = (
            "The signal and the reported metric need one in every row."
            if allow_missing
            else "Fill it in, delete the row, or keep such cells as NaN with allow_missing=True."
        )
        _fail(
            path, f"the number is missing. {advice}", int(np.argmax(np.isnan(values))), column.name
        )
    return values


def _objective(path: Path, names: list[str], signal: str | None, report: str | None) -> Objective:
    if signal is None:
        if len(names) > 1:
            _fail(path, f"say with signal= which metric to search by: {_quoted(names)}.")
        signal = names[0]
    report = signal if report is None else report
    _check_metrics(path, "signal", [signal], names)
    _check_metrics(path, "report", [report], names)
    return Objective(signal, report)


def _check_metrics(path: Path, argument: str, given: Iterable[str], names: list[str]) -> None:
    unknown = [name for name in given if name not in names]
    if unknown:
        _fail(
            path,
            f"{argument}= names {_quoted(unknown)}, which is no metric. "
            f"The metrics are {_quoted(names)}.",
        )


def _describe(
    path: Path, names: list[str], minimize: list[str], units: Mapping[str, str]
) -> tuple[Metric, ...]:
    _check_metrics(path, "minimize", minimize, names)
    _check_metrics(path, "units", units, names)
    return tuple(Metric(name, units.get(name, ""), name not in minimize) for name in names)
