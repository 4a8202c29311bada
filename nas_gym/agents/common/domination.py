"""Non-domination ranks and crowding distances of populations (Deb et al., IEEE TEC 2002)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def domination_ranks(fitness: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the non-domination rank of each member: 0 for the front, 1 for the next front, ….

    Args:
        fitness: Fitness of the members of each population, ``(n, members, D)``, to be maximized.

    Returns:
        Ranks, ``(n, members)`` int64.
    """
    one, other = fitness[:, :, None], fitness[:, None]
    dominates = (one >= other).all(axis=-1) & (one > other).any(axis=-1)
    ranks = np.full(fitness.shape[:2], -1)
    rank = 0
    while (left := ranks < 0).any():
        dominated = (dominates & left[:, :, None]).any(axis=1)
        ranks[left & ~dominated] = rank
        rank += 1
    return ranks


def crowding_distances(
    fitness: NDArray[np.float64], ranks: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the crowding distance of each member within the members of its rank.

    Args:
        fitness: Fitness of the members of each population, ``(n, members, D)``.
        ranks: Ranks of the members, ``(n, members)``.

    Returns:
        Distances, ``(n, members)`` float64; infinite for the extremes of each rank.
    """
    distances = np.zeros(ranks.shape)
    for population, own, result in zip(fitness, ranks, distances, strict=True):
        for rank in range(own.max() + 1):
            members = np.flatnonzero(own == rank)
            for values in population[members].T:
                order = np.argsort(values, kind="stable")
                sorted_values = values[order]
                gaps = np.full(len(members), np.inf)
                width = sorted_values[-1] - sorted_values[0]
                if width > 0:
                    gaps[1:-1] = (sorted_values[2:] - sorted_values[:-2]) / width
                result[members[order]] += gaps
    return distances
