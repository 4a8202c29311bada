"""Tasks: columns, optima and regret."""

import time

import numpy as np
import pytest

from nas_gym import tables
from nas_gym.spaces import CategoricalSpace
from nas_gym.tables import Metric, Objective, Table, store
from nas_gym.tasks import make_task

# the optima of NAS-Bench-201's tables, in percent
OPTIMA = [
    ("analog-nasbench", "cifar10", 94.0664),
    ("nats-bench", "cifar10", 94.3733),
    ("nats-bench", "cifar100", 73.5133),
    ("nats-bench", "ImageNet16-120", 47.3111),
    ("hw-nas-bench-360", "cifar100", 73.5133),
    ("hw-nas-bench-360", "ninapro", 94.3854),
    ("hw-nas-bench-360", "darcy", 98.4811),
]


@pytest.mark.parametrize(("table", "dataset", "optimum"), OPTIMA)
def test_optimum_and_regret(table, dataset, optimum, open_table):
    open_table(table)
    task = make_task(table=table, dataset=dataset)
    everything = np.arange(task.space.size)
    regret = task.regret(everything)
    assert task.optimum == pytest.approx(optimum, abs=5e-5)
    assert regret.min() == 0
    assert regret[task.reported(everything).argmax()] == 0
    np.testing.assert_allclose(task.optimum - regret, task.reported(everything), rtol=1e-12)


def test_of_a_metric_to_minimize(open_table):
    table = open_table("nas-bench-graph-cora")
    task = make_task(table="nas-bench-graph-cora", dataset="cora", signal="latency", report="para")
    everything = np.arange(task.space.size)
    latency, size = table.column("latency"), table.column("para")
    np.testing.assert_array_equal(task.reward(everything), -latency)
    np.testing.assert_array_equal(task.reported(everything), size)
    assert task.optimum == size.min()
    np.testing.assert_allclose(task.regret(everything), size - size.min())


def test_columns_of_other_tables(open_table):
    nats = open_table("nats-bench")
    task = make_task(table="analog-nasbench", dataset="cifar10", report="nats-bench:cifar10-test")
    assert task.optimum == pytest.approx(94.3733, abs=5e-5)
    metrics = task.metrics(np.array([3, 7]))
    np.testing.assert_array_equal(
        metrics["nats-bench:cifar10-test"], nats.lookup([3, 7], "cifar10-test")
    )
    assert "baseline_accuracy" in metrics
    # a table of costs alone makes a task where both columns are given
    open_table("help-latency")
    task = make_task(table="help-latency", dataset="pixel3", signal="pixel3", report="pixel3")
    assert task.optimum == tables.load_table("help-latency").column("pixel3").min()


def test_describes_itself(open_table):
    open_table("analog-nasbench")
    task = make_task(table="analog-nasbench", dataset="cifar10", signal="analog_accuracy")
    assert "analog_accuracy" in repr(task)
    description = task.describe()
    assert description["signal"] == "analog-nasbench:analog_accuracy"
    assert description["report"] == "analog-nasbench:baseline_accuracy"
    assert description["provenance"]["analog-nasbench"]["package"] == "analog-nasbench 0.1.3"


@pytest.mark.parametrize(
    ("kwargs", "error", "words"),
    [
        ({"table": "nope"}, KeyError, ["'nope'", "analog-nasbench", "nas-gym data import"]),
        ({"dataset": "mnist"}, KeyError, ["'mnist'", "cifar10", "signal=", "report="]),
        ({"signal": "nope"}, KeyError, ["'nope'", "baseline_accuracy"]),
        ({"report": "nope"}, KeyError, ["'nope'", "baseline_accuracy"]),
        ({"signal": "nope:x"}, KeyError, ["'nope'", "analog-nasbench"]),
        ({"report": "nas-bench-graph-cora:nope"}, (KeyError, ValueError), []),
        ({"signal": "nas-bench-graph-cora:perf"}, ValueError, ["NBGraph", "NB201", "15,625"]),
    ],
)
def test_names_that_do_not_fit(kwargs, error, words, open_table):
    open_table("analog-nasbench")
    with pytest.raises(error) as caught:
        make_task(**{"table": "analog-nasbench", "dataset": "cifar10"} | kwargs)
    for word in words:
        assert word in str(caught.value)


def test_mixtures_of_columns(open_table):
    table = open_table("analog-nasbench")
    text = "0.25 * baseline_accuracy + 0.75 * analog-nasbench:qat_accuracy"
    task = make_task(table="analog-nasbench", dataset="cifar10", signal=text, noise=0.5)
    first, second = table.column("baseline_accuracy"), table.column("qat_accuracy")
    np.testing.assert_allclose(task.rewards, 0.25 * first + 0.75 * second)
    assert [column.metric for column in task.columns] == ["baseline_accuracy", "qat_accuracy"]
    # what it calls itself makes the same task again
    again = make_task(
        table="analog-nasbench", dataset="cifar10", signal=str(task.signal), noise=0.5
    )
    np.testing.assert_array_equal(again.rewards, task.rewards)
    assert again.describe() == task.describe()
    assert task.training_seconds(np.array([3])) is None
    with pytest.raises(ValueError, match=r"0\.3 \* table:metric"):
        make_task(table="analog-nasbench", dataset="cifar10", signal="half * baseline_accuracy")
    graph = open_table("nas-bench-graph-cora")
    assert not graph.metric("latency").maximize
    with pytest.raises(ValueError, match="the same unit and direction"):
        make_task(table="nas-bench-graph-cora", dataset="cora", signal="0.5 * latency + 0.5 * perf")


def test_reward_of_accuracy_and_latency(open_table):
    table = open_table("nas-bench-graph-cora")
    reward = "latency(column=latency,target=0.02,weight=-0.07)"
    task = make_task(
        table="nas-bench-graph-cora", dataset="cora", signal="perf", reward=reward, noise=0.1
    )
    factor = (table.column("latency") / 0.02) ** -0.07
    np.testing.assert_allclose(task.rewards, table.column("perf") * factor)
    assert "latency" in [column.metric for column in task.columns]
    rows, keys = np.arange(5), task.noise_keys([3] * 5)
    noisy = task.reward(rows, keys)
    plain = make_task(
        table="nas-bench-graph-cora", dataset="cora", signal="perf", noise=0.1
    ).reward(rows, keys)
    np.testing.assert_allclose(noisy, plain * factor[:5])  # the noise is of the accuracy
    with pytest.raises(ValueError, match="give it to the environment"):
        task.reward_function(reward)
    with pytest.raises(ValueError, match="is minimized"):
        make_task(table="nas-bench-graph-cora", dataset="cora", signal="latency", reward=reward)
    for wrong in (
        "latency(column=latency,target=0,weight=1)",
        "latency(column=a,target=x,weight=1)",
    ):
        with pytest.raises(ValueError, match="target above 0"):
            make_task(table="nas-bench-graph-cora", dataset="cora", reward=wrong)
    with pytest.raises(KeyError, match="nope"):
        make_task(
            table="nas-bench-graph-cora",
            dataset="cora",
            reward="latency(column=nope,target=1,weight=1)",
        )


def test_incomplete_columns_are_refused(cache, open_table):
    proteins = open_table("nas-bench-graph-proteins")
    values = np.array(proteins.values)
    values[5, 0] = np.nan
    broken = Table("holes", proteins.space, proteins.metrics, values, proteins.objectives)
    store.save_table(broken)
    with pytest.raises(ValueError, match=r"holes:valid_perf has no value for 1 of 2,021"):
        make_task(table="holes", dataset="proteins")
    assert (
        make_task(table="holes", dataset="proteins", signal="perf").reward(np.array([5]))
        == values[5, 1]
    )


def test_same_name_and_size_is_not_the_same_space(cache):
    for name, labels in (("one", "ab"), ("two", "cd")):
        space = CategoricalSpace([labels, labels], name="mine")
        store.save_table(Table(name, space, (Metric("m"),), np.arange(4.0)[:, None], {}))
    with pytest.raises(ValueError, match="do not belong together"):
        make_task(table="one", dataset="x", signal="m", report="two:m")


def test_lookup_of_every_architecture_takes_less_than_a_millisecond(open_table):
    table = open_table("analog-nasbench")
    task = make_task(table="analog-nasbench", dataset="cifar10")
    indices = np.random.default_rng(0).permutation(table.space.size)
    for look_up in (task.reward, lambda i: table.lookup(i, "baseline_accuracy")):
        times = []
        for _ in range(50):
            start = time.perf_counter()
            look_up(indices)
            times.append(time.perf_counter() - start)
        assert min(times) < 1e-3


def test_own_columns_may_have_a_colon_in_their_name(cache):
    space = CategoricalSpace(["ab", "cd"], name="mine")
    objectives = {"x": Objective("a:b", "a:b")}
    store.save_table(Table("one", space, (Metric("a:b"),), np.arange(4.0)[:, None], objectives))
    assert (
        make_task(table="one", dataset="x").optimum
        == make_task(table="one", dataset="x", signal="one:a:b").optimum
        == 3
    )
