"""L2NAS: when it explores, what it proposes, what its critic learns, and that it finds more."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

import nas_gym
from nas_gym.agents import L2NAS, RandomSearch

torch.set_num_threads(1)
# a task that is not reported
TASK = {"signal": "analog_drift_86400", "report": "analog_drift_86400"}


def make(trials=4, env="NB201-cifar10-alpha-v0", seed=0, **settings):
    task = TASK if "cifar10" in env else {}
    return L2NAS(gym.make_vec(env, num_envs=trials, **task), seed=seed, **settings)


def test_share_of_random_architectures():
    agent = make(1, num_random=5, anneal_until=15, final_epsilon=0.1, max_batches=1)
    shares = []
    for _ in range(20):
        shares.append(agent.epsilon)
        agent.query()
    assert shares[:6] == [1.0] * 6
    assert shares[10] == pytest.approx(0.55)  # half of the cosine
    assert (np.diff(shares[5:16]) < 0).all()
    np.testing.assert_allclose(shares[15:], 0.1)


def test_never_pays_twice():
    agent = make()
    agent.learn(120)
    indices = agent.env.unwrapped.history.indices
    assert all(len(set(column)) == 120 for column in indices.T)


@pytest.mark.parametrize("env", ["NBGraph-proteins-v0", "Tiny-v0"])
def test_restricted_and_exhausted_spaces(env, cache, write_csv):
    nas_gym.import_table(write_csv(), "Tiny", signal="val", report="test")
    agent = make(2, env)
    for _ in range(30):
        agent.query()
    indices = agent.env.unwrapped.history.indices
    if env == "Tiny-v0":
        assert all(len(set(column[:8])) >= 5 for column in indices.T)
        assert agent.task.regret(agent.space.encode(agent.best_genotypes)).max() == 0


def test_critic_learns_the_quantile_of_rewards():
    # rewards that have nothing to do with the architecture: what is left is their distribution
    agent = make(2, quantile=0.9, max_batches=10, num_random=10_000)
    rng = np.random.default_rng(0)
    for _ in range(300):
        agent._tell(agent._ask(), rng.normal(size=2))
    values = agent._values(agent._actions)
    scores = (agent._rewards - agent._rewards.mean(axis=1, keepdims=True)) / agent._rewards.std(
        axis=1, keepdims=True
    )
    below = (scores <= values).mean(axis=1)
    assert ((below > 0.75) & (below < 0.99)).all()


def test_actor_follows_the_critic():
    agent = make(2)
    agent.learn(60)
    state = torch.from_numpy(agent._top.mean())[:, None]

    def value():
        with torch.no_grad():
            return agent._critic(agent._actor(state).sigmoid()).numpy()[:, 0, 0]

    before = value()
    for _ in range(50):
        agent._actor.learn(-agent._critic(agent._actor(state).sigmoid()).mean(dim=(1, 2)))
    assert (value() > before).all()


def test_finds_more_than_random_search():
    regrets = []
    for agent in (make(12, seed=100), RandomSearch(gym.make_vec(
        "NB201-cifar10-alpha-v0", num_envs=12, **TASK), seed=100)):  # fmt: skip
        agent.learn(150)
        regrets.append(agent.task.regret(agent.space.encode(agent.best_genotypes)).mean())
    assert regrets[0] < 0.8 * regrets[1]  # 0.5 of it, over many seeds
