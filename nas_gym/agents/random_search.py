"""Random search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent


class RandomSearch(Agent):
    """Random search: each query is drawn uniformly and independently (Li and Talwalkar, 2019).

    Example:
        >>> import nas_gym
        >>> from nas_gym.agents import RandomSearch
        >>> agent = RandomSearch("NB201-cifar10-alpha-v0", seed=0).learn(100)
        >>> agent.num_queries
        100
    """

    multi_objective = True

    def ask(self) -> NDArray[np.int64]:
        """Return architectures drawn uniformly; see :meth:`Agent.ask`."""
        return self.space.sample(self.num_trials, self.rng)
