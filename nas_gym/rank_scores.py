"""Scores of ranks: what stands in for rewards whose own scale says little."""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray


def rank_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normal scores of values within their row, ``(n, m)`` -> ``(n, m)``.

    The value of rank ``r`` (from 0) of ``m`` has the score that a standard normal variable
    exceeds with probability ``1 - (r + 0.5) / m``. Accuracies of good architectures lie a tenth of
    a percent apart, those of the worst tens of percents below: their ranks are evenly told apart,
    and are comparable between tasks. Of equal values, the earlier one has the lower rank.
    """
    order = np.argsort(values, axis=1, kind="stable")
    scores = np.empty(values.shape)
    np.put_along_axis(scores, order, _scores(values.shape[1])[None], axis=1)
    return scores


def rank_scores_among(
    values: NDArray[np.float64], present: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """As :func:`rank_scores`, among the values of each row that are ``present``; 0 for others."""
    last = np.where(present, values, np.inf)
    order = np.argsort(last, axis=1, kind="stable")
    counts = present.sum(axis=1)
    by_count = np.zeros((values.shape[1] + 1, values.shape[1]))
    for count in np.unique(counts):
        by_count[count, :count] = _scores(count)
    scores = np.empty(values.shape)
    np.put_along_axis(scores, order, by_count[counts], axis=1)
    return scores


@lru_cache(maxsize=64)
def _scores(count: int) -> NDArray[np.float64]:
    normal = NormalDist()
    return np.array([normal.inv_cdf((rank + 0.5) / count) for rank in range(count)])
