"""Rank correlations: against their definitions, and where a side is constant."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from nas_gym.utils.ranks import kendall, precision_at, spearman


def pairs(seed, size=30, levels=8):
    return np.random.default_rng(seed).integers(levels, size=(2, size)).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_kendall_counts_pairs(seed):
    a, b = pairs(seed)
    signs = [
        (np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i, j in combinations(range(len(a)), 2)
    ]
    x, y = np.array(signs).T
    assert kendall(a, b) == pytest.approx((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()))


@pytest.mark.parametrize("seed", range(5))
def test_spearman_is_the_correlation_of_mean_ranks(seed):
    a, b = pairs(seed)
    ranks = [[(each < v).sum() + ((each == v).sum() + 1) / 2 for v in each] for each in (a, b)]
    assert spearman(a, b) == pytest.approx(np.corrcoef(ranks)[0, 1])
    assert spearman(a, -a) == pytest.approx(-1)
    assert spearman(np.exp(a), a) == pytest.approx(1)


def test_constants_tell_nothing():
    for measure in (spearman, kendall):
        assert measure(np.zeros(5), np.arange(5.0)) == 0
        assert measure(np.arange(5.0), np.ones(5)) == 0


def test_precision():
    values = np.array([5.0, 4.0, 4.0, 1.0, 0.0])
    assert precision_at(2, np.array([0.9, 0.1, 0.8, 0.2, 0.0]), values) == 1  # 4 equals 4
    assert precision_at(2, np.array([0.9, 0.1, 0.2, 0.3, 0.0]), values) == 0.5
    assert precision_at(1, -values, values) == 0
