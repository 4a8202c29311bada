"""Search for several objectives with an agent for one reward, through scalarization."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.config import AgentConfig, setting
from nas_gym.agents.common.saved import State, refuse_infinite
from nas_gym.agents.registry import find_agent
from nas_gym.agents.sb3.models import ALGORITHMS
from nas_gym.envs import SequentialVectorEnv
from nas_gym.tasks import Task
from nas_gym.utils.expressions import parse_call

_SEED_STEP = 1_000_003  # distance of the seeds of successive agents
_AUGMENTATION = 0.05  # weight of the linear part of the Chebyshev scalarization


@dataclass(frozen=True)
class ScalarizedConfig(AgentConfig):
    """Settings of :class:`Scalarized`."""

    agent: str = setting("rea", "Agent for one reward, with settings: rea(sample_size=5).")
    scalarization: str = setting(
        "chebyshev",
        "Function that combines the objectives into one reward.",
        choices=("chebyshev", "linear"),
    )
    weights: str = setting(
        "random",
        "Weight of each objective, such as 0.7/0.3; or random, for new weights in every period.",
    )
    period: int = setting(
        50, "Number of queries with the same random weights.", low=1, high=1_000_000
    )
    num_random: int = setting(
        20,
        "Number of random architectures at the start, which scale the objectives.",
        low=2,
        high=1_000_000,
    )
    num_carried: int = setting(
        20,
        "Number of earlier architectures that the new agent is told when the weights change.",
        low=0,
        high=1_000_000,
    )


class Scalarized(Agent):
    """An agent for one reward, which maximizes a weighted function of the objectives.

    Objectives are shifted and scaled so that the first ``num_random`` architectures, which are
    random, have values from -1 to 0. The Chebyshev scalarization of scaled objectives ``f`` is the
    minimum of ``w * f`` over the objectives, plus 0.05 times their sum; the linear scalarization is
    the sum of ``w * f``. With random weights, each trial draws new weights, uniformly from the
    simplex, after every ``period`` queries. A new agent then continues: it is told the
    ``num_carried`` architectures so far that are best under the new weights.
    """

    config_class = ScalarizedConfig
    config: ScalarizedConfig
    multi_objective = True
    searches_in = "environments with objectives"
    state_attributes = ("genotypes", "vectors", "current_weights", "number")

    def setup(self) -> None:
        """Prepare the first agent; see :meth:`Agent.setup`.

        Raises:
            ValueError: If the task has no objectives, there is no such agent, the agent cannot
                search for one reward, or the weights are wrong.
        """
        if not self.task.objectives:
            raise ValueError(
                "scalarized needs a task with objectives, such as NB201-cifar10-mo-v0 or "
                "objectives=."
            )
        call = parse_call(self.config.agent)
        if call.name in ALGORITHMS:
            raise ValueError(
                f"agent is an agent for one reward with ask() and tell(); {call.name!r} is an "
                "algorithm of stable-baselines3, which has neither. Wrap the environment in "
                "mo_gymnasium.wrappers.LinearReward and train the algorithm on it."
            )
        registered = find_agent(call.name)
        if registered.is_function or issubclass(registered.agent_class, Scalarized):
            raise ValueError(
                f"agent is an agent for one reward with ask() and tell(), got {call.name!r}."
            )
        self._agent, self._settings = registered, call.arguments
        n, dimension = self.num_trials, len(self.task.objectives)
        self.genotypes = np.empty((n, 0, self.space.num_decisions), np.int64)
        self.vectors = np.empty((n, 0, dimension))
        self.current_weights = np.tile(_parse_weights(self.config.weights, dimension), (n, 1))
        self.number = 0  # number of agents so far
        self._inner: Agent | None = None

    def ask(self) -> NDArray[np.int64]:
        """Return random architectures, then those of the current agent; see :meth:`Agent.ask`."""
        queries = self.vectors.shape[1] - self.config.num_random
        if queries < 0:
            return self.space.sample(self.num_trials, self.rng)
        is_random = self.config.weights == "random"
        if self._inner is None or (is_random and queries and queries % self.config.period == 0):
            self._start_agent(is_random)
        assert self._inner is not None
        return self._inner.ask()

    def _start_agent(self, new_weights: bool) -> None:
        if new_weights:
            draws = -np.log1p(-self.rng.random(self.current_weights.shape))
            self.current_weights = draws / draws.sum(axis=1, keepdims=True)
        self.number += 1
        self._inner = self._make_agent()
        rewards = self._scalarize(self.vectors)
        best = np.argsort(rewards, axis=1, kind="stable")[:, -self.config.num_carried :]
        for member in best.T if self.config.num_carried else ():
            rows = np.arange(self.num_trials)
            self._inner.tell(self.genotypes[rows, member], rewards[rows, member])

    def _make_agent(self) -> Agent:
        task = self.task
        scalar = Task(task.space, task.evaluator, signal=task.signal, report=task.report)
        env = SequentialVectorEnv(self.num_trials, task=scalar)
        seed = self.seed + _SEED_STEP * self.number
        return self._agent.make_agent(env, self._settings, seed=seed)

    def _scalarize(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scalar rewards of vectors, ``(n, m, D)`` -> ``(n, m)``."""
        first = self.vectors[:, : self.config.num_random]
        low, high = first.min(axis=1, keepdims=True), first.max(axis=1, keepdims=True)
        scaled = (vectors - high) / np.where(high > low, high - low, 1.0)
        weighted = self.current_weights[:, None] * scaled
        total: NDArray[np.float64] = weighted.sum(axis=-1)
        if self.config.scalarization == "linear":
            return total
        rewards: NDArray[np.float64] = np.min(weighted, axis=-1) + _AUGMENTATION * total
        return rewards

    def tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        """Pass the scalar rewards on to the current agent; see :meth:`Agent.tell`."""
        self.genotypes = np.concatenate([self.genotypes, genotypes[:, None]], axis=1)
        self.vectors = np.concatenate([self.vectors, fitness[:, None]], axis=1)
        if self._inner is not None:
            self._inner.tell(genotypes, self._scalarize(fitness[:, None])[:, 0])

    # -- saving and loading -----------------------------------------------------------------------

    def state_dict(self) -> State:
        """Return the state with that of the current agent; see :meth:`Agent.state_dict`."""
        state = super().state_dict()
        if self._inner is not None:
            state |= {f"inner.{name}": value for name, value in self._inner.state_dict().items()}
        return state

    def load_state_dict(self, state: State, *, env_restored: bool = False) -> None:
        """Restore a state; see :meth:`Agent.load_state_dict`."""
        super().load_state_dict(state, env_restored=env_restored)
        inner = {
            name.removeprefix("inner."): value
            for name, value in state.items()
            if name.startswith("inner.")
        }
        self._inner = self._make_agent() if self.number else None
        if self._inner is not None:
            self._inner.load_state_dict(inner, env_restored=True)

    def check_state(self) -> None:
        """Raise an error if the history is damaged; see :meth:`Agent.check_state`."""
        super().check_state()
        refuse_infinite({"vectors": self.vectors, "current_weights": self.current_weights})
        self.check_architectures("genotypes", self.genotypes, self.vectors[..., 0])


def _parse_weights(text: str, dimension: int) -> NDArray[np.float64]:
    """Return the weights of the objectives, ``(dimension,)``; equal weights for ``"random"``.

    Raises:
        ValueError: If the text is not one positive number per objective.
    """
    if text == "random":
        return np.full(dimension, 1.0 / dimension)
    try:
        weights = np.array([float(each) for each in text.split("/")])
    except ValueError:
        weights = np.empty(0)
    if len(weights) != dimension or not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(
            f"weights is random, or {dimension} numbers above 0 such as "
            f"{'/'.join(['1'] * dimension)}; got {text!r}."
        )
    scaled: NDArray[np.float64] = weights / weights.sum()
    return scaled
