"""REINFORCE: its updates, sampling from its policy, and results."""

from __future__ import annotations

import functools
import itertools

import gymnasium as gym
import numpy as np
import pytest
import torch

import nas_gym
from nas_gym.agents import RandomSearch
from nas_gym.agents.reinforce import Reinforce

NB201, RESTRICTED = "NB201-cifar10-alpha-v0", "NBGraph-proteins-alpha-v0"
DRIFT = {"signal": "analog_drift_86400", "report": "analog_drift_86400"}


@functools.cache
def prefixes(space):
    """Return all prefixes of architectures, as tuples of choices."""
    leaves = np.arange(space.num_prefixes(space.num_decisions))
    everything = space.decode_prefixes(space.num_decisions, leaves).tolist()
    return {tuple(row[:length]) for row in everything for length in range(len(row) + 1)}


def masks_along(space, genotypes):
    """Return which choices are valid after the previous ones, ``(n, L, max_choices)``."""
    known, choices = prefixes(space), range(space.max_choices)
    return np.array([
        [[(*row[:length], choice) in known for choice in choices] for length in range(len(row))]
        for row in genotypes.tolist()
    ])  # fmt: skip


def torch_log_probabilities(logits, masks, genotypes):
    masked = torch.where(torch.from_numpy(masks), logits, -torch.inf)
    policy = torch.distributions.Categorical(logits=masked)
    return policy.log_prob(torch.from_numpy(genotypes))


@pytest.mark.parametrize("env_id", [NB201, RESTRICTED])
def test_updates_equal_those_of_torch(env_id):
    agent = Reinforce(gym.make_vec(env_id, num_envs=3), seed=0, learning_rate=0.1)
    logits = torch.tensor(agent.logits, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    rewards_sum, weights_sum = np.zeros(3), 0.0
    for _ in range(30):
        genotypes = agent.ask()
        fitness = agent.task.reward(agent.space.encode(genotypes))
        agent.tell(genotypes, fitness)
        rewards_sum = 0.9 * rewards_sum + (1 - 0.9) * fitness
        weights_sum = 0.9 * weights_sum + (1 - 0.9)
        advantage = torch.from_numpy(fitness - rewards_sum / weights_sum)[:, None]
        masks = masks_along(agent.space, genotypes)
        optimizer.zero_grad()
        (-torch_log_probabilities(logits, masks, genotypes) * advantage).sum().backward()
        optimizer.step()
        np.testing.assert_allclose(agent.logits, logits.detach().numpy(), rtol=1e-7, atol=1e-9)
    assert np.abs(agent.logits).max() > 0.5


def test_score_is_the_gradient_of_the_log_probability():
    agent = Reinforce(gym.make_vec(RESTRICTED, num_envs=20), seed=0)
    agent.logits *= 1000
    space = agent.space
    genotypes = space.sample(20, np.random.default_rng(0))
    # few prefixes of this space restrict the next choice: half of the genotypes have one
    everything = np.array(list(itertools.product(*map(range, space.num_choices.tolist()))))
    valid = space.contains(everything)
    alike = (everything[valid][:, None, :4] == everything[~valid][:, :4]).all(axis=2).any(axis=1)
    genotypes[:10] = everything[valid][alike][:10]
    assert not masks_along(space, genotypes)[:10, 4, :5].all(axis=1).any()

    def log_probabilities(logits):
        masks = masks_along(space, genotypes)
        return torch_log_probabilities(torch.from_numpy(logits), masks, genotypes).sum(1).numpy()

    score, step = agent.score(genotypes), 1e-6
    for decision in range(space.num_decisions):
        for choice in range(space.max_choices):
            moved = agent.logits.copy()
            moved[:, decision, choice] += step
            slope = (log_probabilities(moved) - log_probabilities(agent.logits)) / step
            np.testing.assert_allclose(score[:, decision, choice], slope, atol=1e-5)


def test_the_first_reward_has_no_advantage():
    agent = Reinforce(gym.make_vec(NB201, num_envs=5), seed=0)
    before = agent.logits.copy()
    agent.query()
    np.testing.assert_allclose(agent.logits, before, rtol=0, atol=1e-7)
    agent.query()
    assert (agent.logits != before).any(axis=(1, 2)).all()


def test_initial_logits_are_small_normal_numbers():
    numbers = Reinforce(gym.make_vec(NB201, num_envs=2000), seed=0).logits.ravel() / 1e-3
    assert abs(numbers.mean()) < 4 / np.sqrt(len(numbers))
    assert abs(numbers.std() - 1) < 0.02
    assert abs((np.abs(numbers) > 2).mean() - 0.0455) < 0.005
    assert len(np.unique(numbers)) == len(numbers)


def test_architectures_are_drawn_from_the_policy():
    agent = Reinforce(gym.make_vec(NB201, num_envs=4000), seed=0)
    agent.logits[:] = np.random.default_rng(1).normal(size=agent.logits.shape[1:])
    weights = np.exp(agent.logits[0])
    chances = weights / weights.sum(axis=1, keepdims=True)
    genotypes = agent.ask()
    found = (genotypes[:, :, None] == np.arange(5)).mean(axis=0)
    assert (np.abs(found - chances) < 4.5 * np.sqrt(chances * (1 - chances) / 4000)).all()
    for one in range(6):  # decisions are independent of each other
        for other in range(one):
            both = (genotypes[:, one] == 0) & (genotypes[:, other] == 0)
            assert abs(both.mean() - chances[one, 0] * chances[other, 0]) < 0.03


def test_architectures_of_a_restricted_space_are_valid(cache, tmp_path):
    # three decisions of four choices; each choice is at most the previous one
    rows = [(a, b, c) for a in range(4) for b in range(a + 1) for c in range(b + 1)]
    text = "\n".join(f"{a},{b},{c},{a - b + c}" for a, b, c in rows)
    path = tmp_path / "triangle.csv"
    path.write_text(f"op0,op1,op2,val\n{text}\n")
    nas_gym.import_table(path, "Triangle", signal="val", report="val")
    agent = Reinforce(gym.make_vec("Triangle-v0", num_envs=4000), seed=0)
    assert agent.space.size == 20
    agent.logits[:] = [[[0, 0, 0, 0], [0, 0, np.log(2), 5], [0, -800, 800, 9]]] * 4000
    genotypes = agent.ask()
    assert agent.space.contains(genotypes).all()
    after_two = genotypes[genotypes[:, 0] == 2, 1]  # the valid choices have weights 1, 1 and 2
    assert (np.abs(np.bincount(after_two) / len(after_two) - [0.25, 0.25, 0.5]) < 0.07).all()
    assert (genotypes[genotypes[:, 1] == 1, 2] == 0).all()  # weights e^-800 and 1
    for _ in range(100):
        agent.query()
    assert agent.space.contains(agent.ask()).all()
    assert np.isfinite(agent.logits).all()


@pytest.mark.parametrize("mode", ["", "-alpha", "-population"])
def test_a_search_continues_after_the_whole_space(cache, write_csv, mode):
    nas_gym.import_table(write_csv(), "Mine", signal="val", report="test")
    agent = Reinforce(gym.make_vec(f"Mine{mode}-v0", num_envs=4), seed=0, learning_rate=0.1)
    for _ in range(300):
        agent.query()
    assert (agent.best_genotypes == agent.space.decode(np.argmax(agent.task.rewards))).all()


def test_a_decision_with_one_choice(cache, tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("op0,op1,val\nconv,narrow,1\nconv,wide,2\n")
    nas_gym.import_table(path, "One", signal="val", report="val")
    agent = Reinforce(gym.make_vec("One-v0", num_envs=3), seed=0).learn(100)
    assert agent.best_fitness.tolist() == [2, 2, 2]


def regret(agent, queries):
    while agent.num_queries < queries:
        agent.query()
    return agent.task.regret(agent.space.encode(agent.best_genotypes))


def test_it_beats_random_search():
    # over 200 other seeds, it has 0.73 times the regret of random search
    def envs():
        return gym.make_vec(NB201, num_envs=200, max_episode_steps=1000, **DRIFT)

    agent = Reinforce(envs(), seed=1000)
    assert regret(agent, 1000).mean() < 0.87 * regret(RandomSearch(envs(), seed=1000), 1000).mean()
    rewards = agent.task.reward(agent.env.unwrapped.history.indices)
    assert rewards[-100:].mean() > rewards[:100].mean() + 5  # 74 % and 86 %


def test_equal_rewards_teach_nothing(cache, tmp_path):
    path = tmp_path / "flat.csv"
    path.write_text("op0,op1,val\n" + "\n".join(f"{a},{b},90.1" for a in "xyz" for b in "xyz"))
    nas_gym.import_table(path, "Flat", signal="val", report="val")
    agent = Reinforce(gym.make_vec("Flat-v0", num_envs=3), seed=0)
    before = agent.logits.copy()
    for _ in range(100):
        agent.query()
    np.testing.assert_allclose(agent.logits, before, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0.0}, r"learning_rate must be a number that is above 0.*, got 0\.0"),
        ({"momentum": 1.0}, "momentum must be a number that is at least 0 and below 1, got 1.0"),
        ({"momentum": -0.1}, "momentum must be a number that is at least 0 and below 1, got -0.1"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Reinforce(NB201, **settings)
