"""Regularized evolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.config import AgentConfig, setting
from nas_gym.agents.common.saved import refuse_nan


@dataclass(frozen=True)
class RegularizedEvolutionConfig(AgentConfig):
    """Settings of :class:`RegularizedEvolution`.

    The defaults were chosen on tasks that are not usually reported (docs/results/baselines.md).
    The baseline of NAS-Bench-201 has ``population_size=10`` and ``sample_size=3``; Real et al. use
    100 and 25.
    """

    population_size: int = setting(50, "Number of members of the population.", low=1, high=100_000)
    sample_size: int = setting(
        10,
        "Number of members that compete in a tournament; at most ``population_size``.",
        low=1,
        high=100_000,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sample_size > self.population_size:
            raise ValueError(
                f"sample_size must be at most population_size, which is {self.population_size}; "
                f"got {self.sample_size}. Set both, such as population_size=10 and sample_size=3."
            )


class RegularizedEvolution(Agent):
    """Aging evolution with tournament selection (Real et al., AAAI 2019, Algorithm 1).

    The first ``population_size`` queries are random architectures. In each later query,
    ``sample_size`` members are drawn with replacement, and the fittest of these members is mutated:
    one decision changes. The child joins the population, and the oldest member is removed.
    """

    config_class = RegularizedEvolutionConfig
    config: RegularizedEvolutionConfig
    state_attributes = ("genotypes", "fitness", "born")
    checks_state = True

    def setup(self) -> None:
        """Prepare an empty population; see :meth:`Agent.setup`."""
        shape = (self.num_trials, self.config.population_size)
        self.genotypes = np.zeros((*shape, self.space.num_decisions), np.int64)
        self.fitness = np.full(shape, -np.inf)
        self.born = 0  # number of architectures so far; the population is a ring buffer

    def ask(self) -> NDArray[np.int64]:
        """Return random architectures or mutations of tournament winners; see :meth:`Agent.ask`."""
        if self.born < self.config.population_size:
            return self.space.sample(self.num_trials, self.rng)
        size = (self.num_trials, self.config.sample_size)
        members = self.rng.integers(self.config.population_size, size)
        rows = np.arange(self.num_trials)
        parents = self.genotypes[rows, members[rows, self._winners(members)]]
        return self.space.mutate(parents, self.rng)

    def _winners(self, members: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the place of the winner of each trial's tournament among its ``members``."""
        fitness = np.take_along_axis(self.fitness, members, axis=1)
        winners: NDArray[np.int64] = fitness.argmax(axis=1)
        return winners

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
        # with several objectives, fitness has one more axis
        first = self.fitness.reshape(*self.genotypes.shape[:2], -1)[..., 0]
        self.check_architectures("genotypes", self.genotypes, first)
        empty = np.isneginf(self.fitness[:, : max(self.born, 0)]).any()
        if self.born < 0 or empty:
            raise ValueError("the population is incomplete")
