"""Architectures that were not queried before, for agents that never pay twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import SearchSpace


def unseen(space: SearchSpace, seen: NDArray[np.bool_], draw: float) -> NDArray[np.int64]:
    """A genotype ``(L,)`` that was not seen, or any where there is none left.

    Args:
        space: what is searched.
        seen: of each index, ``(space.size,)``.
        draw: a uniform number in [0, 1).
    """
    left = np.flatnonzero(~seen)
    choices = left if len(left) else np.arange(space.size)
    genotype: NDArray[np.int64] = space.decode(choices[[int(draw * len(choices))]])[0]
    return genotype
