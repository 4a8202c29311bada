"""Architectures that were not queried before, for agents that never pay twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas_gym.envs.queried import QueriedArchitectures
from nas_gym.spaces import SearchSpace

_MANTISSA = 2**53  # as many numbers in [0, 1) does a generator draw


class Remembering:
    """What agents share that know what they have queried: it is kept with them.

    ``_seen`` answers questions; ``_queried``, ``(n, queries)`` indices in order, is its state.
    """

    space: SearchSpace
    _seen: QueriedArchitectures
    _order: NDArray[np.int64]

    def _forget_queries(self, num_trials: int) -> None:
        self._seen = QueriedArchitectures(num_trials, self.space.size)
        self._order = np.empty((num_trials, 0), np.int64)

    def _note_queries(self, indices: NDArray[np.int64]) -> None:
        self._seen.add(indices)
        self._order = np.concatenate([self._order, indices[:, None]], axis=1)

    @property
    def _queried(self) -> NDArray[np.int64]:
        return self._order

    @_queried.setter
    def _queried(self, order: NDArray[np.int64]) -> None:
        self._forget_queries(len(order))
        for indices in order.T:
            self._seen.add(indices)
        self._order = order


def unseen(
    space: SearchSpace, seen: QueriedArchitectures, search: int, draw: float
) -> NDArray[np.int64]:
    """A genotype ``(L,)`` that was not seen, or any where there is none left.

    Args:
        space: what is searched.
        seen: what was.
        search: whose.
        draw: a uniform number in [0, 1).
    """
    if seen.is_enumerable:
        left = seen.unqueried(search)
        choices = left if len(left) else np.arange(space.size)
        genotype: NDArray[np.int64] = space.decode(choices[[int(draw * len(choices))]])[0]
        return genotype
    return _sample_unseen(space, seen, search, np.random.default_rng(int(draw * _MANTISSA)))


def _sample_unseen(
    space: SearchSpace, seen: QueriedArchitectures, search: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    while True:  # hardly ever more than once, so large the space is
        genotype: NDArray[np.int64] = space.sample(1, rng)
        if not seen.contains(space.encode(genotype)[None], np.array([search])).any():
            return genotype.reshape(-1)


def drawn_indices(space: SearchSpace, draws: NDArray[np.float64]) -> NDArray[np.int64]:
    """Architectures of uniform numbers in [0, 1), of any shape, uniform over the space."""
    if space.size < _MANTISSA:
        return (draws * space.size).astype(np.int64)
    # numbers so large differ in more digits than were drawn: mix these into 64 (SplitMix64)
    bits = (draws * _MANTISSA).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits = bits ^ (bits >> np.uint64(31))
    indices: NDArray[np.int64] = (bits % np.uint64(space.size)).astype(np.int64)
    return indices
