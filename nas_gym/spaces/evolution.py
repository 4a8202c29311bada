"""Evolution of a population as in AT-NAS (Rong et al., 2022, Algorithm 2)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces.base import Genotypes, SearchSpace

Accept = Callable[[Genotypes], NDArray[np.bool_]]
"""Function that says which genotypes are allowed, ``(n, L)`` -> ``(n,)``."""

_MAX_DRAWS = 100  # rounds of random replacements for genotypes that are not allowed


def next_generation(
    space: SearchSpace,
    genotypes: Genotypes,
    fitness: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    size: int | None = None,
    parents: float = 0.25,
    crossover: float = 0.5,
    mutation: float = 0.5,
    refill: bool = True,
    accept: Accept | None = None,
) -> Genotypes:
    """Return the next generation: the parents, followed by their offspring.

    The fittest members are the parents. Crossover and mutation treat the decisions of one node of a
    cell as a unit (:attr:`SearchSpace.decision_groups`), so that every node keeps a valid
    description. A child may equal a parent or another child, as in the paper: section 3.3 allows
    that mutation leaves a copy as it was.

    Args:
        space: Search space of the population.
        genotypes: Population, ``(K, L)``.
        fitness: Fitness of the members, ``(K,)``; higher is better. Of equal members, the first is
            preferred.
        rng: Random generator.
        size: Members of the next generation; ``K`` by default.
        parents: Fraction of the population that survives as parents.
        crossover: Probability that a node of a child comes from the second of two random parents.
        mutation: Probability that a node of a mutated parent is drawn anew.
        refill: With true, crossover and mutation each make as many children as there are parents,
            and random architectures fill the population (Algorithm 2). Otherwise, crossover and
            mutation fill it (section 3.5).
        accept: Function that says which architectures are allowed; others are replaced by random
            ones.

    Raises:
        ValueError: If the search space seems to have no allowed architecture.
    """
    size = len(genotypes) if size is None else size
    count = max(1, min(size, int(len(genotypes) * parents)))
    best = genotypes[np.argsort(-fitness, kind="stable")[:count]]
    room = size - count
    crossed = min(count, room) if refill else room - room // 2
    mutated = min(count, room - crossed) if refill else room // 2
    pairs = rng.integers(count, size=(2, crossed))
    copies = best[np.arange(mutated) % count]
    children = np.concatenate(
        [
            _exchange_nodes(space, best[pairs[0]], best[pairs[1]], crossover, rng),
            _exchange_nodes(space, copies, space.sample(mutated, rng), mutation, rng),
            space.sample(room - crossed - mutated, rng),
        ]
    )
    if accept is not None:
        children = replace_rejected(space, children, accept, rng)
    return np.concatenate([best, children])


def replace_rejected(
    space: SearchSpace, genotypes: Genotypes, accept: Accept, rng: np.random.Generator
) -> Genotypes:
    """Return genotypes with random architectures in place of those that are not allowed.

    Raises:
        ValueError: If the search space seems to have no allowed architecture.
    """
    result = genotypes.copy()
    for _ in range(_MAX_DRAWS):
        rejected = ~accept(result)
        if not rejected.any():
            return result
        result[rejected] = space.sample(int(rejected.sum()), rng)
    raise ValueError(
        f"Of {_MAX_DRAWS} random architectures of {space.name}, none is below the limit. Raise the "
        "limit."
    )


def _exchange_nodes(
    space: SearchSpace,
    genotypes: Genotypes,
    others: Genotypes,
    probability: float,
    rng: np.random.Generator,
) -> Genotypes:
    """Return genotypes with some nodes of other genotypes; children outside the space stay as they
    were."""
    groups = space.decision_groups
    drawn = rng.random((len(genotypes), int(groups.max()) + 1)) < probability
    children = np.where(drawn[:, groups], others, genotypes)
    return np.where(space.contains(children)[:, None], children, genotypes)
