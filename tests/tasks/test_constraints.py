"""Constraints of tasks, compared with loops over the whole space."""

import json

import gymnasium as gym
import numpy as np
import pytest

import nas_gym
from nas_gym import Evaluator, Metric, Task, make_task
from nas_gym.evaluators.cost import CostEvaluator
from nas_gym.spaces import DARTSSpace, NB201Space
from nas_gym.tasks.constraints import penalize

SPACE = NB201Space()
EVERYTHING = np.arange(SPACE.size)
NB201 = {"table": "analog-nasbench", "dataset": "cifar10"}
SMALL = "params <= 0.3"
PARAMS = CostEvaluator(SPACE, "cifar10").column("params")
FLOPS = CostEvaluator(SPACE, "cifar10").column("flops")


def test_rewards_of_every_architecture():
    free, task = make_task(**NB201), make_task(**NB201, constraint=SMALL)
    feasible = PARAMS <= 0.3
    np.testing.assert_array_equal(task.violations(EVERYTHING) == 0, feasible)
    np.testing.assert_array_equal(task.rewards[feasible], free.rewards[feasible])
    infeasible = task.rewards[~feasible]
    assert infeasible.max() < task.rewards[feasible].min()
    assert infeasible.min() > 2 * free.rewards.min() - np.median(free.rewards)
    # less violation is better
    order = np.argsort(PARAMS[~feasible], kind="stable")
    assert (np.diff(infeasible[order]) <= 0).all()
    assert task.describe()["constraints"] == ["cost:params <= 0.3"]
    assert "constraints" not in free.describe()


def test_optimum_rank_and_regret_are_of_the_feasible_set(open_table):
    accuracy = open_table("nats-bench").column("cifar10-test")
    latency = open_table("help-latency").column("raspi4")
    task = make_task(
        table="nats-bench", dataset="cifar10", constraint="help-latency:raspi4 <= 5 ms"
    )
    best = max(accuracy[i] for i in range(SPACE.size) if latency[i] <= 5)
    assert task.optimum == best
    for i in range(0, SPACE.size, 97):
        regret = task.regret(np.array([i]))[0]
        if latency[i] <= 5:
            assert regret == abs(best - accuracy[i])
        else:
            assert regret > abs(best - accuracy).max()
    assert len(task.ranked_regrets) == (latency <= 5).sum()
    assert task.ranked_regrets[0] == 0
    assert task.regret_unit == np.median(best - accuracy[latency <= 5])


def test_several_constraints():
    constraints = ["params <= 0.3 M", "cost:flops >= 20"]
    task = make_task(**NB201, constraint=constraints)
    expected = np.maximum(PARAMS - 0.3, 0) / 0.3 + np.maximum(20 - FLOPS, 0) / 20
    np.testing.assert_allclose(task.violations(EVERYTHING), expected)
    assert make_task(**NB201, constraint=constraints) is task


def test_info_and_histories(tmp_path):
    env = gym.make("NB201-cifar10-alpha-v0", constraint=SMALL)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        info = env.step(env.action_space.sample() * rng.random())[-1]
        assert info["feasible"] == (PARAMS[info["index"]] <= 0.3)
        assert info["violation"] == max(PARAMS[info["index"]] - 0.3, 0) / 0.3
        assert info["incumbent_feasible"] == (PARAMS[info["incumbent"]] <= 0.3)
        assert info["metrics"]["cost:params"] == PARAMS[info["index"]]
    assert "feasible" not in gym.make("NB201-cifar10-alpha-v0").unwrapped.history.__dict__
    summary = nas_gym.search(
        "NB201-cifar10-v0", "rea(population_size=5,sample_size=3)", queries=30, seeds=2,
        out=tmp_path,
        constraint=[SMALL], progress_bar=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").open()]
    assert all(line["feasible"] == (PARAMS[line["index"]] <= 0.3) for line in lines)
    assert all((line["violation"] == 0) == line["feasible"] for line in lines)
    assert summary["env_arguments"] == {"constraint": [SMALL]}
    assert summary["incumbent_feasible"] == np.mean(
        [line["incumbent_feasible"] for line in lines[-2:]]
    )
    assert summary["incumbent_metrics"]["cost:params"]["unit"] == "M"


def test_noise_never_hides_feasibility():
    task = make_task(**NB201, constraint=SMALL, noise=50.0)
    keys = task.noise_keys([3])
    rewards = task.reward(EVERYTHING, keys)
    feasible = PARAMS <= 0.3
    assert rewards[feasible].min() > rewards[~feasible].max()


def test_the_report_does_not_change_rewards(open_table):
    open_table("nb201-12epochs")
    arguments = {"table": "nb201-12epochs", "dataset": "cifar10", "constraint": SMALL}
    first, second = make_task(**arguments), make_task(**arguments, report="nats-bench:cifar10-test")
    np.testing.assert_array_equal(first.rewards, second.rewards)
    with pytest.raises(ValueError, match="would show it to agents"):
        make_task(**arguments | {"constraint": f"{first.report} >= 50"})


def test_penalties_are_bounded_and_ordered():
    violations = np.array([0.0, 1e-9, 0.5, 1e9])
    rewards = penalize(np.array([3.0, 99.0, 99.0, 99.0]), violations, 1.0, 4.0)
    assert rewards[0] == 3
    assert (np.diff(rewards) < 0).all()
    assert -3 <= rewards.min() <= rewards.max() <= 3


class DARTSAccuracy(Evaluator):
    name = "own"
    metrics = {"accuracy": Metric("accuracy", "%"), "time": Metric("time", "ms", False)}
    space = DARTSSpace()

    def evaluate(self, genotypes):
        total = genotypes.sum(axis=1).astype(float)
        return {"accuracy": total / 2, "time": total}


def test_a_space_that_cannot_be_enumerated():
    task = Task(DARTSSpace(), DARTSAccuracy(), dataset="cifar10", constraint="params <= 3")
    indices = task.space.encode(task.space.sample(50, np.random.default_rng(0)))
    params = CostEvaluator(task.space, "cifar10").values("params", task.space.decode(indices))
    rewards = task.reward(indices)
    assert 0 < (params <= 3).sum() < 50
    assert ((rewards >= 0) == (params <= 3)).all()
    assert rewards.min() > -100
    assert task.regret(indices)[params > 3].min() > 100
    with pytest.raises(ValueError, match="are not both in %"):
        Task(
            DARTSSpace(),
            DARTSAccuracy(),
            signal="time",
            dataset="cifar10",
            constraint="params <= 3",
        )


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        ("params", "COLUMN <= VALUE"),
        ("params < 5", "COLUMN <= VALUE"),
        ("params <= five", "COLUMN <= VALUE"),
        ("params <= 1.2.3", "COLUMN <= VALUE"),
        ("params <= 0,3", "COLUMN <= VALUE"),
        ("params <= 1e400", "COLUMN <= VALUE"),
        ("params <= 5 ms", "is in 'M'. Give the value in the unit of the column"),
        ("params <= 0.01", "the lowest value of cost:params is 0.073306"),
        ("params >= 5", "the highest value of cost:params is 1.53155"),
        (["flops <= 10", "params >= 1"], "among those with cost:flops <= 10: the highest"),
    ],
)
def test_bad_constraints(constraint, message):
    with pytest.raises(ValueError, match=message):
        make_task(**NB201, constraint=constraint)


def test_unknown_columns(open_table):
    open_table("help-latency")
    with pytest.raises(KeyError, match="raspi4"):
        make_task(**NB201, constraint="help-latency:toaster <= 5")
    with pytest.raises(KeyError, match="It has: "):
        make_task(**NB201, constraint="energy <= 5")
    with pytest.raises(TypeError, match="text or a list of texts"):
        make_task(**NB201, constraint=5)
    with pytest.raises(TypeError, match="A ready task="):
        make_task(task=make_task(**NB201), constraint=SMALL)
