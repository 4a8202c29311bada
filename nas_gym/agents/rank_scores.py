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


@lru_cache(maxsize=16)
def _scores(count: int) -> NDArray[np.float64]:
    normal = NormalDist()
    return np.array([normal.inv_cdf((rank + 0.5) / count) for rank in range(count)])
