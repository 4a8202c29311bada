"""Rank scores and rank correlations."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from nas_gym.utils.ranks import kendall, precision_at, rank_scores, rank_scores_among, spearman


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


def test_correlation_with_a_constant_is_0():
    for measure in (spearman, kendall):
        assert measure(np.zeros(5), np.arange(5.0)) == 0
        assert measure(np.arange(5.0), np.ones(5)) == 0


def test_precision():
    values = np.array([5.0, 4.0, 4.0, 1.0, 0.0])
    assert precision_at(2, np.array([0.9, 0.1, 0.8, 0.2, 0.0]), values) == 1  # 4 equals 4
    assert precision_at(2, np.array([0.9, 0.1, 0.2, 0.3, 0.0]), values) == 0.5
    assert precision_at(1, -values, values) == 0


def test_rank_scores_depend_on_the_order_alone():
    values = np.random.default_rng(0).normal(size=(4, 37))
    scores = rank_scores(values)
    np.testing.assert_array_equal(scores.argsort(axis=1), values.argsort(axis=1))
    np.testing.assert_array_equal(scores, rank_scores(100**values - 7))


def test_known_rank_scores():
    scores = rank_scores(np.array([[0.1, 93.0, 94.0, 10.0]]))
    # quantiles of the standard normal at 1/8, 3/8, 5/8 and 7/8
    np.testing.assert_allclose(scores, [[-1.15035, 0.31864, 1.15035, -0.31864]], atol=1e-5)


def test_rank_scores_have_the_moments_of_a_normal_sample():
    scores = rank_scores(np.random.default_rng(0).random((2, 1000)))
    np.testing.assert_allclose(scores.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(scores.std(axis=1), 1, atol=0.01)


def test_rank_scores_of_equal_values_keep_their_order():
    assert (np.diff(rank_scores(np.zeros((1, 5)))) > 0).all()


def test_rank_score_of_one_value():
    assert rank_scores(np.array([[3.0]])) == pytest.approx(0)


def test_rank_scores_among_some_values():
    values = np.random.default_rng(0).normal(size=(3, 7))
    present = np.random.default_rng(1).random((3, 7)) < 0.6
    scores = rank_scores_among(values, present)
    assert not scores[~present].any()
    for row, some, found in zip(values, present, scores, strict=True):
        np.testing.assert_array_equal(found[some], rank_scores(row[None, some])[0])
