"""Regularized evolution: it selects, and finds good architectures."""

from __future__ import annotations

from quick import mean_regret

import nas_gym  # noqa: F401  (registers the environments)


def test_it_beats_random_search():
    assert mean_regret("rea", 300) < 0.4 * mean_regret("random", 300)


def test_regret_after_500_queries():
    assert mean_regret("rea", 500) < 0.06  # percent; 0.03 measured over 300 other seeds


def test_tournaments_matter():
    # tournaments of one member select nothing
    unselected = mean_regret("rea", 200, sample_size=1, population_size=50)
    assert mean_regret("rea", 200, sample_size=10, population_size=50) < 0.7 * unselected
