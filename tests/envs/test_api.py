"""Contracts of Gymnasium and stable-baselines3, for every registered environment."""

import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env as gymnasium_check
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics

from nas_gym.registration import BUILT_IN, Mode
from nas_gym.tasks import make_task

SUFFIXES = [mode.value for mode in Mode]

IDS = [f"{name}{suffix}-v0" for name in BUILT_IN for suffix in SUFFIXES]
THREE_MODES = [f"NBGraph-proteins{suffix}-v0" for suffix in SUFFIXES]

pytestmark = pytest.mark.filterwarnings("error")


def test_there_are_99_ids():
    assert len(IDS) == 99
    assert set(IDS) <= set(gym.registry)


@pytest.mark.parametrize("env_id", IDS)
def test_gymnasium_checker(env_id, make):
    gymnasium_check(make(env_id).unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_stable_baselines3_checker(env_id, make):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the imports emit warnings
        from stable_baselines3.common.env_checker import check_env
    check_env(make(env_id).unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_same_seed_same_trajectory(env_id, make, assert_same):
    # Environments over networks are slow.
    steps = 200 if "table" in gym.spec(env_id).kwargs else 8

    def trajectory():
        env = make(env_id, max_episode_steps=steps // 4)
        env.action_space.seed(3)
        yield env.reset(seed=3)
        for _ in range(steps):
            result = env.step(env.action_space.sample())
            yield result
            if result[2] or result[3]:
                yield env.reset()

    for first, second in zip(trajectory(), trajectory(), strict=True):
        assert_same(first, second)


@pytest.mark.parametrize("env_id", IDS)
def test_specs_survive_text_and_pickle(env_id, make, assert_same):
    env = make(env_id, max_episode_steps=7)
    observation, info = env.reset(seed=5)
    specs = [env.spec, EnvSpec.from_json(env.spec.to_json()), pickle.loads(pickle.dumps(env.spec))]
    for spec in specs:
        again = gym.make(spec)
        assert again.spec == env.spec
        assert_same(again.reset(seed=5), (observation, info))
    quick = {k: v for k, v in env.spec.kwargs.items() if k in ("supernet", "evaluator")}
    envs = gym.make_vec(env_id, num_envs=2, **quick)
    assert_same(gym.make_vec(envs.spec).reset(seed=5), envs.reset(seed=5))


def test_spec_with_a_ready_task(make, assert_same):
    task = make_task(table="nas-bench-graph-proteins", dataset="proteins", signal="latency")
    env = make("NBGraph-proteins-population-v0", task=task)
    assert_same(gym.make(env.spec).reset(seed=1), env.reset(seed=1))
    assert env.reset(seed=1)[0]["fitness"].max() < 0  # latency is minimized


@pytest.mark.parametrize("env_id", THREE_MODES)
def test_spaces_are_pickled_without_the_environment(env_id, make):
    """Worker processes of stable-baselines3 and Gymnasium receive spaces through a pipe."""
    for env in (make(env_id), gym.make_vec(env_id, num_envs=3)):
        env.reset(seed=0)
        for space in (env.action_space, env.observation_space):
            sent = pickle.dumps(space)
            assert len(sent) < 100_000
            assert pickle.loads(sent) == space


@pytest.mark.parametrize("env_id", THREE_MODES)
def test_samples_of_the_action_space_are_valid(env_id, make):
    env = make(env_id)
    envs = gym.make_vec(env_id, num_envs=64)
    for each in (env, envs):
        each.action_space.seed(0)
        each.reset(seed=0)
        for _ in range(50):
            result = each.step(each.action_space.sample())  # an invalid action raises
            if each is env and result[2]:
                env.reset()


@pytest.mark.parametrize("env_id", THREE_MODES)
def test_gymnasium_async_workers(env_id, open_table):
    open_table("nas-bench-graph-proteins")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Python versions warn about fork
        envs = gym.make_vec(env_id, num_envs=2, vectorization_mode="async")
    observations, _ = envs.reset(seed=0)
    assert envs.observation_space.contains(observations)
    envs.close()


@pytest.mark.parametrize("env_id", THREE_MODES)
def test_vector_observations_and_actions_are_in_their_spaces(env_id, open_table, autoreset_mode):
    open_table("nas-bench-graph-proteins")
    kwargs = {} if env_id == THREE_MODES[0] else {"max_episode_steps": 4}
    envs = gym.make_vec(env_id, num_envs=5, autoreset_mode=autoreset_mode, **kwargs)
    assert envs.metadata["autoreset_mode"] is autoreset_mode
    assert envs.single_action_space == gym.make(env_id).action_space
    assert envs.single_observation_space == gym.make(env_id).observation_space
    observations, _ = envs.reset(seed=0)
    assert envs.observation_space.contains(observations)
    for _ in range(12):
        actions = envs.action_space.sample()
        assert envs.action_space.contains(actions)
        observations, rewards, terminated, truncated, _ = envs.step(actions)
        assert envs.observation_space.contains(observations)
        for array, kind in ((rewards, "f"), (terminated, "b"), (truncated, "b")):
            assert (array.shape, array.dtype.kind) == ((5,), kind)


@pytest.mark.parametrize("env_id", [f"NB201-cifar10{suffix}-v0" for suffix in SUFFIXES])
def test_gymnasium_vector_wrappers(env_id, open_table, autoreset_mode):
    open_table("analog-nasbench")
    steps = 6 if env_id == "NB201-cifar10-v0" else 4
    kwargs = {} if steps == 6 else {"max_episode_steps": steps}
    envs = gym.make_vec(env_id, num_envs=3, autoreset_mode=autoreset_mode, **kwargs)
    envs = DictInfoToList(RecordEpisodeStatistics(envs))
    envs.action_space.seed(0)
    _, infos = envs.reset(seed=0)
    assert len(infos) == 3
    episodes = 0
    returns = np.zeros(3)
    for _ in range(20):
        _, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
        returns += rewards
        if (terminated | truncated).all():
            episodes += 1
            for i, info in enumerate(infos):
                assert info["episode"]["l"] == steps
                assert info["episode"]["r"] == pytest.approx(returns[i])
                last = info.get("final_info", info)
                assert last["regret"] >= 0
                assert isinstance(last["arch"], str | np.ndarray)
                assert set(last["metrics"]) >= {"baseline_accuracy", "analog_accuracy"}
            returns[:] = 0
    assert episodes >= 2
