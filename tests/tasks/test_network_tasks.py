"""Tasks over networks: their names, what agents are told, and what is reported."""

from __future__ import annotations

import os
import shutil

import gymnasium as gym
import numpy as np
import pytest
import torch
from PIL import Image

from nas_gym import tables
from nas_gym.experiments.audit import audit
from nas_gym.experiments.settings import SearchSettings
from nas_gym.experiments.stored_search import StoredSearch, _divide
from nas_gym.experiments.task_job import uses_gpu
from nas_gym.experiments.train_supernet import run_supernet_training
from nas_gym.tasks import make_task, task_arguments
from nas_gym.utils.errors import MissingDataError


@pytest.fixture
def files(supernet_files):
    return {space: str(path) for space, path in supernet_files.items()}


@pytest.fixture
def task(files):
    return make_task(space="NB201", dataset="digits", supernet=files["NB201"])


def drawn(task, n=6):
    return task.space.encode(task.space.sample(n, np.random.default_rng(0)))


def test_signal_and_report(task):
    indices = drawn(task)

    def values(metric, indices):
        return task.evaluator.values(metric, task.space.decode(indices))

    np.testing.assert_array_equal(task.reward(indices), values("valid_accuracy", indices))
    np.testing.assert_array_equal(task.reported(indices), values("test_accuracy", indices))
    np.testing.assert_array_equal(task.regret(indices), 100 - values("test_accuracy", indices))
    np.testing.assert_array_equal(task.training_seconds(indices), values("seconds", indices))
    assert task.optimum is None
    assert task.ranked_regrets is None
    assert task.direction == 1
    assert str(task.signal) == "supernet:valid_accuracy"
    assert task.metrics(indices).keys() == task.evaluator.metrics.keys()


def test_less_is_better(files):
    task = make_task(space="NB201", dataset="digits", supernet=files["NB201"], signal="valid_loss")
    indices = drawn(task)
    assert task.direction == -1
    np.testing.assert_array_equal(
        task.reward(indices), -task.evaluator.values("valid_loss", task.space.decode(indices))
    )


def test_reward_and_noise(files):
    plain = make_task(space="NB201", dataset="digits", supernet=files["NB201"])
    task = make_task(
        space="NB201",
        dataset="digits",
        supernet=files["NB201"],
        reward="rescaled(best=0.9)",
        noise=1.0,
    )
    indices, keys = drawn(task), task.noise_keys(list(range(6)))
    np.testing.assert_allclose(task.reward(indices), 100 ** (plain.reward(indices) / 90))
    noisy = task.reward(indices, keys)
    assert (noisy != task.reward(indices)).all()
    np.testing.assert_array_equal(noisy, task.reward(indices, keys))


def test_eq_7_with_the_best_of_the_supernet(files):
    task = make_task(space="NB201", dataset="digits", supernet=files["NB201"], reward="rescaled")
    plain = make_task(space="NB201", dataset="digits", supernet=files["NB201"])
    best = task.evaluator.supernet.best_accuracy
    np.testing.assert_allclose(task.reward(drawn(task)), 100 ** (plain.reward(drawn(task)) / best))
    with pytest.raises(ValueError, match="needs the best accuracy"):
        make_task(
            space="NB201", dataset="digits", evaluator="training(epochs=1)", reward="rescaled"
        )


def test_report_of_a_table(files):
    report = "analog-nasbench:baseline_accuracy"
    task = make_task(space="NB201", dataset="digits", supernet=files["NB201"], report=report)
    column = tables.load_table("analog-nasbench").column("baseline_accuracy")
    everything = np.arange(15_625)
    np.testing.assert_array_equal(task.reported(everything), column)
    assert task.optimum == column.max()
    np.testing.assert_allclose(task.regret(everything), column.max() - column)
    assert len(task.ranked_regrets) == 15_625
    assert report in task.metrics(drawn(task))
    assert task.describe()["provenance"].keys() == {
        "analog-nasbench", "supernet", "calibration", "images"
    }  # fmt: skip
    with pytest.raises(ValueError, match="but this task searches DARTS"):
        make_task(space="DARTS", dataset="digits", supernet=files["DARTS"], report=report)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"signal": "accuracy"}, "no metric 'accuracy'"),
        ({"report": "nowhere:x"}, "nowhere"),
        ({"report": "analog-nasbench:x"}, "no metric 'x'"),
        ({"size": 8}, "have a fixed size"),
        ({"evaluator": "guess"}, "evaluator is 'supernet', 'training'"),
        ({"evaluator": "training(epochs=0)"}, "epochs and batch_size of 1 to"),
        ({"evaluator": "supernet(images=0)"}, "images is at least 1"),
        ({"evaluator": "supernet(epochs=3)"}, "evaluator is 'supernet', 'training'"),
        ({"evaluator": "training(epochs=1)", "supernet": "x"}, "needs none"),
        ({"noise": -1}, "at least 0"),
        ({"reward": "x"}, "reward is"),
        ({"signal": "params", "reward": "exponential"}, "is minimized"),
        ({"device": "cuda:77"}, "no device 'cuda:77'"),
        ({"device": None}, "no device None"),
        ({"device": "meta"}, "no device 'meta'"),
        ({"supernet": "nowhere.safetensors"}, "There is no supernet"),
        ({"space": "OFA"}, "not of 'OFA'"),
    ],
)
def test_what_there_is_not(files, wrong, message):
    given = {"space": "NB201", "dataset": "digits", "supernet": files["NB201"], **wrong}
    if str(given.get("evaluator")).startswith("training"):
        given["supernet"] = wrong.get("supernet")
    with pytest.raises((KeyError, ValueError, MissingDataError), match=message):
        make_task(**given)


def test_a_supernet_of_another_space(files):
    with pytest.raises(ValueError, match="supernet of NB201, not of DARTS"):
        make_task(space="DARTS", dataset="digits", supernet=files["NB201"])


def test_environments_take_evaluators(files):
    env = gym.make("NB201-digits-alpha-v0", evaluator="supernet(calibration=0,images=100)",
                   supernet=files["NB201"], signal="valid_loss")  # fmt: skip
    env.reset(seed=0)
    _, reward, _, _, info = env.step(env.action_space.sample())
    assert reward == -info["metrics"]["valid_loss"]
    assert info["regret"] == 100 - info["metrics"]["test_accuracy"]
    assert info["signal"] == "supernet:valid_loss"
    with pytest.raises(TypeError, match="evaluator is for environments whose architectures are"):
        gym.make("NB201-cifar10-v0", evaluator="supernet")
    with pytest.raises(TypeError, match="A ready task= has its own"):
        gym.make("NB201-digits-v0", task=env.unwrapped.task, device="cpu")
    with pytest.raises(TypeError, match="does not accept table="):
        gym.make("NB201-digits-v0", table="analog-nasbench")
    with pytest.raises(TypeError, match="unexpected keyword argument 'epochs'"):
        gym.make("NB201-digits-v0", epochs=3)


def test_a_supernet_that_is_trained_anew_is_read_anew(files, tmp_path):
    path = tmp_path / "x.safetensors"
    shutil.copy(files["NB201"], path)
    first = make_task(space="NB201", dataset="digits", supernet=path)
    assert (
        make_task(space="NB201", dataset="digits", supernet=str(path)).evaluator is first.evaluator
    )
    os.utime(path, (1, 1))
    assert (
        make_task(space="NB201", dataset="digits", supernet=path).evaluator is not first.evaluator
    )


def test_images_of_a_folder_are_scaled(tmp_path, cache):
    rng = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(0, 256, (9, 9, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "mine" / name / f"{number}.png")
    settings = {"epochs": 1, "channels": 4, "cells": 1, "batch_size": 8}
    path, _ = run_supernet_training(
        "NB201", str(tmp_path / "mine"), tmp_path / "lr0.05", size=8, device="cpu", **settings
    )
    assert path == tmp_path / "lr0.05.safetensors"
    arguments = {"dataset": str(tmp_path / "mine"), "supernet": path}
    with pytest.raises(ValueError, match="other images"):
        gym.make("NB201-digits-v0", **arguments)
    env = gym.make("NB201-digits-v0", **arguments, size=8)
    assert 0 <= env.unwrapped.task.reported(np.array([7]))[0] <= 100


def test_training_as_evaluator(cache):
    env = gym.make("NB201-digits-alpha-v0", evaluator="training(epochs=1)")
    env.reset(seed=0)
    action = env.action_space.sample()
    _, reward, _, _, _ = env.step(action)
    assert 5 < reward < 100
    assert env.step(action)[1] == reward
    assert len(list(cache.rglob("*.sqlite"))) == 1


def test_nothing_of_the_test_images_reaches_the_agent(files, monkeypatch):
    def trajectory():
        envs = gym.make_vec("NB201-digits-alpha-v0", num_envs=2, supernet=files["NB201"])
        envs.action_space.seed(0)
        observations, _ = envs.reset(seed=0)
        seen = [observations]
        for _ in range(5):
            observations, rewards, *_ = envs.step(envs.action_space.sample())
            seen += [observations, rewards]
        return seen, envs.unwrapped.task.evaluator

    before, evaluator = trajectory()
    values = type(evaluator).values

    def permuted(self, metric, indices):
        found = values(self, metric, indices)
        return 100 - found if metric == "test_accuracy" else found

    monkeypatch.setattr(type(evaluator), "values", permuted)
    after, _ = trajectory()
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("device", "workers"), [("cuda", 1), ("cpu", 2)])
def test_one_process_has_a_gpu_to_itself(device, workers, supernet_files, tmp_path, monkeypatch):
    arguments = {"supernet": str(supernet_files["NB201"]), "device": "cpu"}
    networks = StoredSearch(
        "rea", SearchSettings("NB201-digits-v0", "rea", 5, 4, env_arguments=arguments), tmp_path
    )
    monkeypatch.setattr(networks.task.evaluator, "device", torch.device(device))
    jobs = _divide([networks], workers=2)
    assert len(jobs) == workers
    assert {job.uses_gpu for job in jobs} == {device == "cuda"}
    monkeypatch.setattr("nas_gym.networks.device.find_device", lambda name: torch.device(device))
    settings = SearchSettings("NB201-cifar10-v0", "gdas", 5, 1)
    assert uses_gpu(settings, make_task(**task_arguments(settings.env))) == (device == "cuda")


def test_audit_of_networks(files):
    rows = audit(
        "NB201-digits-v0", ["valid_loss", "supernet(images=100)"], {"supernet": files["NB201"]},
        sample=20, supernet=files["NB201"],
    )  # fmt: skip
    assert [row["architectures"] for row in rows] == [20, 20]
    assert all(row["spearman"] > 0.5 for row in rows)
    with pytest.raises(ValueError, match="sample must be at least 2"):
        audit("NB201-cifar10-v0", ["analog_accuracy"], {}, sample=1)
    (row,) = audit("NB201-cifar10-v0", ["analog_accuracy"], {}, sample=500)
    assert row["architectures"] == 500
    assert 0.5 < row["spearman"] < 1
