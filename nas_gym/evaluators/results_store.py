"""Results of trainings on disk, one row an architecture, safe from kills and other processes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from nas_gym.errors import DamagedDataError
from nas_gym.files import writing


class ResultsStore:
    """Numbers by index, in an SQLite file; each row is there whole or not at all.

    Args:
        path: of the file; made when the first row is added.
        columns: the names of the numbers.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = tuple(columns)

    def get(self, index: int) -> dict[str, float] | None:
        """The row of an index, if there is one.

        Raises:
            DamagedDataError: the file is no such store.
        """
        if not self.path.exists():
            return None
        with self._open() as connection:
            row = connection.execute(f"{self._select} WHERE id = ?", (index,)).fetchone()
        return None if row is None else dict(zip(self.columns, row[1:], strict=True))

    def add(self, index: int, row: dict[str, float]) -> None:
        """Keep a row, in place of what its index had.

        Raises:
            DataError: the folder cannot be written to.
            DamagedDataError: the file is no such store.
        """
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        named = ", ".join(f'"{name}" REAL' for name in self.columns)
        marks = ", ".join("?" * (1 + len(self.columns)))
        values = (index, *(row[name] for name in self.columns))
        with self._open() as connection, connection:
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS results (id INTEGER PRIMARY KEY, {named})"
            )
            connection.execute(f"INSERT OR REPLACE INTO results VALUES ({marks})", values)

    def rows(self) -> dict[int, dict[str, float]]:
        """All rows, by index, ascending.

        Raises:
            DamagedDataError: the file is no such store.
        """
        if not self.path.exists():
            return {}
        with self._open() as connection:
            rows = connection.execute(f"{self._select} ORDER BY id").fetchall()
        return {row[0]: dict(zip(self.columns, row[1:], strict=True)) for row in rows}

    @property
    def _select(self) -> str:
        return f"SELECT id, {', '.join(self.columns)} FROM results"

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            # others that write at the same time are waited for
            with closing(sqlite3.connect(self.path, timeout=60)) as connection:
                yield connection
        except sqlite3.DatabaseError as error:
            raise DamagedDataError(
                f"{self.path} is no store of training results: {error}. Delete it to train anew."
            ) from error
