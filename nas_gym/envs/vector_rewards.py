"""Vector rewards in the conventions of MO-Gymnasium."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from nas_gym.tasks import Task


class VectorReward(np.ndarray[Any, np.dtype[np.float64]]):
    """Reward of one step, ``(D,)`` float64: an array whose conversion to a number raises an error.

    Gymnasium's own vector environments convert each reward to a number. Results of computations
    with a reward are ordinary arrays.
    """

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """Return the result of a computation as an ordinary array or number."""
        return array[()]

    def __float__(self) -> float:
        """Raise an error that names the vector environment for rewards with several entries."""
        raise TypeError(
            f"A reward with {self.size} objectives is not a number. Make vector environments with "
            "gym.make_vec(ID, num_envs=N), without vectorization_mode=."
        )


class VectorRewards:
    """Attributes and methods of environments whose task has objectives.

    Attributes:
        task: The task that is searched.
        reward_space: Space of the reward of one environment, ``Box`` of shape ``(D,)`` float64.
            Rewards are maximized, so costs are negated. Missing if rewards are scalars.
        reward_dim: Number of objectives, ``D``. Missing if rewards are scalars.
    """

    task: Task
    reward_space: Box
    reward_dim: int

    def _declare_rewards(self) -> None:
        """Set the space of vector rewards, which includes the zeros of unfinished architectures."""
        if not self.task.objectives:
            return
        rewards = self.task.rewards
        if rewards is None or self.task.noise:
            high = np.full(len(self.task.objectives), np.inf)
            low = -high
        else:
            low, high = np.minimum(rewards.min(axis=0), 0.0), np.maximum(rewards.max(axis=0), 0.0)
        self.reward_space = Box(low, high, dtype=np.float64)
        self.reward_dim = len(self.task.objectives)

    def _refuse_objectives(self) -> None:
        """Raise an error if the task has objectives, which this mode cannot use.

        Raises:
            ValueError: If the task has objectives.
        """
        if self.task.objectives:
            raise ValueError(
                "Objectives are for environments in sequential mode, such as NB201-cifar10-mo-v0. "
                "The observation of alpha mode and the reward of population mode need one reward."
            )

    def pareto_front(self, gamma: float = 1.0) -> list[NDArray[np.float64]]:
        """Return the Pareto front of the returns of single episodes.

        The front is that of the rewards of all feasible architectures of the search space. It is
        for evaluation; an agent must not learn from it.

        Args:
            gamma: Discount factor. The reward comes with the last decision of an episode.

        Returns:
            The distinct vectors of the front, ``(D,)`` float64 each.

        Raises:
            ValueError: If rewards are scalars.
        """
        if not self.task.objectives:
            raise ValueError("This environment has scalar rewards. Give it objectives=.")
        return list(self.task.front.vectors * gamma ** (self.task.space.num_decisions - 1))
