"""Predictors: fitting to a few labels, cross-validation folds and saving."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from nas_gym.predictors.config import PredictorConfig
from nas_gym.predictors.fine_tuning import STEP_CHOICES, cross_validation_folds
from nas_gym.predictors.predictor import Predictor, SavedPredictor
from nas_gym.spaces.graphs import Graphs, to_graphs
from nas_gym.tables import load_table
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import write_tensors
from nas_gym.utils.ranks import spearman

torch.set_num_threads(1)
SMALL = PredictorConfig(width=16, layers=3)
COLUMN = "analog_accuracy"


@pytest.fixture(scope="module")
def cells():
    """All graphs of NAS-Bench-201, and a metric of them."""
    table = load_table("analog-nasbench")
    return to_graphs(table.space, table.space.decode(np.arange(15625))), table.column(COLUMN)


def some(graphs, rows):
    return Graphs(graphs.adjacency[rows], graphs.nodes[rows])


def drawn(cells, count, seed=0):
    graphs, values = cells
    rows = np.random.default_rng(seed).choice(len(values), count, replace=False)
    return some(graphs, rows), values[rows]


def test_same_seed_same_scores(cells):
    graphs, _ = drawn(cells, 50)
    scores = Predictor(SMALL, seed=3).predict(graphs)
    state = torch.random.get_rng_state()
    np.testing.assert_array_equal(scores, Predictor(SMALL, seed=3).predict(graphs))
    assert torch.equal(state, torch.random.get_rng_state())
    assert (scores != Predictor(SMALL, seed=4).predict(graphs)).any()
    assert scores.shape == (50,)
    assert Predictor(SMALL).predict(some(graphs, [])).shape == (0,)


def test_fit_learns_a_ranking(cells):
    graphs, labels = drawn(cells, 60)
    others, truth = drawn(cells, 1000, seed=1)
    begun = Predictor(PredictorConfig(algorithm="maml", inner_rate=0.06))
    before = begun.predict(graphs)
    fitted = begun.fit(graphs, labels)
    np.testing.assert_array_equal(begun.predict(graphs), before)
    assert fitted.fine_tuning_steps in STEP_CHOICES
    assert spearman(fitted.predict(graphs), labels) > 0.7
    assert spearman(fitted.predict(others), truth) > 0.5


def test_only_the_order_of_labels_counts(cells):
    graphs, labels = drawn(cells, 12)
    fits = [Predictor(SMALL).fit(graphs, each) for each in (labels, np.exp(labels / 10) - 7)]
    np.testing.assert_array_equal(*(fitted.predict(graphs) for fitted in fits))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_very_few_labels(cells, count):
    graphs, labels = drawn(cells, count)
    assert np.isfinite(Predictor(SMALL).fit(graphs, labels).predict(graphs)).all()


@pytest.mark.parametrize("count", range(2, 14))
def test_folds_hold_out_the_rows_that_they_do_not_train_on(count):
    train, held_out = cross_validation_folds(count)
    assert len(train) == len(held_out) == min(5, count)
    for one, other in zip(train, held_out, strict=True):
        assert sorted([*one, *other]) == list(range(count))
    everything = held_out.reshape(-1)
    assert len(set(everything.tolist())) == len(everything) > count - 5


def test_equal_labels_give_finite_scores(cells):
    graphs, _ = drawn(cells, 8)
    assert np.isfinite(Predictor(SMALL).fit(graphs, np.ones(8)).predict(graphs)).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [([], "One label per graph"), ([1.0, 2.0], "One label per graph"), ([1, np.nan, 2], "NaN")],
)
def test_bad_labels(cells, labels, message):
    with pytest.raises(ValueError, match=message):
        Predictor(SMALL).fit(drawn(cells, 3)[0], labels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"algorithm": "reptile"}, "maml, anil, boil"),
        ({"width": 0}, "width is at least 1"),
        ({"layers": 0}, "layers is at least 1"),
        ({"dropout": 1.0}, "dropout"),
        ({"inner_rate": 0.0}, "inner_rate"),
    ],
)
def test_invalid_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        PredictorConfig(**settings)


def test_saved_and_loaded(cells, tmp_path):
    graphs, labels = drawn(cells, 10)
    fitted = Predictor(SMALL).fit(graphs, labels)
    fitted.save(tmp_path / "fitted.safetensors", maximize=False, description="ten of them")
    found = SavedPredictor.load(tmp_path / "fitted.safetensors")
    assert (found.maximize, found.description, found.predictor.config) == (
        False,
        "ten of them",
        SMALL,
    )
    np.testing.assert_array_equal(found.predictor.predict(graphs), fitted.predict(graphs))


def test_files_that_hold_no_predictor(tmp_path):
    with pytest.raises(FileNotFoundError):
        SavedPredictor.load(tmp_path / "none.safetensors")
    path = tmp_path / "other.safetensors"
    about = json.dumps({"recipe": {}, "maximize": True, "what": ""})
    for arrays in (
        {"x": np.zeros(2)},
        {"predictor": np.array("{}")},
        {"predictor": np.array(about)},
    ):
        write_tensors(path, arrays)
        with pytest.raises(DamagedDataError, match="nas-gym predict --save"):
            SavedPredictor.load(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(DamagedDataError):
        SavedPredictor.load(path)
