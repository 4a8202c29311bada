"""Results of evaluations on disk, shared by processes and safe against interruptions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from nas_gym.utils.errors import DamagedDataError, DataError
from nas_gym.utils.files import explain_write_errors

Rows = dict[int, dict[str, float]]
"""Rows of a store, by architecture index."""

_recordings: list[dict[Path, Rows]] = []


@contextmanager
def record_results() -> Iterator[dict[Path, Rows]]:
    """Record the rows that this process looks up in stores, or adds, while the block runs.

    Yields:
        The rows, by the path of their store.
    """
    recording: dict[Path, Rows] = {}
    _recordings.append(recording)
    try:
        yield recording
    finally:
        _recordings.remove(recording)


class ResultsStore:
    """SQLite file with one row of numbers per architecture index; rows are written atomically.

    Args:
        path: Path of the file.
        columns: Names of the numbers in a row.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = tuple(columns)

    def create(self) -> None:
        """Create the file if it does not exist.

        Raises:
            DataError: If the file cannot be written.
            DamagedDataError: If the file is not a results store.
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
        """Return the row of an index, or ``None`` if there is none.

        Raises:
            DataError: If the file cannot be read.
            DamagedDataError: If the file is not a results store.
        """
        row = self._read("WHERE id = ?", index).get(index)
        if row is not None:
            self._record(index, row)
        return row

    def add(self, index: int, row: dict[str, float]) -> None:
        """Write the row of an index; an earlier row of this index is replaced.

        Raises:
            DataError: If the file cannot be written.
            DamagedDataError: If the file is not a results store.
        """
        self.create()
        marks = ", ".join("?" * (1 + len(self.columns)))
        values = (index, *(row[name] for name in self.columns))
        with self._open() as connection, connection:
            connection.execute(f"INSERT OR REPLACE INTO results VALUES ({marks})", values)
        self._record(index, row)

    def _record(self, index: int, row: dict[str, float]) -> None:
        for recording in _recordings:
            recording.setdefault(self.path, {})[index] = row

    def add_missing(self, rows: Rows) -> None:
        """Write the rows of several indices; earlier rows of these indices are kept.

        Raises:
            DataError: If the file cannot be written.
            DamagedDataError: If the file is not a results store.
        """
        known = self.rows()
        for index, row in rows.items():
            if index not in known:
                self.add(index, row)

    def rows(self) -> Rows:
        """Return all rows by index, in ascending order.

        Raises:
            DataError: If the file cannot be read.
            DamagedDataError: If the file is not a results store.
        """
        return self._read("ORDER BY id")

    def _read(self, clause: str, *values: int) -> Rows:
        if not self.path.exists():
            return {}
        with self._open() as connection:
            # another process may have created the file, but not yet its table
            tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
            if ("results",) not in tables:
                return {}
            query = f"SELECT id, {', '.join(self.columns)} FROM results {clause}"
            rows = connection.execute(query, values).fetchall()
        return {row[0]: dict(zip(self.columns, row[1:], strict=True)) for row in rows}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            # waits while another process writes
            with closing(sqlite3.connect(self.path, timeout=60)) as connection:
                yield connection
        except sqlite3.OperationalError as error:  # a lock, or a read-only file
            raise DataError(
                f"The results in {self.path} could not be read or written: {error}. They are not "
                "lost. Wait for other programs that use them, or choose a folder that you can "
                "write to (--out, and NAS_GYM_CACHE for trainings), and try again."
            ) from error
        except sqlite3.DatabaseError as error:
            raise DamagedDataError(
                f"{self.path} is no store of results: {error}. Delete it to evaluate again."
            ) from error
