"""Layout and precision of training on CPUs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas_gym.experiments.training_bench import measure_training, measure_two_trainings
from nas_gym.networks import device
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.data import ImageData, Split
from nas_gym.networks.evaluation import evaluate_network
from nas_gym.networks.plans import training_plan
from nas_gym.networks.training import Training

CPU = torch.device("cpu")
CELL = [3, 1, 3, 1, 0, 3]


@pytest.fixture(scope="module")
def squares():
    """Images of 16x16 pixels with a bright square in one of four places."""
    rng = np.random.default_rng(0)
    labels = np.arange(256) % 4
    pixels = rng.integers(0, 128, (256, 1, 16, 16), np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[0, 8 * (label // 2) :, 8 * (label % 2) :][:8, :8] += 60
    split = Split(pixels, labels)
    return ImageData("squares", tuple("abcd"), split, split.first(64), split.first(64))


def test_large_images_are_channels_last_on_a_cpu():
    large, small = torch.zeros(2, 3, 16, 16), torch.zeros(2, 3, 8, 8)
    assert device.to_fast_layout(large).is_contiguous(memory_format=torch.channels_last)
    assert device.to_fast_layout(small).is_contiguous()


@pytest.mark.parametrize(("fast", "side", "expected"), [(True, 16, True), (True, 8, False),
                                                        (False, 16, False)])  # fmt: skip
def test_bfloat16_is_used_where_the_cpu_has_it(fast, side, expected, monkeypatch):
    monkeypatch.setattr(device, "has_fast_bfloat16", lambda: fast)
    with device.training_precision(torch.zeros(2, 3, side, side)):
        assert torch.is_autocast_enabled("cpu") == expected
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if expected else torch.float32)


@pytest.mark.parametrize("genotype", [CELL, None])
@pytest.mark.parametrize("fast", [True, False])
def test_networks_learn_in_both_precisions(fast, genotype, squares, monkeypatch):
    monkeypatch.setattr(device, "has_fast_bfloat16", lambda: fast)
    plan = training_plan("NB201", squares).with_settings(channels=4, cells=1, epochs=3, flip=False)
    plan = plan.with_settings(learning_rate=0.05)
    network = plan.build(genotype)
    train = DeviceImages.from_split(squares, squares.train, CPU)
    sample = None if genotype else lambda rng: network.space.sample(1, rng)[0]
    training = Training(network, train, plan.training, 0, sample)
    losses = [training.run_epoch() for _ in range(3)]
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    assert losses[-1] < losses[0]
    if genotype:
        assert evaluate_network(network.eval(), train, 256).accuracy > 60


def test_the_benchmark_of_training(monkeypatch):
    monkeypatch.setattr("nas_gym.experiments.training_bench._PAIRS", 1)
    monkeypatch.setattr("nas_gym.experiments.training_bench._BATCH", 2)
    threads = torch.get_num_threads()
    ((what, measured),) = measure_training()
    assert "training step" in what
    assert measured.endswith(" x")
    assert torch.get_num_threads() == threads


@pytest.mark.long
def test_the_benchmark_of_two_trainings(monkeypatch):
    monkeypatch.setattr("nas_gym.experiments.training_bench._STEPS", 1)
    ((what, measured),) = measure_two_trainings()
    assert "side by side" in what
    assert measured.endswith(" x the time")
