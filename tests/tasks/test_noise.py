"""Noise on signals: normal, independent, the same whenever asked, and followed by the search."""

from __future__ import annotations

from statistics import NormalDist

import gymnasium as gym
import numpy as np
import pytest

import nas_gym  # noqa: F401
from nas_gym.agents import RandomSearch
from nas_gym.agents.sb3.models import make_model
from nas_gym.agents.sb3.vec_env import SearchVecEnv
from nas_gym.recording import RecordVectorSearch
from nas_gym.tasks import make_task, noise

MODES = ("NB201-cifar10-v0", "NB201-cifar10-alpha-v0", "NB201-cifar10-population-v0")
every_mode = pytest.mark.parametrize("env_id", MODES)


def numbers(seeds=8, size=15_625):
    return noise.standard_normal(noise.keys(list(range(seeds)))[:, None], np.arange(size))


def test_is_standard_normal():
    drawn = numbers(20)
    normal = NormalDist()
    quantiles = [normal.inv_cdf(q) for q in np.linspace(0.001, 0.999, 999)]
    for values in (drawn.reshape(-1), *drawn):
        # Kolmogorov and Smirnov's statistic, which exceeds 2.3 once in 20,000 times
        shares = np.searchsorted(np.sort(values), quantiles) / values.size
        assert np.abs(shares - np.linspace(0.001, 0.999, 999)).max() < 2.3 / values.size**0.5
    np.testing.assert_allclose(drawn.mean(axis=1), 0, atol=4.5 / 125)
    np.testing.assert_allclose(drawn.std(axis=1), 1, atol=4.5 / 176)


def test_is_independent_of_neighbours():
    drawn = numbers(40, 5_000)
    between_searches = np.corrcoef(drawn)[np.triu_indices(40, 1)]
    assert np.abs(between_searches).max() < 5 / 5_000**0.5
    along = [np.corrcoef(row[:-lag], row[lag:])[0, 1] for row in drawn for lag in (1, 5, 25, 125)]
    assert np.abs(along).max() < 5 / 5_000**0.5
    assert len(np.unique(drawn)) == drawn.size


def test_is_the_same_whenever_asked():
    keys = noise.keys([3, 4])
    indices = np.array([[7, 9], [9, 7], [15_624, 0]])
    together = noise.standard_normal(keys, indices)
    for (row, column), index in np.ndenumerate(indices):
        assert noise.standard_normal(keys[column], index) == together[row, column]
    np.testing.assert_array_equal(keys, noise.keys([3, 4]))
    assert len(set(noise.keys([None] * 50).tolist())) == 50


def test_task_adds_it_in_the_unit_of_the_signal():
    noisy = make_task(table="analog-nasbench", dataset="cifar10", noise=0.5)
    keys, indices = noise.keys([0]), np.arange(15_625)
    error = noisy.reward(indices, keys) - noisy.rewards
    assert error.std() == pytest.approx(0.5, rel=0.03)
    np.testing.assert_array_equal(noisy.reward(indices), noisy.rewards)  # nobody asks
    plain = make_task(table="analog-nasbench", dataset="cifar10")
    np.testing.assert_array_equal(noisy.rewards, plain.rewards)
    np.testing.assert_array_equal(noisy.regret(indices), plain.regret(indices))
    np.testing.assert_array_equal(plain.reward(indices, keys), plain.rewards)
    assert noisy.describe()["noise"] == 0.5


def test_where_less_is_better(open_table):
    seconds = open_table("nas-bench-graph-cora").column("latency")
    task = make_task(
        table="nas-bench-graph-cora", dataset="cora", signal="latency", report="para", noise=0.001
    )
    rewards = task.reward(np.arange(task.space.size), noise.keys([0]))
    assert (rewards + seconds).std() == pytest.approx(0.001, rel=0.03)
    assert (rewards + seconds).mean() == pytest.approx(0, abs=0.001 * 4.5 / task.space.size**0.5)


def test_parts_of_a_table_have_the_noise_of_the_whole():
    keys = noise.keys([0, 1, 2])[:, None]
    whole = noise.standard_normal(keys, np.arange(15_625))
    for begin, stride in ((0, 2), (1, 3), (5, 64)):  # however NumPy goes about it
        part = noise.standard_normal(keys, np.arange(15_625)[begin::stride])
        np.testing.assert_array_equal(part, whole[:, begin::stride])


@pytest.mark.parametrize("sigma", [-0.1, float("nan"), float("inf")])
def test_bad_noise(sigma):
    with pytest.raises(ValueError, match="standard deviation"):
        gym.make(MODES[0], noise=sigma)


def searched(env_id, seed=0, trials=3, queries=40):
    envs = RecordVectorSearch(gym.make_vec(env_id, num_envs=trials, noise=1.0))
    RandomSearch(envs, seed=seed).learn(queries * (6 if env_id == MODES[0] else 1))
    return envs


@every_mode
def test_scalar_and_vector_have_the_same(env_id):
    many = gym.make_vec(env_id, num_envs=4, noise=1.0)
    for seeds in ([5, 6, 7, 8], None):  # without seeds, a further search in two of the modes
        many.reset(seed=seeds)
        if seeds:
            ones = [gym.make(env_id, noise=1.0).unwrapped for _ in seeds]
        for i, one in enumerate(ones):
            one.reset(seed=None if seeds is None else seeds[i])
            assert one.history.keys == many.unwrapped.history.keys[i]
    agents = [
        RandomSearch(env, seed=5) for env in (gym.make_vec(env_id, num_envs=2, noise=1.0),
                                              gym.make(env_id, noise=1.0))
    ]  # fmt: skip
    for agent in agents:
        agent.learn(30)
    assert agents[0].best_fitness[0] == agents[1].best_fitness[0]


@every_mode
def test_searches_follow_what_they_are_told(env_id):
    envs = searched(env_id)
    found, task = envs.curves(), envs.unwrapped.task
    rewards = task.reward(found.indices, envs.unwrapped.history.keys)
    np.testing.assert_array_equal(found.rewards, rewards)
    assert np.abs(rewards - task.reward(found.indices)).mean() > 0.5
    best = found.indices[rewards.argmax(axis=0), [0, 1, 2]]
    np.testing.assert_array_equal(found.incumbents[-1], best)
    np.testing.assert_array_equal(found.regrets[-1], task.regret(best))  # free of noise
    # online and batched say the same
    history = envs.unwrapped.history
    np.testing.assert_array_equal(history.incumbents(len(rewards)), best)
    # another seed, other noise; the same seed, the same
    again, other = searched(env_id).curves(), searched(env_id, seed=50).curves()
    np.testing.assert_array_equal(again.rewards, found.rewards)
    assert (other.rewards != found.rewards).all()


@every_mode
def test_info_has_the_noisy_reward_of_the_incumbent(env_id):
    env = gym.make(env_id, noise=1.0)
    env.reset(seed=1)
    env.action_space.seed(1)
    told = []
    for _ in range(40):
        _, reward, terminated, _, info = env.step(env.action_space.sample())
        if env_id == MODES[0] and not terminated:
            continue
        told.append(reward)
        if env_id != MODES[2]:
            assert info["incumbent_reward"] == max(told)
        if terminated:
            env.reset()


@every_mode
def test_state_goes_along(env_id):
    envs = gym.make_vec(env_id, num_envs=3, noise=1.0)
    envs.reset(seed=3)
    copy = gym.make_vec(env_id, num_envs=3, noise=1.0)
    copy.restore_state(envs.clone_state())
    np.testing.assert_array_equal(copy.history.keys, envs.history.keys)
    envs.reset(), copy.reset()
    np.testing.assert_array_equal(copy.history.keys, envs.history.keys)


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_one_search_of_several_environments_has_one_noise(name):
    settings = {"n_envs": 4} if name == "ppo" else {}
    model = make_model(name, MODES[0], seed=0, env_arguments={"noise": 1.0}, **settings)
    model.learn(400)
    envs = model.get_env().unwrapped.envs
    assert len(set(envs.unwrapped.history.keys.tolist())) == 1
    found = envs.curves()
    by_index = {}
    for index, reward in zip(found.indices[:, 0], found.rewards[:, 0], strict=True):
        assert by_index.setdefault(int(index), reward) == reward


def test_models_of_sb3_search_once_however_they_are_made():
    envs = gym.make_vec(MODES[0], num_envs=4, autoreset_mode="SameStep", noise=1.0)
    venv = SearchVecEnv(envs)
    for seed in (0, 1):
        venv.seed(seed)
        venv.reset()
        assert envs.history.keys.tolist() == noise.keys([seed] * 4).tolist()


def test_environments_of_one_search_are_so_from_the_start():
    envs = gym.make_vec(MODES[0], num_envs=2, noise=1.0)
    envs.reset()
    with pytest.raises(RuntimeError, match="begun"):
        RecordVectorSearch(envs, pool=True)
    without = gym.make_vec(MODES[0], num_envs=2)
    without.reset(), RecordVectorSearch(without, pool=True)  # there is nothing to share


@every_mode
def test_a_search_goes_on_with_its_noise(env_id):
    kwargs = {"num_envs": 3, "noise": 1.0}
    if env_id != MODES[0]:
        kwargs["max_episode_steps"] = 5  # other searches begin on the way
    envs, copy = gym.make_vec(env_id, **kwargs), gym.make_vec(env_id, **kwargs)
    envs.reset(seed=3)
    envs.action_space.seed(0)
    for _ in range(13):
        envs.step(envs.action_space.sample())
    copy.restore_state(envs.clone_state())
    for _ in range(20):
        actions = envs.action_space.sample()
        np.testing.assert_array_equal(copy.step(actions)[1], envs.step(actions)[1])
    np.testing.assert_array_equal(copy.history.indices, envs.history.indices)
