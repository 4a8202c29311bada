"""Whole architectures played in environments of any mode."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from nas_gym.envs.alpha import AlphaEnv, AlphaVectorEnv
from nas_gym.envs.population import PopulationEnv, PopulationVectorEnv
from nas_gym.envs.sequential import SequentialEnv, SequentialVectorEnv
from nas_gym.tasks import Task

Evaluated = tuple[NDArray[np.int64], NDArray[np.float64]]


def as_vector(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any] | str) -> VectorEnv[Any, Any, Any]:
    """The vector environment given; one environment, or the one of an ID, as a vector of one."""
    if isinstance(env, str):
        return gym.make_vec(env, num_envs=1)
    if isinstance(env, VectorEnv):
        return env
    if not isinstance(env, gym.Env):
        raise TypeError(
            "An agent takes an environment of nas_gym, a vector of them (gym.make_vec) or an ID; "
            f"got {type(env).__name__}."
        )
    return SyncVectorEnv([partial(_itself, env)])


def _itself(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    return env  # a function that can be pickled


def _resets_in_same_step(envs: VectorEnv[Any, Any, Any]) -> bool:
    return envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


class Player:
    """Evaluates genotypes in a vector environment through its actions, whatever its mode.

    Args:
        envs: a vector environment of this package, or a ``SyncVectorEnv`` over its environments,
            possibly wrapped.

    Raises:
        TypeError: another environment.
        ValueError: a population environment whose generations have several offspring, or whose
            survivors are not the youngest: a search that proposes one architecture at a time
            cannot drive it.
    """

    def __init__(self, envs: VectorEnv[Any, Any, Any]) -> None:
        self.envs = envs
        inner = envs.unwrapped
        self._one: Any = inner.envs[0].unwrapped if isinstance(inner, SyncVectorEnv) else inner
        self.num_trials = envs.num_envs
        if isinstance(self._one, (SequentialEnv, SequentialVectorEnv)):
            self._mode = "sequential"
        elif isinstance(self._one, (AlphaEnv, AlphaVectorEnv)):
            self._mode = "alpha"
        elif isinstance(self._one, (PopulationEnv, PopulationVectorEnv)):
            self._mode = "population"
            if isinstance(inner, SyncVectorEnv) and _resets_in_same_step(envs):
                raise ValueError("Use gym.make_vec's own vector environment with SAME_STEP.")
            if (self._one.num_offspring, self._one.survival) != (
                1,
                "aging",
            ):  # else each step evaluates the youngest
                raise ValueError(
                    "This agent proposes one architecture at a time: make the environment with "
                    "num_offspring=1 and survival='aging'."
                )
        else:
            raise TypeError(f"{envs} is not an environment of nas_gym.")
        self.task: Task = self._one.task
        self.steps_per_query = self.task.space.num_decisions if self._mode == "sequential" else 1
        # In NEXT_STEP mode the step after an episode's end resets and takes no action. It is taken
        # when the next architecture comes, so that the history of the episode can be read.
        self._resets_in_next_step = not _resets_in_same_step(envs)
        self.reset_is_due = False

    def reset(self, seed: int | None) -> Evaluated | None:
        """Begin; gives what is evaluated already: genotypes ``(n, m, L)``, fitness ``(n, m)``."""
        observations, _ = self.envs.reset(seed=seed)
        self.reset_is_due = False
        return self._first_population(observations)

    def _first_population(self, observations: Any) -> Evaluated | None:
        if self._mode != "population":
            return None
        fitness = observations["fitness"]
        return observations["genotypes"].reshape(*fitness.shape, -1), fitness

    def evaluate(self, genotypes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Fitness of one genotype for each trial, ``(n, L)`` -> ``(n,)``."""
        if self.reset_is_due:
            self.envs.step(self._any_action(genotypes))
        if self._mode == "sequential":
            for action in genotypes.T:
                observations, rewards, terminated, truncated, _ = self.envs.step(action)
        elif self._mode == "alpha":
            alpha = self.task.space.genotype_to_alpha(genotypes)
            observations, rewards, terminated, truncated, _ = self.envs.step(2 * alpha - 1)
        else:
            observations, rewards, terminated, truncated, infos = self.envs.step(genotypes)
            if "final_obs" in infos:
                observations = infos["final_obs"]
            rewards = observations["fitness"][:, -1]
        self.reset_is_due = self._resets_in_next_step and bool(terminated[0] or truncated[0])
        return np.asarray(rewards, np.float64)

    def _any_action(self, genotypes: NDArray[np.int64]) -> Any:
        if self._mode == "sequential":
            return genotypes[:, 0]
        return self.action(genotypes, None)

    def action(self, genotypes: NDArray[np.int64], observations: Any) -> Any:
        """The actions that build genotypes next, given the observations of their environments."""
        if self._mode == "population":
            return genotypes
        if self._mode == "alpha":
            return 2 * self.task.space.genotype_to_alpha(genotypes) - 1
        made = np.minimum(observations[:, -1].astype(np.int64), genotypes.shape[1] - 1)
        return genotypes[np.arange(len(genotypes)), made]
