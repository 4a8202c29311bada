"""Every agent: repeatable and independent trials, saving and loading, and bad input."""

from __future__ import annotations

import functools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from quick import AGENTS, make_agent, queried, run_agent

import nas_gym
from nas_gym.agents import LocalSearch, RandomSearch, RegularizedEvolution
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import write_tensors

ENVS = ("NB201-cifar10-v0", "NB201-cifar10-alpha-v0", "NB201-cifar10-population-v0")
QUERIES = 60
SETTINGS = {"rea": {"population_size": 20}}  # full after a third of the queries
every_agent = pytest.mark.parametrize("name", AGENTS, scope="module")
every_mode = pytest.mark.parametrize("env_id", [*ENVS, "NBGraph-proteins-v0"])
SLOW = ("l2nas", "catch", "mpnas")
every_agent_in_every_mode = pytest.mark.parametrize(
    ("name", "env_id"),
    [
        pytest.param(
            name, env_id, marks=pytest.mark.long if name in SLOW and env_id != ENVS[0] else ()
        )
        for name in AGENTS
        for env_id in (*ENVS, "NBGraph-proteins-v0")
    ],
    scope="module",
)


def run(name, env, queries, seed=0):
    return run_agent(name, env, queries, seed, **SETTINGS.get(name, {}))


@functools.cache
def reference(name, env_id):
    """Indices that two trials of an agent query, ``(QUERIES, 2)``; computed once."""
    return queried(run(name, gym.make_vec(env_id, num_envs=2), QUERIES))


@every_agent_in_every_mode
def test_same_seed_same_history(name, env_id):
    again = queried(run(name, gym.make_vec(env_id, num_envs=2), 40))
    np.testing.assert_array_equal(again, reference(name, env_id)[: len(again)])
    assert (again[:, 0] != again[:, 1]).any()  # trial i has seed i


@every_agent_in_every_mode
def test_a_trial_does_not_depend_on_the_number_of_trials(name, env_id):
    alone = run(name, gym.make(env_id), QUERIES, seed=1)
    np.testing.assert_array_equal(queried(alone)[:, 0], reference(name, env_id)[:, 1])


@every_agent
def test_same_history_in_every_mode(name):
    # sequential and alpha environments evaluate only what the agent proposes
    np.testing.assert_array_equal(*(reference(name, env_id) for env_id in ENVS[:2]))


@every_agent
def test_same_history_with_either_autoreset(name):
    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        envs = gym.make_vec(ENVS[0], num_envs=2, autoreset_mode=mode)
        np.testing.assert_array_equal(queried(run(name, envs, 10)), reference(name, ENVS[0])[:10])


@every_agent_in_every_mode
def test_a_loaded_agent_continues_with_the_same_history(name, env_id, tmp_path):
    half = run(name, gym.make_vec(env_id, num_envs=2), QUERIES // 2)
    half.save(tmp_path / "agent")
    state = half.env.unwrapped.clone_state()
    half.query()  # does not change the saved state
    envs = gym.make_vec(env_id, num_envs=2)
    loaded = type(half).load(tmp_path / "agent", envs)
    loaded.load_state_dict(loaded.state_dict(), env_restored=True)
    envs.restore_state(state)
    while loaded.num_queries < QUERIES:
        loaded.query()
    np.testing.assert_array_equal(queried(loaded), reference(name, env_id))


@every_agent
def test_a_loaded_agent_keeps_its_population(name, tmp_path):
    agent = run_agent(name, gym.make("NB201-cifar10-population-v0"), 60)
    agent.save(tmp_path / "agent")
    loaded = type(agent).load(tmp_path / "agent", gym.make("NB201-cifar10-population-v0"))
    loaded.learn(1)
    assert loaded.num_queries == agent.num_queries + 10 + 1  # a new first generation, one query
    assert loaded.best_fitness[0] >= agent.best_fitness[0]
    if name == "rea":
        kept = np.isin(loaded.fitness, agent.fitness)
        # one child is new; the environment's new generation is ignored
        assert kept.sum() == agent.config.population_size - 1


def test_equal_agents_write_equal_files(tmp_path):
    for name in ("first", "second"):
        run_agent("l2nas", gym.make(ENVS[1]), 10).save(tmp_path / name)
    first, second = ((tmp_path / f"{n}.safetensors").read_bytes() for n in ("first", "second"))
    assert first == second


def test_load_refuses_other_spaces_classes_and_files(cache, tmp_path):
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
    with pytest.raises(DamagedDataError, match="not a complete saved agent"):
        RandomSearch.load(tmp_path / "part", "Narrow-v0")


def test_load_on_another_task_warns(tmp_path):
    RandomSearch(ENVS[0], seed=0).learn(6).save(tmp_path / "agent")
    noisy = gym.make(ENVS[0], noise=0.3)
    with pytest.warns(UserWarning, match="saved on another task"):
        RandomSearch.load(tmp_path / "agent", noisy)


@pytest.mark.parametrize("autoreset_mode", list(AutoresetMode)[:2])
@every_mode
def test_environments_continue_from_a_cloned_state(env_id, autoreset_mode):
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
    agent.learn(7)  # the last query is completed
    assert agent.num_queries == 12


def test_callback_stops():
    agent = RandomSearch(ENVS[1], seed=0)
    agent.learn(100, callback=lambda agent: agent.num_queries < 7)
    assert agent.num_queries == 7


@pytest.mark.parametrize("env_id", ENVS)
def test_predict_builds_the_best_architecture(env_id):
    agent = run_agent("rea", gym.make(env_id), 30)
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


# -- bad input -------------------------------------------------------------------------------------


def test_environments_of_other_packages_are_refused():
    with pytest.raises(TypeError, match="not an environment of nas_gym"):
        RandomSearch(gym.make("CartPole-v1"))


def test_other_objects_than_environments_are_refused():
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


def test_generations_of_several_offspring_are_refused():
    with pytest.raises(ValueError, match="num_offspring=1"):
        RandomSearch(gym.make(ENVS[2], num_offspring=4))
