"""Base class of agents that learn from a set of tasks before they search."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from typing_extensions import Self

from nas_gym.agents.common.base import Agent, Callback
from nas_gym.agents.common.config import AgentConfig, setting
from nas_gym.agents.common.saved import State, explain_damage, saved_array
from nas_gym.tasks.task_set import TaskSet, dataset_of
from nas_gym.tasks.task_sets import load_task_set

TaskEmbeddings = tuple[NDArray[np.float32], list[dict[str, Any]]]
"""Vectors ``(m, d)``, and for each vector a dictionary of labels."""


@dataclass(frozen=True)
class MetaAgentConfig(AgentConfig):
    """Settings of every meta-learning agent."""

    pretrained: str = setting(
        "",
        "File of a meta-learned agent, or the name of one in this package, to start from. If it "
        "was trained with m trials, the trial with seed s starts from trial s modulo m.",
    )


class MetaAgent(Agent):
    """An agent that learns from earlier tasks which architectures to try first on a new task.

    :meth:`meta_learn` trains the agent on a task set. :meth:`adapt`, or the setting ``pretrained``,
    starts a search on a new task with the trained agent.

    In addition to the methods of :class:`Agent`, a subclass implements :attr:`epochs`,
    :meth:`train_epochs` and :meth:`take_over`. It may implement :meth:`start_search`,
    :meth:`meta_diagnostics` and :meth:`task_embeddings`. The settings of a subclass extend
    :class:`MetaAgentConfig`.
    """

    config_class = MetaAgentConfig

    state_attributes: ClassVar[tuple[str, ...]] = ("learned_from",)

    meta_epochs: ClassVar[int] = 25
    """Default of ``epochs`` in :meth:`meta_learn`."""

    meta_queries: ClassVar[int] = 20
    """Default of ``queries`` in :meth:`meta_learn`."""

    learned_from: NDArray[np.str_] = np.array("")
    """Description of the task set that the agent has learned from; empty before meta-training."""

    def _start_from_pretrained(self) -> None:
        if self.config.pretrained:
            self._start_from(self.read_pretrained(self.config.pretrained), self.config.pretrained)

    # -- methods that meta-learners implement -----------------------------------------------------

    @property
    @abstractmethod
    def epochs(self) -> int:
        """Number of epochs of meta-training that the agent has completed; saved with the agent."""

    @abstractmethod
    def train_epochs(self, tasks: TaskSet, epochs: int, queries: int) -> Iterator[None]:
        """Meta-train; this generator increases :attr:`epochs` by 1 and yields after each epoch.

        The generator may be closed after any epoch. After the agent is saved and loaded, a new
        generator continues with the next epoch.

        Args:
            tasks: Tasks to learn from; ``tasks.draw(rng)`` draws one.
            epochs: Total number of epochs, including completed ones.
            queries: Number of architectures to evaluate; the subclass documents whether per task
                or in total.
        """

    @abstractmethod
    def take_over(self, state: State, source: str | Path) -> None:
        """Copy the weights, or whatever else was learned, from a meta-learned agent of this class.

        The meta-learned agent may have another number of trials; see :meth:`source_trials`. The
        function :func:`nas_gym.agents.saved_array` reads state attributes from ``state``.

        Args:
            state: State of the meta-learned agent, as :meth:`state_dict` returns it.
            source: Name of the meta-learned agent, for error messages.

        Raises:
            AgentMismatchError: If the agent does not fit. Other errors are reported as damage of
                the saved agent.
        """

    def start_search(self) -> None:
        """Prepare a new search after meta-training; called at the end of meta-training."""

    def meta_diagnostics(self) -> dict[str, float]:
        """Return values of the last epoch of meta-training to plot in TensorBoard, by name."""
        return {}

    def task_embeddings(self, tasks: TaskSet) -> TaskEmbeddings | None:
        """Return the agent's embeddings of the tasks it learned from, for TensorBoard's projector.

        Args:
            tasks: Task set that the agent has learned from.

        Returns:
            Vectors ``(m, d)``, and for each vector a dictionary of labels; ``None`` if the agent
            has no embeddings.
        """
        return None

    # -- meta-training and adaptation -------------------------------------------------------------

    def meta_learn(
        self,
        tasks: TaskSet | str,
        epochs: int | None = None,
        queries: int | None = None,
        callback: Callback | None = None,
        progress_bar: bool | None = None,
    ) -> Self:
        """Learn from a task set; each trial learns independently of the others.

        An agent that has completed some epochs continues with the next one.

        Args:
            tasks: Task set over the search space of this agent's environment, or its name.
            epochs: Total number of epochs, including completed ones; :attr:`meta_epochs` by
                default.
            queries: Number of architectures to evaluate; the agent's documentation says whether
                per task or in total. :attr:`meta_queries` by default.
            callback: Function that is called with the agent after each epoch; meta-training stops
                when the function returns ``False``.
            progress_bar: Whether to show a progress bar; by default, it is shown if standard error
                is a terminal.

        Raises:
            ValueError: If ``epochs`` or ``queries`` is below 1, the tasks are over another search
                space, or the agent has started with another task set.
        """
        from nas_gym.agents.common.search_log import track

        tasks = load_task_set(tasks) if isinstance(tasks, str) else tasks
        epochs = self.meta_epochs if epochs is None else epochs
        queries = self.meta_queries if queries is None else queries
        self.check_tasks(tasks, epochs, queries)
        self.learned_from = np.array(task_set_text(tasks))
        try:
            with closing(self.train_epochs(tasks, epochs, queries)) as training:  # type: ignore[type-var]
                remaining = range(self.epochs, epochs)
                for epoch in track(remaining, "meta epochs", enabled=progress_bar):
                    next(training, None)
                    if self.epochs != epoch + 1:
                        raise RuntimeError(
                            f"{type(self).__name__}.train_epochs must count each epoch in epochs: "
                            f"epochs is {self.epochs} after epoch {epoch + 1}."
                        )
                    if callback is not None and callback(self) is False:
                        break
        finally:
            self.start_search()
        return self

    def check_tasks(self, tasks: TaskSet, epochs: int, queries: int) -> None:
        """Raise an error if :meth:`meta_learn` cannot start, or continue, with these arguments.

        Raises:
            ValueError: If ``epochs`` or ``queries`` is below 1, or the agent has started with
                another task set.
        """
        if epochs < 1 or queries < 1:
            raise ValueError(f"epochs and queries must be at least 1, got {epochs} and {queries}.")
        if self.epochs and str(self.learned_from) != task_set_text(tasks):
            raise ValueError(
                f"This agent has learned from {self._task_set()['name']}; it cannot continue with "
                f"{tasks.name}. Start with a fresh agent, or another file."
            )

    def adapt(
        self,
        env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any] | str,
        queries: int = 50,
        seed: int | None = None,
    ) -> Self:
        """Search on a new task with a copy of this meta-learned agent.

        Args:
            env: Environment of the new task.
            queries: Number of queries of each trial, at least 1.
            seed: Seed of the first trial. The trial with seed ``s`` starts from trial
                ``s % num_trials`` of this agent.

        Returns:
            The copy that has searched; its ``best_genotypes`` are the result.

        Raises:
            ValueError: If the agent cannot search the environment's search space.
        """
        if queries < 1:
            raise ValueError(f"queries must be at least 1, got {queries}.")
        agent = type(self)(env, seed=seed, config=replace(self.config, pretrained=""))
        self._hand_over(agent)
        while agent.num_queries < queries:  # the first generation counts as several queries
            agent.query()
        return agent

    def source_trials(self, num_trials: int) -> NDArray[np.int64]:
        """Return, for each trial of this agent, the trial of a meta-learned agent to start from.

        Args:
            num_trials: Number of trials of the meta-learned agent.
        """
        return np.array(self.rng.seeds) % num_trials

    def _hand_over(self, agent: Self) -> None:
        state = self.state_dict()
        agent.check_start(state, "This agent")
        agent._start_from(state, "This agent")

    def _start_from(self, state: State, source: str | Path) -> None:
        with explain_damage(source):
            self.take_over(state, source)
            self.learned_from = saved_array(state, "learned_from")
            if self.epochs:
                self._warn_of_leaks(source)

    def _task_set(self) -> dict[str, Any]:
        """Return the name and the columns of the task set that the agent has learned from."""
        described: dict[str, Any] = json.loads(str(self.learned_from))
        return described

    def _warn_of_leaks(self, source: str | Path) -> None:
        """Warn if the agent has learned from a metric or data set of the current task."""
        learned = self._task_set()["columns"]
        datasets = set(learned.values()) - {""}
        for column in map(str, self.task.columns):
            if column in learned or dataset_of(column) in datasets:
                gym.logger.warn(
                    f"{source} learned from {self._task_set()['name']}, which reveals {column}: "
                    "results on this task do not show how well it does on a new one."
                )
                return


def task_set_text(tasks: TaskSet) -> str:
    """Return, as JSON, the description of its task set that a meta-learned agent saves with
    itself."""
    return json.dumps({"name": tasks.name, "columns": tasks.datasets})
