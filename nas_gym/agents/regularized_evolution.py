"""Regularized evolution."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent


class RegularizedEvolution(Agent):
    """Aging evolution with tournament selection (Real et al., AAAI 2019, algorithm 1).

    After ``population_size`` random architectures, each query is a mutation (one decision
    changed) of the fittest of ``sample_size`` members drawn with replacement; the child joins the
    population and its oldest member leaves.

    Settings (the defaults were chosen on other tasks than those usually reported, see
    docs/results/baselines.md; NAS-Bench-201's own baseline uses 10 and 3, Real et al. 100 and 25):
        population_size: 50.
        sample_size: 10.
    """

    settings: ClassVar[dict[str, Any]] = {"population_size": 50, "sample_size": 10}
    population_size: int
    sample_size: int
    _STATE = ("genotypes", "fitness", "born")

    def _setup(self) -> None:
        if not self.sample_size >= 1 or not self.population_size >= 1:
            raise ValueError("population_size and sample_size are at least 1.")
        shape = (self.num_trials, self.population_size)
        self._genotypes = np.zeros((*shape, self.space.num_decisions), np.int64)
        self._fitness = np.full(shape, -np.inf)
        self._born = np.zeros((), np.int64)  # a ring: the next child takes the place of the oldest

    def _ask(self) -> NDArray[np.int64]:
        if self._born < self.population_size:
            return self.space.sample(self.num_trials, self.streams)
        draws = self.streams.random((self.num_trials, self.sample_size))
        members = (draws * self.population_size).astype(np.int64)
        winner = np.take_along_axis(self._fitness, members, axis=1).argmax(axis=1)
        rows = np.arange(self.num_trials)
        return self.space.mutate(self._genotypes[rows, members[rows, winner]], self.streams)

    def _tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        place = self._born % self.population_size
        self._genotypes[:, place] = genotypes
        self._fitness[:, place] = fitness
        self._born += 1
