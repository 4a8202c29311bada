"""Every agent in environments whose rewards come from a supernet."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from quick import AGENTS, make_agent

CASES = [
    *((env_id, name) for env_id in ("NB201-digits-alpha-v0", "DARTS-digits-v0") for name in AGENTS),
    *(("DARTS-digits-population-v0", name) for name in ("rea", "local", "l2nas")),
]


@pytest.mark.parametrize(("env_id", "name"), CASES)
def test_search(env_id, name, supernet_files):
    space = gym.spec(env_id).kwargs["space"]

    def searched():
        arguments = {
            "supernet": str(supernet_files[space]),
            "evaluator": "supernet(calibration=0,images=100)",
        }
        envs = gym.make_vec(env_id, num_envs=2, **arguments)
        agent = make_agent(name, envs)
        steps_per_query = 1 if env_id.count("-") > 2 else agent.space.num_decisions
        return agent.learn(14 * steps_per_query)

    agent = searched()
    history = agent.env.unwrapped.history
    assert history.queries >= 14
    rewards = history.reward(history.indices)
    np.testing.assert_array_equal(rewards.max(axis=0), agent.best_fitness)
    assert agent.space.contains(agent.best_genotypes).all()
    assert len(np.unique(history.indices[:, 0])) > 5
    np.testing.assert_array_equal(searched().env.unwrapped.history.indices, history.indices)
