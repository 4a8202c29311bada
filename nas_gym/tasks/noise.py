"""Noise on a search signal: one training run of each architecture, anew for each search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Keys = NDArray[np.uint64]
"""What the noise of a search is drawn from, one number for each search."""

# constants of the generator SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)


def keys(seeds: Sequence[int | None]) -> Keys:
    """The keys of searches with these seeds; of no seed, one that nobody else has."""
    # a branch of the seed's own: environments and agents draw from others
    branches = [np.random.SeedSequence(seed, spawn_key=(2,)) for seed in seeds]
    return np.array([branch.generate_state(1, np.uint64)[0] for branch in branches])


def next_keys(before: Keys) -> Keys:
    """The keys of the searches that follow, without new seeds."""
    return _mix(before)


def standard_normal(keys: Keys, indices: ArrayLike) -> NDArray[np.float64]:
    """A standard normal number for each key and architecture index, the same whenever asked.

    Args:
        keys: of searches, a shape that broadcasts with that of ``indices``.
        indices: of architectures.
    """
    with np.errstate(over="ignore"):
        counters = keys + _mix(np.asarray(indices).astype(np.uint64))
        radius, angle = _uniform(_mix(counters)), _uniform(_mix(counters + _STEP))
    numbers: NDArray[np.float64] = np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)
    return numbers  # Box and Muller's method


def _mix(numbers: Keys) -> Keys:
    """SplitMix64's next outputs from these states: all bits depend on all bits."""
    with np.errstate(over="ignore"):
        mixed = numbers + _STEP
        for multiplier, shift in zip(_MULTIPLIERS, _SHIFTS[:2], strict=True):
            mixed = (mixed ^ (mixed >> shift)) * multiplier
        return mixed ^ (mixed >> _SHIFTS[2])


def _uniform(bits: Keys) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) of the upper 53 bits."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
