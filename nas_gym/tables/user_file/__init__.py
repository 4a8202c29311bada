"""Reading a user's own file (CSV, JSON, Parquet or ``.npz``) as a table.

The file has one row per architecture, in any order. It may cover only a part of a search space::

    arch,val_acc,test_acc,latency
    00213,91.2,90.8,3.1
    00214,89.9,90.1,2.9

=============  ===================================================================================
``.csv``       UTF-8, separated by commas, with a header of column names
``.json``      a list of records ``[{"arch": "00213", "val_acc": 91.2}, …]``, a dict of columns
               ``{"arch": […], "val_acc": […]}``, or ``{"00213": {"val_acc": 91.2}, …}``
``.parquet``   columns of numbers or text; needs ``pip install nas-gym[parquet]``
``.npz``       an array of shape ``(n,)`` per column; the architectures may be an array
               ``genotypes`` of shape ``(n, L)``, with the choice of each decision
=============  ===================================================================================

The architecture is written in one of three ways:

- an arch string of NAS-Bench-201 (``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``), NAS-Bench-Graph
  (``[0,0,1,3] gcn gat skip fc``), TransNAS-Bench-101 micro (``64-41414-1_02_333``), NAS-Bench-ASR
  (``[[1, 0], [5, 0, 1], [0, 1, 0, 0]]``) or NAS-Bench-101 (``[[0, 1], [0, 0]] input,output``), or
  a string in the notation of the search space that ``space=`` names;
- a string of digits, one per decision. Leading zeros count, so JSON, Parquet and
  ``.npz`` files must store it as text;
- one column per decision, with labels or numbers.

These columns are found if one column has arch strings or is named like ``arch`` (``arch_str``,
``architecture``, ``genotype``, …), or if columns are named like ``x0``, ``op_1``, ``decision2``. If
no column or several candidates are found, name the columns with ``arch=`` or ``decisions=``. All
other columns are metrics, unless ``metrics=`` or ``ignore=`` is given.

In JSON and Parquet, a metric may be a list of numbers, one per training run of the architecture. A
column ``acc`` of lists of equal length gives the metrics ``acc`` (the mean), ``acc@0``, ``acc@1``,
….

The choices of digit strings and of ``genotypes`` are numbered as in the file. The choices of a
decision's column are the labels in the column, in ascending order if all labels are numbers,
otherwise in alphabetical order. A column of whole numbers from 0 to at most 31 has all choices from
0 to the largest number in the column.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nas_gym.spaces import SearchSpace
from nas_gym.tables.table import Table
from nas_gym.tables.user_file.archs import find_architecture_columns
from nas_gym.tables.user_file.columns import UserFileError, check_arguments, file_error
from nas_gym.tables.user_file.formats import read_columns
from nas_gym.tables.user_file.genotypes import read_genotypes, resolve_space
from nas_gym.tables.user_file.metrics import read_metrics
from nas_gym.tables.user_file.space import fit_space
from nas_gym.utils.errors import shorten

__all__ = ["UserFileError", "read_user_file"]


def read_user_file(
    path: str | Path,
    name: str,
    *,
    arch: str | None = None,
    decisions: str | Sequence[str] | None = None,
    space: SearchSpace | str | None = None,
    metrics: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] = (),
    signal: str | None = None,
    report: str | None = None,
    minimize: str | Sequence[str] = (),
    units: Mapping[str, str] | None = None,
    seconds: str | None = None,
    allow_missing: bool = False,
) -> Table:
    """Read a file with one architecture per row; the module's documentation describes the formats.

    Nothing is written. The table has exactly the architectures of the file. The search space of the
    table is ``space``, a known benchmark's space, or a part of one of these spaces. If the file has
    other labels, the space is a :class:`~nas_gym.spaces.CategoricalSpace` of these labels.

    Args:
        path: Path of the file.
        name: Name of the table, and of its only data set.
        arch: Column of arch strings or digit strings.
        decisions: Columns of the decisions, in order.
        space: Search space of the architectures, or its kind
            (:func:`nas_gym.spaces.space_kinds`).
        metrics: Columns of metrics; all remaining columns by default.
        ignore: Columns to leave out; their content may be of any kind.
        signal: Metric to search by; may be omitted if there is only one metric.
        report: Metric to report; ``signal`` by default.
        minimize: Metrics where lower is better.
        units: Units of metrics, such as ``{"latency": "ms"}``.
        seconds: Column with the training time of each architecture, in seconds.
        allow_missing: Whether to keep missing numbers as NaN, except in ``signal`` and ``report``.

    Returns:
        Table whose provenance names the file, its format and its sha256.

    Raises:
        UserFileError: If the file is missing or damaged, a row has no valid architecture or
            number, or an argument names a column that does not exist. The message names the place.
            The error is a ``ValueError`` and a :class:`~nas_gym.tables.DamagedDataError`.
        KeyError: If ``space`` is not a kind of search space.
        ValueError: If the methods of ``space`` are inconsistent.

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
        whole_space = resolve_space(space)
        if arch is not None and decisions is not None:
            raise file_error("arch= and decisions= cannot be given together. Give only one.")
        content = _read_bytes(path)
        left_out = _names(ignore)
        columns = read_columns(path, content, left_out)
        named = {"arch": arch, "decisions": decisions, "metrics": metrics}
        given = {argument: _names(names) for argument, names in named.items() if names is not None}
        check_arguments([*columns, *left_out], {**given, "ignore": left_out})
        archs, whole = given.get("arch") or given.get("decisions"), arch is not None
        free = [each for each in columns if each not in given.get("metrics", [])]
        if not archs:
            archs, whole = find_architecture_columns([columns[each] for each in free], whole_space)
        found = read_genotypes([columns[each] for each in archs], whole, whole_space)
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
        table_space, indices = fit_space(found, name, is_new=whole_space is None)
    except UserFileError as error:
        error.args = (f"{shorten(str(path), 300)}: {error}",)
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
        if not stat.S_ISREG(path.stat().st_mode):  # a device or pipe can have no end
            raise file_error("this is not a regular file and could not be read. Name a file.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise file_error("this file does not exist. Check its name and folder.") from error
    except OSError as error:
        raise file_error(f"the file could not be read: {error.strerror}.") from error
