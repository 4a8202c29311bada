"""Agents: same seed same history, alone or in lockstep; save and load; they learn; bad input."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from quick import make_agent

import nas_gym
from nas_gym.agents import LocalSearch, RandomSearch, RegularizedEvolution
from nas_gym.agents.common.random_streams import RandomStreams
from nas_gym.agents.registry import SAMPLE_BASED
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import write_tensors

ENVS = ("NB201-cifar10-v0", "NB201-cifar10-alpha-v0", "NB201-cifar10-population-v0")
every_agent = pytest.mark.parametrize("name", SAMPLE_BASED)
every_mode = pytest.mark.parametrize("env_id", [*ENVS, "NBGraph-proteins-v0"])


def queried(agent):
    inner = agent.env.unwrapped
    if hasattr(inner, "envs"):
        return inner.envs[0].unwrapped.history.indices
    return inner.history.indices


def steps(agent, queries):
    return queries * (agent.space.num_decisions if "alpha" not in agent.env.spec.id else 1)


def searched(name, envs, queries, seed=0):
    agent = make_agent(name, envs, seed)
    while agent.num_queries < queries:
        agent.query()
    return agent


@every_agent
@every_mode
def test_same_seed_same_history(name, env_id):
    first = searched(name, gym.make_vec(env_id, num_envs=3), 60)
    second = searched(name, gym.make_vec(env_id, num_envs=3), 60)
    np.testing.assert_array_equal(queried(first), queried(second))
    other = searched(name, gym.make_vec(env_id, num_envs=3), 60, seed=3)
    assert (queried(first) != queried(other)).any()


@every_agent
@every_mode
def test_trial_does_not_depend_on_its_neighbours(name, env_id):
    alone = searched(name, gym.make(env_id), 60, seed=5)
    many = searched(name, gym.make_vec(env_id, num_envs=8), 60, seed=0)
    np.testing.assert_array_equal(queried(alone)[:, 0], queried(many)[:, 5])


@every_agent
def test_same_history_in_every_mode(name):
    # sequential and alpha environments evaluate what the agent proposes, nothing else
    histories = [queried(searched(name, gym.make_vec(env, num_envs=2), 80)) for env in ENVS[:2]]
    np.testing.assert_array_equal(*histories)


@every_agent
def test_same_history_with_either_autoreset(name):
    modes = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)
    histories = [
        queried(searched(name, gym.make_vec(ENVS[0], num_envs=2, autoreset_mode=mode), 40))
        for mode in modes
    ]
    np.testing.assert_array_equal(*histories)


@every_agent
@every_mode
def test_save_and_load_go_on_alike(name, env_id, tmp_path):
    straight = searched(name, gym.make_vec(env_id, num_envs=3), 90)
    half = searched(name, gym.make_vec(env_id, num_envs=3), 45)
    half.save(tmp_path / "agent")
    state = half.env.unwrapped.clone_state()
    half.query()  # what was cloned and saved does not change any more
    envs = gym.make_vec(env_id, num_envs=3)
    loaded = type(half).load(tmp_path / "agent", envs)
    loaded.load_state_dict(loaded.state_dict(), began=True)
    envs.restore_state(state)
    while loaded.num_queries < 90:
        loaded.query()
    np.testing.assert_array_equal(queried(loaded), queried(straight))


@every_agent
def test_load_then_learn_keeps_what_was_learned(name, tmp_path):
    agent = searched(name, gym.make("NB201-cifar10-population-v0"), 60)
    agent.save(tmp_path / "agent")
    loaded = type(agent).load(tmp_path / "agent", gym.make("NB201-cifar10-population-v0"))
    loaded.learn(1)
    assert loaded.num_queries == agent.num_queries + 10 + 1  # a new first generation, one query
    assert loaded.best_fitness[0] >= agent.best_fitness[0]
    if name == "rea":
        kept = np.isin(loaded.fitness, agent.fitness)
        # one child, and none of the environment's fresh generation
        assert kept.sum() == agent.config.population_size - 1


def test_same_agent_same_file(tmp_path):
    for name in ("first", "second"):
        searched("l2nas", gym.make(ENVS[1]), 10).save(tmp_path / name)
    first, second = ((tmp_path / f"{n}.safetensors").read_bytes() for n in ("first", "second"))
    assert first == second


def test_load_where_it_does_not_belong(cache, tmp_path):
    for name, choices in (("Narrow", "abc"), ("Other", "abd")):
        rows = [f"{a},{b},{i}" for i, (a, b) in enumerate((a, b) for a in choices for b in "xy")]
        (tmp_path / "table.csv").write_text("op0,op1,val\n" + "\n".join(rows) + "\n")
        nas_gym.import_table(tmp_path / "table.csv", name, signal="val", report="val")
    RandomSearch("Narrow-v0", seed=0).learn(6).save(tmp_path / "agent")
    with pytest.raises(ValueError, match="other choices"):
        RandomSearch.load(tmp_path / "agent", "Other-v0")
    with pytest.raises(ValueError, match="holds a RandomSearch, not a RegularizedEvolution"):
        RegularizedEvolution.load(tmp_path / "agent", "Narrow-v0")
    write_tensors(tmp_path / "part.safetensors", {"agent": np.array("RandomSearch")})
    with pytest.raises(DamagedDataError, match="not a whole saved agent"):
        RandomSearch.load(tmp_path / "part", "Narrow-v0")


def test_load_on_another_task_is_told(tmp_path):
    RandomSearch(ENVS[0], seed=0).learn(6).save(tmp_path / "agent")
    noisy = gym.make(ENVS[0], noise=0.3)
    with pytest.warns(UserWarning, match="saved on another task"):
        RandomSearch.load(tmp_path / "agent", noisy)


@pytest.mark.parametrize("autoreset_mode", list(AutoresetMode)[:2])
@every_mode
def test_environments_go_on_from_a_cloned_state(env_id, autoreset_mode):
    arguments = {"max_episode_steps": 7} if env_id in ENVS[1:] else {}
    arguments |= {"num_envs": 3, "autoreset_mode": autoreset_mode}
    envs, copy = gym.make_vec(env_id, **arguments), gym.make_vec(env_id, **arguments)
    envs.reset(seed=3)
    envs.action_space.seed(0)
    for _ in range(10):
        envs.step(envs.action_space.sample())
    copy.restore_state(envs.clone_state())
    for _ in range(30):
        action = envs.action_space.sample()
        for mine, theirs in zip(envs.step(action), copy.step(action), strict=True):
            assert str(mine) == str(theirs)
    np.testing.assert_array_equal(envs.history.indices, copy.history.indices)


def test_load_refuses_another_kind_of_agent(tmp_path):
    RandomSearch(ENVS[0], seed=0).learn(60).save(tmp_path / "agent.safetensors")
    with pytest.raises(ValueError, match="RandomSearch"):
        LocalSearch.load(tmp_path / "agent.safetensors", ENVS[0])
    with pytest.raises(ValueError, match="NBGraph"):
        RandomSearch.load(tmp_path / "agent.safetensors", "NBGraph-cora-v0")


@every_agent
def test_learn_counts_environment_steps(name):
    agent = make_agent(name, ENVS[0])
    assert agent.learn(60) is agent
    assert (agent.num_timesteps, agent.num_queries) == (60, 10)
    agent.learn(7)  # the query that was begun is finished
    assert agent.num_queries == 12


def test_callback_stops():
    agent = RandomSearch(ENVS[1], seed=0)
    agent.learn(100, callback=lambda agent: agent.num_queries < 7)
    assert agent.num_queries == 7


@pytest.mark.parametrize("env_id", ENVS)
def test_predict_builds_the_best_architecture(env_id):
    agent = searched("rea", gym.make(env_id), 30)
    env = gym.make(env_id)
    observation, _ = env.reset(seed=1)
    for _ in range(6 if env_id == ENVS[0] else 1):
        action, state = agent.predict(observation)
        observation, _, _, _, info = env.step(action)
    assert state is None
    built = np.asarray(info["genotype"]).reshape(-1)
    np.testing.assert_array_equal(built, agent.best_genotypes[0])


def test_tensorboard_log_and_messages(tmp_path, capsys):
    agent = RandomSearch(ENVS[1], seed=0, tensorboard_log=tmp_path, verbose=1)
    agent.learn(20, progress_bar=True)
    assert list(tmp_path.glob("RandomSearch_1/events.out.tfevents.*"))
    assert "query 1:" in capsys.readouterr().out


# -- do they learn? Thresholds are several standard errors below what 100 trials reach. ----------


def regret(name, queries, env_id="NB201-cifar10-alpha-v0", **settings):
    agent = make_agent(name, gym.make_vec(env_id, num_envs=100), 1000, **settings)
    while agent.num_queries < queries:
        agent.query()
    return agent.task.regret(agent.space.encode(agent.best_genotypes))


def test_random_search_is_as_good_as_theory_says():
    # The best of n draws with replacement: E[regret] = sum of P(all n draws are worse)
    agent = RandomSearch("NB201-cifar10-v0", seed=0)
    values = np.sort(agent.task.rewards)
    below = np.arange(1, len(values)) / len(values)
    expected = ((below**100) * np.diff(values)).sum()
    found = regret("random", 100)
    assert abs(found.mean() - expected) < 4 * found.std() / 10


@pytest.mark.parametrize("name", ["rea", "local"])
def test_searches_beat_random_search(name):
    assert regret(name, 300).mean() < 0.4 * regret("random", 300).mean()


def test_evolution_finds_what_it_did():
    assert regret("rea", 500).mean() < 0.06  # percent; 0.03 measured over 300 other seeds


def test_evolution_selects():
    # tournaments of one member are no selection
    chosen = regret("rea", 200, sample_size=1, population_size=50)
    assert regret("rea", 200, sample_size=10, population_size=50).mean() < 0.7 * chosen.mean()


def test_local_search_never_queries_twice_in_a_climb():
    agent = searched("local", gym.make_vec(ENVS[1], num_envs=20, max_episode_steps=1000), 400)
    unique = agent.env.unwrapped.history.unique_queries(400)
    assert unique.min() > 370  # repeats come from random starts alone


@pytest.mark.parametrize("num_initial", [1, 4])
def test_local_search_climbs_to_local_optima_and_starts_again(num_initial):
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
        if len(starts) == num_initial:  # the climb begins at the best of its starts
            assert task.rewards[space.encode(agent.current)[0]] == task.rewards[starts].max()
            starts = []
        if agent.drawn[0] == 0:  # it has ended
            climbs += 1
            [around], _ = space.neighbors(agent.current)
            around = space.encode(around)
            assert np.isin(around, history).all()
            better = around[task.rewards[around] > task.reward(space.encode(agent.current))]
            assert np.isin(better, history[: arrived + 1]).all()  # known before: passed over
            assert agent.next_height[0] == agent.height[0] == -np.inf
    assert climbs >= 4


def test_local_search_visits_neighbours_in_random_order():
    agent = LocalSearch(gym.make_vec(ENVS[1], num_envs=300), seed=0, num_initial=1)
    agent.query(), agent.query()
    first, second = (agent.space.decode(indices) for indices in queried(agent))
    decision, trials = np.nonzero((first != second).T)
    assert len(trials) == 300
    assert np.bincount(decision, minlength=6).min() > 25  # 50 expected of each


def test_local_search_passes_over_isomorphic_neighbours():
    agent = searched("local", gym.make_vec("NBGraph-cora-alpha-v0", num_envs=8), 400)
    unique = agent.env.unwrapped.history.unique_queries(400)
    assert unique.min() > 390  # repeats come from random starts alone


def test_local_search_takes_no_foreign_architecture_for_a_neighbour():
    # a first generation of the environment's own that is larger than what a climb starts from
    envs = gym.make_vec("NB201-cifar10-population-v0", num_envs=50, population_size=30)
    agent = LocalSearch(envs, seed=0)
    for _ in range(10):
        agent.query()
        ready = agent.next_height > agent.height
        changed = (agent.next != agent.current).sum(axis=1)
        assert (changed[ready] == 1).all()


# -- bad input -------------------------------------------------------------------------------------


def test_foreign_environment_is_refused():
    with pytest.raises(TypeError, match="not an environment of nas_gym"):
        RandomSearch(gym.make("CartPole-v1"))


def test_what_is_no_environment_is_refused():
    with pytest.raises(TypeError, match="got int"):
        RandomSearch(3)


def test_setting_of_another_type_is_refused():
    for value in ("many", 2.5, True):
        with pytest.raises(
            TypeError, match="population_size must be an integer that is at least 1"
        ):
            RegularizedEvolution(ENVS[0], population_size=value)


def test_unknown_setting_is_refused():
    with pytest.raises(TypeError, match="population_size, sample_size"):
        RegularizedEvolution(ENVS[0], size=3)
    with pytest.raises(ValueError, match="at least 1"):
        RegularizedEvolution(ENVS[0], population_size=0)


def test_population_of_many_offspring_is_refused():
    with pytest.raises(ValueError, match="num_offspring=1"):
        RandomSearch(gym.make(ENVS[2], num_offspring=4))


# -- streams ---------------------------------------------------------------------------------------


def test_streams_are_numpys_own_and_resume():
    streams = RandomStreams([3, 4])
    drawn = np.concatenate([streams.random((2, k)) for k in (1, 5, 5000, 2)], axis=1)
    branch = np.random.SeedSequence(4, spawn_key=(1,))
    own = np.random.Generator(np.random.PCG64(branch)).random(5008)
    np.testing.assert_array_equal(drawn[1], own)
    assert not np.isin(drawn[1], np.random.default_rng(4).random(5008)).any()  # environments' own
    again = RandomStreams.resume([3, 4], 5006)
    np.testing.assert_array_equal(again.random((2, 2)), drawn[:, 5006:])
    with pytest.raises(ValueError, match="number of trials, 2"):
        streams.random((3, 1))
