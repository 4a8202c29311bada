"""Noise of single trainings, estimated from architectures that are the same network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def average_classes(values: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of each architecture's isomorphism class.

    Args:
        values: Values of a metric, ``(n,)``.
        classes: Class number of each architecture, ``(n,)``, at least 0.

    Returns:
        The means, ``(n,)`` float64; equal for the members of a class.
    """
    _, numbers, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    means: NDArray[np.float64] = (np.bincount(numbers, values) / sizes)[numbers]
    return means
