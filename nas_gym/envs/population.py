"""Population mode: one generation per step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, MultiDiscrete
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from nas_gym.envs.action_spaces import ValidMultiDiscrete
from nas_gym.envs.base import SearchEnv, SearchVectorEnv
from nas_gym.envs.history import SearchHistory
from nas_gym.spaces import RandomSource, SearchSpace
from nas_gym.tasks import TaskArguments, make_task

Survival = Literal["aging", "elitist"]

_LARGEST = np.finfo(np.float64).max


class Population:
    """The architectures that are alive in each of several searches, and their fitness.

    Args:
        history: History of the searches, which computes the fitness.
        genotypes: Initial population of each search, oldest first, ``(n, size, L)`` int64.
        num_offspring: Number of offspring per generation.
        survival: With ``"aging"``, the youngest architectures survive (Real et al., 2019). With
            ``"elitist"``, the fittest of parents and offspring survive; of equally fit
            architectures, the older survive.

    Attributes:
        genotypes: Population of each search, oldest first, ``(n, size, L)`` int64.
        fitness: Rewards of the population, ``(n, size)`` float64.
        initial_indices: Indices of the initial population, ``(n, size)`` int64.
        best_fitness: Highest fitness of each search so far, ``(n,)`` float64.
    """

    def __init__(
        self,
        history: SearchHistory,
        genotypes: NDArray[np.int64],
        num_offspring: int,
        survival: Survival,
    ) -> None:
        self._history = history
        self._num_offspring = num_offspring
        self._survival = survival
        self.genotypes = genotypes
        self.initial_indices, self.fitness = self._evaluate(genotypes)
        self.best_fitness = self.fitness.max(axis=1)

    def _evaluate(
        self, genotypes: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return indices and rewards of genotypes ``(n, m, L)``, each ``(n, m)``."""
        indices = self._history.space.encode(genotypes.reshape(-1, genotypes.shape[-1]))
        indices = indices.reshape(genotypes.shape[:-1])
        return indices, self._history.reward(indices)

    def observe(self) -> dict[str, NDArray[Any]]:
        """Return the observations: genotypes, ``(n, size * L)``, and fitness, ``(n, size)``."""
        return {
            "fitness": self.fitness.copy(),
            "genotypes": self.genotypes.reshape(len(self.genotypes), -1).copy(),
        }

    def step(
        self, actions: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Evaluate offspring, and select the survivors.

        Args:
            actions: Genotypes of the offspring, ``(n, num_offspring * L)`` integers.

        Returns:
            Genotypes of the offspring, ``(n, num_offspring, L)``; their indices,
            ``(n, num_offspring)``; and the rewards of the step, ``(n,)``.

        Raises:
            TypeError: If the offspring are not integers.
            ValueError: If they have the wrong shape, or one is not in the search space.
        """
        offspring = self._check(actions)
        indices, fitness = self._evaluate(offspring)
        best_before = self.best_fitness
        self.best_fitness = np.maximum(best_before, fitness.max(axis=1))
        genotypes = np.concatenate([self.genotypes, offspring], axis=1)
        all_fitness = np.concatenate([self.fitness, fitness], axis=1)
        size = self.fitness.shape[1]
        if self._survival == "aging":
            self.genotypes, self.fitness = genotypes[:, -size:], all_fitness[:, -size:]
        else:
            fittest = np.argsort(-all_fitness, axis=1, kind="stable")[:, :size]
            survivors = np.sort(fittest, axis=1)  # oldest first again
            self.genotypes = np.take_along_axis(genotypes, survivors[:, :, None], axis=1)
            self.fitness = np.take_along_axis(all_fitness, survivors, axis=1)
        return offspring, indices, self.best_fitness - best_before

    def _check(self, actions: ArrayLike) -> NDArray[np.int64]:
        array = np.asarray(actions)
        n, decisions = len(self.genotypes), self.genotypes.shape[2]
        expected = (n, self._num_offspring * decisions)
        if array.shape != expected:
            raise ValueError(
                f"Actions of {n} population environments have shape {expected}: "
                f"{self._num_offspring} concatenated genotypes of {decisions} decisions each. "
                f"Got {array.shape}."
            )
        return np.array(array.reshape(n, self._num_offspring, decisions))


def sample_populations(
    space: SearchSpace, size: int, generators: Sequence[np.random.Generator]
) -> NDArray[np.int64]:
    """Sample initial populations uniformly, one per generator.

    Args:
        space: Search space.
        size: Number of architectures in a population.
        generators: Random generator of each search.

    Returns:
        Genotypes, ``(len(generators), size, L)`` int64.
    """
    # Separate generators are derived here: action_space.seed(s) and reset(seed=s) start from the
    # same state, so the first sampled actions would otherwise repeat the initial population.
    derived = [np.random.default_rng(generator.integers(2**63)) for generator in generators]
    return np.stack([space.sample(size, generator) for generator in derived])


def _spaces(
    space: SearchSpace, size: int, num_offspring: int, survival: Survival
) -> tuple[Dict, MultiDiscrete]:
    """Return the observation space and the action space of one environment."""
    if size < 1 or num_offspring < 1:
        raise ValueError(
            f"population_size and num_offspring are at least 1, got {size} and {num_offspring}."
        )
    if survival not in ("aging", "elitist"):
        raise ValueError(f"survival is 'aging' or 'elitist', got {survival!r}.")
    observation_space = Dict(
        {
            # Gymnasium's checker warns about infinite bounds.
            "fitness": Box(-_LARGEST, _LARGEST, (size,), np.float64),
            "genotypes": MultiDiscrete(np.tile(space.num_choices, size)),
        }
    )
    return observation_space, _action_space(space, (num_offspring,))


def _action_space(space: SearchSpace, shape: tuple[int, ...]) -> MultiDiscrete:
    """Return an action space of shape ``(*shape[:-1], shape[-1] * L)`` whose samples are valid."""
    nvec = np.broadcast_to(space.num_choices, (*shape, space.num_decisions))
    nvec = nvec.reshape(*shape[:-1], -1)
    if not space.has_masks:
        return MultiDiscrete(nvec)

    def sample_valid(rng: RandomSource) -> NDArray[np.int64]:
        return space.sample(int(np.prod(shape)), rng).reshape(nvec.shape)

    return ValidMultiDiscrete(nvec, sample_valid)


class PopulationEnv(SearchEnv):
    """
    ## Description
    Evolve a population of architectures, one generation per step, as evolutionary searches do
    (regularized evolution, Real et al. 2019; AT-NAS paper, section 3.3). The agent proposes the
    offspring. The environment evaluates the offspring and selects the survivors. One episode is one
    search.

    ## Action Space
    `MultiDiscrete`, shape `(num_offspring * decisions,)`: the concatenated genotypes of the
    offspring. A genotype that is not in the search space raises `ValueError`. If the search space
    is restricted, as NAS-Bench-Graph is, `action_space.sample()` samples valid genotypes only.

    ## Observation Space
    `Dict` with two entries, both oldest first:

    | key         | space                                                   | content       |
    |-------------|---------------------------------------------------------|---------------|
    | `genotypes` | `MultiDiscrete`, shape `(population_size * decisions,)` | genotypes     |
    | `fitness`   | `Box(float64)`, shape `(population_size,)`              | rewards       |

    `genotypes.reshape(-1, decisions)` has one architecture per row.

    ## Rewards
    The reward is the improvement of the best fitness of the search so far, >= 0. By default, the
    fitness of an architecture is its search signal in the unit of that metric, negated if the
    metric is minimized; the argument `reward` selects another function of the signal.

    ## Starting State
    `population_size` architectures that are sampled uniformly. They count as queries.

    ## Episode End
    The episode is truncated after `max_episode_steps` generations: 490 by default, or the argument
    of that name of `gym.make`. With a population of 10 and one offspring per generation, 490
    generations are 500 queries. `reset` begins a new search.

    At every step `info` describes the queries of that step. `genotype` has shape
    `(num_offspring, decisions)`; `index`, `arch` and `metrics` have shape `(num_offspring,)`.
    `queries`, `unique_queries`, `incumbent`, `incumbent_reward`, `incumbent_report`, `regret`,
    `signal` and `report` are as in sequential mode (see `SequentialEnv`). The `info` of `reset`
    describes the initial population in the same way.

    ## Arguments
    * `population_size`: number of architectures in the population; 10 by default, as in the
      regularized evolution of NAS-Bench-201.
    * `num_offspring`: number of offspring per generation; 1 by default.
    * `survival`: `"aging"` (the youngest survive; default) or `"elitist"` (the fittest survive).
    * `table`, `dataset`, `signal`, `report`, `noise`, `reward`, `constraint`, `space`, `evaluator`,
      `supernet`, `device`, `size`, `task`, `render_mode`: as in sequential mode (see
      `SequentialEnv`).
      `NB201-cifar10-population` searches the table `analog-nasbench` by default.

    ```python
    >>> import gymnasium as gym
    >>> import nas_gym
    >>> env = gym.make("NB201-cifar10-population-v0", population_size=50, num_offspring=10)

    ```

    ## Vectorized environment
    `gym.make_vec(id, num_envs=64)` steps all searches in one NumPy call. It takes the argument
    `autoreset_mode`, as in sequential mode. Search `i` of a vector environment that is reset with
    seed `s` has the same initial population as a scalar environment that is reset with `s + i`.

    ## Version History
    * v0: Initial version.
    """

    def __init__(
        self,
        render_mode: str | None = None,
        population_size: int = 10,
        num_offspring: int = 1,
        survival: Survival = "aging",
        **task: Unpack[TaskArguments],
    ) -> None:
        super().__init__(make_task(**task), render_mode)
        self._refuse_objectives()
        self.observation_space, self.action_space = _spaces(
            self.task.space, population_size, num_offspring, survival
        )
        self._population_size = population_size
        self.num_offspring, self.survival = num_offspring, survival
        self._population: Population

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Begin a new search with a new population.

        Args:
            seed: Seed of the search, which determines its noise and its initial population.
            options: Ignored.
        """
        super().reset(seed=seed)
        self._begin_search(seed)
        genotypes = sample_populations(self.task.space, self._population_size, [self.np_random])
        self._population = Population(self.history, genotypes, self.num_offspring, self.survival)
        info = self._record(self._population.initial_indices, partial(np.asarray, genotypes), {})
        return self._observe(), info

    def _observe(self) -> dict[str, NDArray[Any]]:
        return {key: value[0] for key, value in self._population.observe().items()}

    def step(
        self, action: ArrayLike
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Evaluate one generation of offspring.

        Args:
            action: Genotypes of the offspring, ``(num_offspring * L,)`` integers.

        Raises:
            TypeError: If the offspring are not integers.
            ValueError: If they have the wrong shape, or one is not in the search space. Nothing is
                queried then.
            gymnasium.error.ResetNeeded: If ``reset`` was not called before.
        """
        if self.history.queries == 0:
            raise gym.error.ResetNeeded("There is no population yet: call env.reset().")
        offspring, indices, rewards = self._population.step(np.asarray(action)[None])
        info = self._record(indices, partial(np.asarray, offspring), {})
        return self._observe(), float(rewards[0]), False, False, info


class PopulationVectorEnv(SearchVectorEnv):
    """Several :class:`PopulationEnv` in lockstep.

    Args:
        num_envs: Number of searches.
        render_mode, population_size, num_offspring, survival, **task: See :class:`PopulationEnv`.
        max_episode_steps: Number of generations after which every search is truncated; ``None``
            for no limit.
        autoreset_mode: When a new episode follows an episode that has ended, as a
            :class:`gymnasium.vector.AutoresetMode`: in the next step (``NEXT_STEP``), in the same
            step (``SAME_STEP``), or only after a call of :meth:`reset` (``DISABLED``).
    """

    def __init__(
        self,
        num_envs: int = 1,
        render_mode: str | None = None,
        population_size: int = 10,
        num_offspring: int = 1,
        survival: Survival = "aging",
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **task: Unpack[TaskArguments],
    ) -> None:
        super().__init__(
            make_task(**task), num_envs, render_mode, autoreset_mode, max_episode_steps
        )
        self._refuse_objectives()
        self.single_observation_space, self.single_action_space = _spaces(
            self.task.space, population_size, num_offspring, survival
        )
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = _action_space(self.task.space, (num_envs, num_offspring))
        self._population_size = population_size
        self.num_offspring, self.survival = num_offspring, survival
        self._generators = [seeding.np_random()[0] for _ in range(num_envs)]
        self._population: Population

    def _seed(self, seeds: list[int | None]) -> None:
        super()._seed(seeds)
        self._generators = [seeding.np_random(seed)[0] for seed in seeds]

    def _begin(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        self._new_search()
        genotypes = sample_populations(self.task.space, self._population_size, self._generators)
        self._population = Population(self.history, genotypes, self.num_offspring, self.survival)
        infos = self._record(self._population.initial_indices, partial(np.asarray, genotypes), {})
        return self._population.observe(), infos

    def _advance(
        self, actions: ArrayLike
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64], bool, dict[str, Any]]:
        offspring, indices, rewards = self._population.step(actions)
        infos = self._record(indices, partial(np.asarray, offspring), {})
        return self._population.observe(), rewards, False, infos

    def _mode_state(self) -> dict[str, NDArray[Any]]:
        generators = [json.dumps(one.bit_generator.state) for one in self._generators]
        return {
            "generators": np.array(generators),
            "genotypes": self._population.genotypes,
            "best": self._population.best_fitness,
        }

    def _set_mode_state(self, state: dict[str, NDArray[Any]]) -> None:
        for generator, text in zip(self._generators, state["generators"], strict=True):
            generator.bit_generator.state = json.loads(str(text))
        self._population = Population(
            self.history, state["genotypes"].copy(), self.num_offspring, self.survival
        )
        self._population.best_fitness = state["best"].copy()
