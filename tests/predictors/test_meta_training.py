"""Meta-training: learning, resuming and invalid settings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas_gym.predictors.config import MetaTrainingConfig, PredictorConfig
from nas_gym.predictors.gcn import to_tensors
from nas_gym.predictors.meta_training import MetaTraining, MetricSource
from nas_gym.spaces.graphs import to_graphs
from nas_gym.tables import load_table
from nas_gym.utils.ranks import spearman

torch.set_num_threads(1)
SHORT = MetaTrainingConfig(epochs=4, steps=5, tasks=2, validation=16)


@pytest.fixture(scope="module")
def table():
    return load_table("analog-nasbench")


@pytest.fixture(scope="module")
def sources(table):
    known = np.arange(0, 15625, 20)
    inputs = to_tensors(to_graphs(table.space, table.space.decode(known)))
    groups = (["ptq_accuracy", "qat_accuracy"], ["noisy_accuracy"])
    return [
        MetricSource(inputs, np.stack([table.column(name)[known] for name in names]))
        for names in groups
    ]


def trained(sources, config=SHORT, seed=0, **settings):
    training = MetaTraining(
        PredictorConfig(**{"width": 16, "layers": 2} | settings), config, sources, seed
    )
    losses = [training.run_epoch() for _ in range(config.epochs)]
    return training, losses


def test_same_seed_same_network(sources):
    first, second, other = (trained(sources, seed=seed, dropout=0.2)[0] for seed in (0, 0, 1))
    for name, each in first.state_arrays().items():
        np.testing.assert_array_equal(each, second.state_arrays()[name])
    assert any(
        (each != other.state_arrays()[name]).any() for name, each in first.state_arrays().items()
    )


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_resumed_training_is_identical(sources, cut):
    straight, _ = trained(sources)
    first = MetaTraining(PredictorConfig(width=16, layers=2), SHORT, sources, 0)
    for _ in range(cut):
        first.run_epoch()
    second = MetaTraining(PredictorConfig(width=16, layers=2), SHORT, sources, 0)
    second.load_state_arrays(first.state_arrays(), first.epoch)
    while second.epoch < SHORT.epochs:
        second.run_epoch()
    for name, each in straight.state_arrays().items():
        np.testing.assert_array_equal(each, second.state_arrays()[name], err_msg=name)


@pytest.mark.parametrize("algorithm", ["boil", "maml", "anil"])
@pytest.mark.parametrize("joint", [0.0, 0.5, 1.0])
def test_all_algorithms_run(sources, algorithm, joint):
    config = MetaTrainingConfig(epochs=2, steps=2, tasks=2, validation=8, joint=joint)
    _, losses = trained(sources, config, algorithm=algorithm)
    assert np.isfinite(losses).all()
    first_order = MetaTrainingConfig(epochs=1, steps=2, tasks=2, joint=0.0, first_order=True)
    trained(sources, first_order, algorithm=algorithm)


def test_it_learns(sources, table):
    others = np.arange(7, 15625, 15)
    graphs = to_graphs(table.space, table.space.decode(others))
    truth = table.column("baseline_accuracy")[others]
    training, losses = trained(sources, MetaTrainingConfig(epochs=6, steps=40), width=32, layers=4)
    assert losses[2] < losses[0]
    untuned = training.current_predictor.predict(graphs)
    assert spearman(untuned, truth) > 0.6
    shots = np.random.default_rng(0).choice(len(others), 25, replace=False)
    adapted = training.current_predictor.fit(
        to_graphs(table.space, table.space.decode(others[shots])), truth[shots]
    )
    assert spearman(adapted.predict(graphs), truth) > 0.7


def test_learning_rate_rises_and_falls_in_each_phase(sources):
    training = MetaTraining(
        PredictorConfig(width=4, layers=1), MetaTrainingConfig(epochs=4, steps=10), sources, 0
    )
    rates = []
    for training.epoch in range(4):
        rates += [training.learning_rate(step) for step in range(10)]
    joint, meta = rates[:20], rates[20:]
    assert joint == meta
    assert max(joint) == pytest.approx(2e-3)
    assert np.argmax(joint) == 5
    assert joint[-1] == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs is at least 1"),
        ({"shots": 1}, "shots is at least 2"),
        ({"joint": 1.5}, "joint is a fraction"),
        ({"outer_rate": -1.0}, "outer_rate"),
    ],
)
def test_invalid_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        MetaTrainingConfig(**settings)
