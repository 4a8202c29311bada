"""Rewards that are made of an accuracy."""

import gymnasium as gym
import numpy as np
import pytest

import nas_gym
from nas_gym.tasks.rewards import ExponentialReward, LatencyReward, SignalReward, parse_reward


def test_values_of_the_equations():
    accuracy = np.array([0.0, 0.5, 1.0])
    exponential, rescaled = ExponentialReward(), ExponentialReward(best=0.5)
    np.testing.assert_allclose(exponential.apply(accuracy, (), 1.0), [1, 10, 100])  # Eq. 3
    np.testing.assert_allclose(rescaled.apply(accuracy, (), 1.0), [1, 100, 10_000])  # Eq. 7
    # the same accuracies in %
    np.testing.assert_allclose(rescaled.apply(100 * accuracy, (), 100.0), [1, 100, 10_000])


LATENCY = "latency(column=help-latency:fpga,target=5,weight=-0.07)"


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        ("signal", SignalReward()),
        ("exponential", ExponentialReward()),
        ("rescaled(best=0.94)", ExponentialReward(0.94)),
        (LATENCY, LatencyReward("help-latency:fpga", 5, -0.07)),
    ],
)
def test_texts(text, reward):
    assert parse_reward(text) == reward
    assert str(reward) == text


@pytest.mark.parametrize(
    "text",
    ["", "Exponential", "exponential(best=0.5)", "rescaled(best=x)", "rescaled(x=1)", "cubic",
     "latency(column=a)", "signal("],
)  # fmt: skip
def test_unknown_texts(text):
    with pytest.raises(ValueError, match=r"reward is"):
        parse_reward(text)


@pytest.mark.parametrize("best", ["0", "-1", "94", "NaN"])
def test_best_is_a_fraction(best):
    with pytest.raises(ValueError, match="fraction"):
        parse_reward(f"rescaled(best={best})")


@pytest.mark.parametrize("env_id", ["NB201-cifar10-alpha-v0", "NBGraph-cora-alpha-v0"])
def test_environments_give_them(env_id):
    plain, scaled = (gym.make(env_id, reward=reward) for reward in ("signal", "rescaled(best=0.9)"))
    for env in (plain, scaled):
        env.reset(seed=0)
    action = np.linspace(-1, 1, plain.action_space.shape[0], dtype=np.float32)
    _, signal, _, _, info = plain.step(action)
    _, reward, _, _, scaled_info = scaled.step(action)
    fraction = signal / 100 if "NB201" in env_id else signal
    assert reward == pytest.approx(100 ** (fraction / 0.9))
    assert scaled_info["incumbent_reward"] == reward
    assert scaled_info["regret"] == info["regret"]
    assert scaled.unwrapped.task.describe()["reward"] == "rescaled(best=0.9)"


def test_noise_comes_before():
    arguments = {"noise": 0.5, "num_envs": 2}
    plain = gym.make_vec("NB201-cifar10-alpha-v0", **arguments)
    scaled = gym.make_vec("NB201-cifar10-alpha-v0", reward="exponential", **arguments)
    actions = np.zeros((2, 30), np.float32)
    for envs in (plain, scaled):
        envs.reset(seed=0)
    np.testing.assert_allclose(scaled.step(actions)[1], 100 ** (plain.step(actions)[1] / 100))


def test_of_what_is_no_accuracy(cache, write_csv):
    with pytest.raises(ValueError, match=r"needs an accuracy.*is minimized"):
        gym.make("NBGraph-cora-v0", signal="latency", reward="exponential")
    nas_gym.import_table(write_csv(), "Mine", signal="val", report="test")
    with pytest.raises(ValueError, match="goes from 0 to 12"):
        gym.make("Mine-v0", reward="exponential")
