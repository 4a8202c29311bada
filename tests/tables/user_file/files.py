"""Writers of users' files, and their tables or errors."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas_gym.tables import DamagedDataError, Table
from nas_gym.tables.user_file import UserFileError, read_user_file

Columns = dict[str, list[Any]]
FORMATS = ("csv", "json", "parquet", "npz")


def write_csv(path: Path, columns: Columns) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def write_json(path: Path, columns: Columns) -> None:
    path.write_text(json.dumps(columns))


def write_parquet(path: Path, columns: Columns) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table(columns), path)


def write_npz(path: Path, columns: Columns) -> None:
    arrays: Any = {name: np.array(cells) for name, cells in columns.items()}
    np.savez(path, **arrays)


WRITERS: dict[str, Callable[[Path, Columns], None]] = {
    "csv": write_csv,
    "json": write_json,
    "parquet": write_parquet,
    "npz": write_npz,
}


def content(tmp_path: Path, text: str | bytes, kind: str = "csv") -> Path:
    path = tmp_path / f"table.{kind}"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def message(path: Path, **arguments: Any) -> str:
    """The one clear error of a bad file: it is of the promised types and names the file."""
    with pytest.raises(UserFileError) as caught:
        read_user_file(path, "mine", **arguments)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, DamagedDataError)
    assert path.name in str(caught.value)
    return str(caught.value)


def outcome(path: Path, **arguments: Any) -> Table | str:
    """The table, or the message of the one error that may come instead."""
    try:
        return read_user_file(path, "mine", **arguments)
    except UserFileError as error:
        return str(error)


def by_text(table: Table) -> dict[str, tuple[float, ...]]:
    texts = table.space.to_text(table.space.decode(np.arange(table.space.size)))
    return dict(zip(texts, map(tuple, table.values.tolist()), strict=True))
