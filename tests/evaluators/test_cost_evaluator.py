"""Parameters and FLOPs as metrics of tasks."""

import pickle

import gymnasium as gym
import numpy as np
import pytest

import nas_gym
from nas_gym import make_task
from nas_gym.evaluators.cost import CostEvaluator
from nas_gym.spaces import DARTSSpace, NB201Space
from nas_gym.spaces.nb201_cost import count_nb201_flops, count_nb201_parameters

SPACE = NB201Space()
EVERYTHING = np.arange(SPACE.size)
NB201 = {"table": "analog-nasbench", "dataset": "cifar10"}


def test_columns_of_nb201():
    cost = CostEvaluator(SPACE, "ImageNet16-120")
    genotypes = SPACE.decode(EVERYTHING)
    np.testing.assert_array_equal(
        cost.column("params"), count_nb201_parameters(genotypes, 120) / 1e6
    )
    np.testing.assert_array_equal(
        cost.values("flops", genotypes), count_nb201_flops(genotypes, 120, 16) / 1e6
    )


def test_as_signal_and_report():
    task = make_task(**NB201, signal="params", report="cost:flops")
    assert (str(task.signal), str(task.report)) == ("cost:params", "cost:flops")
    np.testing.assert_array_equal(
        task.rewards, -count_nb201_parameters(SPACE.decode(EVERYTHING)) / 1e6
    )
    assert task.optimum == count_nb201_flops(SPACE.decode(EVERYTHING)).min() / 1e6
    assert task.describe()["provenance"]["cost"]["classes"] == 10
    restored = pickle.loads(pickle.dumps(task))
    assert restored.describe() == task.describe()


def test_in_a_reward():
    task = make_task(**NB201, reward="latency(column=flops,target=100,weight=-0.1)")
    accuracy = task.column_values(task.signal, EVERYTHING)
    flops = count_nb201_flops(SPACE.decode(EVERYTHING)) / 1e6
    np.testing.assert_allclose(task.rewards, accuracy * (flops / 100) ** -0.1)


def test_columns_of_a_table_come_first():
    env = gym.make("NBGraph-cora-v0")
    with pytest.raises(ValueError, match="counted for the networks of NB201, DARTS and MnasNet"):
        gym.make("NBGraph-cora-v0", signal="flops")
    assert "params" not in env.unwrapped.task.evaluator.metrics


def test_a_space_that_cannot_be_enumerated():
    cost = CostEvaluator(DARTSSpace(), "cifar10")
    assert cost.column("params") is None
    genotypes = cost.space.sample(3, np.random.default_rng(0))
    found = cost.evaluate(genotypes)
    assert found["params"].shape == found["flops"].shape == (3,)


@pytest.mark.parametrize(
    ("space", "dataset", "message"),
    [
        (SPACE, "mnist", "known for cifar10, cifar100, ImageNet16-120, ImageNet; not for mnist"),
        (SPACE, "", "not for a task without dataset="),
        (SPACE.subset([[0] * 6, [1] * 6], "Two"), "cifar10", None),
        (nas_gym.CategoricalSpace([("a", "b")], name="Own"), "cifar10", "not of Own"),
    ],
)
def test_what_is_unknown(space, dataset, message):
    if message is None:
        assert CostEvaluator(space, dataset).column("params").shape == (2,)
        return
    with pytest.raises(ValueError, match=message):
        CostEvaluator(space, dataset)


def test_unknown_metric():
    with pytest.raises(KeyError, match="It has: params, flops"):
        make_task(**NB201, signal="cost:energy")


def test_the_name_is_reserved(tmp_path):
    with pytest.raises(ValueError, match="built-in table"):
        nas_gym.import_table(tmp_path / "a.csv", "cost")
