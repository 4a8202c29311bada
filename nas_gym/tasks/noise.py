"""Gaussian noise on a search signal: it stands for the spread of single trainings.

It is a function of the search and of the architecture, so that a search that asks again gets the
same answer, and nothing has to be remembered.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.utils.random import SPLITMIX64_INCREMENT, bits_to_uniform, box_muller, splitmix64

Keys = NDArray[np.uint64]
"""One number for each search, which its noise depends on."""


def keys(seeds: Sequence[int | None]) -> Keys:
    """Return the keys of searches with these seeds; a search without a seed gets a random key."""
    # a branch of the seed that neither environments nor agents draw from
    branches = [np.random.SeedSequence(seed, spawn_key=(2,)) for seed in seeds]
    return np.array([branch.generate_state(1, np.uint64)[0] for branch in branches])


def next_keys(before: Keys) -> Keys:
    """Return the keys of the searches that follow without new seeds."""
    return splitmix64(before)


def standard_normal(keys: Keys, indices: ArrayLike) -> NDArray[np.float64]:
    """Return a standard normal number for each key and architecture, always the same.

    Args:
        keys: Keys of searches, of a shape that broadcasts to that of ``indices``.
        indices: Indices of architectures, int64.

    Returns:
        The numbers, shape of ``indices``, float64.
    """
    with np.errstate(over="ignore"):
        counters = keys + splitmix64(np.asarray(indices).astype(np.uint64))
        first = bits_to_uniform(splitmix64(counters))
        second = bits_to_uniform(splitmix64(counters + SPLITMIX64_INCREMENT))
    return box_muller(first, second)
