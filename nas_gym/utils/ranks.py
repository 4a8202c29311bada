"""Scores of ranks, and rank correlations."""

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


def spearman(scores: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Spearman's rank correlation of two ``(n,)`` arrays; 0 where one of them is constant."""
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(each) for each in (scores, values)])
    centered = ranks - ranks.mean(axis=1, keepdims=True)
    squares = np.square(centered).sum(axis=1)
    return float(centered[0] @ centered[1] / np.sqrt(squares.prod())) if squares.all() else 0.0


def kendall(scores: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Kendall's tau-b of two ``(n,)`` arrays; 0 where one of them is constant."""
    from scipy.stats import kendalltau

    return float(np.nan_to_num(kendalltau(scores, values).statistic))


def precision_at(k: int, scores: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """The share of the ``k`` highest scores whose values are among the ``k`` highest.

    Values equal to the k-th highest count as among them.
    """
    best = np.argsort(-scores, kind="stable")[:k]
    threshold = np.sort(values)[-k]
    return float((values[best] >= threshold).mean())
