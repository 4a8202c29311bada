"""Evaluation of networks: memory errors and recalibration of batch norm."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from networks.small import small_supernet, small_training

from nas_gym.networks import data
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.evaluation import evaluate_network, recalibrated_batch_norm
from nas_gym.networks.training import Training
from nas_gym.utils.errors import TrainingError

CPU = torch.device("cpu")
DIGITS = data.load_images("digits")
TRAIN = DeviceImages.from_split(DIGITS, DIGITS.train, CPU)
VALID = DeviceImages.from_split(DIGITS, DIGITS.valid, CPU)
GENOTYPE = [3, 1, 2, 3, 2, 4]


def test_out_of_memory_halves_the_batch_of_an_evaluation():
    network, limit = small_training("NB201").build(GENOTYPE), 224

    def limited(images):
        if len(images) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return network(images)

    with recalibrated_batch_norm(network, limited, TRAIN, 500, 448):
        whole = evaluate_network(network, VALID, 224)
        assert evaluate_network(limited, VALID, 448) == whole
    limit = 223
    with pytest.raises(TrainingError, match="Out of memory with batches of 224 images"):
        evaluate_network(limited, VALID, 448)


def norms(network):
    return [each for each in network.modules() if isinstance(each, torch.nn.BatchNorm2d)]


def test_recalibration_gives_the_statistics_of_one_architecture():
    plan = small_supernet("NB201")
    network = plan.build()
    Training(
        network, TRAIN, plan.training, 0, lambda rng: network.space.sample(1, rng)[0]
    ).run_epoch()
    before = {name: each.clone() for name, each in network.named_parameters()}

    def forward(images):
        return network(images, GENOTYPE)

    # the stand-alone network, with statistics of the same images
    alone = network.subnet(GENOTYPE)
    for norm in norms(alone):
        norm.reset_running_stats()
        norm.momentum = None
    with torch.no_grad():
        for images, _ in TRAIN.in_order(300):
            alone.train()(images)
    with recalibrated_batch_norm(network, forward, TRAIN, len(TRAIN), 300):
        assert not network.training
        found = evaluate_network(forward, VALID, 200)
        again = evaluate_network(forward, VALID, 449)
    assert found == pytest.approx(evaluate_network(alone.eval(), VALID, 200))
    assert again == pytest.approx(found, abs=1e-4)  # with any batch size
    assert network.training
    assert {norm.momentum for norm in norms(network)} == {0.1}
    for name, each in network.named_parameters():
        assert torch.equal(each, before[name])


def test_statistics_of_each_evaluation_batch():
    network = small_supernet("NB201").build()

    def forward(images):
        return network(images, GENOTYPE)

    with recalibrated_batch_norm(network, forward, TRAIN, 0, 300), torch.no_grad():
        images, _ = next(VALID.in_order(100))
        small = forward(images[:50])
        assert not torch.allclose(forward(images)[:50], small)


@pytest.mark.parametrize("images", [0, 300])
def test_statistics_are_restored(images):
    network = small_supernet("NB201").build()
    before = {name: each.clone() for name, each in network.named_buffers() if "running" in name}
    with recalibrated_batch_norm(network, partial(network, genotype=GENOTYPE), TRAIN, images, 300):
        evaluate_network(partial(network, genotype=GENOTYPE), VALID, 300)
    for name, each in network.named_buffers():
        assert "running" not in name or torch.equal(each, before[name]), name
