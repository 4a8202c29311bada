"""Evaluation by a saved predictor."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

import nas_gym  # noqa: F401
from nas_gym.evaluators import PredictorEvaluator
from nas_gym.predictors.config import PredictorConfig
from nas_gym.predictors.predictor import Predictor, SavedPredictor
from nas_gym.spaces import CategoricalSpace
from nas_gym.spaces.graphs import to_graphs
from nas_gym.tables import load_table

SMALL = PredictorConfig(width=16, layers=3)


@pytest.fixture(scope="module")
def cells():
    """All graphs of NAS-Bench-201, and a metric of them."""
    table = load_table("analog-nasbench")
    graphs = to_graphs(table.space, table.space.decode(np.arange(15625)))
    return graphs, table.column("analog_accuracy")


@pytest.fixture
def saved(cells, tmp_path):
    path = tmp_path / "fitted.safetensors"
    space = load_table("analog-nasbench").space
    shots = np.random.default_rng(0).choice(space.size, 20, replace=False)
    fitted = Predictor(SMALL).fit(to_graphs(space, space.decode(shots)), cells[1][shots])
    fitted.save(path, description="twenty of them")
    return path


@pytest.mark.parametrize("suffix", ["", "-alpha", "-population"])
def test_environments_run_on_a_predictor(saved, suffix, cells):
    env_id = f"NB201-cifar10{suffix}-v0"
    envs = gym.make_vec(env_id, num_envs=2, signal=f"predictor:{saved}")
    task = envs.unwrapped.task
    expected = SavedPredictor.load(saved).predictor.predict(cells[0])
    np.testing.assert_array_equal(task.rewards, expected)
    assert str(task.report) == "analog-nasbench:baseline_accuracy"
    assert task.describe()["provenance"][f"predictor:{saved}"]["file"] == "fitted.safetensors"
    envs.reset(seed=0)
    for _ in range(12):
        envs.step(envs.action_space.sample())
    assert envs.unwrapped.history.queries > 0


def test_metric_to_minimize(cells, tmp_path):
    path = tmp_path / "latency.safetensors"
    predictor = Predictor(SMALL)
    predictor.save(path, maximize=False)
    task = gym.make("NB201-cifar10-v0", signal=f"predictor:{path}").unwrapped.task
    assert task.direction == -1
    np.testing.assert_array_equal(task.rewards, -predictor.predict(cells[0]))


def test_scores_of_some_architectures(saved, cells):
    space = load_table("analog-nasbench").space
    evaluator = PredictorEvaluator(space, saved)
    (name,) = evaluator.metrics
    assert (evaluator.name, name) == ("predictor", str(saved))
    np.testing.assert_allclose(
        evaluator.evaluate(space.decode([4, 2]))[name], evaluator.column(name)[[4, 2]], rtol=1e-5
    )


def test_unreadable_space_and_missing_file(saved, tmp_path):
    with pytest.raises(ValueError, match=r"cannot read .* 2 operations of its own"):
        PredictorEvaluator(CategoricalSpace([("a", "b")]), saved)
    with pytest.raises(FileNotFoundError):
        gym.make("NB201-cifar10-v0", signal=f"predictor:{tmp_path / 'none'}")
