"""Algorithms of stable-baselines3 and sb3-contrib train on the environments without wrappers."""

import gymnasium as gym
import numpy as np
import pytest

stable_baselines3 = pytest.importorskip("stable_baselines3")


def test_monitor_and_dummy_vec_env(make):
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    envs = DummyVecEnv([lambda: Monitor(make("NB201-cifar10-v0"))] * 3)
    envs.seed(0)
    envs.reset()
    episodes = 0
    for _ in range(18):
        _, rewards, ends, infos = envs.step(np.array([envs.action_space.sample() for _ in "abc"]))
        if ends.all():
            episodes += 1
            for reward, info in zip(rewards, infos, strict=True):
                assert info["episode"]["l"] == 6
                assert info["episode"]["r"] == pytest.approx(float(reward), abs=1e-5)
                assert info["terminal_observation"][-1] == 6
                assert info["queries"] == episodes
    assert episodes == 3


def test_ppo_learns_and_is_saved_and_loaded(make, tmp_path):
    env = make("NB201-cifar10-v0")
    model = stable_baselines3.PPO("MlpPolicy", env, n_steps=64, seed=0, device="cpu").learn(128)
    assert env.unwrapped.history.queries == 128 // 6
    model.save(tmp_path / "ppo")
    again = stable_baselines3.PPO.load(tmp_path / "ppo", env, device="cpu")
    observation, _ = env.reset(seed=0)
    choose = {"deterministic": True}
    assert model.predict(observation, **choose)[0] == again.predict(observation, **choose)[0]


def test_maskable_ppo_takes_valid_actions_only(make, tmp_path):
    contrib = pytest.importorskip("sb3_contrib")
    env = make("NBGraph-proteins-v0")
    model = contrib.MaskablePPO("MlpPolicy", env, n_steps=64, seed=0, device="cpu").learn(128)
    assert env.unwrapped.history.queries == 128 // 5  # an invalid action would have raised
    model.save(tmp_path / "model")
    assert (tmp_path / "model.zip").stat().st_size < 300_000  # it does not contain the environment
    contrib.MaskablePPO.load(tmp_path / "model", env, device="cpu").learn(64)


def test_action_masks_of_what_gym_makes(make):
    """The environment has the method itself, and sb3-contrib's helpers find it behind wrappers."""
    utils = pytest.importorskip("sb3_contrib.common.maskable.utils")
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    env = make("NBGraph-proteins-v0")
    env.reset(seed=0)
    env.step(0)
    expected = [True] * 5 + [False] * 4
    assert env.action_masks().tolist() == expected
    for wrapped in (env, Monitor(env), gym.wrappers.TimeLimit(env, 99)):
        assert utils.is_masking_supported(wrapped)
        assert utils.get_action_masks(wrapped).tolist() == expected
    envs = DummyVecEnv([lambda: Monitor(env)])
    assert utils.is_masking_supported(envs)
    assert utils.get_action_masks(envs).tolist() == [expected]
    sync = gym.make_vec("NBGraph-proteins-v0", num_envs=2, vectorization_mode="sync")
    sync.reset(seed=0)
    assert [masks.tolist() for masks in sync.call("action_masks")] == [[True] * 9] * 2
    assert not utils.is_masking_supported(make("NB201-cifar10-alpha-v0"))


def test_sac_learns(make):
    env = make("NB201-cifar10-alpha-v0", max_episode_steps=40)
    stable_baselines3.SAC(
        "MlpPolicy", env, learning_starts=80, buffer_size=200, batch_size=32, seed=0, device="cpu"
    ).learn(100)
    assert env.unwrapped.history.queries == 20  # of the third search


def test_multi_input_policy_on_a_population(make):
    env = make("NBGraph-cora-population-v0", max_episode_steps=20)
    env.reset(seed=0)
    policy = stable_baselines3.PPO(
        "MultiInputPolicy", env, n_steps=8, batch_size=8, device="cpu"
    ).policy
    action, _ = policy.predict(env.reset()[0])
    assert env.action_space.contains(action)
    assert isinstance(env.action_space, gym.spaces.MultiDiscrete)
