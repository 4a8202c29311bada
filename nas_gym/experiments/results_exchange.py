"""Results of slow evaluators that trials on other machines share with this one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nas_gym.evaluators.results_store import ResultsStore, Rows, record_results
from nas_gym.experiments.inputs import CACHE
from nas_gym.tasks import Task
from nas_gym.utils.cache import cache_folder

StoredResults = dict[str, Rows]
"""Rows of stores by the places of their files."""


@dataclass(frozen=True)
class ResultsExchange:
    """The places of stores, which are the same on all machines, and the files of this machine.

    Attributes:
        folder: Folder of the results that a search keeps.
    """

    folder: Path

    def known(self, task: Task) -> StoredResults:
        """Return the results that are stored on this machine, of the evaluators of a task."""
        stores = [store for source in task.sources for store in source.results_stores()]
        found = {self._place(store.path): store.rows() for store in stores}
        return {place: rows for place, rows in found.items() if place and rows}

    @contextmanager
    def used(self) -> Iterator[StoredResults]:
        """Collect the stored results that are used while the block runs; complete at its end."""
        found: StoredResults = {}
        with record_results() as recorded:
            yield found
        for path, rows in recorded.items():
            if place := self._place(path):
                found[place] = rows

    def add(self, results: Mapping[str, Rows]) -> None:
        """Store results that are not stored on this machine.

        Raises:
            DataError: If a file cannot be written.
        """
        for place, rows in results.items():
            columns = list(next(iter(rows.values())))
            ResultsStore(self._path(place), columns).add_missing(rows)

    def _place(self, path: Path) -> str:
        """Return the place of a file; empty for a folder that a user chose."""
        for name, folder in self._folders.items():
            if path.is_relative_to(folder):
                return f"{name}/{path.relative_to(folder)}"
        return ""

    def _path(self, place: str) -> Path:
        name, _, rest = place.partition("/")
        return self._folders[name] / rest

    @property
    def _folders(self) -> dict[str, Path]:
        return {"evaluations": self.folder, CACHE: cache_folder()}
