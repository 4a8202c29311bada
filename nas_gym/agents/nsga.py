"""NSGA-II and NSGA-III, run by pymoo."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.config import AgentConfig, setting
from nas_gym.agents.common.saved import State, refuse_infinite
from nas_gym.spaces import SearchSpace
from nas_gym.utils.extras import import_extra

if TYPE_CHECKING:
    from pymoo.algorithms.base.genetic import GeneticAlgorithm


@dataclass(frozen=True)
class NSGAConfig(AgentConfig):
    """Settings of :class:`NSGA2` and :class:`NSGA3`."""

    population_size: int = setting(20, "Number of members of the population.", low=4, high=100_000)


class PymooAgent(Agent):
    """Base class of genetic algorithms of pymoo, one for each trial.

    The first generation is random. Each child has two parents, takes each decision from either of
    them (uniform crossover), and changes one decision (mutation). A child that its generation or
    the population already has is replaced by another one.

    Since a saved agent holds the queries and rewards of each trial, loading it repeats the steps of
    pymoo, which depend on the seed alone.
    """

    config_class = NSGAConfig
    config: NSGAConfig
    multi_objective = True
    searches_in = "environments with objectives"
    packages = ("pymoo",)
    state_attributes = ("genotypes", "fitness")

    def setup(self) -> None:
        """Prepare one algorithm for each trial; see :meth:`Agent.setup`.

        Raises:
            ValueError: If the task has no objectives.
            MissingDataError: If pymoo is not installed.
        """
        if not self.task.objectives:
            raise ValueError(
                f"{type(self).__name__} needs a task with objectives, such as NB201-cifar10-mo-v0 "
                "or objectives=."
            )
        shape = (self.num_trials, 0)
        self.genotypes = np.empty((*shape, self.space.num_decisions), np.int64)
        self.fitness = np.empty((*shape, len(self.task.objectives)))
        self._start()

    def _start(self) -> None:
        self._trials = [_Trial(self._make_algorithm(), self, seed) for seed in self.rng.seeds]

    @abstractmethod
    def _make_algorithm(self) -> GeneticAlgorithm:
        """Return the algorithm of one trial."""

    def ask(self) -> NDArray[np.int64]:
        """Return the next member of each trial's generation; see :meth:`Agent.ask`."""
        return np.stack([trial.ask() for trial in self._trials])

    def tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        """Pass complete generations on to pymoo; see :meth:`Agent.tell`."""
        self.genotypes = np.concatenate([self.genotypes, genotypes[:, None]], axis=1)
        self.fitness = np.concatenate([self.fitness, fitness[:, None]], axis=1)
        for trial, vector in zip(self._trials, fitness, strict=True):
            trial.tell(vector)

    def load_state_dict(self, state: State, *, env_restored: bool = False) -> None:
        """Restore a state and repeat the steps of pymoo; see :meth:`Agent.load_state_dict`."""
        super().load_state_dict(state, env_restored=env_restored)
        self._start()
        for vectors in self.fitness.swapaxes(0, 1):
            for trial, vector in zip(self._trials, vectors, strict=True):
                trial.ask()
                trial.tell(vector)

    def check_state(self) -> None:
        """Raise an error if the history is damaged; see :meth:`Agent.check_state`."""
        super().check_state()
        refuse_infinite({"fitness": self.fitness})
        objectives = len(self.task.objectives)
        if self.fitness.shape[2:] != (objectives,):
            raise ValueError(f"fitness must have {objectives} objectives")
        self.check_architectures("genotypes", self.genotypes, self.fitness[..., 0])


class NSGA2(PymooAgent):
    """NSGA-II (Deb et al., IEEE TEC 2002): survival by non-domination rank and crowding."""

    def _make_algorithm(self) -> GeneticAlgorithm:
        found = import_extra("pymoo.algorithms.moo.nsga2", "mo")
        algorithm: GeneticAlgorithm = found.NSGA2(
            pop_size=self.config.population_size, **_operators(self.space)
        )
        return algorithm


class NSGA3(PymooAgent):
    """NSGA-III (Deb and Jain, IEEE TEC 2014): survival by rank and reference directions.

    There are as many reference directions as members; they are spread by Riesz energy (Blank et
    al., IEEE TEC 2021).
    """

    def _make_algorithm(self) -> GeneticAlgorithm:
        found = import_extra("pymoo.algorithms.moo.nsga3", "mo")
        directions = import_extra("pymoo.util.ref_dirs", "mo").get_reference_directions(
            "energy", len(self.task.objectives), self.config.population_size, seed=1
        )
        algorithm: GeneticAlgorithm = found.NSGA3(
            ref_dirs=directions, pop_size=self.config.population_size, **_operators(self.space)
        )
        return algorithm


class _Trial:
    """One run of a pymoo algorithm, which is asked for one architecture at a time.

    Args:
        algorithm: The algorithm.
        agent: Agent, for its search space and number of objectives.
        seed: Seed of the trial.
    """

    def __init__(self, algorithm: GeneticAlgorithm, agent: PymooAgent, seed: int) -> None:
        from pymoo.core.problem import Problem
        from pymoo.core.termination import NoTermination

        self._space = agent.space
        self._algorithm = algorithm
        problem = Problem(
            n_var=self._space.num_decisions,
            n_obj=len(agent.task.objectives),
            xl=0,
            xu=self._space.num_choices - 1,
            vtype=int,
        )
        algorithm.setup(problem, termination=NoTermination(), seed=seed)
        self._generation: Any = None
        self._open: deque[NDArray[np.int64]] = deque()  # members that were not asked for yet
        self._costs: list[NDArray[np.float64]] = []  # of the members that were asked for

    def ask(self) -> NDArray[np.int64]:
        """Return the next member of the generation, ``(L,)``."""
        if not self._open:
            self._generation = self._algorithm.ask()
            if self._generation is None:  # every child is in the population: begin again
                self._algorithm.is_initialized = False
                self._generation = self._algorithm.ask()
            self._open.extend(self._generation.get("X").astype(np.int64))
        return self._open.popleft()

    def tell(self, rewards: NDArray[np.float64]) -> None:
        """Take the rewards of the member that was asked for last, ``(D,)``."""
        self._costs.append(-rewards)  # pymoo minimizes
        if not self._open:
            self._generation.set("F", np.array(self._costs))
            for member in self._generation:
                member.evaluated |= {"F"}
            self._algorithm.tell(infills=self._generation)
            self._costs = []


def _operators(space: SearchSpace) -> dict[str, Any]:
    """Return pymoo's operators for a search space; all children are valid."""
    from pymoo.core.crossover import Crossover
    from pymoo.core.mutation import Mutation
    from pymoo.core.sampling import Sampling

    def sample(problem: Any, n: int, *_: Any, random_state: Any, **__: Any) -> Any:
        return space.sample(n, random_state)

    def cross(problem: Any, parents: Any, *_: Any, random_state: Any, **__: Any) -> Any:
        first, second = parents.astype(np.int64)
        return np.stack([
            space.crossover(first, second, random_state),
            space.crossover(second, first, random_state),
        ])  # fmt: skip

    def mutate(problem: Any, genotypes: Any, *_: Any, random_state: Any, **__: Any) -> Any:
        return space.mutate(genotypes.astype(np.int64), random_state)

    return {
        "sampling": _subclass(Sampling, sample)(),
        "crossover": _subclass(Crossover, cross)(2, 2),
        "mutation": _subclass(Mutation, mutate)(),
    }


def _subclass(operator: type, function: Callable[..., Any]) -> type:
    """Return a subclass of an operator of pymoo that calls a function."""
    return type(operator.__name__, (operator,), {"_do": staticmethod(function)})
