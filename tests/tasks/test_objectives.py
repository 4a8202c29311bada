"""Tasks with objectives."""

import pickle

import numpy as np
import pytest

import nas_gym
from nas_gym import Evaluator, Metric, Task, make_task
from nas_gym.evaluators import TableEvaluator
from nas_gym.evaluators.cost import CostEvaluator
from nas_gym.spaces import NB201Space

SPACE = NB201Space()
EVERYTHING = np.arange(SPACE.size)
NB201 = {"table": "analog-nasbench", "dataset": "cifar10"}
COST = CostEvaluator(SPACE, "cifar10")


def test_vector_rewards(open_table):
    accuracy = open_table("analog-nasbench").column("baseline_accuracy")
    task = make_task(**NB201, objectives=["signal", "params", "cost:flops"])
    expected = np.stack([accuracy, -COST.column("params"), -COST.column("flops")], axis=1)
    np.testing.assert_array_equal(task.rewards, expected)
    indices = np.array([[3, 1], [4, 1]])
    np.testing.assert_array_equal(task.reward(indices), expected[indices])
    assert task.describe()["objectives"] == [
        "analog-nasbench:baseline_accuracy", "cost:params", "cost:flops"
    ]  # fmt: skip
    assert make_task(**NB201, objectives="signal, params,cost:flops").describe() == task.describe()
    assert pickle.loads(pickle.dumps(task)).describe() == task.describe()
    assert "objectives" not in make_task(**NB201).describe()


def test_the_report_takes_the_place_of_the_signal(open_table):
    table = open_table("nb201-12epochs")
    task = make_task(table="nb201-12epochs", dataset="cifar10", objectives=["signal", "params"])
    signal, report = table.column(task.signal.metric), table.column(task.report.metric)
    assert (signal != report).any()
    np.testing.assert_array_equal(task.rewards[:, 0], signal)
    np.testing.assert_array_equal(task.reported_objectives(EVERYTHING)[:, 0], report)
    # permuting the reported column changes what is reported, and nothing that agents see
    values = table.values.copy()
    position = table.position(task.report.metric)
    values[:, position] = np.random.default_rng(0).permutation(values[:, position])
    permuted = type(table)(
        table.name, table.space, table.metrics, values, table.objectives, table.provenance
    )
    other = Task(
        SPACE, TableEvaluator(permuted), dataset="cifar10", objectives=["signal", "params"]
    )
    np.testing.assert_array_equal(other.rewards, task.rewards)
    np.testing.assert_array_equal(other.front.vectors, task.front.vectors)
    assert not np.array_equal(other.reported_front.vectors, task.reported_front.vectors)


def test_noise_is_on_the_signal_only():
    task = make_task(**NB201, objectives=["params", "signal"], noise=1.0)
    noisy = task.reward(EVERYTHING, task.noise_keys([0]))
    difference = noisy - task.rewards
    assert (difference[:, 0] == 0).all()
    assert difference[:, 1].std() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(task.reported_objectives(EVERYTHING), task.rewards)


def test_constraints_apply_to_every_objective():
    free = make_task(**NB201, objectives=["signal", "params"])
    task = make_task(**NB201, objectives=["signal", "params"], constraint="flops <= 100")
    feasible = COST.column("flops") <= 100
    np.testing.assert_array_equal(task.rewards[feasible], free.rewards[feasible])
    assert (task.rewards[~feasible].max(axis=0) < task.rewards[feasible].min(axis=0)).all()
    assert set(task.front.indices) <= set(np.flatnonzero(feasible))
    assert task.reported(np.flatnonzero(~feasible)).max() == 0


def test_reports_are_hypervolumes():
    pytest.importorskip("moocore")
    task = make_task(**NB201, objectives=["signal", "params"])
    front = task.reported_front
    for index in (0, 100, int(front.indices[3])):
        alone = front.hypervolume(task.rewards[[index]])
        assert task.reported(np.array([index]))[0] == pytest.approx(alone)
        assert task.regret(np.array([index]))[0] == pytest.approx(1 - alone)
    assert task.optimum == 1
    assert task.report_metric.name == "hypervolume"


def test_register_task():
    task = make_task(**NB201, objectives=["signal", "flops"])
    assert nas_gym.register_task("Flops", task) == ["Flops-v0"]


class Count(Evaluator):
    name = "own"
    metrics = {"count": Metric("count")}

    def evaluate(self, genotypes):
        return {"count": genotypes.sum(axis=1).astype(float)}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"objectives": ["signal"]}, ValueError, "at least two columns"),
        ({"objectives": ["params", "cost:params"]}, ValueError, "cost:params is listed twice"),
        ({"objectives": ["signal", "baseline_accuracy"]}, ValueError, "is listed twice"),
        ({"objectives": 5}, TypeError, "a list of columns"),
        ({"objectives": ["signal", "energy"]}, KeyError, "It has: "),
        ({"objectives": ["signal", "cost:energy"]}, KeyError, "It has: params, flops"),
        ({"objectives": ["signal", "params"], "reward": "exponential"}, ValueError, "Leave out"),
        (
            {"objectives": ["params", "qat_accuracy"], "report": "qat_accuracy"},
            ValueError,
            "agents must not see",
        ),
        ({"objectives": ["signal", "params"], "report": "flops"}, ValueError, "like the signal"),
        ({"objectives": ["flops", "params"], "noise": 1.0}, ValueError, "not among the objectives"),
    ],
)
def test_bad_objectives(arguments, error, message):
    with pytest.raises(error, match=message):
        make_task(**NB201, **arguments)


def test_metrics_that_are_not_known_for_the_whole_space():
    with pytest.raises(ValueError, match="evaluated when it is asked for"):
        Task(SPACE, Count(), dataset="cifar10", objectives=["signal", "params"])
