"""Searches and comparisons that go on: the same history, and no slow evaluation is repeated."""

from __future__ import annotations

import json
import time
from collections import Counter

import numpy as np
import pytest

import nas_gym
from nas_gym import Evaluator, Metric, Task
from nas_gym.evaluators import base
from nas_gym.experiments.compare import Comparison, find_searches
from nas_gym.experiments.runners import run_job
from nas_gym.experiments.stored_search import run_missing
from nas_gym.spaces import NB201Space


class SlowSum(Evaluator):
    """Sum of the choices, and a file with a line for each evaluation."""

    name = "slow sum"
    metrics = {"sum": Metric("sum"), "Sum": Metric("Sum", maximize=False)}

    def __init__(self, log, seconds=0.0):
        self.log, self.seconds = log, seconds

    def evaluate(self, genotypes):
        with self.log.open("a") as file:
            file.writelines(f"{genotype.tolist()}\n" for genotype in genotypes)
        time.sleep(self.seconds * len(genotypes))
        total = genotypes.sum(axis=1) / 7
        return {"sum": total, "Sum": -total}

    def provenance(self):
        return {"version": 1}

    def evaluations(self):
        return Counter(self.log.read_text().splitlines())


class InProcess:
    """A runner of jobs in this process."""

    workers = 1

    def run(self, jobs, ended):
        waiting = list(jobs)
        while waiting:
            job = waiting.pop(0)
            waiting[:0] = ended(job, run_job(job))


@pytest.fixture(autouse=True)
def keep_all(monkeypatch):
    monkeypatch.setattr(base, "_KEPT_SECONDS", 0.0)


def climb(task, queries, rng):
    current = task.space.sample(1, rng)
    reward = task.evaluate(current)[0]
    for _ in range(1, queries):
        candidate = task.space.mutate(current, rng)
        new = task.evaluate(candidate)[0]
        if new >= reward:
            current, reward = candidate, new


def histories(folder, agent, queries, seeds, log):
    """Indices and rewards of a comparison's trials; the evaluator knows only what is kept."""
    env_arguments = {"evaluator": SlowSum(log), "signal": "sum", "report": "Sum"}
    wanted = Comparison(["NB201-cifar10-v0"], [agent], queries, seeds, env_arguments=env_arguments)
    searches = find_searches(wanted, folder)
    (results,) = run_missing(searches, runner=InProcess(), progress_bar=False)
    return results.curves.indices, results.curves.rewards, results.curves.reports


@pytest.mark.parametrize(
    "agent", ["rea(population_size=5,sample_size=2)", "l2nas(hidden=32)", climb,
              pytest.param("ppo(n_steps=12,batch_size=12)", marks=pytest.mark.long)]
)  # fmt: skip
def test_a_longer_comparison_repeats_no_evaluation(agent, tmp_path):
    log = tmp_path / "log.txt"
    histories(tmp_path / "grown", agent, 12, 2, log)
    with pytest.warns(UserWarning, match="run again with 30"):
        grown = histories(tmp_path / "grown", agent, 30, 2, log)
    assert max(SlowSum(log).evaluations().values()) == 1
    for mine, others in zip(
        grown, histories(tmp_path / "whole", agent, 30, 2, tmp_path / "other.txt"), strict=True
    ):
        np.testing.assert_array_equal(mine, others)


def search(folder, log, queries, seeds, agent="rea(population_size=5,sample_size=2)"):
    summary = nas_gym.search(
        "NB201-cifar10-v0", agent, queries=queries, seeds=seeds, out=folder, progress_bar=False,
        evaluator=SlowSum(log), signal="sum", report="sum",
    )  # fmt: skip
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return summary, [(line["seed"], line["index"], line["reward"]) for line in lines]


@pytest.mark.long
def test_a_search_with_more_seeds_or_queries_repeats_no_evaluation(tmp_path):
    log = tmp_path / "log.txt"
    search(tmp_path / "grown", log, 20, 2)
    with pytest.warns(UserWarning, match="run again with 4 seeds"):
        search(tmp_path / "grown", log, 20, 4)
    _, grown = search(tmp_path / "grown", log, 40, 4)
    assert max(SlowSum(log).evaluations().values()) == 1
    assert grown == search(tmp_path / "whole", tmp_path / "other.txt", 40, 4)[1]


def test_other_code_or_settings_keep_other_results(tmp_path):
    space, log = NB201Space(), tmp_path / "log.txt"

    class Other(SlowSum):
        def provenance(self):
            return {"version": 2}

    for evaluator in (SlowSum(log), Other(log)):
        Task(space, evaluator, signal="sum", report="sum").keep_results(tmp_path / "kept")
        evaluator.values("sum", space.decode([0, 5]))
    assert set(SlowSum(log).evaluations().values()) == {2}
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_quick_evaluations_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.undo()
    space = NB201Space()
    for seconds, expected in ((0.0, 0), (0.03, 1)):
        evaluator = SlowSum(tmp_path / "log.txt", seconds)
        evaluator.keep_results(tmp_path / str(seconds), space)
        evaluator.values("sum", space.decode([3]))
        assert len(list(tmp_path.glob(f"{seconds}/*.sqlite"))) == expected
