"""Evaluation by a supernet."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from evaluators.helpers import drawn, values_at

from nas_gym.evaluators import supernet as supernet_evaluators
from nas_gym.evaluators.supernet import SupernetEvaluator
from nas_gym.networks import data
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.evaluation import evaluate_network
from nas_gym.networks.supernet import load_supernet
from nas_gym.spaces import NB201Space
from nas_gym.utils.errors import MissingDataError
from nas_gym.utils.files import read_tensors, write_tensors

CPU = torch.device("cpu")
DIGITS = data.load_images("digits")
SPACE = NB201Space()


@pytest.fixture
def evaluated(monkeypatch):
    """Numbers of images of all evaluations; digits have 449 for validation, 450 for testing."""
    found, evaluate = [], supernet_evaluators.evaluate_network

    def spy(forward, split, batch_size):
        found.append(len(split))
        return evaluate(forward, split, batch_size)

    monkeypatch.setattr(supernet_evaluators, "evaluate_network", spy)
    return found


@pytest.fixture(params=["NB201", "DARTS"])
def inheriting(request, supernet_files):
    return SupernetEvaluator(load_supernet(supernet_files[request.param], CPU), DIGITS)


def test_scores_of_inherited_weights(inheriting):
    index = drawn(inheriting.space, 1)[0]
    alone = inheriting.supernet.network.subnet(inheriting.space.decode([index])[0])
    for norm in alone.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = None
    images = {name: torch.from_numpy(split.images).float() for name, split in DIGITS.splits.items()}
    mean, deviation = (torch.from_numpy(each)[:, None, None] for each in DIGITS.moments)
    images = {name: (each - mean) / deviation for name, each in images.items()}
    with torch.no_grad():
        alone.train()(images["train"])
        alone.eval()
        for name in ("valid", "test"):
            labels = torch.from_numpy(DIGITS.splits[name].labels)
            logits = alone(images[name])
            right = 100 * (logits.argmax(1) == labels).float().mean().item()
            (found,) = values_at(inheriting, f"{name}_accuracy", np.array([index]))
            assert found == pytest.approx(right, abs=0.3)  # at most one tie in 450 images
    loss = torch.nn.functional.cross_entropy(alone(images["valid"]),
                                             torch.from_numpy(DIGITS.valid.labels))  # fmt: skip
    assert values_at(inheriting, "valid_loss", np.array([index]))[0] == pytest.approx(
        loss.item(), rel=1e-3
    )
    count = sum(each.numel() for each in alone.parameters()) / 1e6
    assert values_at(inheriting, "params", np.array([index]))[0] == pytest.approx(count)


def test_kept_scores_are_not_computed_again(supernet_files, evaluated, tmp_path):
    supernet, indices = load_supernet(supernet_files["NB201"], CPU), drawn(SPACE, 2)
    metrics = ("valid_accuracy", "valid_loss", "test_accuracy", "seconds")
    found = []
    for calibration in (0, 0, 300):
        evaluator = SupernetEvaluator(supernet, DIGITS, calibration)
        evaluator.keep_results(tmp_path / "kept", SPACE)
        found.append([values_at(evaluator, metric, indices).tolist() for metric in metrics])
        evaluated.append("end")
    assert found[0] == found[1] != found[2]
    first = [449, 449, 450, 450]
    assert evaluated == [*first, "end", "end", *first, "end"]


@pytest.mark.parametrize("calibration", [0, 300, 1000])
def test_a_subnet_has_exactly_the_accuracy_of_the_evaluator(inheriting, calibration):
    found = SupernetEvaluator(inheriting.supernet, DIGITS, calibration)
    splits = {name: DeviceImages.from_split(DIGITS, each, CPU)
              for name, each in DIGITS.splits.items()}  # fmt: skip
    for genotype in found.space.sample(3, np.random.default_rng(1)):
        alone = found.supernet.network.subnet(genotype)
        assert not alone.training
        for name in ("valid", "test"):
            (reported,) = found.values(f"{name}_accuracy", genotype[None])
            assert evaluate_network(alone, splits[name], 1000).accuracy == reported


@pytest.mark.parametrize("given", [None, DIGITS])
def test_a_subnet_of_a_loaded_supernet_has_the_accuracy_that_searches_report(given, supernet_files):
    genotype = np.array([3, 1, 2, 0, 4, 3])
    alone = load_supernet(supernet_files["NB201"], CPU, given).network.subnet(genotype)
    evaluator = SupernetEvaluator(load_supernet(supernet_files["NB201"], CPU), DIGITS)
    valid = DeviceImages.from_split(DIGITS, DIGITS.valid, CPU)
    (reported,) = evaluator.values("valid_accuracy", genotype[None])
    assert evaluate_network(alone, valid, 1000).accuracy == reported


def test_a_subnet_needs_the_images_of_its_supernet(supernet_files, tmp_path, monkeypatch):
    monkeypatch.delenv("NAS_GYM_DATA", raising=False)  # reading all images takes long
    arrays = read_tensors(supernet_files["NB201"])
    plan = json.loads(str(arrays["plan"])) | {"data": "0" * 64}
    write_tensors(tmp_path / "other.safetensors", arrays | {"plan": np.array(json.dumps(plan))})
    network = load_supernet(tmp_path / "other.safetensors", CPU).network
    with pytest.raises(MissingDataError, match=r"data=load_images\("):
        network.subnet([3, 1, 2, 0, 4, 3])


def test_values_are_remembered(inheriting, evaluated):
    indices = drawn(inheriting.space, 4)[[0, 1, 2, 3, 1, 0]]
    values = values_at(inheriting, "valid_accuracy", indices)
    assert values.shape == (6,)
    assert values[1] == values[4]
    found = inheriting.evaluate(inheriting.space.decode(indices))
    assert found.keys() == inheriting.metrics.keys()
    before = len(evaluated)
    np.testing.assert_array_equal(values_at(inheriting, "valid_accuracy", indices), values)
    assert len(evaluated) == before
    with pytest.raises(KeyError, match=r"no metric 'accuracy'\. It has: valid_accuracy"):
        values_at(inheriting, "accuracy", indices)


def test_test_images_are_used_on_request_only(inheriting, evaluated):
    indices = drawn(inheriting.space, 3)
    values_at(inheriting, "valid_accuracy", indices)
    values_at(inheriting, "valid_loss", indices)
    values_at(inheriting, "seconds", indices)
    assert evaluated == [449] * 3
    values_at(inheriting, "test_accuracy", indices)
    assert evaluated == [449] * 3 + [450] * 3


def test_a_trained_supernet_ranks_architectures(supernet_files):
    evaluator = SupernetEvaluator(load_supernet(supernet_files["NB201"], CPU), DIGITS)
    none, conv = SPACE.encode([[0] * 6, [3] * 6])
    worst, best = values_at(evaluator, "valid_accuracy", np.array([none, conv]))
    assert worst < 25
    assert best > 60
    few = SupernetEvaluator(load_supernet(supernet_files["NB201"], CPU), DIGITS, images=100)
    assert values_at(few, "valid_accuracy", np.array([conv]))[0] % 1 == pytest.approx(0, abs=1e-4)


def test_another_data_set_is_refused(supernet_files):
    others = data.ImageData("others", DIGITS.classes, DIGITS.valid, DIGITS.train, DIGITS.test)
    with pytest.raises(ValueError, match="trained on other images"):
        SupernetEvaluator(load_supernet(supernet_files["NB201"], CPU), others)
