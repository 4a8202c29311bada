"""How well scores rank architectures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
