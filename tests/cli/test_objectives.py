"""Searches for several objectives on the command line."""

import json

import numpy as np
import pytest

from nas_gym import make_task

pytest.importorskip("moocore"), pytest.importorskip("pymoo")
FEW = ("--queries", 30, "--seeds", 2)


def test_compare(cli, tmp_path):
    command = ("compare", "NB201-cifar10-mo-v0", "--agents", "random,nsga2", *FEW, "--out", "out")
    printed = cli(*command)
    assert "Reward: analog-nasbench:baseline_accuracy, cost:params. Mean" in printed
    assert "hypervolume of analog-nasbench:baseline_accuracy, cost:params" in printed
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert cli(*command)  # nothing is left to do
    assert json.loads((tmp_path / "out/summary.json").read_text()) == summary
    found = summary["environments"]["NB201-cifar10-mo-v0"]
    assert found["metric"]["name"] == "hypervolume"
    assert found["optimum"] == 1
    task = make_task(table="analog-nasbench", dataset="cifar10", objectives="signal,params")
    stored = np.load(tmp_path / "out/NB201-cifar10-mo-v0/nsga2/seeds-0-0.npz")
    indices = stored["indices"][:, 0]
    np.testing.assert_array_equal(stored["rewards"][:, 0], task.rewards[indices])
    report = (tmp_path / "out/report.html").read_text()
    assert "Objectives: analog-nasbench:baseline_accuracy, cost:params." in report
    assert "Reward: the signal" not in report


def test_search(cli, tmp_path):
    cli("search", "NB201-cifar10-v0", "--objectives", "signal,flops", "--agent", "mo-rea",
        "--set", "population_size=10", *FEW, "--out", "out")  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "out/history.jsonl").open()]
    task = make_task(table="analog-nasbench", dataset="cifar10", objectives=["signal", "flops"])
    for line in lines:
        assert line["reward"] == task.rewards[line["index"]].tolist()
        assert line["regret"] == pytest.approx(1 - line["incumbent_report"])
    for seed in (0, 1):
        own = [line["index"] for line in lines if line["seed"] == seed]
        volume = task.reported_front.hypervolume(task.rewards[own])
        assert lines[-2 + seed]["incumbent_report"] == pytest.approx(volume)
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["env_arguments"] == {"objectives": "signal,flops"}
    assert summary["task"]["objectives"] == ["analog-nasbench:baseline_accuracy", "cost:flops"]


def test_errors(cli):
    search = ("search", "NB201-cifar10-mo-v0", *FEW, "--out", "out")
    assert "maximizes one reward" in cli(*search, "--agent", "rea", fails=True)
    assert "maximizes one reward" in cli(*search, "--agent", "ppo", fails=True)
    message = cli("search", "NB201-cifar10-v0", "--objectives", "signal", fails=True)
    assert "at least two columns" in message
