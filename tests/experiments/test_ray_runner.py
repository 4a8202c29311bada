"""Comparisons and searches on a Ray cluster: the same results as on this machine."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import nas_gym
from nas_gym.evaluators.training import TrainingEvaluator
from nas_gym.experiments import task_job
from nas_gym.experiments.compare import Comparison, find_searches
from nas_gym.experiments.inputs import Inputs
from nas_gym.experiments.meta_train import find_task_set, meta_train
from nas_gym.experiments.remote_evaluation import evaluating_on
from nas_gym.experiments.runners import Outcome
from nas_gym.experiments.settings import SearchSettings
from nas_gym.experiments.statistics import summarize_comparison
from nas_gym.experiments.stored_search import run_missing
from nas_gym.utils.errors import DataError, EvaluationError
from nas_gym.utils.files import read_tensors

ray = pytest.importorskip("ray", reason="needs the package ray: pip install 'nas-gym[ray]'")

from nas_gym.experiments import ray_runner  # noqa: E402
from nas_gym.experiments.ray_runner import RayRunner  # noqa: E402

ENV = "NB201-cifar10-v0"


def compare(folder, agents="random,rea", seeds=4, envs=(ENV,), runner=None, **env_arguments):
    """The summary of a comparison as text, without the seconds that agents took; no report."""
    wanted = Comparison(envs, agents, 40, seeds, env_arguments=env_arguments)
    results = run_missing(find_searches(wanted, folder), runner=runner, progress_bar=False)
    summary = summarize_comparison(results)
    for env in summary["environments"].values():
        for agent in env["agents"].values():
            agent.pop("agent_seconds")
    return json.dumps(summary)


def failures(summary, env, agent):
    entry = json.loads(summary)["environments"][env]["agents"][agent]
    return entry["failures"], entry["seeds"]


@pytest.mark.usefixtures("ray_cluster")
def test_every_runner_makes_the_same_summary(tmp_path):
    expected = compare(tmp_path / "local")
    assert compare(tmp_path / "one", runner=RayRunner(workers=1)) == expected
    compare(tmp_path / "mixed", agents="random", seeds=3)
    assert compare(tmp_path / "mixed", runner=RayRunner()) == expected


AGENTS = """
import os
import signal
from pathlib import Path
from helper import DIES
from nas_gym.agents.random_search import RandomSearch

class Own(RandomSearch):
    def ask(self):
        if self.num_queries == 5 and 2 in self.rng.seeds:
            raise RuntimeError("seed 2 fails")
        return super().ask()

class Dying(RandomSearch):
    def ask(self):
        if 1 in self.rng.seeds:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().ask()

class DyingOnce(RandomSearch):
    def ask(self):
        marker = Path(DIES)
        if marker.exists():
            marker.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().ask()
"""


@pytest.fixture
def own_modules(tmp_path, monkeypatch):
    """Modules that only this process can import."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "own_agents.py").write_text(AGENTS)
    (folder / "helper.py").write_text(f"DIES = {str(tmp_path / 'dies')!r}\n")
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.mark.usefixtures("ray_cluster", "own_modules")
def test_tables_and_agents_of_the_user_are_sent(tmp_path, cache, write_csv):
    nas_gym.import_table(write_csv(), "Tiny", signal="val", report="test")
    tiny = {"envs": ["Tiny-v0"], "agents": "rea,own_agents:Own"}
    found = compare(tmp_path / "ray", runner=RayRunner(), **tiny)
    assert found == compare(tmp_path / "local", **tiny)
    errors, seeds = failures(found, "Tiny-v0", "own_agents:Own")
    assert errors["2"].startswith("RuntimeError: seed 2 fails\n\nTraceback")
    assert seeds == [0, 1, 3]


@pytest.mark.usefixtures("ray_cluster", "own_modules")
def test_a_process_that_ends_costs_only_its_trials(tmp_path):
    (tmp_path / "dies").touch()
    agents = "random,own_agents:Dying,own_agents:DyingOnce"
    found = compare(tmp_path / "out", agents, runner=RayRunner())
    assert failures(found, ENV, "own_agents:DyingOnce") == ({}, [0, 1, 2, 3])
    assert failures(found, ENV, "random") == ({}, [0, 1, 2, 3])
    errors, seeds = failures(found, ENV, "own_agents:Dying")
    assert errors["1"].startswith("The trial was stopped 2 times: its process or its machine ended")
    assert seeds == [0, 2, 3]


@pytest.mark.usefixtures("ray_cluster", "own_modules")
def test_data_that_a_worker_lacks(tmp_path, cache, write_csv, monkeypatch):
    nas_gym.import_table(write_csv(), "Tiny", signal="val", report="test")
    monkeypatch.setattr(task_job, "find_inputs", lambda settings, task: Inputs())
    envs, agents = [ENV, "Tiny-v0"], "random,own_agents:Own"
    found = compare(tmp_path / "out", agents, 1, envs, RayRunner())
    errors, _ = failures(found, "Tiny-v0", "random")
    assert "There is no table 'Tiny'" in errors["0"].splitlines()[0]
    errors, _ = failures(found, ENV, "own_agents:Own")
    assert "own_agents" in errors["0"].splitlines()[0]
    assert failures(found, ENV, "random") == ({}, [0])


@pytest.mark.usefixtures("ray_cluster")
def test_other_versions_are_refused(monkeypatch):
    found = ray_runner.versions()
    monkeypatch.setattr(ray_runner, "versions", lambda: {**found, "torch": "9.9"})
    with pytest.raises(DataError, match=r"has torch .* instead of 9\.9"):
        RayRunner()
    with pytest.raises(ValueError, match="workers"):
        RayRunner(workers=0)
    with pytest.raises(ValueError, match="gpus"):
        RayRunner(gpus=-1)


@pytest.mark.parametrize("address", ["", "ray://", "ray://host", "host", ":1", "a:99999", "a/b:1"])
def test_texts_that_are_no_addresses(address):
    with pytest.raises(ValueError, match="HOST:PORT"):
        ray_runner._check_reachable(address)


def test_files_have_the_same_digest_whenever_they_are_packed(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "file").write_text("text")
        (tmp_path / name / "other").write_text(name * 0)
    os.utime(tmp_path / "a" / "inner" / "file", (0, 0))
    packed = ray_runner._pack(tmp_path / "a")
    assert packed == ray_runner._pack(tmp_path / "b")
    (tmp_path / "b" / "inner" / "file").write_text("texts")
    assert packed != ray_runner._pack(tmp_path / "b")


@dataclass(frozen=True)
class Small:
    """A job that returns its number and the content of a file."""

    number: int
    file: Path
    uses_gpu = False
    modules = ()

    @property
    def files(self):
        return {"files/text": self.file}

    def moved_to(self, folder):
        return Small(self.number, folder / "files" / "text")

    def run(self):
        return self.number, self.file.read_text()


@pytest.mark.usefixtures("ray_cluster")
def test_jobs_of_another_kind_and_an_error_in_the_caller(tmp_path):
    import sys

    import cloudpickle

    (tmp_path / "file").write_text("content")
    jobs = [Small(number, tmp_path / "file") for number in range(20)]
    found, runner = [], RayRunner()

    def ended(job, outcome):
        assert isinstance(outcome, Outcome)
        found.append(outcome.result)
        if len(found) == 21:
            raise KeyboardInterrupt
        return [Small(99, job.file)] if job.number == 3 else []

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        with pytest.raises(KeyboardInterrupt):
            runner.run(jobs, ended)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert sorted(found) == [(number, "content") for number in (*range(20), 99)]


SLOW = """
import os
import time
import numpy as np
from nas_gym import Evaluator, Metric

class SlowSum(Evaluator):
    name = "slow"
    metrics = {"sum": Metric("sum")}

    def __init__(self, log):
        self.log = log

    def evaluate(self, genotypes):
        if (genotypes == 4).all():
            raise ValueError("only fours")
        time.sleep(0.03 * len(genotypes))
        with open(self.log, "a") as file:
            file.writelines(f"{os.getpid()} {row}\\n" for row in genotypes.tolist())
        return {"sum": genotypes.sum(axis=1) / 7}
"""


@pytest.mark.usefixtures("ray_cluster")
def test_slow_evaluations_of_a_search_run_on_the_cluster(tmp_path, own_modules):
    (own_modules / "slow_sum.py").write_text(SLOW)
    from slow_sum import SlowSum

    def search(name, runner=None):
        log = tmp_path / f"{name}.txt"
        nas_gym.search(
            ENV, "rea(population_size=3,sample_size=2)", queries=6, seeds=2, out=tmp_path / name,
            progress_bar=False, runner=runner, evaluator=SlowSum(log), signal="sum", report="sum",
        )  # fmt: skip
        lines = (tmp_path / name / "history.jsonl").read_text().splitlines()
        found = [json.loads(line) for line in lines]
        return [(each["seed"], each["index"], each["reward"]) for each in found], log.read_text()

    expected, _ = search("local")
    found, log = search("ray", RayRunner())
    assert found == expected
    processes = {line.split()[0] for line in log.splitlines()}
    assert str(os.getpid()) not in processes
    assert len(log.splitlines()) == len({index for _, index, _ in found})
    assert search("ray", RayRunner())[1] == log  # every result is stored in the output folder


@pytest.mark.long
@pytest.mark.usefixtures("ray_cluster")
def test_networks_are_trained_on_the_cluster(tmp_path, monkeypatch):
    def search(name, runner=None):
        monkeypatch.setenv("NAS_GYM_CACHE", str(tmp_path / name / "cache"))
        out = tmp_path / name / "out"
        nas_gym.search(
            "NB201-digits-v0", "random", queries=1, seeds=2, out=out, progress_bar=False,
            runner=runner, evaluator="training(epochs=1)",
        )  # fmt: skip
        found = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
        return [(each["seed"], each["index"], each["reward"]) for each in found]

    with monkeypatch.context() as patch:
        patch.setattr(TrainingEvaluator, "_train", None)  # this process trains no network
        found = search("ray", RayRunner())
    assert found == search("local")


@pytest.mark.usefixtures("ray_cluster")
def test_trials_send_the_results_of_slow_evaluations(tmp_path, own_modules):
    (own_modules / "slow_sum.py").write_text(SLOW)
    from slow_sum import SlowSum

    log = tmp_path / "log.txt"
    slow = {"evaluator": SlowSum(log), "signal": "sum", "report": "sum"}

    compare(tmp_path / "out", "random", 1, runner=RayRunner(), **slow)
    evaluations = log.read_text()
    (tmp_path / "out" / ENV / "random" / "seeds-0-0.npz").unlink()
    compare(tmp_path / "out", "random", 1, **slow)
    assert log.read_text() == evaluations
    settings = SearchSettings(ENV, "random", 1, 1, env_arguments=slow)
    task, kept = settings.make_task(), tmp_path / "kept"
    task.keep_results(kept)
    description = settings.describe(task)["task"]
    with (
        evaluating_on(RayRunner(), settings, task, description, kept),
        pytest.raises(EvaluationError, match=r"1 of 2 evaluations failed.*only fours"),
    ):
        task.evaluator.values("sum", np.array([[4] * 6, [3] * 6]))
    assert len(task.evaluator.results_stores()[0].rows()) == 1


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize(
    ("agent", "settings"),
    [
        ("catch", {"num_candidates": 32, "updates": 1, "hidden": 32}),
        pytest.param("mpnas", {"width": 8, "layers": 1}, marks=pytest.mark.long),
    ],
)
def test_meta_training_of_several_seeds(agent, settings, tmp_path):
    def learn(name, epochs, runner=None):
        path = tmp_path / f"{name}.safetensors"
        tasks = find_task_set("nbgraph/cora")
        queries = 70 if agent == "mpnas" else 4
        meta_train(
            tasks, agent, path, epochs=epochs, queries=queries, seeds=2, settings=settings,
            progress_bar=False, runner=runner,
        )  # fmt: skip
        return read_tensors(path), json.loads((tmp_path / name / "curves.json").read_text())

    expected, curves = learn("local", 3)
    if agent == "catch":  # with mpnas, the number of epochs is part of the plan
        learn("mixed", 1)
    found, found_curves = learn("mixed", 3, RayRunner())
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert found_curves.keys() == curves.keys()
    for epoch, values in curves.items():
        assert found_curves[epoch] == pytest.approx(values, rel=1e-6), epoch
