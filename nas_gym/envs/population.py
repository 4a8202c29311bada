"""Population mode: one generation a step."""

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

from nas_gym.envs.action_spaces import DrawnMultiDiscrete
from nas_gym.envs.base import SearchEnv, SearchVectorEnv
from nas_gym.envs.history import SearchHistory
from nas_gym.spaces import RandomSource, SearchSpace
from nas_gym.tasks import TaskArguments, make_task

Survival = Literal["aging", "elitist"]

_LARGEST = np.finfo(np.float64).max


class Population:
    """Architectures and their fitness, oldest first, for many searches side by side.

    Args:
        history: of the searches, which knows what architectures are worth in each.
        genotypes: the first population of each search, shape ``(n, size, L)``.
        num_offspring: how many are born in a generation.
        survival: ``"aging"``: the youngest stay (Real et al., 2019); ``"elitist"``: the fittest
            of parents and offspring stay, the older of equals.
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
        self.first_indices, self.fitness = self._evaluate(genotypes)
        self.best = self.fitness.max(axis=1)

    def _evaluate(
        self, genotypes: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        indices = self._history.space.encode(genotypes.reshape(-1, genotypes.shape[-1]))
        indices = indices.reshape(genotypes.shape[:-1])
        return indices, self._history.reward(indices)

    def observe(self) -> dict[str, NDArray[Any]]:
        """Genotypes, shape ``(n, size * L)`` int64, and fitness, ``(n, size)`` float64."""
        return {
            "fitness": self.fitness.copy(),
            "genotypes": self.genotypes.reshape(len(self.genotypes), -1).copy(),
        }

    def step(
        self, actions: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """The transition: evaluate offspring, let the population survive.

        Returns:
            the offspring's genotypes ``(n, num_offspring, L)`` and indices ``(n, num_offspring)``,
            and rewards ``(n,)``.

        Raises:
            TypeError: offspring that are not integers.
            ValueError: wrong shape, or genotypes outside the search space.
        """
        offspring = self._check(actions)
        indices, fitness = self._evaluate(offspring)
        before = self.best
        self.best = np.maximum(before, fitness.max(axis=1))
        genotypes = np.concatenate([self.genotypes, offspring], axis=1)
        all_fitness = np.concatenate([self.fitness, fitness], axis=1)
        size = self.fitness.shape[1]
        if self._survival == "aging":
            self.genotypes, self.fitness = genotypes[:, -size:], all_fitness[:, -size:]
        else:
            fittest = np.argsort(-all_fitness, axis=1, kind="stable")[:, :size]
            stay = np.sort(fittest, axis=1)  # oldest first again
            self.genotypes = np.take_along_axis(genotypes, stay[:, :, None], axis=1)
            self.fitness = np.take_along_axis(all_fitness, stay, axis=1)
        return offspring, indices, self.best - before

    def _check(self, actions: ArrayLike) -> NDArray[np.int64]:
        array = np.asarray(actions)
        n, decisions = len(self.genotypes), self.genotypes.shape[2]
        expected = (n, self._num_offspring * decisions)
        if array.shape != expected:
            raise ValueError(
                f"Actions of {n} population environments have shape {expected}: "
                f"{self._num_offspring} genotypes of {decisions} decisions each, laid end to end. "
                f"Got {array.shape}."
            )
        return np.array(array.reshape(n, self._num_offspring, decisions))


def sample_populations(
    space: SearchSpace, size: int, generators: Sequence[np.random.Generator]
) -> NDArray[np.int64]:
    """First populations, uniformly drawn by one generator each, shape ``(n, size, L)``."""
    # Branches of the generators: action_space.seed(s) and reset(seed=s) start from the same
    # numbers, and the first actions sampled would be the first population once more.
    branches = [np.random.default_rng(generator.integers(2**63)) for generator in generators]
    return np.stack([space.sample(size, branch) for branch in branches])


def _spaces(
    space: SearchSpace, size: int, num_offspring: int, survival: Survival
) -> tuple[Dict, MultiDiscrete]:
    if size < 1 or num_offspring < 1:
        raise ValueError(
            f"population_size and num_offspring are at least 1, got {size} and {num_offspring}."
        )
    if survival not in ("aging", "elitist"):
        raise ValueError(f"survival is 'aging' or 'elitist', got {survival!r}.")
    observation_space = Dict(
        {
            # every number but infinity, which Gymnasium's checker warns of
            "fitness": Box(-_LARGEST, _LARGEST, (size,), np.float64),
            "genotypes": MultiDiscrete(np.tile(space.num_choices, size)),
        }
    )
    return observation_space, _action_space(space, (num_offspring,))


def _action_space(space: SearchSpace, shape: tuple[int, ...]) -> MultiDiscrete:
    nvec = np.broadcast_to(space.num_choices, (*shape, space.num_decisions))
    nvec = nvec.reshape(*shape[:-1], -1)
    if not space.has_masks:
        return MultiDiscrete(nvec)

    def draw(rng: RandomSource) -> NDArray[np.int64]:
        return space.sample(int(np.prod(shape)), rng).reshape(nvec.shape)

    return DrawnMultiDiscrete(nvec, draw)


class PopulationEnv(SearchEnv):
    """
    ## Description
    Breed a population of architectures, one generation a step, as evolutionary searches do
    (regularized evolution, Real et al. 2019; AT-NAS, section 3.3). The environment evaluates the
    offspring and decides who survives; the agent decides who is born. One episode is one search.

    ## Action Space
    `MultiDiscrete`, shape `(num_offspring * decisions,)`: the genotypes of the offspring, laid
    end to end. A genotype that is not an architecture of the search space raises `ValueError`.
    Where there are such genotypes, `action_space.sample()` draws valid ones only.

    ## Observation Space
    `Dict`: `genotypes`, `MultiDiscrete` of shape `(population_size * decisions,)`, and `fitness`,
    `Box(float64)` of shape `(population_size,)`, both oldest first. `genotypes.reshape(-1,
    decisions)` gives one architecture a row; fitness is its search signal, negated where less is
    better.

    ## Rewards
    By how much the generation improves on the best fitness of the search so far: >= 0.

    ## Starting State
    `population_size` architectures drawn uniformly. They count as queries.

    ## Episode End
    Truncated after `max_episode_steps` generations (490; change it in `gym.make`): with one
    offspring and a population of ten, 500 queries. Every step's `info` describes its queries:
    `genotype` `(num_offspring, decisions)`, `index`, `arch` and `metrics` of shape
    `(num_offspring,)`, and `queries`, `unique_queries`, `incumbent`, `incumbent_reward`,
    `incumbent_report`, `regret` as in the other modes. `reset` begins a new search, and its
    `info` describes the first population.

    ## Arguments
    * `population_size`: 10, and `num_offspring`: 1, as NAS-Bench-201's own evolution baseline.
    * `survival`: `"aging"` (the youngest stay) or `"elitist"` (the fittest stay).
    * `table`, `dataset`, `signal`, `report`, `noise`, `reward`, `space`, `evaluator`, `supernet`,
      `device`, `size`, `task`, `render_mode`: as in the sequential mode.
      `NB201-cifar10-population` searches `analog-nasbench` by default.

    ```python
    >>> import gymnasium as gym
    >>> import nas_gym
    >>> env = gym.make("NB201-cifar10-population-v0", population_size=50, num_offspring=10)

    ```

    ## Vectorized environment
    `gym.make_vec(id, num_envs=64)`; `autoreset_mode` as in the sequential mode. Search `i` of a
    vector environment that is reset with seed `s` draws the same first population as a scalar
    environment that is reset with `s + i`.

    ## Version History
    * v0: initial version.
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
        self.observation_space, self.action_space = _spaces(
            self.task.space, population_size, num_offspring, survival
        )
        self._size = population_size
        self.num_offspring, self.survival = num_offspring, survival
        self._population: Population

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Begin a new search with a new population."""
        super().reset(seed=seed)
        self._new_search(seed)
        genotypes = sample_populations(self.task.space, self._size, [self.np_random])
        self._population = Population(self.history, genotypes, self.num_offspring, self.survival)
        info = self._record(self._population.first_indices, partial(np.asarray, genotypes), {})
        return self._observe(), info

    def _observe(self) -> dict[str, NDArray[Any]]:
        return {key: value[0] for key, value in self._population.observe().items()}

    def step(
        self, action: ArrayLike
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Evaluate one generation of offspring.

        Raises:
            TypeError: offspring that are not integers.
            ValueError: wrong shape, or an invalid genotype; nothing is queried.
            gymnasium.error.ResetNeeded: before the first ``reset``.
        """
        if self.history.queries == 0:
            raise gym.error.ResetNeeded("There is no population yet: call env.reset().")
        offspring, indices, rewards = self._population.step(np.asarray(action)[None])
        info = self._record(indices, partial(np.asarray, offspring), {})
        return self._observe(), float(rewards[0]), False, False, info


class PopulationVectorEnv(SearchVectorEnv):
    """Many :class:`PopulationEnv` in lockstep.

    Args:
        num_envs: how many searches.
        max_episode_steps: the number of generations, after which every search is truncated.
        autoreset_mode: ``AutoresetMode.NEXT_STEP`` or ``AutoresetMode.SAME_STEP``.

    The other arguments are those of :class:`PopulationEnv`.
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
        self.single_observation_space, self.single_action_space = _spaces(
            self.task.space, population_size, num_offspring, survival
        )
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = _action_space(self.task.space, (num_envs, num_offspring))
        self._size = population_size
        self.num_offspring, self.survival = num_offspring, survival
        self._generators = [seeding.np_random()[0] for _ in range(num_envs)]
        self._population: Population

    def _seed(self, seeds: list[int | None]) -> None:
        super()._seed(seeds)
        self._generators = [seeding.np_random(seed)[0] for seed in seeds]

    def _begin(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        self._new_search()
        genotypes = sample_populations(self.task.space, self._size, self._generators)
        self._population = Population(self.history, genotypes, self.num_offspring, self.survival)
        infos = self._record(self._population.first_indices, partial(np.asarray, genotypes), {})
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
            "best": self._population.best,
        }

    def _set_mode_state(self, state: dict[str, NDArray[Any]]) -> None:
        for generator, text in zip(self._generators, state["generators"], strict=True):
            generator.bit_generator.state = json.loads(str(text))
        self._population = Population(
            self.history, state["genotypes"].copy(), self.num_offspring, self.survival
        )
        self._population.best = state["best"].copy()
