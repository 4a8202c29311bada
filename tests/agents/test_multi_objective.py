"""Agents for several objectives."""

import gymnasium as gym
import numpy as np
import pytest

import nas_gym
from nas_gym.agents.common.domination import crowding_distances, domination_ranks
from nas_gym.agents.registry import MULTI_OBJECTIVE_AGENTS, find_agent
from nas_gym.tasks.fronts import non_dominated

pytest.importorskip("pymoo")
ENV = "NB201-cifar10-mo-v0"
SETTINGS = {
    "scalarized": {"num_random": 5, "period": 10, "num_carried": 4},
    "mo-rea": {"population_size": 10, "sample_size": 3},
    "maximin": {"num_random": 10},
}
AGENTS = ["random", *MULTI_OBJECTIVE_AGENTS]


def _make(name, env, seed=0, **more):
    return find_agent(name).make_agent(env, SETTINGS.get(name, {}) | more, seed=seed)


def _queried(agent):
    return agent.env.unwrapped.history.indices


def _run(name, seed=0, num_envs=2, queries=45, env=ENV, **more):
    agent = _make(name, gym.make_vec(env, num_envs=num_envs), seed, **more)
    for _ in range(queries):
        agent.query()
    return agent


@pytest.mark.parametrize("name", AGENTS)
def test_same_seed_same_history(name):
    pair = _queried(_run(name, 3))
    np.testing.assert_array_equal(pair, _queried(_run(name, 3)))
    # a trial does not depend on how many trials run beside it
    np.testing.assert_array_equal(pair[:, 1:], _queried(_run(name, 4, 1)))


@pytest.mark.parametrize("name", AGENTS)
def test_saved_agents_continue(name, tmp_path):
    whole = _queried(_run(name, queries=45))
    agent = _run(name, queries=28)
    agent.save(tmp_path / "agent")
    envs = agent.env
    restored = find_agent(name).agent_class.load(tmp_path / "agent", gym.make_vec(ENV, num_envs=2))
    np.testing.assert_array_equal(restored.best_fitness, agent.best_fitness)
    for _ in range(17):
        restored.query()
    np.testing.assert_array_equal(_queried(restored), whole[28:])
    envs.close()


@pytest.mark.parametrize("name", AGENTS)
def test_best_architectures_are_not_dominated_by_earlier_ones(name):
    agent = _run(name)
    for trial in range(2):
        vectors = agent.task.rewards[_queried(agent)[:, trial]]
        best = agent.task.rewards[agent.space.encode(agent.best_genotypes[[trial]])[0]]
        np.testing.assert_array_equal(best, agent.best_fitness[trial])
        assert any((row == best).all() for row in vectors)


@pytest.mark.parametrize("name", ["nsga2", "nsga3", "mo-rea", "scalarized"])
def test_restricted_spaces(name):
    agent = _run(name, env="NBGraph-proteins-mo-v0", queries=45)
    assert len(np.unique(_queried(agent)[:, 0])) > 20


@pytest.mark.parametrize("agent", ["local", "reinforce", "l2nas(hidden=32)"])
def test_any_agent_for_one_reward_takes_part(agent):
    assert _run("scalarized", agent=agent, queries=20).num_queries == 20


def test_given_weights():
    # with nearly all weight on the parameters, the search ends at the smallest cells
    agent = _run("scalarized", weights="1e-6/1", queries=150, scalarization="linear")
    params = -agent.task.rewards[_queried(agent)][..., 1]
    assert (params.min(axis=0) == -agent.task.rewards[:, 1].max()).all()


def test_domination_and_crowding():
    fitness = np.random.default_rng(0).integers(5, size=(3, 20, 2)).astype(float)
    ranks = domination_ranks(fitness)
    for population, own in zip(fitness, ranks, strict=True):
        left = np.ones(20, bool)
        for rank in range(own.max() + 1):
            members = np.flatnonzero(left)
            front = members[non_dominated(population[members])]
            assert set(front) == set(np.flatnonzero(own == rank))
            left[front] = False
    square = np.array([[[0.0, 4.0], [1.0, 3.0], [3.0, 1.0], [4.0, 0.0]]])
    distances = crowding_distances(square, domination_ranks(square))
    assert distances.tolist() == [[np.inf, 1.5, 1.5, np.inf]]


@pytest.mark.parametrize(
    ("name", "env", "settings", "message"),
    [
        ("nsga2", "NB201-cifar10-v0", {}, "needs a task with objectives"),
        ("mo-rea", "NB201-cifar10-v0", {}, "needs a task with objectives"),
        ("scalarized", "NB201-cifar10-v0", {}, "needs a task with objectives"),
        ("rea", ENV, {}, "scalarized"),
        ("scalarized", ENV, {"agent": "nope"}, "There is no agent 'nope'"),
        ("scalarized", ENV, {"agent": "scalarized"}, "an agent for one reward"),
        ("scalarized", ENV, {"weights": "1/2/3"}, "2 numbers above 0"),
        ("scalarized", ENV, {"weights": "a/b"}, "2 numbers above 0"),
    ],
)
def test_errors(name, env, settings, message):
    with pytest.raises(ValueError, match=message):
        _make(name, gym.make_vec(env, num_envs=1), **settings)


def test_a_function_for_several_objectives(tmp_path):
    shapes = []

    def sample(task, queries, rng):
        shapes.append(task.evaluate(task.space.sample(queries, rng)).shape)

    from nas_gym.agents.function import run_function

    curves = run_function(sample, ENV, 12, 0)
    assert shapes == [(12, 2)]
    assert curves.rewards.shape == (12, 1, 2)
    assert nas_gym.__version__


def test_maximin_refuses_a_large_space(monkeypatch):
    monkeypatch.setattr("nas_gym.agents.maximin._MOST_ARCHITECTURES", 15_624)
    with pytest.raises(ValueError, match=r"at most 15,624; NB201 has 15,625\. Choose another"):
        _make("maximin", gym.make_vec(ENV, num_envs=1))
