"""AT-NAS: evolution from a meta-learned population."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.config import AgentConfig, setting
from nas_gym.agents.common.saved import refuse_nan
from nas_gym.spaces.evolution import next_generation


@dataclass(frozen=True)
class ATNASConfig(AgentConfig):
    """Settings of :class:`ATNAS`."""

    population_size: int = setting(32, "Number of members of the population.", low=4, high=100_000)
    parents: float = setting(
        0.25, "Fraction of the population that survives as parents.", above=0, high=0.5
    )
    crossover: float = setting(
        0.5, "Probability that crossover exchanges the decisions of a node.", low=0, high=1
    )
    mutation: float = setting(
        0.5,
        "Probability that mutation draws the decisions of a node anew. The paper says 0.5 in "
        "section 4.2, and a tiny probability in section 3.3.",
        low=0,
        high=1,
    )
    refill: bool = setting(
        True,
        "Whether crossover and mutation each make as many children as there are parents, and "
        "random architectures fill the population (Algorithm 2). Otherwise, children fill it.",
    )
    meta_population: bool = setting(
        True,
        "Whether to start from the population of the environment's meta-supernet, if it has one. "
        "Otherwise, the first generation is random.",
    )


class ATNAS(Agent):
    """AT-NAS (Rong et al., 2022): evolution from a meta-learned population, Algorithm 2.

    The first generation has the distinct members of the population of the environment's
    meta-supernet, if it has one, and is random otherwise. In each later generation, the fittest
    quarter survives as parents. Crossover and mutation, which treat the decisions about one node of
    a cell as a unit, make a quarter each, and random architectures fill the population. Every new
    member is one query; the fitness of parents is known.

    Algorithm 1 of the paper, in which the weights of the supernet and the population are learned
    together, is the meta-training of a supernet for few-shot tasks: ``nas-gym train-supernet``.
    Every agent then searches with the same weights.

    The paper contradicts itself in places:

    - Algorithm 1 evolves the population after every task, section 4.2 after every 4 meta-updates.
      This is the setting ``updates_per_generation`` of the meta-supernet.
    - The probability of a mutation is "tiny" in section 3.3 and 0.5 in section 4.2; see
      ``mutation``.
    - Algorithm 3 fills the population with random architectures, section 3.5 does not; see
      ``refill``, and :func:`nas_gym.networks.few_shot.transfer.transfer_by_halving`.

    The settings are those of section 4.2, except for a smaller population, which suits budgets of a
    few hundred queries. ``atnas-paper`` has a population of 128.
    """

    config_class = ATNASConfig
    config: ATNASConfig
    presets: ClassVar[Mapping[str, AgentConfig]] = {"atnas-paper": ATNASConfig(population_size=128)}
    state_attributes = ("genotypes", "fitness", "evaluated", "generation")
    checks_state = True

    def setup(self) -> None:
        """Prepare the first generation; see :meth:`Agent.setup`."""
        size = self.config.population_size
        known = getattr(self.task.evaluator, "population", None)
        start = np.empty((0, self.space.num_decisions), np.int64)
        if self.config.meta_population and known is not None and len(known):
            _, first = np.unique(known, axis=0, return_index=True)
            start = self.space.check(known[np.sort(first)])[:size]  # distinct, fittest first
        self.generation = 0
        self.genotypes = np.stack(
            [
                np.concatenate([start, self.space.sample(size - len(start), rng)])
                for rng in self._generators()
            ]
        )
        self.fitness = np.full((self.num_trials, size), -np.inf)
        self.evaluated = 0  # number of members of this generation whose fitness is known

    def _generators(self) -> list[np.random.Generator]:
        """Return the random generator of each trial for this generation."""
        return [np.random.default_rng([seed, self.generation]) for seed in self.rng.seeds]

    def ask(self) -> NDArray[np.int64]:
        """Return the next member of the generation; see :meth:`Agent.ask`."""
        self._breed_if_complete()
        return self.genotypes[:, self.evaluated]

    def tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        """Record the fitness of a member; see :meth:`Agent.tell`."""
        self._breed_if_complete()
        # a population environment evaluates its own first generation, which replaces this one
        self.genotypes[:, self.evaluated] = genotypes
        self.fitness[:, self.evaluated] = fitness
        self.evaluated += 1

    def _breed_if_complete(self) -> None:
        """Replace a generation with the next one if all members have been evaluated."""
        config, size = self.config, self.config.population_size
        if self.evaluated < size:
            return
        self.generation += 1
        for trial, rng in enumerate(self._generators()):
            self.genotypes[trial] = next_generation(
                self.space,
                self.genotypes[trial],
                self.fitness[trial],
                rng,
                parents=config.parents,
                crossover=config.crossover,
                mutation=config.mutation,
                refill=config.refill,
            )
        self.evaluated = max(1, int(size * config.parents))  # the parents come first
        self.fitness = -np.sort(-self.fitness, axis=1)
        self.fitness[:, self.evaluated :] = -np.inf

    def check_state(self) -> None:
        """Raise an error if the population is damaged; see :meth:`Agent.check_state`."""
        super().check_state()
        refuse_nan({"fitness": self.fitness})
        rows = self.space.check(self.genotypes.reshape(-1, self.space.num_decisions))
        if not self.space.contains(rows).all():
            raise ValueError(f"genotypes holds a genotype that is not in {self.space.name}")
        if not 0 <= self.evaluated <= self.config.population_size or self.generation < 0:
            raise ValueError("the population is incomplete")
