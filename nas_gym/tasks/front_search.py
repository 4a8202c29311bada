"""Approximation of the Pareto front of a search space that is too large to be enumerated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import SearchSpace
from nas_gym.tasks.fronts import ParetoFront, Vectors, non_dominated

_GENERATIONS = 40
_OFFSPRING = 4096  # architectures per generation

_Indices = NDArray[np.int64]


def search_front(
    space: SearchSpace,
    objectives: Callable[[_Indices], Vectors],
    is_feasible: Callable[[_Indices], NDArray[np.bool_]],
) -> ParetoFront:
    """Return the Pareto front of about 160,000 architectures, found by evolution.

    Each generation consists of mutations and crossovers of the front so far. The result is the same
    every time.

    Args:
        space: Search space.
        objectives: Function that returns the objectives of architectures, to be maximized, ``(n,)``
            indices -> ``(n, D)``.
        is_feasible: Function that says which architectures are feasible, ``(n,)`` -> ``(n,)``.
    """
    rng = np.random.default_rng(0)
    drawn = space.encode(space.sample(_OFFSPRING, rng))
    front = np.empty(0, np.int64)
    for _ in range(_GENERATIONS):
        pool = np.union1d(front, drawn)
        pool = pool[is_feasible(pool)]
        front = pool[non_dominated(objectives(pool))]
        parents = space.decode(front) if len(front) else space.sample(_OFFSPRING, rng)
        first, second = parents[rng.integers(len(parents), size=(2, _OFFSPRING))]
        drawn = space.encode(space.mutate(space.crossover(first, second, rng), rng))
    return ParetoFront(front, np.unique(objectives(front), axis=0)[::-1])
