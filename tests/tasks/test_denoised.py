"""Reports that average isomorphic architectures."""

import numpy as np
import pytest

from nas_gym.spaces import NB201Space
from nas_gym.tables import Metric, Objective, Table, store
from nas_gym.tasks import make_task

ANALOG = {"table": "analog-nasbench", "dataset": "cifar10"}


@pytest.fixture(scope="module")
def structures():
    space = NB201Space()
    return space.structures(space.decode(np.arange(space.size)))


@pytest.mark.parametrize("report", ["analog_accuracy", "analog-nasbench:analog_accuracy"])
def test_the_mean_of_isomorphic_cells(report, structures, open_table):
    values = open_table("analog-nasbench").column("analog_accuracy")
    task = make_task(**ANALOG, report=f"{report}:denoised")
    reported = task.reported(np.arange(task.space.size))
    for number in (0, 17, 6465):
        members = structures == number
        np.testing.assert_allclose(reported[members], values[members].mean(), rtol=1e-12)
    assert task.optimum == reported.max() < values.max()
    assert task.regret(np.arange(15_625)).min() == 0


def test_names(open_table):
    open_table("analog-nasbench")
    task = make_task(**ANALOG, report="analog_accuracy:denoised")
    assert str(task.report) == "analog-nasbench:analog_accuracy:denoised"
    assert task.report_metric.name == "analog_accuracy:denoised"
    assert task.report_metric.unit == "%"
    assert "mean over isomorphic" in task.report_metric.description
    again = make_task(**ANALOG, report=str(task.report))
    assert again.describe() == task.describe()
    assert task.metrics(np.array([5]))[str(task.report)] == task.reported(np.array([5]))


def test_a_column_of_another_table(structures, open_table):
    values = open_table("nats-bench").column("cifar10-test")
    task = make_task(**ANALOG, report="nats-bench:cifar10-test:denoised")
    means = np.bincount(structures, values) / np.bincount(structures)
    np.testing.assert_allclose(task.reported(np.arange(15_625)), means[structures], rtol=1e-12)


def test_rewards_do_not_change(open_table):
    open_table("analog-nasbench")
    everything = np.arange(15_625)
    raw, denoised = (
        make_task(**ANALOG, report=f"baseline_accuracy{suffix}") for suffix in ("", ":denoised")
    )
    np.testing.assert_array_equal(raw.reward(everything), denoised.reward(everything))


@pytest.mark.parametrize(
    "arguments",
    [
        {"signal": "analog_accuracy:denoised"},
        {"signal": "0.5 * analog_accuracy:denoised + 0.5 * baseline_accuracy"},
        {"reward": "latency(column=analog_accuracy:denoised,target=5,weight=-0.07)"},
        {"constraint": "analog_accuracy:denoised >= 80"},
    ],
)
def test_agents_never_see_a_denoised_column(arguments, open_table):
    open_table("analog-nasbench")
    with pytest.raises(ValueError, match=r"analog_accuracy:denoised averages.* in report="):
        make_task(**ANALOG, **arguments)


def test_a_constraint_on_the_denoised_metric_is_refused(open_table):
    open_table("analog-nasbench")
    with pytest.raises(ValueError, match="would show it to agents"):
        make_task(**ANALOG, report="analog_accuracy:denoised", constraint="analog_accuracy >= 80")


def test_spaces_without_isomorphic_architectures(open_table):
    open_table("nas-bench-graph-cora")
    with pytest.raises(ValueError, match=r"perf:denoised needs .* such as NB201; .* Leave out"):
        make_task(table="nas-bench-graph-cora", dataset="cora", report="perf:denoised")


def test_unknown_metrics(open_table):
    open_table("analog-nasbench")
    with pytest.raises(KeyError, match="no metric 'nope'"):
        make_task(**ANALOG, report="nope:denoised")
    with pytest.raises(ValueError, match="the only suffix of a metric is ':denoised'"):
        make_task(**ANALOG, report="analog_accuracy:denoise")
    twice = "analog_accuracy:denoised:denoised"
    with pytest.raises(ValueError, match=f"'{twice}' ends in ':denoised' twice. Give .*denoised'"):
        make_task(**ANALOG, report=twice)


def test_a_metric_of_that_name_comes_first(cache):
    space = NB201Space()
    values = np.arange(2.0 * space.size).reshape(-1, 2)
    metrics = (Metric("acc"), Metric("acc:denoised"))
    store.save_table(Table("Own", space, metrics, values, {"d": Objective("acc", "acc")}))
    task = make_task(table="Own", dataset="d", report="acc:denoised")
    assert not task.report.denoised
    np.testing.assert_array_equal(task.reported(np.arange(space.size)), values[:, 1])
