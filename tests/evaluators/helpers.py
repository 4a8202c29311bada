"""Helpers of the tests of network evaluators."""

from __future__ import annotations

import numpy as np


def values_at(evaluator, metric, indices):
    """Return a metric of the architectures with some indices."""
    return evaluator.values(metric, evaluator.space.decode(indices))


def drawn(space, n):
    """Return the indices of random architectures; each call returns the same."""
    return space.encode(space.sample(n, np.random.default_rng(0)))
