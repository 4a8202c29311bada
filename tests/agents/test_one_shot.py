"""One-shot agents: rewards of the environment, saving, and invalid settings."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from nas_gym.agents.registry import find_agent
from nas_gym.networks.one_shot import ENASSearch, OneShotSearch


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(OneShotSearch, "num_samples", 6)
    monkeypatch.setattr(ENASSearch, "controller_steps", 2)


def agent(name, env="NB201-digits-v0", n=2, **task):
    files = {"images": "digits", "epochs": 2, "channels": 4, "batch_size": 128}
    return find_agent(name).agent_class(gym.make_vec(env, num_envs=n, **task), seed=3, **files)


@pytest.mark.parametrize("name", ["rsws", "darts-v1", "enas"])
def test_rewards_are_those_of_the_environment(name):
    found = agent(name, env="NB201-cifar10-alpha-v0").learn(2)
    history = found.env.unwrapped.history
    assert history.queries == 2
    np.testing.assert_array_equal(found.best_fitness, history.reward(history.indices).max(axis=0))
    assert found.diagnostics()["supernet_loss"].shape == (2, 2)


def test_save_and_load(tmp_path):
    files = {"images": "digits", "epochs": 3, "channels": 4, "batch_size": 128}

    def begin():
        return find_agent("gdas").agent_class(
            gym.make_vec("NB201-cifar10-alpha-v0", num_envs=1), seed=0, **files
        )

    straight = begin().learn(2)
    straight.save(tmp_path / "agent")
    loaded = type(straight).load(tmp_path / "agent", begin().env)
    np.testing.assert_array_equal(loaded.best_genotypes, straight.best_genotypes)
    assert loaded.searches[0].epoch == 2
    np.testing.assert_array_equal(
        loaded.searches[0].state_arrays()["alpha/logits"],
        straight.searches[0].state_arrays()["alpha/logits"],
    )
    loaded.learn(1)


def test_bad_spaces_and_settings():
    with pytest.raises(ValueError, match="networks of NB201, DARTS and MnasNet, not of 'NBGraph'"):
        find_agent("gdas").agent_class(gym.make_vec("NBGraph-cora-v0", num_envs=1), seed=0)
    with pytest.raises(ValueError, match="channels must be an integer that is at least 0"):
        find_agent("gdas").agent_class(
            gym.make_vec("NB201-cifar10-v0", num_envs=1), seed=0, channels=-1
        )
