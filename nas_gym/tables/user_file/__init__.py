"""A user's own file as a table: CSV, JSON, Parquet or ``.npz``.

One architecture a row, in any order, all of a space or some of it::

    arch,val_acc,test_acc,latency
    00213,91.2,90.8,3.1
    00214,89.9,90.1,2.9

=============  ===================================================================================
``.csv``       UTF-8, commas, a header of names
``.json``      a list of records ``[{"arch": "00213", "val_acc": 91.2}, …]``, a dict of columns
               ``{"arch": […], "val_acc": […]}``, or ``{"00213": {"val_acc": 91.2}, …}``
``.parquet``   columns of numbers or text; needs ``pip install nas-gym[parquet]``
``.npz``       an array of shape ``(n,)`` for each column; ``genotypes`` of shape ``(n, L)``, the
               choice of each decision, may give the architectures
=============  ===================================================================================

The architecture is given in one of three ways:

- an arch string of NAS-Bench-201 (``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``), NAS-Bench-Graph
  (``[0,0,1,3] gcn gat skip fc``), TransNAS-Bench-101 micro (``64-41414-1_02_333``), NAS-Bench-ASR
  (``[[1, 0], [5, 0, 1], [0, 1, 0, 0]]``) or NAS-Bench-101 (``[[0, 1], [0, 0]] input,output``), or
  a text of ``space=``;
- a string of digits, the choice of each decision. Leading zeros count, so that JSON, Parquet and
  ``.npz`` hold it as text;
- a column for each decision, of labels or numbers.

It is found where one column holds arch strings or is named like ``arch`` (``arch_str``,
``architecture``, ``genotype``, …), or where columns are named like ``x0``, ``op_1``, ``decision2``.
Where nothing fits, or more than one thing, ``arch=`` or ``decisions=`` says what does. Every other
column is a metric, unless ``metrics=`` or ``ignore=`` says otherwise.

Choices of digit strings and of ``genotypes`` are 0 to the largest, so that genotypes are those of
the file. Choices of a decision's column are the labels that occur, in the order of numbers where
all are numbers, else sorted as text; whole numbers from 0 to at most 31 are 0 to the largest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nas_gym.spaces import SearchSpace
from nas_gym.tables.table import Table
from nas_gym.tables.user_file.archs import find_architecture_columns
from nas_gym.tables.user_file.columns import UserFileError, check_arguments, file_error
from nas_gym.tables.user_file.formats import read_columns
from nas_gym.tables.user_file.genotypes import read_genotypes
from nas_gym.tables.user_file.metrics import read_metrics
from nas_gym.tables.user_file.space import fit_space

__all__ = ["UserFileError", "read_user_file"]


def read_user_file(
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
    seconds: str | None = None,
    allow_missing: bool = False,
) -> Table:
    """Read a file of one architecture a row; the module says what it may look like.

    Nothing is written. The table covers just what the file does: its space is one of
    :mod:`nas_gym.spaces` or ``space``, or a part of it, where the architectures are of one;
    otherwise it is a ``CategoricalSpace`` of the labels.

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
        seconds: the column that says how many seconds an architecture's training took.
        allow_missing: keep missing numbers as NaN, except in ``signal`` and ``report``.

    Returns:
        A table whose provenance names the file, its format and its sha256.

    Raises:
        UserFileError: the file is missing or damaged, or does not give one architecture and its
            numbers for each row, or an argument names what is not there; the message says where.
            It is a ``ValueError`` and a :class:`~nas_gym.tables.DamagedDataError`.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp(), "mine.csv")
        >>> _ = path.write_text("conv,act,acc\\n3x3,relu,90\\n5x5,relu,91\\n3x3,gelu,92\\n")
        >>> table = read_user_file(path, "mine", decisions=["conv", "act"])
        >>> table
        <Table 'mine': 3 architectures x 1 metrics>
        >>> table.space.to_text(table.space.decode([0, 1, 2]))
        ['3x3,gelu', '3x3,relu', '5x5,relu']
        >>> table.column("acc")
        array([92., 90., 91.])
    """
    path = Path(path)
    try:
        if arch is not None and decisions is not None:
            raise file_error("Give either arch= or decisions=, not both.")
        content = _read_bytes(path)
        columns = read_columns(path, content)
        named = {"arch": arch, "decisions": decisions, "metrics": metrics, "ignore": ignore}
        given = {argument: _names(names or ()) for argument, names in named.items()}
        check_arguments(columns, given)
        archs, whole = given["arch"] or given["decisions"], arch is not None
        free = [each for each in columns if each not in given["ignore"] + given["metrics"]]
        if not archs:
            archs, whole = find_architecture_columns([columns[each] for each in free], space)
        found = read_genotypes([columns[each] for each in archs], whole, space)
        measured = [each for each in free if each not in archs]
        if metrics is not None:
            measured = given["metrics"]
        described, objective, rows = read_metrics(
            [columns[each] for each in measured],
            signal,
            report,
            _names(minimize),
            units or {},
            seconds,
            allow_missing,
        )
        table_space, indices = fit_space(found, name)
    except UserFileError as error:
        error.args = (f"{path}: {error}",)
        raise
    values = np.empty_like(rows)
    values[indices] = rows
    return Table(
        name=name,
        space=table_space,
        metrics=described,
        values=values,
        objectives={name: objective},
        provenance={
            "file": path.name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "format": path.suffix.lower().removeprefix("."),
        },
    )


def _names(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise file_error("there is no such file. Check the name and the folder.") from error
    except OSError as error:
        raise file_error(f"the file could not be read: {error.strerror}.") from error
