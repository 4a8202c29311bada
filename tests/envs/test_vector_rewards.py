"""Vector rewards in the conventions of MO-Gymnasium, and with its wrappers."""

import time

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import nas_gym

ENV = "NB201-cifar10-mo-v0"
GENOTYPE = (3, 1, 0, 2, 3, 4)


def _episode(env, genotype=GENOTYPE):
    for action in genotype:
        step = env.step(action)
    return step


def test_scalar_environment():
    env = gym.make(ENV)
    inner = env.unwrapped
    assert (inner.reward_dim, inner.reward_space.shape) == (2, (2,))
    env.reset(seed=0)
    assert env.step(GENOTYPE[0])[1].tolist() == [0, 0]
    env.reset()
    _, reward, terminated, _, info = _episode(env)
    assert terminated
    assert inner.reward_space.contains(reward)
    assert reward.tolist() == inner.task.rewards[info["index"]].tolist()
    assert reward[1] == -info["metrics"]["cost:params"]
    assert info["non_dominated"]
    assert "incumbent" not in info
    front = inner.pareto_front()
    assert len(front) == 17
    assert front[0].shape == (2,)
    np.testing.assert_allclose(inner.pareto_front(0.5), np.array(front) * 0.5**5)


def test_non_dominated_in_info():
    env = gym.make(ENV)
    env.reset(seed=0)
    rng, seen = np.random.default_rng(0), []
    for _ in range(30):
        _, reward, _, _, info = _episode(env, rng.integers(5, size=6).tolist())
        dominated = any((old >= reward).all() and (old > reward).any() for old in seen)
        assert info["non_dominated"] == (not dominated)
        seen.append(reward)
        env.reset()


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_vector_environment_equals_scalar_ones(mode):
    envs = gym.make_vec(ENV, num_envs=3, autoreset_mode=mode, noise=0.5)
    single = [gym.make(ENV, noise=0.5) for _ in range(3)]
    envs.reset(seed=5)
    for i, env in enumerate(single):
        env.reset(seed=5 + i)
    rng = np.random.default_rng(1)
    for step in range(20):
        actions = rng.integers(5, size=3)
        rewards = envs.step(actions)[1]
        assert rewards.shape == (3, 2)
        resets = mode is AutoresetMode.NEXT_STEP and step % 7 == 6
        for i, env in enumerate(single):
            if resets:
                env.reset()
                assert (rewards[i] == 0).all()
                continue
            _, reward, terminated, _, _ = env.step(actions[i])
            np.testing.assert_array_equal(rewards[i], reward)
            if terminated and mode is AutoresetMode.SAME_STEP:
                env.reset()
    assert envs.unwrapped.reward_space.shape == (2,)


def test_wrappers_of_mo_gymnasium():
    mo = pytest.importorskip("mo_gymnasium")
    weight = np.array([0.5, 2.0])
    env = mo.wrappers.LinearReward(mo.make(ENV), weight=weight)
    env.reset(seed=0)
    _, reward, _, _, info = _episode(env)
    assert reward == weight @ info["vector_reward"]
    env = mo.wrappers.MORecordEpisodeStatistics(mo.make(ENV), gamma=0.9)
    env.reset(seed=0)
    _, reward, _, _, info = _episode(env)
    np.testing.assert_allclose(info["episode"]["r"], reward, rtol=1e-6)
    np.testing.assert_allclose(info["episode"]["dr"], reward * 0.9**5, rtol=1e-6)


def test_vector_wrappers_of_mo_gymnasium():
    vector = pytest.importorskip("mo_gymnasium.wrappers.vector")
    envs = vector.MORecordEpisodeStatistics(gym.make_vec(ENV, num_envs=2))
    envs.reset(seed=0)
    for action in GENOTYPE:
        _, rewards, _, _, infos = envs.step(np.array([action, 0]))
    np.testing.assert_allclose(infos["episode"]["r"], rewards, rtol=1e-6)
    envs = vector.MOSyncVectorEnv([lambda: gym.make(ENV) for _ in range(2)])
    envs.reset(seed=0)
    for action in GENOTYPE:
        _, again, _, _, _ = envs.step([action, 0])
    np.testing.assert_allclose(again, rewards, rtol=1e-6)


def test_vector_environment_of_gymnasium_names_the_one_to_use():
    envs = gym.make_vec(ENV, num_envs=2, vectorization_mode="sync")
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="sequence") as error:
        envs.step(np.array([0, 0]))
    assert "without vectorization_mode" in str(error.value.__cause__)


def test_computations_with_rewards_are_ordinary_arrays():
    env = gym.make(ENV)
    env.reset(seed=0)
    reward = _episode(env)[1]
    assert type(2 * reward) is np.ndarray
    assert isinstance(np.array([1.0, 10.0]) @ reward, float)
    assert float(reward[0]) == reward.tolist()[0]
    assert isinstance(reward.sum(), float)


def test_other_modes_refuse_objectives():
    for mode in ("alpha", "population"):
        for make in (gym.make, gym.make_vec):
            with pytest.raises(ValueError, match="for environments in sequential mode"):
                make(f"NB201-cifar10-{mode}-v0", objectives=["signal", "params"])
    assert "NB201-cifar10-mo-alpha-v0" not in gym.registry
    with pytest.raises(ValueError, match="has scalar rewards"):
        gym.make("NB201-cifar10-v0").unwrapped.pareto_front()
    assert not hasattr(gym.make("NB201-cifar10-v0").unwrapped, "reward_space")


def test_agents_of_one_reward_are_refused():
    from nas_gym.agents import RegularizedEvolution

    with pytest.raises(ValueError, match="Use scalarized"):
        RegularizedEvolution(ENV)


@pytest.mark.long
def test_stepping_is_five_times_as_fast_as_cartpole():
    def seconds(envs):
        envs.reset(seed=0)
        envs.action_space.seed(0)
        actions = [envs.action_space.sample() for _ in range(100)]
        best = np.inf
        for _ in range(5):
            start = time.process_time()
            for action in actions:
                envs.step(action)
            best = min(best, time.process_time() - start)
        return best

    own = gym.make_vec(ENV, num_envs=1024)
    cartpole = gym.make_vec("CartPole-v1", 1024, vectorization_mode="vector_entry_point")
    assert seconds(cartpole) >= 5 * seconds(own)
    assert nas_gym.__version__
