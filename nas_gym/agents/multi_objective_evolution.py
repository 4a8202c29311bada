"""Regularized evolution for several objectives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.domination import crowding_distances, domination_ranks
from nas_gym.agents.common.saved import refuse_nan
from nas_gym.agents.regularized_evolution import RegularizedEvolutionConfig


class MultiObjectiveEvolution(Agent):
    """Aging evolution whose tournaments compare non-domination rank, then crowding distance.

    It is regularized evolution (Real et al., AAAI 2019) with the comparison of NSGA-II (Deb et al.,
    IEEE TEC 2002). The first ``population_size`` queries are random architectures. In each later
    query, the best of ``sample_size`` random members is mutated: one decision changes. The child
    joins the population, and the oldest member is removed.
    """

    config_class = RegularizedEvolutionConfig
    config: RegularizedEvolutionConfig
    multi_objective = True
    searches_in = "environments with objectives"
    state_attributes = ("genotypes", "fitness", "born")
    checks_state = True

    def setup(self) -> None:
        """Prepare an empty population; see :meth:`Agent.setup`.

        Raises:
            ValueError: If the task has no objectives.
        """
        if not self.task.objectives:
            raise ValueError(
                "MultiObjectiveEvolution needs a task with objectives, such as "
                "NB201-cifar10-mo-v0 or objectives=. For one objective, use rea."
            )
        shape = (self.num_trials, self.config.population_size)
        self.genotypes = np.zeros((*shape, self.space.num_decisions), np.int64)
        self.fitness = np.full((*shape, len(self.task.objectives)), -np.inf)
        self.born = 0  # number of architectures so far; the population is a ring buffer

    def ask(self) -> NDArray[np.int64]:
        """Return random architectures or mutations of tournament winners; see :meth:`Agent.ask`."""
        if self.born < self.config.population_size:
            return self.space.sample(self.num_trials, self.rng)
        size = (self.num_trials, self.config.sample_size)
        members = self.rng.integers(self.config.population_size, size)
        ranks = domination_ranks(self.fitness)
        crowding = crowding_distances(self.fitness, ranks)
        own_ranks = np.take_along_axis(ranks, members, axis=1)
        own_crowding = np.take_along_axis(crowding, members, axis=1)
        winner = np.lexsort((-own_crowding, own_ranks))[:, 0]
        rows = np.arange(self.num_trials)
        return self.space.mutate(self.genotypes[rows, members[rows, winner]], self.rng)

    def tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        """Replace the oldest member of the population; see :meth:`Agent.tell`."""
        oldest = self.born % self.config.population_size
        self.genotypes[:, oldest] = genotypes
        self.fitness[:, oldest] = fitness
        self.born += 1

    def check_state(self) -> None:
        """Raise an error if the population is damaged; see :meth:`Agent.check_state`."""
        super().check_state()
        refuse_nan({"fitness": self.fitness})
        self.check_architectures("genotypes", self.genotypes, self.fitness[..., 0])
        empty = np.isneginf(self.fitness[:, : max(self.born, 0)]).any()
        if self.born < 0 or empty:
            raise ValueError("the population is incomplete")
