"""Pareto fronts: the architectures that no other architecture dominates.

Vectors are to be maximized. One vector dominates another if it is at least as high in every
objective and higher in one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas_gym.utils.extras import import_extra

Vectors = NDArray[np.float64]


def non_dominated(vectors: Vectors) -> NDArray[np.bool_]:
    """Return whether no other vector dominates each vector; equal vectors do not.

    Args:
        vectors: Vectors, ``(n, D)`` float64, to be maximized.

    Returns:
        True for the vectors of the Pareto front, ``(n,)`` bool.
    """
    # ranks have the same order as values, and their sum is higher for a vector that dominates
    ranks = np.stack([np.unique(each, return_inverse=True)[1] for each in vectors.T], axis=1)
    order = np.argsort(-ranks.sum(axis=1), kind="stable")
    left = ranks[order].astype(np.int32)
    result = np.zeros(len(vectors), bool)
    while len(left):
        first = left[0]
        equal = (left == first).all(axis=1)
        result[order[equal]] = True
        kept = (left > first).any(axis=1)
        left, order = left[kept], order[kept]
    return result


@dataclass(frozen=True, eq=False)
class ParetoFront:
    """The Pareto front of a search space.

    Attributes:
        indices: Indices of all architectures on the front, ``(m,)`` int64; architectures with equal
            vectors are all listed.
        vectors: Distinct vectors of the front, ``(k, D)`` float64, highest first objective first.
    """

    indices: NDArray[np.int64]
    vectors: Vectors

    @classmethod
    def of_space(cls, vectors: Vectors, feasible: NDArray[np.bool_]) -> ParetoFront:
        """Return the front of the feasible architectures of a space.

        Args:
            vectors: Vector of each architecture, ``(space.size, D)``.
            feasible: Whether each architecture is feasible, ``(space.size,)``.
        """
        allowed = np.flatnonzero(feasible)
        indices = allowed[non_dominated(vectors[allowed])]
        return cls(indices, np.unique(vectors[indices], axis=0)[::-1])

    @cached_property
    def ideal(self) -> Vectors:
        """Highest value of each objective on the front, ``(D,)``."""
        best: Vectors = self.vectors.max(axis=0)
        return best

    @cached_property
    def nadir(self) -> Vectors:
        """Lowest value of each objective on the front, ``(D,)``."""
        worst: Vectors = self.vectors.min(axis=0)
        return worst

    def normalize(self, vectors: Vectors) -> Vectors:
        """Scale vectors so that the nadir is 0 and the ideal is 1, shape of ``vectors``.

        An objective that is the same on the whole front is 1 at its best value, and lower by its
        distance from that value otherwise.
        """
        width = self.ideal - self.nadir
        scaled: Vectors = 1.0 - (self.ideal - vectors) / np.where(width > 0, width, 1.0)
        return scaled

    def hypervolume(self, vectors: Vectors) -> float:
        """Return the hypervolume of vectors relative to that of the front, 0 to 1.

        Vectors that are better than the front, which can exist if the front is an approximation,
        count as 1 together.

        Objectives are scaled by :meth:`normalize`; the reference point is the nadir.

        Args:
            vectors: Vectors, ``(n, D)``.

        Raises:
            MissingDataError: If the package moocore is not installed.
        """
        return min(self._volume(vectors) / self.volume, 1.0)

    @cached_property
    def volume(self) -> float:
        """Hypervolume of the front itself, with objectives scaled by :meth:`normalize`."""
        return self._volume(self.vectors) or 1.0

    def _volume(self, vectors: Vectors) -> float:
        # an objective that is the same on the whole front spans no volume: its reference is below
        low = np.where(self.ideal > self.nadir, 0.0, -1.0)
        points = self.normalize(vectors)
        inside = points[(points > low).all(axis=1)]
        if not len(inside):
            return 0.0
        moocore = import_extra("moocore", "mo")
        return float(moocore.hypervolume(inside, ref=low, maximise=True))

    def distance(self, vectors: Vectors) -> float:
        """Return IGD+ (Ishibuchi et al., EMO 2015), the mean distance of the front from vectors.

        The distance of a vector of the front is the length of the smallest improvement that takes
        one of ``vectors`` there, with objectives scaled by :meth:`normalize`.

        Args:
            vectors: Vectors, ``(n, D)``, at least one.

        Raises:
            MissingDataError: If the package moocore is not installed.
        """
        moocore = import_extra("moocore", "mo")
        points, reference = self.normalize(vectors), self.normalize(self.vectors)
        return float(moocore.igd_plus(points, ref=reference, maximise=True))

    def share(self, vectors: Vectors) -> float:
        """Return the fraction of the front's distinct vectors that are among ``vectors``."""
        found = {row.tobytes() for row in np.ascontiguousarray(vectors)}
        return sum(row.tobytes() in found for row in np.ascontiguousarray(self.vectors)) / len(
            self.vectors
        )
