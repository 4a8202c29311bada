"""Rewards that reinforcement learning can tell apart, for stable-baselines3's algorithms."""

from __future__ import annotations

import bisect
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper


class RankRewards(VecEnvWrapper):
    """Rewards by rank: how an architecture compares with all that were queried before.

    Accuracies of good architectures lie a tenth of a percent apart and far above zero, which
    neither a fresh value function nor a running standard deviation brings out. An architecture
    that beats ``m`` of the ``n`` before it (ties count half) has the quantile
    ``q = (m + 0.5) / (n + 1)`` and is rewarded with ``-log(1 - q) - 1``: the score of its rank
    under an exponential distribution, which has mean 0 and grows towards the best. Steps that
    query nothing are rewarded with 0.

    Args:
        venv: environments of this package, all of one search.
    """

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv)
        self._past: list[float] = []  # in ascending order

    def reset(self) -> Any:
        """As the environments'; what is known of rewards is kept."""
        return self.venv.reset()

    def step_wait(
        self,
    ) -> tuple[Any, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """As the environments', with the rewards of queries replaced."""
        observations, rewards, dones, infos = self.venv.step_wait()
        scores = np.zeros_like(rewards)
        if self._queried(dones):
            for i, reward in enumerate(rewards.tolist()):
                scores[i] = self._score(reward)
                bisect.insort(self._past, reward)
        return observations, scores, dones, infos

    def _queried(self, dones: NDArray[np.bool_]) -> bool:
        # in sequential mode an episode is one query, in alpha mode every step is
        discrete = hasattr(self.action_space, "n")
        return bool(dones[0]) or not discrete

    def _score(self, reward: float) -> float:
        below = bisect.bisect_left(self._past, reward)
        equal = bisect.bisect_right(self._past, reward) - below
        share = (below + 0.5 * equal + 0.5) / (len(self._past) + 1)
        return float(-np.log1p(-share)) - 1.0
