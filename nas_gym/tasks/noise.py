"""Gaussian noise on a search signal: it stands for the spread of single trainings.

It is a function of the search and of the architecture, so that a search that asks again gets the
same answer, and nothing has to be remembered.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Keys = NDArray[np.uint64]
"""One number for each search, which its noise depends on."""

# constants of the generator SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)


def keys(seeds: Sequence[int | None]) -> Keys:
    """Return the keys of searches with these seeds; a search without a seed gets a random key."""
    # a branch of the seed that neither environments nor agents draw from
    branches = [np.random.SeedSequence(seed, spawn_key=(2,)) for seed in seeds]
    return np.array([branch.generate_state(1, np.uint64)[0] for branch in branches])


def next_keys(before: Keys) -> Keys:
    """Return the keys of the searches that follow without new seeds."""
    return _mix(before)


def standard_normal(keys: Keys, indices: ArrayLike) -> NDArray[np.float64]:
    """Return a standard normal number for each key and architecture, always the same.

    Args:
        keys: Keys of searches, of a shape that broadcasts to that of ``indices``.
        indices: Indices of architectures, int64.

    Returns:
        The numbers, shape of ``indices``, float64.
    """
    with np.errstate(over="ignore"):
        counters = keys + _mix(np.asarray(indices).astype(np.uint64))
        radius, angle = _uniform(_mix(counters)), _uniform(_mix(counters + _STEP))
    numbers: NDArray[np.float64] = np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)
    return numbers  # Box-Muller transform


def _mix(numbers: Keys) -> Keys:
    """Return the next output of SplitMix64 for each state; every bit depends on every bit."""
    with np.errstate(over="ignore"):
        mixed = numbers + _STEP
        for multiplier, shift in zip(_MULTIPLIERS, _SHIFTS[:2], strict=True):
            mixed = (mixed ^ (mixed >> shift)) * multiplier
        return mixed ^ (mixed >> _SHIFTS[2])


def _uniform(bits: Keys) -> NDArray[np.float64]:
    """Return uniform numbers in [0, 1), made of the upper 53 bits."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
