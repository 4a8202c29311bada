"""Ceilings: the regret that remains if every signal is known."""

import numpy as np
import pytest

from nas_gym.evaluators import TableEvaluator
from nas_gym.spaces import CategoricalSpace, NB201Space
from nas_gym.tables import Metric, Objective, Table, store
from nas_gym.tasks import Task, make_task
from nas_gym.tasks.ceiling import compute_ceiling


def save_table(space, **columns):
    metrics = tuple(Metric(name, "%") for name in columns)
    values = np.column_stack(list(columns.values()))
    store.save_table(Table("Own", space, metrics, values, {"d": Objective(*columns)}))
    return {"table": "Own", "dataset": "d"}


def test_without_noise_it_is_the_regret_of_the_best_signal(cache):
    space = CategoricalSpace([range(2), range(3)])
    signal, report = np.array([1.0, 5, 2, 3, 4, 0]), np.array([9.0, 6, 7, 8, 5, 4])
    arguments = save_table(space, val=signal, test=report)
    ceiling = compute_ceiling(make_task(**arguments))
    assert (ceiling.regret, ceiling.noise) == (3.0, None)
    assert compute_ceiling(make_task(**arguments, report="val")).regret == 0


def test_noise_of_the_signal(cache):
    """With known noise on a known table, the ceiling is the mean regret of many searches."""
    values = np.random.default_rng(0).normal(50, 3, 1000)
    arguments = save_table(CategoricalSpace([range(10)] * 3), val=values, test=values)
    ceiling = compute_ceiling(make_task(**arguments, noise=2.0))
    rng = np.random.default_rng(1)
    choices = [np.argmax(values + 2 * rng.normal(size=1000)) for _ in range(4000)]
    assert ceiling.regret == pytest.approx(np.mean(values.max() - values[choices]), rel=0.1)


def test_known_noise_in_a_known_table():
    """The values of the table are single trainings: the estimate is within 10 % of the truth."""
    space = NB201Space()
    structures = space.isomorphism_classes()
    rng = np.random.default_rng(0)
    truths, estimates, noises = [], [], []
    for _ in range(12):
        expected = rng.normal(80, 3, 6466)[structures]
        values = expected + 2 * rng.normal(size=space.size)
        metrics, objectives = (Metric("acc", "%"),), {"d": Objective("acc", "acc")}
        table = Table("T", space, metrics, values[:, None], objectives)
        ceiling = compute_ceiling(Task(space, TableEvaluator(table), dataset="d"))
        truths.append(values.max() - expected[values.argmax()])
        estimates.append(ceiling.regret)
        noises.append(ceiling.noise)
    assert np.mean(noises) == pytest.approx(2, rel=0.03)
    assert np.mean(estimates) == pytest.approx(np.mean(truths), rel=0.1)


def test_denoised_reports(open_table):
    open_table("hw-nas-bench-360")
    raw = make_task(table="hw-nas-bench-360", dataset="ninapro")
    denoised = make_task(
        table="hw-nas-bench-360", dataset="ninapro", report="ninapro-test:denoised"
    )
    # the best value is of a cell without an isomorphic partner, so both have one optimum
    assert compute_ceiling(raw) == compute_ceiling(denoised)
    assert compute_ceiling(raw).regret > 2 * compute_ceiling(raw).noise


def test_no_ceiling(open_table):
    open_table("analog-nasbench"), open_table("help-latency")
    reward = "latency(column=help-latency:fpga,target=5,weight=-0.07)"
    task = make_task(table="analog-nasbench", dataset="cifar10", reward=reward)
    assert compute_ceiling(task) is None  # regrets are those of the reward


def test_log_rank(cache):
    values = np.array([3.0, 1, 5, 5, 2, 4])
    task = make_task(**save_table(CategoricalSpace([range(2), range(3)]), val=values, test=values))
    expected = np.log10(1 + np.array([3, 5, 0, 0, 4, 2]))
    np.testing.assert_allclose(task.log_rank(np.arange(6)), expected)
