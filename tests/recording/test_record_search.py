"""RecordSearch and RecordVectorSearch: records, timing and event files."""

from __future__ import annotations

import time
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import nas_gym
from nas_gym.agents import RandomSearch, RegularizedEvolution
from nas_gym.recording import RecordSearch, RecordVectorSearch

MODES = ("NB201-cifar10-v0", "NB201-cifar10-alpha-v0", "NB201-cifar10-population-v0")


def run_random_actions(env, steps, seed=0):
    env.action_space.seed(seed)
    env.reset(seed=seed)
    infos = []
    for _ in range(steps):
        _, _, terminated, truncated, info = env.step(env.action_space.sample())
        infos.append(info)
        if terminated or truncated:
            env.reset()
    return infos


@pytest.mark.parametrize("env_id", MODES)
def test_record_equals_info(env_id):
    env = RecordSearch(gym.make(env_id))
    infos = [info for info in run_random_actions(env, 120) if "regret" in info]
    found = env.curves()
    first = len(found.indices) - len(infos)  # the initial population
    assert first == (10 if "population" in env_id else 0)
    for name, array in (
        ("unique_queries", found.unique),
        ("incumbent", found.incumbents),
        ("incumbent_reward", found.incumbent_rewards),
        ("incumbent_report", found.reports),
        ("regret", found.regrets),
    ):
        np.testing.assert_array_equal([info[name] for info in infos], array[first:, 0], name)


@pytest.mark.parametrize("env_id", MODES[1:])
def test_record_continues_after_resets(env_id):
    env = RecordSearch(gym.make(env_id, max_episode_steps=7))
    run_random_actions(env, 30)
    # Each of the five resets evaluates an initial population.
    initial = 5 * 10 if "population" in env_id else 0
    assert env.curves().indices.shape == (30 + initial, 1)
    assert env.unwrapped.history.queries < 30  # a reset begins a new history


@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
@pytest.mark.parametrize("env_id", MODES)
def test_vector_record_contains_the_queries_of_resets(env_id, mode):
    envs = gym.make_vec(env_id, num_envs=3, autoreset_mode=mode)
    if "-v0" in env_id and env_id != MODES[0]:
        envs.max_episode_steps = 7
    envs = RecordVectorSearch(envs)
    envs.action_space.seed(0)
    said = [envs.reset(seed=0)[1]]
    for _ in range(40):
        infos = envs.step(envs.action_space.sample())[-1]
        said += [infos["final_info"], infos] if "final_info" in infos else [infos]
    queried = [info["index"].reshape(3, -1).T for info in said if "index" in info]
    np.testing.assert_array_equal(envs.curves().indices, np.concatenate(queried))


def test_pooled_queries_form_one_sequence():
    make = {"id": MODES[1], "num_envs": 4}
    apart = RecordVectorSearch(gym.make_vec(**make))
    pooled = RecordVectorSearch(gym.make_vec(**make), pool=True)
    for envs in (apart, pooled):
        RandomSearch(envs, seed=0).learn(9)
    np.testing.assert_array_equal(pooled.curves().indices[:, 0], apart.curves().indices.reshape(-1))
    assert pooled.curves().unique[-1, 0] <= 36


def test_agent_time_excludes_the_environment():
    env = RecordSearch(gym.make(MODES[1]))
    env.reset(seed=0)
    time.sleep(0.05)
    env.step(env.action_space.sample())
    env.unwrapped.step = lambda action, step=env.unwrapped.step: (time.sleep(0.2), step(action))[1]
    env.step(env.action_space.sample())
    seconds = env.curves().agent_seconds[:, 0]
    assert seconds[0] >= 0.05
    assert seconds[1] - seconds[0] < 0.1


def test_time_counts_once_if_steps_raise():
    env = RecordSearch(gym.make(MODES[0]))
    env.reset(seed=0)
    time.sleep(0.1)
    for _ in range(5):
        with pytest.raises(ValueError, match="invalid"):
            env.step(99)
    for _ in range(6):
        env.step(0)
    assert env.curves().agent_seconds[0, 0] < 0.15


def test_trials_in_lockstep_share_the_time():
    envs = RecordVectorSearch(gym.make_vec(MODES[1], num_envs=5))
    envs.reset(seed=0)
    time.sleep(0.1)
    envs.step(envs.action_space.sample())
    assert envs.curves().agent_seconds[0] == pytest.approx(np.full(5, 0.02), abs=0.015)


def test_recording_does_not_change_the_history():
    plain = gym.make_vec(MODES[0], num_envs=3)
    RegularizedEvolution(plain, seed=0).learn(600)
    recorded = RecordVectorSearch(gym.make_vec(MODES[0], num_envs=3))
    RegularizedEvolution(recorded, seed=0).learn(600)
    np.testing.assert_array_equal(plain.history.indices, recorded.curves().indices)


def test_training_seconds_of_a_table_that_has_them(tmp_path, cache):
    rows = [f"{a}{b},{a + b},{10 * a + b + 1}" for a in range(3) for b in range(2)]
    (tmp_path / "t.csv").write_text("arch,acc,hours\n" + "\n".join(rows) + "\n")
    nas_gym.import_table(tmp_path / "t.csv", "Timed", signal="acc", seconds="hours")
    env = RecordSearch(gym.make("Timed-alpha-v0"))
    infos = run_random_actions(env, 10)
    spent = np.cumsum([info["metrics"]["hours"] for info in infos])
    np.testing.assert_array_equal(env.curves().training_seconds[:, 0], spent)
    assert RecordSearch(gym.make(MODES[0])).curves().training_seconds is None


def test_nothing_is_recorded_before_the_wrapper():
    env = gym.make(MODES[1])
    run_random_actions(env, 5)
    env = RecordSearch(env)
    assert env.curves().indices.shape == (0, 1)
    env.step(env.action_space.sample())
    assert env.curves().indices.shape == (1, 1)


def test_events_are_written_at_the_end(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (tmp_path / "events.out.tfevents.mine").write_text("not to be touched")
    env = RecordSearch(gym.make(MODES[1]), tensorboard_log=tmp_path)
    run_random_actions(env, 20)
    env.close()
    run_random_actions(env, 10)  # the next close() replaces the files
    env.close()
    assert (tmp_path / "events.out.tfevents.mine").exists()
    assert len(list(tmp_path.glob("*/events*"))) == 1
    events = EventAccumulator(str(tmp_path / "search_1"))
    events.Reload()
    regrets = [event.value for event in events.Scalars("search/regret")]
    np.testing.assert_allclose(regrets, env.curves().regrets[:, 0], rtol=1e-6)
    assert len(events.Images("best/architecture")) == 1
    envs = RecordVectorSearch(gym.make_vec(MODES[1], num_envs=2), tensorboard_log=tmp_path / "v")
    RandomSearch(envs, seed=0).learn(5)
    envs.close()
    assert len(list((tmp_path / "v").glob("search_1/trial-*/events*"))) == 2
    other = RecordSearch(gym.make(MODES[1]), tensorboard_log=tmp_path)
    run_random_actions(other, 3)
    other.close()
    assert (tmp_path / "search_2").exists()


def test_an_environment_without_queries_writes_nothing(tmp_path):
    RecordSearch(gym.make(MODES[0]), tensorboard_log=tmp_path / "log").close()
    assert not (tmp_path / "log").exists()


def test_wrapper_can_be_recreated_from_its_spec():
    env = RecordSearch(gym.make(MODES[0]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The environment|.*different from the unwrapped")
        check_env(env, skip_render_check=True)
    assert isinstance(gym.make(env.spec), RecordSearch)


def test_other_environments_are_refused():
    with pytest.raises(TypeError, match="not an environment of nas_gym"):
        RecordSearch(gym.make("CartPole-v1"))
    with pytest.raises(TypeError, match="RecordSearch"):
        RecordVectorSearch(gym.vector.SyncVectorEnv([lambda: gym.make(MODES[0])]))
