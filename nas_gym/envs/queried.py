"""Which architectures searches have queried."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BITMAP = 2**20  # up to this size of a space, a byte for each architecture


class QueriedArchitectures:
    """Which architectures each of many searches has queried.

    In small spaces it is a table of bytes, in others a set for each search.

    Args:
        num_searches: how many searches run side by side.
        size: of the search space.
    """

    def __init__(self, num_searches: int, size: int) -> None:
        self._rows = np.arange(num_searches)
        self._small = size <= _BITMAP
        self._bitmap = np.zeros((num_searches, size if self._small else 0), bool)
        self._sets: list[set[int]] = [set() for _ in self._rows] if not self._small else []

    def add(self, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Note one query of every search, ``(num_searches,)``; which of them are new."""
        fresh = ~self.contains(indices[:, None])[:, 0]
        if self._small:
            self._bitmap[self._rows, indices] = True
        else:
            for own, index in zip(self._sets, indices.tolist(), strict=True):
                own.add(index)
        return fresh

    def contains(
        self, indices: NDArray[np.int64], searches: NDArray[np.int64] | None = None
    ) -> NDArray[np.bool_]:
        """Which architectures were queried, shape of ``indices``.

        Args:
            indices: ``(n, m)``: some for each search.
            searches: which searches these are, ``(n,)``; all of them by default.
        """
        rows = self._rows if searches is None else searches
        if self._small:
            found: NDArray[np.bool_] = self._bitmap[rows[:, None], indices]
            return found
        pairs = zip(rows.tolist(), indices.tolist(), strict=True)
        return np.array([[index in self._sets[row] for index in own] for row, own in pairs])

    def unqueried(self, search: int) -> NDArray[np.int64]:
        """The architectures of a small space that a search has not queried, ascending."""
        return np.flatnonzero(~self._bitmap[search])

    @property
    def is_enumerable(self) -> bool:
        """Whether the space is one that can be gone through."""
        return self._small
