"""The contract of evaluators: defaults, what is remembered, and errors that name the culprit."""

import numpy as np
import pytest

from nas_gym import Evaluator, Metric
from nas_gym.spaces import NB201Space
from nas_gym.utils.errors import EvaluationError

SPACE = NB201Space()
GENOTYPES = SPACE.decode([7, 8, 9, 7])


class CountOperations(Evaluator):
    """How often each of two operations occurs, and how many architectures were evaluated."""

    name = "operations"
    metrics = {
        "skips": Metric("skips", maximize=False),
        "convs": Metric("convs", seconds="time"),
        "time": Metric("time", "s", maximize=False),
    }

    def __init__(self):
        self.evaluated = 0

    def evaluate(self, genotypes):
        self.evaluated += len(genotypes)
        return {
            "skips": (genotypes == 1).sum(axis=1),
            "convs": (genotypes == 3).sum(axis=1),
            "time": np.full(len(genotypes), 2.0),
        }


def test_each_architecture_is_evaluated_once():
    evaluator = CountOperations()
    skips = evaluator.values("skips", GENOTYPES)
    np.testing.assert_array_equal(skips, (GENOTYPES == 1).sum(axis=1))
    assert skips.dtype == np.float64
    np.testing.assert_array_equal(
        evaluator.values("convs", GENOTYPES[::-1]), (GENOTYPES[::-1] == 3).sum(axis=1)
    )
    assert evaluator.all_values(GENOTYPES).keys() == {"skips", "convs", "time"}
    assert evaluator.evaluated == 3


def test_defaults():
    evaluator = CountOperations()
    assert evaluator.column("skips") is None
    assert evaluator.optimum("skips") is None
    assert evaluator.cost("skips", GENOTYPES) is None
    np.testing.assert_array_equal(evaluator.cost("convs", GENOTYPES), [2.0] * 4)
    assert evaluator.default_columns("anything") == ("skips", "skips")
    assert evaluator.identity() == {"evaluator": "operations"}
    assert "CountOperations" in evaluator.provenance()["operations"]["class"]
    with pytest.raises(KeyError, match=r"no metric 'x'\. It has: skips, convs, time"):
        evaluator.check_metric("x")


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ([1.0], "returned list"),
        ({"other": np.ones(3)}, "did not return m"),
        ({"m": np.ones(2)}, r"shape \(2,\); \(3,\) was expected"),
        ({"m": np.ones((3, 1))}, r"shape \(3, 1\)"),
        ({"m": 1.0}, r"shape \(\)"),
        ({"m": ["a", "b", "c"]}, "not numbers"),
        ({"m": [0.0, np.nan, 1.0]}, r"returned nan as m of genotype \[1, 0, 0, 0, 0, 0\]"),
        ({"m": [0.0, 1.0, -np.inf]}, r"returned -inf as m of genotype \[2, 2, 2, 2, 2, 2\]"),
        (ZeroDivisionError("oh"), "raised ZeroDivisionError: oh"),
    ],
)
def test_what_breaks_the_contract_is_named(returned, words):
    class Broken(Evaluator):
        metrics = {"m": Metric("m")}

        def evaluate(self, genotypes):
            if isinstance(returned, Exception):
                raise returned
            return returned

    genotypes = np.array([[0] * 6, [1, 0, 0, 0, 0, 0], [2] * 6])
    with pytest.raises(EvaluationError, match=rf"Broken\.evaluate.*{words}"):
        Broken().values("m", genotypes)
