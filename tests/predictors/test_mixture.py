"""Mixtures of earlier tasks: inference from labels, meta-training, saving and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas_gym.predictors.config import MetaTrainingConfig, PredictorConfig
from nas_gym.predictors.gcn import to_tensors
from nas_gym.predictors.meta_training import MetricSource, MultiTaskTraining
from nas_gym.predictors.mixture import Embedding, MixturePredictor, infer_task
from nas_gym.spaces.graphs import Graphs, to_graphs
from nas_gym.spaces.nb201 import OPERATIONS
from nas_gym.tables import load_table
from nas_gym.utils.ranks import rank_scores, spearman

torch.set_num_threads(1)
SMALL = PredictorConfig(width=16, layers=2, algorithm="mixture")
SHORT = MetaTrainingConfig(epochs=4, steps=60, validation=64, outer_rate=0.01)


@pytest.fixture(scope="module")
def cells():
    """Graphs of some cells, their accuracy, and the number of poolings minus that of 3x3s."""
    table = load_table("analog-nasbench")
    rows = np.arange(0, 15625, 20)
    genotypes = table.space.decode(rows)
    poolings, convolutions = (
        (genotypes == OPERATIONS.index(name)).sum(axis=1)
        for name in ("avg_pool_3x3", "nor_conv_3x3")
    )
    labels = np.stack([table.column("baseline_accuracy")[rows], poolings - convolutions])
    return to_graphs(table.space, genotypes), labels


def sources(cells, count=None):
    graphs, labels = cells
    inputs = to_tensors(select(graphs, np.arange(count or len(graphs.nodes))))
    return [MetricSource(inputs, labels[[i], :count], weight) for i, weight in enumerate((3, 1))]


def select(graphs, rows):
    return Graphs(graphs.adjacency[rows], graphs.nodes[rows])


@pytest.fixture(scope="module")
def learned(cells):
    training = MultiTaskTraining(SMALL, SHORT, sources(cells), 0)
    losses = [training.run_epoch() for _ in range(SHORT.epochs)]
    assert losses[-1] < losses[0]
    return training.current_predictor


def embedding(scores):
    """An embedding without structure, so that only the earlier tasks tell architectures apart."""
    count = len(scores)
    return Embedding(scores, np.zeros((count, 1)), np.zeros((count, 1)))


@pytest.mark.parametrize("true", [0, 1, 2])
def test_labels_of_an_earlier_task_give_it_the_weight(true):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(60, 3))
    labels = rank_scores(scores[None, :20, true])[0]
    posterior = infer_task(np.full(3, 1 / 3), embedding(scores[:20]), labels)
    assert posterior.weights.argmax() == true
    assert posterior.weights[true] > 0.9
    assert posterior.weights.sum() == pytest.approx(1)
    assert spearman(posterior.mean(embedding(scores[20:])), scores[20:, true]) > 0.9


def test_a_task_without_prior_probability_gets_no_weight():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(20, 2))
    with np.errstate(divide="ignore"):
        found = infer_task(np.array([0.0, 1.0]), embedding(scores), scores[:, 0])
    np.testing.assert_array_equal(found.weights, [0, 1])


def test_heads_learn_their_tasks(learned, cells):
    graphs, labels = cells
    scores = learned.embed(*to_tensors(graphs)).scores
    own = [spearman(scores[:, i], labels[i]) for i in range(2)]
    other = [spearman(scores[:, i], labels[1 - i]) for i in range(2)]
    assert min(own) > 0.6
    assert min(own) > max(other)


def test_without_labels_the_prior_weights_the_tasks(learned, cells):
    graphs, _ = cells
    np.testing.assert_allclose(learned.reference.prior, [0.75, 0.25])
    expected = learned.embed(*to_tensors(graphs)).scores @ [0.75, 0.25]
    np.testing.assert_allclose(learned.predict(graphs), expected, rtol=1e-6)


@pytest.mark.parametrize("task", [0, 1])
def test_a_few_labels_find_the_task(learned, cells, task):
    graphs, labels = cells
    rows = np.random.default_rng(1).choice(len(labels[0]), 20, replace=False)
    fitted = learned.fit(select(graphs, rows), labels[task, rows])
    assert fitted.posterior.weights[task] > learned.reference.prior[task]
    assert spearman(fitted.predict(graphs), labels[task]) > 0.6
    assert learned.posterior.shots is None  # unchanged


def test_new_tasks_are_learned_without_earlier_ones(cells):
    graphs, labels = cells
    untrained = MixturePredictor(SMALL, seed=0)
    assert np.ptp(untrained.predict(graphs)) == 0
    rows = np.random.default_rng(1).choice(len(labels[0]), 200, replace=False)
    others = np.setdiff1d(np.arange(len(labels[0])), rows)
    fitted = untrained.fit(select(graphs, rows), labels[0, rows])
    assert spearman(fitted.predict(select(graphs, others)), labels[0, others]) > 0.5


@pytest.mark.parametrize("change", [np.exp, lambda values: 3 * values - 5])
def test_only_the_order_of_labels_matters(learned, cells, change):
    graphs, labels = cells
    few, values = select(graphs, np.arange(10)), labels[0, :10] / 100
    expected = learned.fit(few, values).predict(graphs)
    np.testing.assert_array_equal(learned.fit(few, change(values)).predict(graphs), expected)


@pytest.mark.parametrize("count", [1, 2])
def test_very_few_labels_give_finite_scores(learned, cells, count):
    graphs, labels = cells
    fitted = learned.fit(select(graphs, np.arange(count)), labels[0, :count])
    assert np.isfinite(fitted.predict(graphs)).all()


@pytest.mark.parametrize("cut", [1, 3])
def test_resumed_training_is_identical(cells, learned, cut):
    first = MultiTaskTraining(SMALL, SHORT, sources(cells), 0)
    for _ in range(cut):
        first.run_epoch()
    second = MultiTaskTraining(SMALL, SHORT, sources(cells), 0)
    second.load_state_arrays(first.state_arrays(), first.epoch)
    while second.epoch < SHORT.epochs:
        second.run_epoch()
    for name, each in learned.state_arrays().items():
        np.testing.assert_array_equal(
            each, second.current_predictor.state_arrays()[name], err_msg=name
        )


def test_saved_arrays_restore_any_number_of_tasks(learned, cells):
    graphs, labels = cells
    restored = MixturePredictor(SMALL).with_state_arrays(learned.state_arrays())
    few = select(graphs, np.arange(8))
    for one, other in (
        (learned, restored),
        tuple(p.fit(few, labels[1, :8]) for p in (learned, restored)),
    ):
        np.testing.assert_array_equal(one.predict(graphs), other.predict(graphs))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("prior", [0.5, 0.1], "not a probability distribution"),
        ("prior", [1.0], "head.weight has shape"),
        ("center", [np.nan] * 16, "not finite"),
        ("center", [0.0] * 3, "center has shape"),
        ("scale", 0.0, "not finite"),
        ("head.bias", [np.inf, 0.0], "NaN or infinite"),
    ],
)
def test_damaged_arrays_are_refused(learned, name, value, message):
    with pytest.raises(ValueError, match=message):
        learned.with_state_arrays(learned.state_arrays() | {name: np.asarray(value, np.float32)})


def test_sources_with_other_architectures_are_refused(cells):
    with pytest.raises(ValueError, match="must have the same architectures"):
        MultiTaskTraining(SMALL, SHORT, [*sources(cells), *sources(cells, 100)], 0)


def test_a_predictor_alone_is_not_saved(learned, tmp_path):
    with pytest.raises(ValueError, match="Save the agent, or meta-train one of"):
        learned.save(tmp_path / "predictor.safetensors")


def test_bad_labels_are_refused(learned, cells):
    graphs, labels = cells
    with pytest.raises(ValueError, match="One label per graph"):
        learned.fit(select(graphs, np.arange(3)), labels[0, :2])
    with pytest.raises(ValueError, match="NaN"):
        learned.fit(select(graphs, np.arange(2)), [1.0, np.nan])
