"""Training: learning, resuming, memory errors and divergence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks.small import small_supernet, small_training

from nas_gym.networks import data
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.evaluation import evaluate_network
from nas_gym.networks.training import Training, TrainingConfig
from nas_gym.spaces import DARTSSpace
from nas_gym.utils.errors import DivergedError, TrainingError

CPU = torch.device("cpu")
DIGITS = data.load_images("digits")
TRAIN = DeviceImages.from_split(DIGITS, DIGITS.train, CPU)
VALID = DeviceImages.from_split(DIGITS, DIGITS.valid, CPU)
GENOTYPE = [3, 1, 2, 3, 2, 4]


def make(epochs=3, **changes):
    plan = small_training("NB201", epochs)
    config = replace(plan.training, **changes)
    return Training(plan.build(GENOTYPE), TRAIN, config, seed=0)


def sampling(epochs=2):
    plan = small_supernet("NB201", epochs)
    network = plan.build()
    return Training(network, TRAIN, plan.training, 0, lambda rng: network.space.sample(1, rng)[0])


def weights(training):
    return {name: each.clone() for name, each in training.network.state_dict().items()}


def test_learns():
    training = make(8)
    losses = [training.run_epoch() for _ in range(8)]
    assert losses[-1] < 0.5 < losses[0]
    training.network.eval()
    score = evaluate_network(training.network, VALID, 100)
    assert score.accuracy > 85
    assert 0 < score.loss < 1


@pytest.mark.parametrize("begin", [make, sampling])
def test_resumed_training_is_identical(begin):
    straight = begin()
    for _ in range(2):
        straight.run_epoch()
    first = begin()
    first.run_epoch()
    second = begin()
    second.load_state_arrays(first.state_arrays())
    assert second.epoch == 1
    second.run_epoch()
    found = weights(second)
    for name, value in weights(straight).items():
        assert torch.equal(value, found[name]), name


def test_a_supernet_trains_the_drawn_paths_only():
    training = sampling()
    before = weights(training)
    drawn = []
    training.sample_genotype = lambda rng: drawn.append([3] * 6) or np.array([3] * 6)
    training.run_epoch()
    assert len(drawn) == 14
    for name, value in weights(training).items():
        if "nor_conv_1x1" in name and "running" not in name and "num_batches" not in name:
            assert torch.equal(value, before[name])
    assert any(
        not torch.equal(value, before[name])
        for name, value in weights(training).items()
        if "nor_conv_3x3" in name
    )


def test_learning_rate_follows_a_cosine():
    training = make(4, final_rate=0.01)
    seen = []
    step = training.step

    def spy(*arguments):
        seen.append(training.learning_rate)
        return step(*arguments)

    training.step = spy
    for _ in range(4):
        training.run_epoch()
    training.run_epoch()
    assert seen[56:] == [0.01] * 14  # the rate does not rise again
    progress = np.arange(56) / 56
    expected = 0.01 + (0.05 - 0.01) * (1 + np.cos(np.pi * progress)) / 2
    np.testing.assert_allclose(seen[:56], expected)


def test_divergence_is_an_error():
    training = make(learning_rate=1e20, clip=1e20)
    with pytest.raises(DivergedError, match="Lower the learning rate"):
        training.run_epoch()
    once = make(learning_rate=1e38, clip=1e38, batch_size=898)  # the loss precedes the only step
    assert once.run_epoch() < 4
    with pytest.raises(DivergedError, match="The loss on images is nan"):
        evaluate_network(once.network, VALID, 100)


def test_drop_path_depends_on_the_seed_only():
    plan = small_training("DARTS", 2)
    plan = replace(plan, network={**plan.network, "drop_path": 0.5})
    genotype = DARTSSpace().sample(1, np.random.default_rng(0))[0]

    def losses(seed):
        torch.manual_seed(seed)
        training = Training(plan.build(genotype), TRAIN, plan.training, seed=0)
        return [training.run_epoch() for _ in range(2)]

    assert losses(1) == losses(2)


def test_out_of_memory_halves_the_batch_once():
    training = make()
    forward, sizes = training.network.forward, []

    def limited(images, genotype=None, scales=None):
        sizes.append(len(images))
        if len(images) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(images, genotype, scales)

    training.network.forward = limited
    limit = 32
    assert training.run_epoch() > 0
    assert sizes == [64] + [32] * 28
    limit = 16
    with pytest.raises(TrainingError, match=r"half a batch of 64 images. Lower batch_size"):
        training.run_epoch()


def test_initial_weights_do_not_seed_gpus(monkeypatch):
    def seeded(seed):
        raise AssertionError

    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded)
    before = torch.get_rng_state()
    small_training("NB201").build()
    assert torch.equal(torch.get_rng_state(), before)


def test_other_errors_are_not_memory_errors():
    training = make()
    training.network.head = torch.nn.Linear(3, 10)
    with pytest.raises(RuntimeError, match="shapes"):
        training.run_epoch()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs and batch_size of 1 to 1,000,000"),
        ({"batch_size": 0}, r"batch_size of 1 to .* batch_size=0"),
        ({"learning_rate": np.nan}, "learning_rate above 0"),
        ({"momentum": 2.0}, "momentum is at least 0 and below 1"),
        ({"clip": 0.0}, "clip is above 0"),
        ({"weight_decay": -1.0}, "weight_decay and auxiliary_weight are at least 0"),
    ],
)
def test_invalid_settings(wrong, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**{"epochs": 1, "batch_size": 1, "learning_rate": 1, **wrong})
