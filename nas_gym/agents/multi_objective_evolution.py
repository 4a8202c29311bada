"""Regularized evolution for several objectives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.domination import crowding_distances, domination_ranks
from nas_gym.agents.regularized_evolution import RegularizedEvolution


class MultiObjectiveEvolution(RegularizedEvolution):
    """Aging evolution whose tournaments compare non-domination rank, then crowding distance.

    It is regularized evolution (Real et al., AAAI 2019) with the comparison of NSGA-II (Deb et al.,
    IEEE TEC 2002). The first ``population_size`` queries are random architectures. In each later
    query, the best of ``sample_size`` random members is mutated: one decision changes. The child
    joins the population, and the oldest member is removed.
    """

    multi_objective = True
    searches_in = "environments with objectives"

    def setup(self) -> None:
        """Prepare an empty population; see :meth:`Agent.setup`.

        Raises:
            ValueError: If the task has no objectives.
        """
        if not self.task.objectives:
            raise ValueError(
                "MultiObjectiveEvolution needs a task with objectives, such as "
                "NB201-cifar10-mo-v0 or objectives=. For one objective, use rea."
            )
        super().setup()
        self.fitness = np.full((*self.fitness.shape, len(self.task.objectives)), -np.inf)

    def _winners(self, members: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the place of the winner of each trial's tournament among its ``members``."""
        ranks = domination_ranks(self.fitness)
        crowding = crowding_distances(self.fitness, ranks)
        own_ranks = np.take_along_axis(ranks, members, axis=1)
        own_crowding = np.take_along_axis(crowding, members, axis=1)
        winners: NDArray[np.int64] = np.lexsort((-own_crowding, own_ranks))[:, 0]
        return winners
