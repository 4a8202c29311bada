"""Search algorithms written as plain functions ``search(task, queries, rng)``.

Example:
    >>> import nas_gym
    >>> from nas_gym.agents import run_function
    >>> def climb(task, queries, rng):
    ...     best = task.space.sample(1, rng)
    ...     fitness = task.evaluate(best)
    ...     while True:
    ...         child = task.space.mutate(best, rng)
    ...         reward = task.evaluate(child)
    ...         if reward >= fitness:
    ...             best, fitness = child, reward
    >>> run_function(climb, "NB201-cifar10-v0", queries=50, seed=0).rewards.shape
    (50, 1)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import ArrayLike, NDArray

from nas_gym.agents.common.checks import check_genotypes
from nas_gym.agents.common.driver import EnvironmentDriver
from nas_gym.recording import RecordVectorSearch
from nas_gym.recording.curves import Curves
from nas_gym.registration import Mode, in_mode
from nas_gym.spaces import SearchSpace


class BudgetExhausted(Exception):
    """Error that :meth:`SearchTask.evaluate` raises when the budget of queries is used up."""


class SearchTask:
    """The task that a search function receives: a search space, and rewards for architectures.

    Attributes:
        space: Search space.
        queries_left: Number of queries left in the budget.
    """

    def __init__(self, driver: EnvironmentDriver, queries: int, name: str) -> None:
        self._driver = driver
        self._name = name
        self.space: SearchSpace = driver.task.space
        self.queries_left = queries

    def evaluate(self, genotypes: ArrayLike) -> NDArray[np.float64]:
        """Return the rewards of architectures; each row is one query.

        Args:
            genotypes: Genotypes, ``(m, L)`` integers.

        Returns:
            Rewards, ``(m,)``; higher is better.

        Raises:
            BudgetExhausted: If there are more genotypes than queries left; the remaining queries
                are used first. The error ends the search, so a function need not catch it.
            ValueError: If a genotype is not an architecture of the space.
        """
        rows = check_genotypes(genotypes, self.space, None, f"genotypes of {self._name}")
        rewards = []
        for row in rows:
            if self.queries_left < 1:
                raise BudgetExhausted
            rewards.append(self._driver.evaluate(row[None])[0])
            self.queries_left -= 1
        return np.array(rewards, np.float64)


SearchFunction = Callable[[SearchTask, int, np.random.Generator], Any]
"""Function ``search(task, queries, rng)``, which evaluates architectures of ``task`` until the
budget of ``queries`` is used up. It draws random numbers from ``rng``. Its result is ignored."""


def run_function(
    function: SearchFunction,
    env: str | VectorEnv[Any, Any, Any],
    queries: int,
    seed: int,
    env_arguments: Mapping[str, Any] | None = None,
) -> Curves:
    """Run one trial of a search function.

    Args:
        function: Function ``search(task, queries, rng)``.
        env: Environment ID of the task, in any mode; or a vector of one environment in sequential
            or alpha mode, with episodes of at least ``queries`` queries.
        queries: Number of queries, the budget.
        seed: Seed of the random numbers, and of the noise on the search signal.
        env_arguments: Further arguments of ``gym.make_vec`` if ``env`` is an ID.

    Returns:
        The recorded search; every array has shape ``(queries, 1)``.

    Raises:
        ValueError: If the function returns before the budget is used up, or ``env`` is a vector of
            several environments or a population environment.
    """
    if isinstance(env, str):
        env = _make_env(env, queries, env_arguments or {})
    recorder = RecordVectorSearch(env)
    driver = EnvironmentDriver(recorder)
    if driver.num_trials != 1:
        raise ValueError(f"A search function needs one environment, got {driver.num_trials}.")
    if driver.reset(seed) is not None:
        raise ValueError(
            "A search function cannot use a population environment, which evaluates its own "
            "first generation. Use the environment in sequential or alpha mode."
        )
    name = getattr(function, "__qualname__", repr(function))
    task = SearchTask(driver, queries, name)
    # the environment draws from PCG64(seed) itself; the function needs another stream
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    with suppress(BudgetExhausted):
        function(task, queries, rng)
    if task.queries_left:
        raise ValueError(
            f"{name} returned after {queries - task.queries_left} of {queries} queries: a search "
            "function must call task.evaluate until the budget is used up."
        )
    return recorder.curves().first_queries(queries)


def _make_env(env_id: str, queries: int, arguments: Mapping[str, Any]) -> VectorEnv[Any, Any, Any]:
    """Return a vector of one environment: in alpha mode, where a query takes one step, or, for a
    task with objectives, in sequential mode."""
    known = {**gym.spec(env_id).kwargs, **arguments}
    if known.get("objectives") or getattr(known.get("task"), "objectives", ()):
        return gym.make_vec(in_mode(env_id, Mode.SEQUENTIAL), num_envs=1, **arguments)
    arguments = {"max_episode_steps": queries, **arguments}
    return gym.make_vec(in_mode(env_id, Mode.ALPHA), num_envs=1, **arguments)
