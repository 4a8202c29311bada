"""Results of trainings on disk, one row an architecture, safe from kills and other processes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from nas_gym.utils.errors import DamagedDataError, DataError
from nas_gym.utils.files import explain_write_errors


class ResultsStore:
    """Numbers by index, in an SQLite file; each row is there whole or not at all.

    Args:
        path: of the file.
        columns: the names of the numbers.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = tuple(columns)

    def create(self) -> None:
        """Make the file, where there is none.

        Raises:
            DataError: it cannot be written to.
            DamagedDataError: it is no such store.
        """
        with explain_write_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        named = ", ".join(f'"{name}" REAL' for name in self.columns)
        with self._open() as connection, connection:
            connection.execute("BEGIN IMMEDIATE")  # fails here, not after hours of training
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS results (id INTEGER PRIMARY KEY, {named})"
            )

    def get(self, index: int) -> dict[str, float] | None:
        """The row of an index, if there is one.

        Raises:
            DataError: the file cannot be read.
            DamagedDataError: it is no such store.
        """
        return self._read("WHERE id = ?", index).get(index)

    def add(self, index: int, row: dict[str, float]) -> None:
        """Keep a row, in place of what its index had.

        Raises:
            DataError: the file cannot be written to.
            DamagedDataError: it is no such store.
        """
        self.create()
        marks = ", ".join("?" * (1 + len(self.columns)))
        values = (index, *(row[name] for name in self.columns))
        with self._open() as connection, connection:
            connection.execute(f"INSERT OR REPLACE INTO results VALUES ({marks})", values)

    def rows(self) -> dict[int, dict[str, float]]:
        """All rows, by index, ascending.

        Raises:
            DataError: the file cannot be read.
            DamagedDataError: it is no such store.
        """
        return self._read("ORDER BY id")

    def _read(self, clause: str, *values: int) -> dict[int, dict[str, float]]:
        if not self.path.exists():
            return {}
        with self._open() as connection:
            # another process may have made the file, and not yet what is in it
            tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
            if ("results",) not in tables:
                return {}
            query = f"SELECT id, {', '.join(self.columns)} FROM results {clause}"
            rows = connection.execute(query, values).fetchall()
        return {row[0]: dict(zip(self.columns, row[1:], strict=True)) for row in rows}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            # others that write at the same time are waited for
            with closing(sqlite3.connect(self.path, timeout=60)) as connection:
                yield connection
        except sqlite3.OperationalError as error:  # such as a lock, or a file that is read-only
            raise DataError(
                f"The training results in {self.path} could not be used now: {error}. They are "
                "still there. Let other programs finish with them, or choose a folder that you can "
                "write to (NAS_GYM_CACHE names the one of the cache), and try again."
            ) from error
        except sqlite3.DatabaseError as error:
            raise DamagedDataError(
                f"{self.path} is no store of training results: {error}. Delete it to train anew."
            ) from error
