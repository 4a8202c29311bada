"""Estimates of noise: exact facts, and simulations with known noise."""

import numpy as np
import pytest

from nas_gym.spaces import CategoricalSpace, NB201Space
from nas_gym.tables import Metric, Table
from nas_gym.tables.training_noise import (
    average_classes,
    column_noise,
    estimate_noise,
    expected_values,
)


def test_means_of_classes():
    values, classes = np.array([1.0, 2.0, 4.0, 8.0]), np.array([7, 3, 7, 9])
    np.testing.assert_array_equal(average_classes(values, classes), [2.5, 2, 2.5, 8])


def test_pooled_deviation():
    values = np.concatenate([np.arange(20.0), np.arange(20.0) + 2])  # pairs that differ by 2
    found = estimate_noise(values, np.tile(np.arange(20), 2))
    assert found.overall == pytest.approx(2**0.5)  # variance of two values at distance 2


@pytest.mark.parametrize("maximize", [True, False])
def test_the_best_tenth_by_itself(maximize):
    rng = np.random.default_rng(0)
    levels = np.repeat(np.linspace(0, 100, 2000), 4)
    is_best = levels > 85 if maximize else levels < 15
    values = levels + np.where(is_best, 0.5, 3.0) * rng.normal(size=8000)
    found = estimate_noise(values, np.repeat(np.arange(2000), 4), maximize)
    assert found.near_best == pytest.approx(0.5, rel=0.1)
    assert found.overall == pytest.approx(2.8, rel=0.1)
    assert found.networks == pytest.approx(200, abs=5)


def test_too_little_to_estimate_from():
    rng = np.random.default_rng(0)
    assert estimate_noise(rng.normal(size=50), np.arange(50)) is None  # one training each
    assert estimate_noise(rng.normal(size=18), np.repeat(np.arange(9), 2)) is None
    copies = np.repeat(rng.normal(size=20), 2)
    assert estimate_noise(copies, np.repeat(np.arange(20), 2)) is None  # one measurement, copied
    assert estimate_noise(np.ones(40), np.repeat(np.arange(20), 2)) is None


def draw_networks(shape, rng):
    """Return expected values and classes of trainings: 2,000 networks, 1 to 4 trainings each."""
    quality = rng.normal(size=2000)
    expected = quality if shape == "normal" else -np.exp(0.8 * quality)
    classes = np.repeat(np.arange(2000), rng.choice(4, 2000, p=[0.7, 0.15, 0.1, 0.05]) + 1)
    return expected[classes], classes


@pytest.mark.parametrize("deviation", [0.3, 1.0])
@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_known_noise_on_a_known_table(shape, deviation):
    """The noise, and how much of the best value is luck: as means, within 3 and 10 %.

    The luck of one table varies by up to three quarters of its mean, so that three standard errors
    of the mean over 30 tables are added to the 10 %.
    """
    rng = np.random.default_rng(0)
    noises, lucks, estimates = [], [], []
    for _ in range(30):
        expected, classes = draw_networks(shape, rng)
        values = expected + deviation * rng.normal(size=len(expected))
        best = values.argmax()
        noise = estimate_noise(values, classes).near_best
        noises.append(noise)
        lucks.append(values[best] - expected[best])
        estimates.append(values[best] - expected_values(values, classes, noise)[best])
    assert np.mean(noises) == pytest.approx(deviation, rel=0.03)
    differences = np.subtract(estimates, lucks)
    margin = 3 * differences.std(ddof=1) / len(differences) ** 0.5
    assert abs(differences.mean()) < 0.1 * np.mean(lucks) + margin


def test_luck_in_the_best_value_alone():
    """If all networks are equally good, the whole lead of the best value is luck."""
    rng = np.random.default_rng(0)
    classes = np.concatenate([np.arange(3000), np.arange(500)])
    values = 80 + 0.5 * rng.normal(size=3500)
    expected = expected_values(values, classes, 0.5)
    np.testing.assert_allclose(expected, 80, atol=0.15)


def test_direction_of_expected_values():
    rng = np.random.default_rng(0)
    expected, classes = draw_networks("normal", rng)
    values = expected + rng.normal(size=len(expected))
    higher = expected_values(values, classes, 1.0)
    np.testing.assert_allclose(expected_values(-values, classes, 1.0, False), -higher)
    assert higher[values.argmax()] < values.max()
    np.testing.assert_allclose(higher, average_classes(higher, classes), rtol=1e-12)
    errors = [np.abs(each - expected)[values > 2].mean() for each in (higher, values)]
    assert errors[0] < errors[1] / 1.5


def test_seeds_are_trainings():
    rng = np.random.default_rng(0)
    space = CategoricalSpace([range(10)] * 3)
    level = rng.normal(size=(1000, 1)) * 3
    seeds = level + 0.5 * rng.normal(size=(1000, 3))
    names = ["acc", "acc@0", "acc@1", "acc@2", "time"]
    columns = np.column_stack([seeds.mean(axis=1), seeds, np.ones(1000)])
    units = ["%", "%", "%", "%", "s"]
    metrics = tuple(Metric(name, unit) for name, unit in zip(names, units, strict=True))
    table = Table("t", space, metrics, columns, {})
    assert column_noise(table, "acc@1").overall == pytest.approx(0.5, rel=0.05)
    mean = column_noise(table, "acc")
    assert mean.overall == pytest.approx(column_noise(table, "acc@1").overall / 3**0.5)
    assert column_noise(table, "time") is None
    columns[0, 0] = np.nan
    assert column_noise(Table("t", space, metrics, columns, {}), "acc") is None
    with pytest.raises(KeyError, match="no metric 'nope'"):
        column_noise(table, "nope")


def test_costs_have_no_training_noise():
    space = NB201Space()
    values = np.random.default_rng(0).normal(size=(space.size, 2))
    table = Table("t", space, (Metric("acc", "%"), Metric("latency", "ms", False)), values, {})
    assert column_noise(table, "acc").near_best == pytest.approx(1, rel=0.1)
    assert column_noise(table, "latency") is None


def test_noise_of_published_tables(open_table):
    """Near the best, NinaPro is noisier relative to its spread than CIFAR-10."""
    ninapro = column_noise(open_table("hw-nas-bench-360"), "ninapro-test")
    assert ninapro.near_best == pytest.approx(0.582, abs=5e-4)
    assert ninapro.overall == pytest.approx(1.630, abs=5e-4)
    assert column_noise(open_table("hw-nas-bench-360"), "ninapro-pi5-onnx-energy") is None
    cifar10 = column_noise(open_table("nats-bench"), "cifar10-test")
    assert cifar10.near_best == pytest.approx(0.190, abs=5e-4)
    assert column_noise(open_table("nas-bench-graph-cora"), "perf") is None
