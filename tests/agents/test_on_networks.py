"""Every agent searches among networks as it does in tables."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from quick import make_agent

from nas_gym.agents.registry import SAMPLE_BASED

PLAYED = [
    *(
        (env_id, name)
        for env_id in ("NB201-digits-alpha-v0", "DARTS-digits-v0")
        for name in SAMPLE_BASED
    ),
    *(("DARTS-digits-population-v0", name) for name in ("rea", "local", "l2nas")),
]


@pytest.mark.parametrize(("env_id", "name"), PLAYED)
def test_agents(env_id, name, supernet_files):
    space = gym.spec(env_id).kwargs["space"]

    def searched():
        arguments = {
            "supernet": str(supernet_files[space]),
            "evaluator": "supernet(calibration=0,images=100)",
        }
        envs = gym.make_vec(env_id, num_envs=2, **arguments)
        agent = make_agent(name, envs)
        one = 1 if env_id.count("-") > 2 else agent.space.num_decisions  # steps of a query
        return agent.learn(14 * one)

    agent = searched()
    history = agent.env.unwrapped.history
    assert history.queries >= 14
    rewards = history.reward(history.indices)
    np.testing.assert_array_equal(rewards.max(axis=0), agent.best_fitness)
    assert agent.space.contains(agent.best_genotypes).all()
    assert len(np.unique(history.indices[:, 0])) > 5
    np.testing.assert_array_equal(searched().env.unwrapped.history.indices, history.indices)
