"""What agents offer that learn from task sets before they search."""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from typing_extensions import Self

from nas_gym.agents.common.base import Agent, Callback, State
from nas_gym.tasks.task_set import TaskSet, dataset_of


class MetaAgent(Agent):
    """An agent that learns from earlier tasks what to try first on the next one.

    :meth:`meta_learn` trains it on a task set; :meth:`adapt`, or the setting ``pretrained``, takes
    what it learned to a task that it has not seen.
    """

    meta_epochs: ClassVar[int]
    """Of :meth:`meta_learn`, where nothing else is said."""
    meta_queries: ClassVar[int]
    """The same."""
    _learned_from: NDArray[np.str_]  # the task set's description; empty before

    @property
    @abstractmethod
    def epochs(self) -> int:
        """How many epochs of meta-training lie behind it."""

    @abstractmethod
    def meta_learn(
        self,
        tasks: TaskSet | str,
        epochs: int,
        queries: int,
        callback: Callback | None = None,
        progress_bar: bool = False,
    ) -> Self:
        """Learn from tasks, up to ``epochs`` in all."""

    @abstractmethod
    def meta_diagnostics(self) -> dict[str, float]:
        """Losses and the like of the last epoch of meta-training, for TensorBoard."""

    @abstractmethod
    def _take_over(self, state: State, whose: str | Path) -> None:
        """Begin with what a meta-learned agent of any number of trials knows."""

    def check_tasks(self, tasks: TaskSet, epochs: int, queries: int) -> None:
        """Refuse what :meth:`meta_learn` cannot begin, or go on with.

        Raises:
            ValueError: counts below 1, or another task set than in the epochs before.
        """
        if epochs < 1 or queries < 1:
            raise ValueError(f"epochs and queries are at least 1, got {epochs} and {queries}.")
        if self.epochs and str(self._learned_from) != describe(tasks):
            raise ValueError(
                f"This agent has learned from {self._task_set()['name']}; it cannot go on with "
                f"{tasks.name}. Begin anew with another agent, or another file."
            )

    def _task_set(self) -> dict[str, Any]:
        """The name of what the agent has learned from, its columns and their data sets."""
        described: dict[str, Any] = json.loads(str(self._learned_from))
        return described

    def adapt(
        self,
        env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any] | str,
        queries: int = 50,
        seed: int | None = None,
    ) -> Self:
        """Search on another task with what was learned; this agent stays as it is.

        Args:
            env: of the target task.
            queries: of each trial, at least 1.
            seed: of the first trial; the trial of seed ``s`` begins with what trial ``s`` of this
                agent learned, counted around.

        Returns:
            the agent that has searched; its ``best_genotypes`` are the result.

        Raises:
            ValueError: an environment over a search space that it cannot search.
        """
        if queries < 1:
            raise ValueError(f"queries is at least 1, got {queries}.")
        settings = {name: getattr(self, name) for name in self.settings} | {"pretrained": ""}
        agent = type(self)(env, seed=seed, **settings)
        self._hand_over(agent)
        while agent.num_queries < queries:  # a first population makes several at once
            agent.query()
        return agent

    def _hand_over(self, agent: Self) -> None:
        state = self.state_dict()
        agent._check_start(state, "This agent")
        agent._take_over(state, "This agent")

    def _warn_of_leaks(self, whose: str | Path) -> None:
        """Say so where what was learned from tells of this agent's task."""
        learned = self._task_set()["columns"]
        datasets = set(learned.values()) - {""}
        for column in map(str, self.task.columns):
            if column in learned or dataset_of(column) in datasets:
                gym.logger.warn(
                    f"{whose} learned from {self._task_set()['name']}, which tells of {column}: "
                    "results on this task do not show how well it does on a new one."
                )
                return


def describe(tasks: TaskSet) -> str:
    """What a saved agent remembers of the task set that it learned from."""
    return json.dumps({"name": tasks.name, "columns": tasks.datasets})
