"""Search functions: their budget, their randomness, what they see, and errors."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

import nas_gym  # noqa: F401  (registers the environments)
from nas_gym.agents import BudgetExhausted, RandomSearch, run_function

ENV = "NB201-cifar10-v0"


def random_search(task, queries, rng):
    """Evaluate batches of seven architectures."""
    while True:
        task.evaluate(task.space.sample(7, rng))


@pytest.mark.parametrize("mode", ["", "-alpha", "-population"])
def test_the_whole_budget_is_used(mode):
    found = run_function(random_search, f"NB201-cifar10{mode}-v0", queries=40, seed=3)
    assert found.indices.shape == found.regrets.shape == (40, 1)
    again = run_function(random_search, ENV, queries=40, seed=3)
    np.testing.assert_array_equal(found.indices, again.indices)
    other = run_function(random_search, ENV, queries=40, seed=4)
    assert (found.indices != other.indices).any()
    assert (np.diff(found.agent_seconds[:, 0]) >= 0).all()


def test_rewards_are_those_of_the_environment():
    seen = []

    def search(task, queries, rng):
        assert queries == task.queries_left == 5
        genotypes = task.space.sample(5, rng)
        seen.append(task.evaluate(genotypes))
        assert task.queries_left == 0
        with pytest.raises(BudgetExhausted):
            task.evaluate(genotypes)

    found = run_function(search, ENV, 5, 0, {"noise": 0.5, "report": "analog_accuracy"})
    np.testing.assert_array_equal(found.rewards[:, 0], seen[0])
    envs = gym.make_vec(ENV, num_envs=1, noise=0.5)
    envs.reset(seed=0)
    history = envs.unwrapped.history
    np.testing.assert_array_equal(envs.unwrapped.task.reward(found.indices, history.keys),
                                  found.rewards)  # fmt: skip


def test_the_report_cannot_be_reached():
    def search(task, queries, rng):
        public = {name for name in dir(task) if not name.startswith("_")}
        assert public == {"evaluate", "queries_left", "space"}
        random_search(task, queries, rng)

    run_function(search, ENV, 10, 0)


def test_an_environment_in_place_of_an_id():
    envs = gym.make_vec(ENV, num_envs=1)
    found = run_function(random_search, envs, 12, 3)
    expected = run_function(random_search, ENV, 12, 3)
    np.testing.assert_array_equal(found.indices, expected.indices)
    with pytest.raises(ValueError, match="needs one environment, got 2"):
        run_function(random_search, gym.make_vec(ENV, num_envs=2), 12, 3)
    population = gym.make_vec("NB201-cifar10-population-v0", num_envs=1)
    with pytest.raises(ValueError, match="sequential or alpha mode"):
        run_function(random_search, population, 12, 3)


def test_it_draws_other_numbers_than_an_environment_or_agent():
    drawn = []
    run_function(lambda task, queries, rng: drawn.append(rng.random(4)) or random_search(
        task, queries, rng), ENV, 1, 0)  # fmt: skip
    agent = RandomSearch(ENV, seed=0)
    assert not np.isin(drawn[0], np.random.default_rng(0).random(100)).any()
    np.testing.assert_array_equal(drawn[0], agent.rng.random((1, 4))[0])


def test_errors_of_a_function():
    def early(task, queries, rng):
        task.evaluate(task.space.sample(3, rng))

    def raising(task, queries, rng):
        raise KeyError("mine")

    def wrong(task, queries, rng):
        task.evaluate([[9] * 6])

    def flat(task, queries, rng):
        task.evaluate([0] * 6)

    with pytest.raises(ValueError, match="early returned after 3 of 10 queries"):
        run_function(early, ENV, 10, 0)
    with pytest.raises(KeyError, match="mine"):
        run_function(raising, ENV, 10, 0)
    with pytest.raises(ValueError, match=r"genotypes of .*wrong contain an invalid genotype"):
        run_function(wrong, ENV, 10, 0)
    with pytest.raises(ValueError, match=r"genotypes of .*flat must be integers of shape \(m, 6\)"):
        run_function(flat, ENV, 10, 0)
