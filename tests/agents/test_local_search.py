"""Local search: its climbs, restarts, and the order of its queries."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from quick import mean_regret, queried, run_agent

import nas_gym  # noqa: F401  (registers the environments)
from nas_gym.agents import LocalSearch

ENV = "NB201-cifar10-alpha-v0"


def test_it_beats_random_search():
    assert mean_regret("local", 300) < 0.4 * mean_regret("random", 300)


def test_a_climb_never_queries_twice():
    agent = run_agent("local", gym.make_vec(ENV, num_envs=20, max_episode_steps=1000), 400)
    unique = agent.env.unwrapped.history.unique_queries(400)
    assert unique.min() > 370  # only random starts repeat architectures


@pytest.mark.parametrize("num_initial", [1, 4])
def test_climbs_end_at_local_optima(num_initial):
    agent = LocalSearch("NB201-cifar10-alpha-v0", seed=0, num_initial=num_initial)
    space, task = agent.space, agent.task
    climbs, starts, arrived = 0, [], 0
    for query in range(450):
        drawing, before = agent.drawn[0] < num_initial, agent.current.copy()
        agent.query()
        history = queried(agent)[:, 0]
        if (agent.current != before).any():
            arrived = query
        if drawing:
            starts.append(history[-1])
        if len(starts) == num_initial:  # the climb starts at the best of them
            assert task.rewards[space.encode(agent.current)[0]] == task.rewards[starts].max()
            starts = []
        if agent.drawn[0] == 0:  # the climb has ended
            climbs += 1
            [around], _ = space.neighbors(agent.current)
            around = space.encode(around)
            assert np.isin(around, history).all()
            better = around[task.rewards[around] > task.reward(space.encode(agent.current))]
            assert np.isin(better, history[: arrived + 1]).all()  # queried before: skipped
            assert agent.next_height[0] == agent.height[0] == -np.inf
    assert climbs >= 4


def test_neighbours_are_queried_in_random_order():
    agent = LocalSearch(gym.make_vec(ENV, num_envs=300), seed=0, num_initial=1)
    agent.query(), agent.query()
    first, second = (agent.space.decode(indices) for indices in queried(agent))
    decision, trials = np.nonzero((first != second).T)
    assert len(trials) == 300
    assert np.bincount(decision, minlength=6).min() > 25  # 50 of each are expected


def test_isomorphic_neighbours_are_skipped():
    agent = run_agent("local", gym.make_vec("NBGraph-cora-alpha-v0", num_envs=8), 400)
    unique = agent.env.unwrapped.history.unique_queries(400)
    assert unique.min() > 390  # only random starts repeat architectures


def test_a_first_generation_is_not_taken_for_neighbours():
    # the environment's first generation is larger than num_initial
    envs = gym.make_vec("NB201-cifar10-population-v0", num_envs=50, population_size=30)
    agent = LocalSearch(envs, seed=0)
    for _ in range(10):
        agent.query()
        ready = agent.next_height > agent.height
        changed = (agent.next != agent.current).sum(axis=1)
        assert (changed[ready] == 1).all()
