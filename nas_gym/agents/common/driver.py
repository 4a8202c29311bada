"""Evaluation of complete architectures in environments of any mode."""

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
"""Genotypes ``(n, m, L)`` and their fitness ``(n, m)``."""


def as_vector(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any] | str) -> VectorEnv[Any, Any, Any]:
    """Return a vector environment unchanged; wrap a single environment or ID in a vector of one.

    Raises:
        TypeError: If ``env`` is neither an environment nor an ID.
    """
    if isinstance(env, str):
        return gym.make_vec(env, num_envs=1)
    if isinstance(env, VectorEnv):
        return env
    if not isinstance(env, gym.Env):
        raise TypeError(
            "An agent takes an environment of nas_gym, a vector of them (gym.make_vec) or an ID; "
            f"got {type(env).__name__}."
        )
    return SyncVectorEnv([partial(_identity, env)])


def _identity(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    return env  # unlike a lambda, this can be pickled


def _resets_in_same_step(envs: VectorEnv[Any, Any, Any]) -> bool:
    return envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


class EnvironmentDriver:
    """Evaluates genotypes in a vector environment of any mode by taking the required actions.

    Args:
        envs: Vector environment of this package, or a ``SyncVectorEnv`` over environments of this
            package; wrappers are allowed.

    Attributes:
        task: Task of the environments.
        num_trials: Number of environments, ``n``.
        steps_per_query: Number of environment steps that one query takes.
        reset_is_due: Whether the environments must be reset before the next query.

    Raises:
        TypeError: If the environment is not one of this package.
        ValueError: If a population environment has several offspring per generation, or a survival
            other than ``"aging"``; an agent that proposes one architecture at a time cannot use it.
    """

    def __init__(self, envs: VectorEnv[Any, Any, Any]) -> None:
        self.envs = envs
        inner = envs.unwrapped
        one: Any = inner.envs[0].unwrapped if isinstance(inner, SyncVectorEnv) else inner
        self.num_trials = envs.num_envs
        if isinstance(one, (SequentialEnv, SequentialVectorEnv)):
            self._mode = "sequential"
        elif isinstance(one, (AlphaEnv, AlphaVectorEnv)):
            self._mode = "alpha"
        elif isinstance(one, (PopulationEnv, PopulationVectorEnv)):
            self._mode = "population"
            if isinstance(inner, SyncVectorEnv) and _resets_in_same_step(envs):
                raise ValueError(
                    "SyncVectorEnv with SAME_STEP does not work in population mode. Make the "
                    'environments with gym.make_vec(..., autoreset_mode="SameStep").'
                )
            if (one.num_offspring, one.survival) != (
                1,
                "aging",
            ):  # evaluate() needs the newest member to be the offspring
                raise ValueError(
                    "This agent proposes one architecture at a time: make the environment with "
                    "num_offspring=1 and survival='aging'."
                )
        else:
            raise TypeError(f"{envs} is not an environment of nas_gym.")
        self.task: Task = one.task
        self.steps_per_query = self.task.space.num_decisions if self._mode == "sequential" else 1
        # In NEXT_STEP mode, the step after the end of an episode resets the environment and ignores
        # its action; in DISABLED mode, the caller resets. The driver resets just before the next
        # query, so that the history of the finished episode can be read until then.
        self._resets_later = not _resets_in_same_step(envs)
        self.reset_is_due = False

    def reset(self, seed: int | None) -> Evaluated | None:
        """Reset the environments.

        Returns:
            Genotypes and fitness of the first generation of population environments; ``None`` in
            the other modes.
        """
        observations, _ = self.envs.reset(seed=seed)
        self.reset_is_due = False
        if self._mode != "population":
            return None
        fitness = observations["fitness"]
        return observations["genotypes"].reshape(*fitness.shape, -1), fitness

    def evaluate(self, genotypes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the rewards ``(n,)`` of genotypes ``(n, L)``, one per trial."""
        if self.reset_is_due:
            self._begin_episode(genotypes)
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
        self.reset_is_due = self._resets_later and bool(terminated[0] or truncated[0])
        return np.asarray(rewards, np.float64)

    def _begin_episode(self, genotypes: NDArray[np.int64]) -> None:
        if self.envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED:
            self.envs.reset()
        else:
            self.envs.step(self._any_action(genotypes))

    def _any_action(self, genotypes: NDArray[np.int64]) -> Any:
        if self._mode == "sequential":
            return genotypes[:, 0]
        return self.next_actions(genotypes, None)

    def next_actions(self, genotypes: NDArray[np.int64], observations: Any) -> Any:
        """Return the next actions towards the given genotypes.

        Args:
            genotypes: Genotypes to build, ``(n, L)``.
            observations: Current observations of the environments; needed in sequential mode only.
        """
        if self._mode == "population":
            return genotypes
        if self._mode == "alpha":
            return 2 * self.task.space.genotype_to_alpha(genotypes) - 1
        decided = np.minimum(observations[:, -1].astype(np.int64), genotypes.shape[1] - 1)
        return genotypes[np.arange(len(genotypes)), decided]
