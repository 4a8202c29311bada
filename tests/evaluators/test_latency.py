"""Measured latency, and the model that predicts it."""

import numpy as np
import pytest

from nas_gym import make_task
from nas_gym.evaluators.latency import LatencyEvaluator
from nas_gym.evaluators.latency_model import LatencyModel
from nas_gym.evaluators.named import network_evaluator
from nas_gym.spaces import NB201Space

SPACE = NB201Space()
ENDS = np.array([[0] * 6, [3] * 6])  # no operation, and six 3x3 convolutions
NB201 = {"table": "analog-nasbench", "dataset": "cifar10"}


@pytest.fixture(autouse=True)
def short(monkeypatch):
    from nas_gym.evaluators import latency

    monkeypatch.setattr(latency, "_SECONDS", 0.02)


def test_measurements_are_kept(tmp_path, monkeypatch):
    first = LatencyEvaluator("NB201", folder=tmp_path)
    medians = first.values("median", ENDS)
    assert 0 < medians[0] < medians[1]
    assert (first.values("spread", ENDS) >= 0).all()
    second = LatencyEvaluator("NB201", folder=tmp_path)
    monkeypatch.setattr(second, "measure", None)
    np.testing.assert_array_equal(second.values("median", ENDS), medians)
    # other settings have measurements of their own
    assert LatencyEvaluator("NB201", folder=tmp_path, batch=2).store.path != first.store.path
    assert first.provenance()["latency"]["processor"]


def test_as_a_column_of_a_task(cache):
    task = make_task(
        **NB201, reward="latency(column=latency(threads=1):median,target=5,weight=-0.07)"
    )
    indices = SPACE.encode(ENDS)
    latency = network_evaluator("NB201", "cifar10", "latency(threads=1)", device="cpu")
    accuracy = task.column_values(task.signal, indices)
    expected = accuracy * (latency.values("median", ENDS) / 5) ** -0.07
    np.testing.assert_allclose(task.reward(indices), expected)
    assert task.rewards is None
    assert task.optimum is None


def test_as_a_constraint(cache):
    task = make_task(**NB201, constraint="latency:median <= 0.001 ms")
    indices = SPACE.encode(ENDS)
    assert (task.violations(indices) > 0).all()
    assert task.optimum is None  # the space is not measured
    assert task.regret(indices).min() > 0


def test_the_model():
    rng = np.random.default_rng(0)
    genotypes = SPACE.sample(200, rng)
    weights = np.array([0.0, 0.1, 0.5, 2.0, 0.7])
    latencies = 3 + weights[genotypes].sum(axis=1) + 0.01 * rng.normal(size=200)
    model = LatencyModel(SPACE, genotypes[:100], latencies[:100])
    assert model.error < 0.05
    assert model.correlation > 0.99
    assert np.abs(model.predict(genotypes[100:]) - latencies[100:]).max() < 0.1
    with pytest.raises(ValueError, match="at least 10 measurements, got 3"):
        LatencyModel(SPACE, genotypes[:3], latencies[:3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"space": "NB101"}, "networks of NB201, DARTS and MnasNet"),
        ({"space": "NB201", "dataset": "mnist"}, "got 'mnist'"),
        ({"space": "NB201", "threads": 0}, "at least 1"),
        ({"space": "NB201", "device": "toaster"}, "There is no device"),
    ],
)
def test_errors(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        LatencyEvaluator(**arguments, folder=tmp_path)
