"""Gaussian noise on a search signal, which simulates the spread of single training runs.

The noise is a function of the search and the architecture: repeated queries of an architecture have
the same noise, and no noise has to be stored.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.utils.random import SPLITMIX64_INCREMENT, bits_to_uniform, box_muller, splitmix64

Keys = NDArray[np.uint64]
"""One number per search, which determines the noise of the search."""


def keys(seeds: Sequence[int | None]) -> Keys:
    """Return the keys of searches with these seeds; a search without a seed gets a random key."""
    # a spawn key that neither environments nor agents use
    branches = [np.random.SeedSequence(seed, spawn_key=(2,)) for seed in seeds]
    return np.array([branch.generate_state(1, np.uint64)[0] for branch in branches])


def next_keys(before: Keys) -> Keys:
    """Return the keys of the next searches if no new seeds are given."""
    return splitmix64(before)


def standard_normal(keys: Keys, indices: ArrayLike) -> NDArray[np.float64]:
    """Return the standard normal number that belongs to each pair of key and architecture.

    Args:
        keys: Keys of searches, in a shape that broadcasts to the shape of ``indices``.
        indices: Indices of architectures, int64.

    Returns:
        The numbers, shape of ``indices``, float64.
    """
    with np.errstate(over="ignore"):
        counters = keys + splitmix64(np.asarray(indices).astype(np.uint64))
        first = bits_to_uniform(splitmix64(counters))
        second = bits_to_uniform(splitmix64(counters + SPLITMIX64_INCREMENT))
    return box_muller(first, second)
