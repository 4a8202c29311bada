"""Memory of the architectures that each trial has queried."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nas_gym.envs.queried import QueriedArchitectures
from nas_gym.spaces import SearchSpace
from nas_gym.utils.random import MANTISSA, splitmix64


class QueryMemory:
    """Mixin that records each trial's queries and saves them with the agent.

    Attributes:
        seen: Set of queried architectures of each trial.
    """

    space: SearchSpace
    seen: QueriedArchitectures
    state_attributes: ClassVar[tuple[str, ...]] = ("queried",)
    _queried: NDArray[np.int64]

    def forget_queries(self, num_trials: int) -> None:
        """Start an empty memory for each of ``num_trials`` trials."""
        self.seen = QueriedArchitectures(num_trials, self.space.size)
        self._queried = np.empty((num_trials, 0), np.int64)

    def remember_queries(self, indices: NDArray[np.int64]) -> None:
        """Add one architecture per trial, given as indices ``(n,)``."""
        self.seen.add(indices)
        self._queried = np.concatenate([self._queried, indices[:, None]], axis=1)

    @property
    def queried(self) -> NDArray[np.int64]:
        """Indices of the architectures that each trial has queried, ``(n, queries)`` int64."""
        return self._queried

    @queried.setter
    def queried(self, indices: NDArray[np.int64]) -> None:
        if indices.size and not (indices.min() >= 0 and indices.max() < self.space.size):
            raise ValueError(
                f"queried holds the indices {indices.min()} to {indices.max()}; the indices of "
                f"{self.space.name} are 0 to {self.space.size - 1}"
            )
        self.forget_queries(len(indices))
        for column in indices.T:
            self.seen.add(column)
        self._queried = indices

    def sample_unseen(self, trial: int, draw: float) -> NDArray[np.int64]:
        """Return a random genotype ``(L,)`` that a trial has not queried.

        If the trial has queried the whole space, any genotype of the space may be returned.

        Args:
            trial: Number of the trial.
            draw: Uniform number in [0, 1) that determines the result.
        """
        if self.seen.is_enumerable:
            left = self.seen.unqueried(trial)
            choices = left if len(left) else np.arange(self.space.size)
            genotype: NDArray[np.int64] = self.space.decode(choices[[int(draw * len(choices))]])[0]
            return genotype
        rng = np.random.default_rng(int(draw * MANTISSA))
        while True:  # rarely repeats, because the space is large
            genotype = self.space.sample(1, rng)
            if not self.seen.contains(self.space.encode(genotype)[None], np.array([trial])).any():
                return genotype.reshape(-1)


def uniform_to_indices(space: SearchSpace, draws: NDArray[np.float64]) -> NDArray[np.int64]:
    """Map uniform numbers in [0, 1) to indices of architectures, uniformly over the space."""
    if space.size < MANTISSA:
        return (draws * space.size).astype(np.int64)
    # The space has more architectures than there are distinct draws, so the bits are mixed.
    bits = splitmix64((draws * MANTISSA).astype(np.uint64))
    indices: NDArray[np.int64] = (bits % np.uint64(space.size)).astype(np.int64)
    return indices
