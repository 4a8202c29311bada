"""The search history: every architecture evaluated, in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas_gym.envs.queried import QueriedArchitectures
from nas_gym.tasks import Task
from nas_gym.tasks.noise import Keys

_BLOCK = 256  # queries that are allocated at a time


class SearchHistory:
    """What ``num_searches`` searches that run side by side have queried so far.

    Appending costs one copy. Counts and incumbents are worked out when they are first asked for,
    and kept, so that a training loop that does not look pays nothing. Memory grows with the
    queries: each takes as many bytes as an index needs (two for NAS-Bench-201), and sixteen more
    once counts are read. A new search, ``reset(seed=...)``, begins a new history.

    Args:
        task: what is searched.
        num_searches: how many searches run in lockstep; each query appends one architecture to
            every one of them.
        keys: what the noise of each search depends on, ``(num_searches,)``, as
            :meth:`Task.noise_keys` gives it; unseeded ones by default.
    """

    def __init__(self, task: Task, num_searches: int, keys: Keys | None = None) -> None:
        self._task = task
        self.space = task.space
        self.keys = task.noise_keys([None] * num_searches) if keys is None else keys
        self._searches = np.arange(num_searches)
        self._dtype = np.min_scalar_type(task.space.size - 1)
        self._blocks: list[NDArray[np.unsignedinteger]] = []
        self._seen = QueriedArchitectures(num_searches, task.space.size)
        self._counts: list[NDArray[np.int64]] = []  # blocks of unique queries and incumbents
        self._counted = 0
        self.queries = 0

    def append(self, indices: NDArray[np.int64]) -> None:
        """Add one query of every search: architecture indices, shape ``(num_searches,)``."""
        block, row = divmod(self.queries, _BLOCK)
        if row == 0:
            self._blocks.append(np.empty((_BLOCK, len(self._searches)), self._dtype))
        self._blocks[block][row] = indices
        self.queries += 1

    def reward(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """What architectures are worth in each search, ``(num_searches,)`` or
        ``(num_searches, m)`` indices."""
        return self._task.reward(indices, self.keys if indices.ndim == 1 else self.keys[:, None])

    @property
    def indices(self) -> NDArray[np.int64]:
        """Architecture indices in order, shape ``(queries, num_searches)``."""
        return self.since(0)

    def since(self, queries: int) -> NDArray[np.int64]:
        """What was queried after the first ``queries``, shape ``(k, num_searches)``."""
        block, row = divmod(queries, _BLOCK)
        parts = self._blocks[block:]
        if not parts:
            return np.empty((0, len(self._searches)), np.int64)
        return np.concatenate(parts)[row : self.queries - block * _BLOCK].astype(np.int64)

    def unique_queries(self, queries: int) -> NDArray[np.int64]:
        """How many distinct architectures were among the first ``queries``; ``(num_searches,)``."""
        self._count(queries)
        return self._count_at(0, queries - 1)

    def incumbents(self, queries: int) -> NDArray[np.int64]:
        """The architecture of highest reward among the first ``queries`` (the first of equals)."""
        self._count(queries)
        return self._count_at(1, queries - 1)

    def _count_at(self, kind: int, query: int) -> NDArray[np.int64]:
        block, row = divmod(query, _BLOCK)
        return np.array(self._counts[block][kind, row])

    def _count(self, queries: int) -> None:
        while self._counted < queries:
            block, row = divmod(self._counted, _BLOCK)
            if row == 0:
                self._counts.append(np.empty((2, _BLOCK, len(self._searches)), np.int64))
            unique, incumbents = self._counts[block]
            indices = self._blocks[block][row]
            fresh = self._seen.add(indices)
            if self._counted == 0:
                unique[0], incumbents[0] = 1, indices
            else:
                before = self._counts[(self._counted - 1) // _BLOCK][:, row - 1]
                better = self.reward(indices) > self.reward(before[1])
                unique[row] = before[0] + fresh
                incumbents[row] = np.where(better, indices, before[1])
            self._counted += 1
