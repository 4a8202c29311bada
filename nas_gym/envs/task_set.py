"""A task set as one environment, for agents that adapt to a task within an episode."""

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
    Search a random task of a task set in each episode. The environment is for agents that adapt to
    a task within an episode, as RL² does (Duan et al., 2016); RecurrentPPO of sb3-contrib is an
    example. Each `reset` samples one of the training tasks of the set. An episode consists of
    `queries` architectures, built one decision per step as in `SequentialEnv`.

    ## Action Space
    `Discrete(max_choices)`: the choice for the current decision, as in `SequentialEnv`. If the
    search space is restricted, as NAS-Bench-Graph is, `env.action_masks()` returns the valid
    actions. sb3-contrib's MaskablePPO uses this mask; RecurrentPPO does not.

    ## Observation Space
    `Box(float32)`, the concatenation of the observation of `SequentialEnv` (the one-hot decisions
    so far, and their number), the one-hot previous action, the reward of the previous action, and 1
    if the previous action completed an architecture, else 0.

    ## Rewards
    Rewards are those of `SequentialEnv`: 0 until the last decision of an architecture, then the
    reward of the architecture.

    ## Starting State
    The observation is all zeros, because no decision has been made and there is no previous action.

    ## Episode End
    The episode terminates after `queries` architectures.

    ## Arguments
    * `tasks`: a `nas_gym.TaskSet`, or the name of one.
    * `queries`: number of architectures per episode; 20 by default.
    * `render_mode`: `"ansi"` (text) or `"rgb_array"` (a drawing of the architecture).

    ```python
    >>> from nas_gym.envs import TaskSetEnv
    >>> env = TaskSetEnv("nbgraph/cora", queries=10)

    ```
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
        self._num_queried = queries  # no episode is in progress
        self._open_task(np.random.default_rng(0))  # any task, as all have the same search space
        space = self.env.task.space
        self.action_space = MaskedDiscrete(space.max_choices, self.action_masks)
        high = np.ones(space.one_hot_size + 1 + space.max_choices + 2, np.float32)
        high[space.one_hot_size] = space.num_decisions
        high[-2] = np.inf  # the reward
        self.observation_space = Box(np.where(np.isinf(high), -high, 0), high, dtype=np.float32)

    def _open_task(self, rng: np.random.Generator) -> None:
        """Sample a training task, and make an environment from it."""
        self.env = SequentialEnv(task=self.tasks.draw(rng), render_mode=self.render_mode)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Sample a task, and begin a search of it.

        Args:
            seed: Seed that determines the task and its noise, and the tasks of later episodes.
            options: Ignored.
        """
        super().reset(seed=seed)
        self._open_task(self.np_random)
        observation, info = self.env.reset(seed=int(self.np_random.integers(2**31)))
        self._num_queried = 0
        return self._observe(observation, None, 0.0, False), info

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Make one decision; after the last one of an architecture, begin the next architecture.

        Args:
            action: The choice for the current decision, an integer.

        Raises:
            TypeError, ValueError: If the action is invalid, as in :meth:`SequentialEnv.step`.
            gymnasium.error.ResetNeeded: If the episode has ended, or none has begun.
        """
        if self._num_queried == self.queries:
            raise gym.error.ResetNeeded("No episode is in progress: call env.reset().")
        observation, reward, complete, _, info = self.env.step(action)
        if complete:
            self._num_queried += 1
            observation, reset_info = self.env.reset()
            info["action_mask"] = reset_info["action_mask"]
        result = self._observe(observation, action, reward, complete)
        return result, reward, self._num_queried == self.queries, False, info

    def _observe(
        self, observation: NDArray[np.uint8], action: Any, reward: float, complete: bool
    ) -> NDArray[np.float32]:
        previous = np.zeros(self.env.task.space.max_choices)
        if action is not None:
            previous[action] = 1
        return np.concatenate([observation, previous, [reward, complete]], dtype=np.float32)

    def action_masks(self) -> NDArray[np.bool_]:
        """Return whether each action is valid now, ``(max_choices,)`` bool."""
        return self.env.action_masks()

    def render(self) -> Any:
        """Return the current architecture as text or as an image; see :meth:`SearchEnv.render`."""
        return self.env.render()
