"""Rank-based rewards for stable-baselines3's algorithms."""

from __future__ import annotations

import bisect
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper


class RankRewards(VecEnvWrapper):
    """Replaces the reward of a query by a score of its rank among all earlier queries.

    Accuracies of good architectures differ by about 0.1 % and are far above zero. Such differences
    are too small for a newly initialized value function, and for rewards scaled by a running
    standard deviation. An architecture that beats ``m`` of the ``n`` earlier ones (ties count half)
    has the relative rank ``q = (m + 0.5) / (n + 1)``. Its reward is ``-log(1 - q) - 1``: the
    q-quantile of an exponential distribution shifted to mean 0. Differences between rewards grow
    towards the best architectures. Steps that complete no query have reward 0.

    Args:
        venv: Environments of this package that together serve one search.
    """

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv)
        self._earlier: list[float] = []  # rewards in ascending order

    def reset(self) -> Any:
        """Reset the environments; earlier rewards are kept."""
        return self.venv.reset()

    def step_wait(
        self,
    ) -> tuple[Any, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Wait for the step of the environments and replace the rewards of queries."""
        observations, rewards, dones, infos = self.venv.step_wait()
        scores = np.zeros_like(rewards)
        if self._completes_query(dones):
            for i, reward in enumerate(rewards.tolist()):
                scores[i] = self._score(reward)
                bisect.insort(self._earlier, reward)
        return observations, scores, dones, infos

    def _completes_query(self, dones: NDArray[np.bool_]) -> bool:
        # one query is an episode in sequential mode, and a step in alpha mode
        discrete = hasattr(self.action_space, "n")
        return bool(dones[0]) or not discrete

    def _score(self, reward: float) -> float:
        below = bisect.bisect_left(self._earlier, reward)
        equal = bisect.bisect_right(self._earlier, reward) - below
        share = (below + 0.5 * equal + 0.5) / (len(self._earlier) + 1)
        return float(-np.log1p(-share)) - 1.0
