"""Random numbers that are computed from integers: SplitMix64 and the Box-Muller transform."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint64]

SPLITMIX64_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
"""Distance between two successive states of SplitMix64."""

MANTISSA = 2**53
"""Number of different values that a generator draws from [0, 1)."""

# constants of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)
_MULTIPLIERS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)


def splitmix64(states: Bits) -> Bits:
    """Return the next output of SplitMix64 from each state; every output bit depends on all bits of
    the state."""
    with np.errstate(over="ignore"):
        mixed = states + SPLITMIX64_INCREMENT
        for multiplier, shift in zip(_MULTIPLIERS, _SHIFTS[:2], strict=True):
            mixed = (mixed ^ (mixed >> shift)) * multiplier
        return mixed ^ (mixed >> _SHIFTS[2])


def bits_to_uniform(bits: Bits) -> NDArray[np.float64]:
    """Return uniform numbers in [0, 1), computed from the upper 53 of 64 random bits."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def box_muller(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one standard normal number per pair of independent uniform numbers in [0, 1)."""
    numbers: NDArray[np.float64] = np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * np.pi * second)
    return numbers
