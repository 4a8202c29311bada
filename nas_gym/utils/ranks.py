"""Rank scores and rank correlations."""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray


def rank_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the normal scores of values within their row, ``(n, m)`` -> ``(n, m)``.

    The score of the value with rank ``r`` (from 0, ascending) is the ``(r + 0.5) / m`` quantile of
    the standard normal distribution. Accuracies of good architectures differ by about 0.1 %, and
    the worst accuracies are lower by tens of percentage points. Scores, in contrast, are evenly
    spread and comparable between tasks. Of equal values, the first has the lowest rank.
    """
    order = np.argsort(values, axis=1, kind="stable")
    scores = np.empty(values.shape)
    np.put_along_axis(scores, order, _scores(values.shape[1])[None], axis=1)
    return scores


def rank_scores_among(
    values: NDArray[np.float64], present: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return normal scores among some values of each row, ``(n, m)`` -> ``(n, m)``.

    Args:
        values: Values, shape ``(n, m)``.
        present: Whether each value is ranked, shape ``(n, m)``; all other scores are 0.
    """
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
    """Return Spearman's rank correlation of two ``(n,)`` arrays; 0 if one of them is constant."""
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(each) for each in (scores, values)])
    centered = ranks - ranks.mean(axis=1, keepdims=True)
    squares = np.square(centered).sum(axis=1)
    return float(centered[0] @ centered[1] / np.sqrt(squares.prod())) if squares.all() else 0.0


def kendall(scores: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return Kendall's tau-b of two ``(n,)`` arrays; 0 if one of them is constant."""
    from scipy.stats import kendalltau

    return float(np.nan_to_num(kendalltau(scores, values).statistic))


def precision_at(k: int, scores: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return the fraction of the ``k`` highest scores whose values are among the ``k`` highest.

    All values equal to the ``k``-th highest value count as among the highest.
    """
    best = np.argsort(-scores, kind="stable")[:k]
    threshold = np.sort(values)[-k]
    return float((values[best] >= threshold).mean())
