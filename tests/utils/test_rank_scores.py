"""Scores of ranks: those of a normal sample, whatever the values' scale."""

from __future__ import annotations

import numpy as np
import pytest

from nas_gym.utils.ranks import rank_scores


def test_depend_on_the_order_alone():
    values = np.random.default_rng(0).normal(size=(4, 37))
    scores = rank_scores(values)
    np.testing.assert_array_equal(scores.argsort(axis=1), values.argsort(axis=1))
    np.testing.assert_array_equal(scores, rank_scores(100**values - 7))


def test_known_values():
    scores = rank_scores(np.array([[0.1, 93.0, 94.0, 10.0]]))
    # quantiles of the standard normal at 1/8, 3/8, 5/8 and 7/8
    np.testing.assert_allclose(scores, [[-1.15035, 0.31864, 1.15035, -0.31864]], atol=1e-5)


def test_have_the_moments_of_a_normal_sample():
    scores = rank_scores(np.random.default_rng(0).random((2, 1000)))
    np.testing.assert_allclose(scores.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(scores.std(axis=1), 1, atol=0.01)


def test_equal_values_keep_their_order():
    assert (np.diff(rank_scores(np.zeros((1, 5)))) > 0).all()


def test_one_value():
    assert rank_scores(np.array([[3.0]])) == pytest.approx(0)
