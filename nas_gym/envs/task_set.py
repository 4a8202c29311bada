"""A task set as one environment: a task is drawn at each reset, and searched for some queries."""

from __future__ import annotations

import operator
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from nas_gym.envs.action_spaces import MaskedDiscrete
from nas_gym.envs.base import METADATA
from nas_gym.envs.sequential import SequentialEnv
from nas_gym.tasks.task_set import TaskSet
from nas_gym.tasks.task_sets import load_task_set


class TaskSetEnv(gym.Env[NDArray[np.float32], np.int64]):
    """
    ## Description
    For agents that learn to adapt within an episode, as RL² does (Duan et al., 2016), such as
    sb3-contrib's RecurrentPPO. Each reset draws a task from a task set's training tasks; the
    episode is ``queries`` architectures on it, one decision a step as in :class:`SequentialEnv`,
    whose actions and rewards these are.

    ## Observation Space
    `Box`, float32: the observation of :class:`SequentialEnv` (decisions so far, one-hot, and their
    count); the last action, one-hot; its reward; and 1 where it completed an architecture.

    ## Episode End
    Terminates after ``queries`` architectures.

    ## Action Space
    `Discrete`: the choice for the next decision. Where some are invalid (NAS-Bench-Graph),
    ``action_masks()`` tells which: sb3-contrib's MaskablePPO follows it, RecurrentPPO does not.

    ## Arguments
    * `tasks`: a :class:`nas_gym.TaskSet`, or the name of one.
    * `queries`: architectures of an episode, 20 by default.
    """

    metadata: ClassVar[dict[str, Any]] = METADATA  # type: ignore[misc]

    def __init__(
        self, tasks: TaskSet | str, queries: int = 20, render_mode: str | None = None
    ) -> None:
        if operator.index(queries) < 1:
            raise ValueError(f"queries is at least 1, got {queries}.")
        self.tasks = load_task_set(tasks) if isinstance(tasks, str) else tasks
        self.queries = queries
        self.render_mode = render_mode
        self._made = queries  # no episode has begun
        self._draw(np.random.default_rng(0))  # which shows what actions and observations are like
        space = self.env.task.space
        self.action_space = MaskedDiscrete(space.max_choices, self.action_masks)
        high = np.ones(space.one_hot_size + 1 + space.max_choices + 2, np.float32)
        high[space.one_hot_size] = space.num_decisions
        high[-2] = np.inf  # the reward
        self.observation_space = Box(np.where(np.isinf(high), -high, 0), high, dtype=np.float32)

    def _draw(self, rng: np.random.Generator) -> None:
        self.env = SequentialEnv(task=self.tasks.draw(rng), render_mode=self.render_mode)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Draw a task and begin to search it."""
        super().reset(seed=seed)
        self._draw(self.np_random)
        observation, info = self.env.reset(seed=int(self.np_random.integers(2**31)))
        self._made = 0
        return self._observe(observation, None, 0.0, False), info

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Make one decision; after the last one of an architecture, the next one begins."""
        if self._made == self.queries:
            raise gym.error.ResetNeeded("No episode is under way: call env.reset().")
        observation, reward, complete, _, info = self.env.step(action)
        if complete:
            self._made += 1
            observation, begins = self.env.reset()
            info["action_mask"] = begins["action_mask"]
        found = self._observe(observation, action, reward, complete)
        return found, reward, self._made == self.queries, False, info

    def _observe(
        self, observation: NDArray[np.uint8], action: Any, reward: float, complete: bool
    ) -> NDArray[np.float32]:
        last = np.zeros(self.env.task.space.max_choices)
        if action is not None:
            last[action] = 1
        return np.concatenate([observation, last, [reward, complete]], dtype=np.float32)

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are valid now, shape ``(max_choices,)``."""
        return self.env.action_masks()

    def render(self) -> Any:
        """As :meth:`SequentialEnv.render`."""
        return self.env.render()
