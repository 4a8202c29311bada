"""stable-baselines3: the vector adapter, rewards by rank, and algorithms by name."""

from __future__ import annotations

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
import yaml
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

import nas_gym
from nas_gym.agents.sb3 import models as sb3
from nas_gym.agents.sb3.models import (
    ALGORITHMS,
    make_model,
    read_hyperparams,
    recorded_search,
    run_sb3_search,
)
from nas_gym.agents.sb3.rewards import RankRewards
from nas_gym.agents.sb3.vec_env import SearchVecEnv
from nas_gym.experiments.methods import find_method
from nas_gym.registration import BUILT_IN, Mode

torch.set_num_threads(1)


def make(env_id="NB201-cifar10-v0", num_envs=3, **arguments):
    return SearchVecEnv(
        gym.make_vec(env_id, num_envs=num_envs, autoreset_mode="SameStep", **arguments)
    )


@pytest.mark.parametrize("env_id", ["NB201-cifar10-v0", "NBGraph-proteins-v0"])
def test_sequential_steps_equal_those_of_single_environments(env_id, assert_same):
    ours, theirs = make(env_id), DummyVecEnv([lambda: gym.make(env_id)] * 3)
    for envs in (ours, theirs):
        envs.seed(5)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    rng = np.random.default_rng(0)
    for _ in range(20):
        masks = np.stack(ours.env_method("action_masks"))
        np.testing.assert_array_equal(masks, np.stack(theirs.env_method("action_masks")))
        actions = np.where(masks, rng.random(masks.shape), -1).argmax(axis=1)
        steps = [envs.step(actions) for envs in (ours, theirs)]
        for mine, other in zip(steps[0][:3], steps[1][:3], strict=True):
            assert mine.dtype == other.dtype
            np.testing.assert_array_equal(mine, other)
        for mine, other in zip(steps[0][3], steps[1][3], strict=True):
            assert_same(dict(mine), dict(other))


def test_alpha_and_population_steps_equal_those_of_single_environments(assert_same):
    for env_id in ("NB201-cifar10-alpha-v0", "NB201-cifar10-population-v0"):
        ours = make(env_id, max_episode_steps=4)
        theirs = DummyVecEnv([lambda env_id=env_id: gym.make(env_id, max_episode_steps=4)] * 3)
        for envs in (ours, theirs):
            envs.seed(5)
        assert_same(ours.reset(), theirs.reset())
        ours.action_space.seed(0)
        for _ in range(10):
            actions = np.stack([ours.action_space.sample() for _ in range(3)])
            steps = [envs.step(actions) for envs in (ours, theirs)]
            assert_same(steps[0][:3], steps[1][:3])
            for mine, other in zip(steps[0][3], steps[1][3], strict=True):
                assert_same(dict(mine), dict(other))


def test_attributes_and_methods():
    envs = make("NBGraph-proteins-v0", render_mode="rgb_array")
    envs.reset()
    assert is_masking_supported(envs)
    assert get_action_masks(envs).shape == (3, 9)
    np.testing.assert_array_equal(envs.get_attr("action_masks", 1)[0](), get_action_masks(envs)[1])
    assert not is_masking_supported(make("NB201-cifar10-alpha-v0"))
    assert envs.get_attr("task", [0, 2])[0].dataset == "proteins"
    assert envs.env_is_wrapped(gym.Wrapper) == [False] * 3
    assert [image.shape for image in envs.get_images()] == [(400, 640, 3)] * 3
    assert envs.render().ndim == 3  # one tiled image
    with pytest.raises(AttributeError, match="lockstep"):
        envs.set_attr("task", None)
    with pytest.raises(AttributeError, match="action_masks and render"):
        envs.env_method("close")
    with pytest.raises(AttributeError):
        envs.get_attr("nothing")


def test_other_vector_environments_are_refused():
    with pytest.raises(ValueError, match='autoreset_mode="SameStep"'):
        SearchVecEnv(gym.make_vec("NB201-cifar10-v0", num_envs=2))
    with pytest.raises(TypeError, match="nas_gym"):
        SearchVecEnv(gym.make_vec("CartPole-v1", num_envs=2))


def test_monitored_returns_are_the_rewards():
    envs = VecMonitor(make("NB201-cifar10-v0"))
    envs.reset()
    for _ in range(6):
        _, rewards, _, infos = envs.step(np.array([3, 3, 1]))
    assert [info["episode"]["r"] for info in infos] == pytest.approx(rewards.tolist())
    assert infos[0]["arch"].startswith("|nor_conv_3x3~0|")


def test_rank_rewards():
    envs = RankRewards(make("NB201-cifar10-alpha-v0", num_envs=2))
    envs.reset()
    rng, past = np.random.default_rng(0), []
    for _ in range(50):
        _, scores, _, infos = envs.step(rng.uniform(-1, 1, (2, 30)).astype(np.float32))
        for score, info in zip(scores, infos, strict=True):
            reward = np.float32(info["metrics"]["baseline_accuracy"])
            below = sum(other < reward for other in past) + 0.5 * past.count(reward)
            share = (below + 0.5) / (len(past) + 1)
            assert score == pytest.approx(-np.log(1 - share) - 1, abs=1e-5)
            past.append(reward)


def test_rank_rewards_are_zero_before_the_last_decision():
    envs = RankRewards(make(num_envs=2))
    envs.reset()
    scores = [envs.step(np.array([1, 2]))[1] for _ in range(12)]
    assert [bool(score.any()) for score in scores] == ([False] * 5 + [True]) * 2


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_searches_in_its_mode(name):
    found = run_sb3_search(name, "NB201-cifar10-v0", queries=40, seed=3)
    assert found.indices.shape == (40, 1)
    again = run_sb3_search(name, "NB201-cifar10-population-v0", queries=40, seed=3)
    np.testing.assert_array_equal(found.indices, again.indices)  # equal for equal seeds
    other = run_sb3_search(name, "NB201-cifar10-v0", queries=40, seed=4)
    assert (found.indices != other.indices).any()
    assert (np.diff(found.agent_seconds[:, 0]) >= 0).all()


@pytest.mark.parametrize("name", ["maskableppo", "td3"])
def test_restricted_search_spaces(name):
    assert run_sb3_search(name, "NBGraph-proteins-v0", queries=30, seed=0).indices.shape == (30, 1)


def test_an_algorithm_without_masks_is_refused():
    with pytest.raises(ValueError, match="maskableppo"):
        make_model("dqn", "NBGraph-proteins-v0")


def test_hyperparameters():
    for name in ALGORITHMS:
        settings = read_hyperparams(name, "NB201-cifar10-v0")
        assert settings["policy"].startswith("Mlp")
        assert read_hyperparams(name, "Own-v0", "a space of one's own") == settings
        assert "n_timesteps" not in settings
    own = read_hyperparams("maskableppo", "Own-v0", "NBGraph")
    assert own == read_hyperparams("maskableppo", "NBGraph-cora-v0") != settings
    model = make_model("ppo", "NB201-cifar10-v0", n_envs=2, n_steps=6, batch_size=12, seed=0)
    assert (model.n_envs, model.n_steps) == (2, 6)
    with pytest.raises(KeyError, match="ppo, a2c"):
        read_hyperparams("trpo", "NB201")
    with pytest.raises(TypeError, match=r"ppo has no setting n_step\. It has: .*n_steps"):
        make_model("ppo", "NB201-cifar10-v0", n_step=6)
    with pytest.raises(ValueError, match="noise_type"):
        make_model("td3", "NB201-cifar10-v0", noise_type="ornstein-uhlenbeck")
    wrapper = "stable_baselines3.common.vec_env.VecNormalize"
    model = make_model("ppo", "NB201-cifar10-v0", vec_env_wrapper=wrapper)
    assert type(model.get_env()).__name__ == "VecNormalize"


@pytest.mark.parametrize("name", ALGORITHMS)
def test_rl_zoo_finds_hyperparameters_of_every_built_in_environment(name):
    algorithm = ALGORITHMS[name]
    entries = yaml.safe_load((sb3.HYPERPARAMS / f"{name}.yml").read_text())
    ids = {f"{task}{algorithm.mode.value}-v0" for task in BUILT_IN}
    if algorithm.mode is Mode.SEQUENTIAL and not algorithm.masks:
        ids = {each for each in ids if each.startswith("NB201-")}
    assert entries.keys() == {"default", *ids}
    assert ids <= gym.registry.keys()
    for each in entries.values():
        assert each["n_timesteps"] % 500 == 0  # rl_zoo3.train raises a KeyError without it
        sb3.check_hyperparams(name, {k: v for k, v in each.items() if k != "n_timesteps"})


def test_a_model_uses_the_entry_of_its_id(tmp_path, monkeypatch):
    entries = {
        "default": {"n_timesteps": 1, "n_steps": 6, "batch_size": 6},
        "NB201-cifar100-v0": {"n_timesteps": 1, "n_steps": 12, "batch_size": 6},
    }
    (tmp_path / "ppo.yml").write_text(yaml.safe_dump(entries))
    monkeypatch.setattr(sb3, "HYPERPARAMS", tmp_path)
    task = gym.make("NB201-cifar10-v0").unwrapped.task
    found = find_method("ppo", {}).all_settings("NB201-cifar100-alpha-v0", task)
    assert found["n_steps"] == 12
    assert make_model("ppo", "NB201-cifar10-alpha-v0").n_steps == 12  # same search space


def test_rl_zoo_trains(tmp_path):
    pytest.importorskip("rl_zoo3")
    for name, env in (("ppo", "NB201-cifar10-v0"), ("td3", "NB201-cifar10-alpha-v0")):
        command = [sys.executable, "-m", "rl_zoo3.train", "--algo", name, "--env", env]
        command += ["--conf-file", str(sb3.HYPERPARAMS / f"{name}.yml"), "--gym-packages"]
        command += ["nas_gym", "-n", "200", "-f", str(tmp_path), "--device", "cpu"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / name / f"{env}_1" / f"{env}.zip").is_file()


def test_a_model_continues_its_recorded_search(tmp_path):
    settings = {"policy": "MlpPolicy", "n_envs": 2, "n_steps": 12, "batch_size": 24}
    model = make_model("ppo", "NB201-cifar10-v0", seed=0, tuned=False, **settings).learn(48)
    assert recorded_search(model).indices.shape == (8, 1)
    model.learn(24, reset_num_timesteps=False)
    assert recorded_search(model).indices.shape == (12, 1)
    model.save(tmp_path / "model")
    assert (tmp_path / "model.zip").stat().st_size < 300_000


def test_the_budget_is_one_alpha_episode(monkeypatch):
    # otherwise observations would forget the best architectures at a reset
    made = []
    monkeypatch.setattr(
        sb3, "make_model", lambda *all, **more: made.append(make_model(*all, **more)) or made[0]
    )
    run_sb3_search("ddpg", "NB201-cifar10-v0", queries=40, seed=0, learning_starts=10)
    assert made[0].get_env().get_attr("max_episode_steps")[0] == 40


@pytest.mark.parametrize(("name", "queries"), [("dqn", 50), ("ppo", 149), ("td3", 31)])
def test_budgets_that_are_no_multiple_of_the_environments(name, queries):
    found = run_sb3_search(name, "NB201-cifar10-v0", queries, 0, n_envs=4)
    assert found.indices.shape == (queries, 1)


def test_rollouts_that_are_no_multiple_of_an_episode(tmp_path, cache):
    rows = [f"{i:07b},{i}" for i in range(128)]
    (tmp_path / "bits.csv").write_text("arch,acc\n" + "\n".join(rows) + "\n")
    nas_gym.import_table(tmp_path / "bits.csv", "Bits")
    for name in ("a2c", "ppo"):
        assert run_sb3_search(name, "Bits-v0", 50, 0).indices.shape == (50, 1)


@pytest.mark.long
@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_tuned_algorithms_learn(name):
    # this task was not used for tuning
    ends = [
        run_sb3_search(name, "NB201-cifar10-v0", 500, seed).rewards[-50:].mean()
        for seed in range(2)
    ]
    assert min(ends) > 91  # 86.8 for random architectures
