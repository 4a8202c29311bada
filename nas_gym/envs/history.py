"""The search history: every architecture that was queried, in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas_gym.envs.queried import QueriedArchitectures
from nas_gym.spaces import SearchSpace
from nas_gym.tasks import Task
from nas_gym.tasks.noise import Keys

_BLOCK = 256  # number of queries for which memory is allocated at a time


class SearchHistory:
    """The queries of one or several searches that run in lockstep.

    Appending a query costs one copy. Unique queries and incumbents are computed and stored when
    they are first read; a training loop that does not read them has no extra cost. A query takes
    the number of bytes of an index (two for NAS-Bench-201), and three times this number once unique
    queries or incumbents are read.

    Args:
        task: The task that is searched.
        num_searches: Number of searches. Each query appends one architecture to all of them.
        keys: Keys of the noise of the searches, ``(num_searches,)`` uint64, as
            :meth:`Task.noise_keys` returns them; random by default, as for searches without seeds.

    Attributes:
        keys: Keys of the noise of the searches.
        queries: Number of queries of each search so far.
    """

    def __init__(self, task: Task, num_searches: int, keys: Keys | None = None) -> None:
        self._task = task
        self.keys = task.noise_keys([None] * num_searches) if keys is None else keys
        self._num_searches = num_searches
        self._dtype = np.min_scalar_type(task.space.size)  # dtype of indices and unique queries
        self._blocks: list[NDArray[np.unsignedinteger]] = []
        self._queried = QueriedArchitectures(num_searches, task.space.size)
        # Blocks of shape (2, _BLOCK, num_searches): unique queries, and indices of incumbents.
        self._progress: list[NDArray[np.unsignedinteger]] = []
        self._num_processed = 0  # queries that self._progress covers
        self.queries = 0

    @property
    def space(self) -> SearchSpace:
        """Search space of the task."""
        return self._task.space

    def append(self, indices: NDArray[np.int64]) -> None:
        """Append queries to each search.

        Args:
            indices: Index of one architecture per search, ``(num_searches,)`` int64; or indices of
                ``m`` successive queries per search, ``(num_searches, m)``.
        """
        for row in indices[None] if indices.ndim == 1 else indices.T:
            block, position = divmod(self.queries, _BLOCK)
            if position == 0:
                self._blocks.append(np.empty((_BLOCK, self._num_searches), self._dtype))
            self._blocks[block][position] = row
            self.queries += 1

    def reward(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the rewards of architectures, with the noise of each search.

        Args:
            indices: Indices of architectures, ``(num_searches,)`` or ``(num_searches, m)`` int64.

        Returns:
            The rewards, float64, shape of ``indices``.
        """
        return self._task.reward(indices, self.keys if indices.ndim == 1 else self.keys[:, None])

    @property
    def indices(self) -> NDArray[np.int64]:
        """Indices of all queried architectures in order, ``(queries, num_searches)`` int64."""
        return self.indices_since(0)

    def indices_since(self, queries: int) -> NDArray[np.int64]:
        """Return the architectures that were queried after the first ``queries`` queries.

        Returns:
            Indices in order, ``(k, num_searches)`` int64.
        """
        block, position = divmod(queries, _BLOCK)
        parts = self._blocks[block:]
        if not parts:
            return np.empty((0, self._num_searches), np.int64)
        end = self.queries - block * _BLOCK
        return np.concatenate(parts)[position:end].astype(np.int64)

    def unique_queries(self, queries: int) -> NDArray[np.int64]:
        """Return the number of distinct architectures among the first ``queries`` queries.

        Returns:
            The numbers, ``(num_searches,)`` int64.
        """
        self._process(queries)
        return self._progress_after(queries)[0]

    def incumbents(self, queries: int) -> NDArray[np.int64]:
        """Return the architecture of highest reward among the first ``queries`` queries.

        Returns:
            Indices, ``(num_searches,)`` int64; of equal rewards, the architecture queried first.
        """
        self._process(queries)
        return self._progress_after(queries)[1]

    def _is_better(self, new: NDArray[np.float64], old: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether new rewards are higher; with objectives, whether they dominate."""
        if not self._task.objectives:
            return new > old
        dominates: NDArray[np.bool_] = np.all(new >= old, axis=-1) & np.any(new > old, axis=-1)
        return dominates

    def _progress_after(self, queries: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return unique queries and incumbents after some queries, each ``(num_searches,)``."""
        block, position = divmod(queries - 1, _BLOCK)
        unique, incumbents = self._progress[block]
        return unique[position].astype(np.int64), incumbents[position].astype(np.int64)

    def _process(self, queries: int) -> None:
        """Compute unique queries and incumbents up to some number of queries."""
        while self._num_processed < queries:
            block, position = divmod(self._num_processed, _BLOCK)
            if position == 0:
                self._progress.append(np.empty((2, _BLOCK, self._num_searches), self._dtype))
            unique, incumbents = self._progress[block]
            indices = self._blocks[block][position]
            is_new = self._queried.add(indices)
            if self._num_processed == 0:
                unique[0], incumbents[0] = 1, indices
            else:
                last_unique, incumbent = self._progress_after(self._num_processed)
                better = self._is_better(self.reward(indices), self.reward(incumbent))
                unique[position] = last_unique + is_new
                incumbents[position] = np.where(better, indices, incumbent)
            self._num_processed += 1
