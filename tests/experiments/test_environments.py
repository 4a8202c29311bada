"""Evaluators and tasks from outside the package, in worker processes."""

from __future__ import annotations

import json
import sys

import gymnasium as gym
import pytest

import nas_gym

ENV = "NB201-cifar10-v0"


def small(agents, **more):
    arguments = {"queries": 12, "seeds": 2, "out": "out", "progress_bar": False, **more}
    return nas_gym.compare(ENV, agents, **arguments)


def agents_of(summary, env=ENV):
    return summary["environments"][env]["agents"]


EVALUATORS = '''
import numpy as np

import nas_gym


class Skips(nas_gym.Evaluator):
    """Counts skip connections."""

    name = "skips"
    metrics = {"count": nas_gym.Metric("count", maximize=True)}

    def evaluate(self, genotypes):
        return {"count": (genotypes == 1).sum(axis=1).astype(float)}


class Nan(Skips):
    def evaluate(self, genotypes):
        return {"count": np.full(len(genotypes), np.nan)}


class TooLong(Skips):
    def evaluate(self, genotypes):
        return {"count": np.zeros(len(genotypes) + 1)}


class Raising(Skips):
    def evaluate(self, genotypes):
        raise RuntimeError("no connection to the cluster")
'''


@pytest.fixture
def evaluators(tmp_path, monkeypatch):
    (tmp_path / "evaluators_outside.py").write_text(EVALUATORS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import evaluators_outside

    yield evaluators_outside
    sys.modules.pop("evaluators_outside", None)


def test_an_evaluator_object_in_worker_processes(evaluators, tmp_path):
    summary = small("random,rea", evaluator=evaluators.Skips())
    assert {entry["trials"] for entry in agents_of(summary).values()} == {2}
    config = json.loads((tmp_path / "out" / ENV / "rea" / "config.json").read_text())
    assert config["env_arguments"]["evaluator"]["class"] == "evaluators_outside:Skips"
    assert "0x" not in json.dumps(config)
    assert small("random,rea", evaluator=evaluators.Skips()) == summary  # nothing is run again


def test_a_registered_task_in_worker_processes(evaluators, tmp_path, monkeypatch):
    before = dict(gym.registry)
    space = gym.make(ENV).unwrapped.task.space
    nas_gym.register_task("Skips", nas_gym.Task(space, evaluators.Skips()))
    try:
        summary = nas_gym.compare(
            "Skips-v0", "random,ddpg(learning_starts=5)", queries=12, seeds=2, out="out",
            progress_bar=False,
        )  # fmt: skip
    finally:
        gym.registry.clear()
        gym.registry.update(before)
    assert {entry["trials"] for entry in agents_of(summary, "Skips-v0").values()} == {2}
    config = json.loads((tmp_path / "out/Skips-v0/random/config.json").read_text())
    assert config["task"]["signal"] == "skips:count"
    assert "0x" not in json.dumps(config)


@pytest.mark.parametrize(
    ("name", "message"),
    [("Nan", "returned nan"), ("TooLong", "shape"), ("Raising", "no connection")],
)
def test_a_faulty_evaluator_is_named(name, message, evaluators, tmp_path):
    try:
        summary = small("random", evaluator=getattr(evaluators, name)())
    except ValueError as error:  # it may be noticed before the first trial
        found = str(error)
    else:
        failures = agents_of(summary)["random"]["failures"]
        assert len(failures) == 2
        found = failures["0"].splitlines()[0]
    assert message in found
    assert name in found or "skips" in found
