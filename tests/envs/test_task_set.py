"""TaskSetEnv: contracts of Gymnasium, sampling of tasks, and observations."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from nas_gym.envs import TaskSetEnv

TASKS = "nbgraph/cora"


def test_contracts():
    from stable_baselines3.common.env_checker import check_env as check_sb3

    check_env(TaskSetEnv(TASKS, 3), skip_render_check=True)
    check_sb3(TaskSetEnv(TASKS, 3))


def test_samples_follow_masks_and_steps_need_an_episode():
    env = TaskSetEnv(TASKS, queries=200)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    env.env.reset(seed=0)
    for decision in (0, 8, 8, 8):  # a fourth skip is invalid
        env.step(decision)
    assert {int(env.action_space.sample()) for _ in range(300)} == set(range(8))
    with pytest.raises(TypeError):
        TaskSetEnv(TASKS, queries=1.5)


def test_each_reset_samples_a_task_and_each_episode_has_a_budget():
    env = TaskSetEnv(TASKS, queries=3)
    drawn = set()
    rng = np.random.default_rng(0)
    for seed in range(8):
        env.reset(seed=seed)
        drawn.add(env.env.task.dataset)
        task, ends, rewards, steps = env.env.task, False, [], 0
        while not ends:
            action = rng.choice(np.flatnonzero(env.action_masks()))
            observation, reward, ends, truncated, info = env.step(action)
            steps += 1
            complete = observation[-1] == 1
            assert not truncated
            assert observation[-2] == np.float32(reward)
            assert observation[-2 - env.action_space.n :][action] == 1
            if complete:
                rewards.append(reward)
                assert info["queries"] == len(rewards)
        assert len(rewards) == 3
        assert steps == 3 * task.space.num_decisions
        np.testing.assert_array_equal(task.reward(env.env.history.indices[:, 0]), rewards)
    assert len(drawn) > 2
    assert "cora" not in drawn
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)


def test_same_seed_same_task_and_noise(open_table):
    open_table("nb201-12epochs"), open_table("nats-bench")
    rewards = []
    for _ in range(2):
        env = TaskSetEnv("nb201-images/cifar10", 2)
        env.reset(seed=5)
        rewards.append([env.step(3)[1] for _ in range(12)])
    assert rewards[0] == rewards[1]
    assert rewards[0][5] > 0


def test_a_recurrent_agent_learns_on_it():
    from sb3_contrib import RecurrentPPO

    env = TaskSetEnv(TASKS, 4)
    model = RecurrentPPO("MlpLstmPolicy", env, n_steps=64, batch_size=64, n_epochs=1, seed=0)
    model.learn(128)
    action, state = model.predict(env.reset(seed=0)[0])
    assert env.action_space.contains(np.int64(action))
    assert state is not None


def test_bad_input():
    with pytest.raises(ValueError, match="at least 1"):
        TaskSetEnv(TASKS, 0)
    with pytest.raises(KeyError, match="nb201-conflicting"):
        TaskSetEnv("nope")
