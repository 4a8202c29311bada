"""Sets of the architectures that searches have queried."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LARGEST_BITMAP = 2**20
"""Size of the largest search space that gets a bitmap (one bit per architecture)."""

_BITS = np.left_shift(1, np.arange(8)).astype(np.uint8)


class QueriedArchitectures:
    """The set of architectures that each of several searches has queried.

    A small search space is represented by a bitmap, a large one by a Python set for each search.

    Args:
        num_searches: Number of searches.
        size: Number of architectures in the search space.
    """

    def __init__(self, num_searches: int, size: int) -> None:
        self._rows = np.arange(num_searches)
        self._size = size
        self._small = size <= _LARGEST_BITMAP
        num_bytes = -(-size // 8) if self._small else 0
        self._bitmap = np.zeros((num_searches, num_bytes), np.uint8)
        self._sets: list[set[int]] = [set() for _ in self._rows] if not self._small else []

    def add(self, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Add one architecture to the set of each search.

        Args:
            indices: Index of the architecture of each search, ``(num_searches,)`` int64.

        Returns:
            Whether each architecture is new to its search, ``(num_searches,)`` bool.
        """
        if self._small:
            places = self._rows, indices >> 3
            before, bits = self._bitmap[places], _BITS.take(indices & 7)
            self._bitmap[places] = before | bits
            new: NDArray[np.bool_] = before & bits == 0
            return new
        is_new = ~self.contains(indices[:, None])[:, 0]
        for queried, index in zip(self._sets, indices.tolist(), strict=True):
            queried.add(index)
        return is_new

    def contains(
        self, indices: NDArray[np.int64], searches: NDArray[np.int64] | None = None
    ) -> NDArray[np.bool_]:
        """Return whether architectures were queried, bool, shape of ``indices``.

        Args:
            indices: Indices of ``m`` architectures for each search, ``(n, m)`` int64.
            searches: Number of the search that each row belongs to, ``(n,)`` int64; row ``i``
                belongs to search ``i`` by default.
        """
        rows = self._rows if searches is None else searches
        if self._small:
            found: NDArray[np.bool_] = (
                self._bitmap[rows[:, None], indices >> 3] & _BITS[indices & 7] != 0
            )
            return found
        pairs = zip(rows.tolist(), indices.tolist(), strict=True)
        return np.array([[index in self._sets[row] for index in own] for row, own in pairs])

    def unqueried(self, search: int) -> NDArray[np.int64]:
        """Return the architectures that a search has not queried, ascending.

        Only for spaces that are enumerable (:attr:`is_enumerable`).
        """
        bits = np.unpackbits(self._bitmap[search], count=self._size, bitorder="little")
        return np.flatnonzero(bits == 0)

    @property
    def is_enumerable(self) -> bool:
        """Whether the search space is small enough to list the architectures not yet queried."""
        return self._small
