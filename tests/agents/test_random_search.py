"""Random search: its regret is that of uniform draws."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
from quick import run_agent

import nas_gym  # noqa: F401  (registers the environments)
from nas_gym.agents import RandomSearch


def test_regret_is_that_of_uniform_draws():
    # The best of n draws with replacement: E[regret] = sum of P(all n draws are worse)
    agent = RandomSearch("NB201-cifar10-v0", seed=0)
    values = np.sort(agent.task.rewards)
    below = np.arange(1, len(values)) / len(values)
    expected = ((below**100) * np.diff(values)).sum()
    agent = run_agent("random", gym.make_vec("NB201-cifar10-alpha-v0", num_envs=100), 100, 1000)
    found = agent.task.regret(agent.space.encode(agent.best_genotypes))
    assert abs(found.mean() - expected) < 4 * found.std() / 10
