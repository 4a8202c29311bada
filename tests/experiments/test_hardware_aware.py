"""Comparisons under latency rewards, checked against loops over histories."""

import json

import numpy as np
import pytest

import nas_gym

LATENCY = "latency(column=help-latency:raspi4,target=5,weight=-0.07)"


def _brute_force(reward_of, lines, seed, best):
    """The best reward that a trial has found, query by query, as a distance from the best."""
    found, distances = -np.inf, []
    for line in lines:
        if line["seed"] == seed:
            found = max(found, reward_of(line["index"]))
            distances.append(best - found)
    return distances


def test_regret_under_a_latency_reward(open_table, tmp_path):
    accuracy = open_table("nats-bench").column("cifar100-test")
    latency = open_table("help-latency").column("raspi4")

    def reward_of(index):
        return accuracy[index] * (latency[index] / 5) ** -0.07

    best = max(reward_of(index) for index in range(len(accuracy)))
    summary = nas_gym.search(
        "NB201-cifar100-v0", "rea(population_size=5,sample_size=3)",
        queries=40, seeds=2, out=tmp_path, reward=LATENCY, progress_bar=False,
    )  # fmt: skip
    assert summary["optimum"] == pytest.approx(best, abs=1e-9)
    assert summary["task"]["reward"] == LATENCY
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").open()]
    for trial in summary["trials"]:
        regrets = [line["regret"] for line in lines if line["seed"] == trial["seed"]]
        assert regrets == pytest.approx(_brute_force(reward_of, lines, trial["seed"], best))
        assert trial["regret"] == regrets[-1]
    beside = summary["incumbent_metrics"]
    last = [trial["index"] for trial in summary["trials"]]
    assert beside["nats-bench:cifar100-test"]["mean"] == pytest.approx(accuracy[last].mean())
    assert beside["help-latency:raspi4"]["mean"] == pytest.approx(latency[last].mean())


@pytest.mark.long
def test_ranking_under_a_latency_reward(open_table, tmp_path):
    for table in ("nats-bench", "help-latency"):
        open_table(table)
    summary = nas_gym.compare(
        "NB201-cifar100-v0", "random,rea,l2nas", queries=150, seeds=10, out=tmp_path,
        reward=LATENCY, progress_bar=False,
    )  # fmt: skip
    agents = summary["environments"]["NB201-cifar100-v0"]["agents"]
    regrets = {name: entry["at_queries"]["150"]["regret"]["mean"] for name, entry in agents.items()}
    assert max(regrets["rea"], regrets["l2nas"]) < regrets["random"]
