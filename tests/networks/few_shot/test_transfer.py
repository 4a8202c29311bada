"""Transfer by halving: mean gradient of the population, sizes, and a new classifier."""

import numpy as np
import pytest
import torch
from networks.few_shot.small_tasks import make_data, make_plan
from torch.nn.functional import cross_entropy

from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.few_shot.meta_supernet import train_meta_supernet
from nas_gym.networks.few_shot.transfer import (
    PopulationTraining,
    supernet_for_classes,
    transfer_by_halving,
)
from nas_gym.networks.training import TrainingConfig

CPU = torch.device("cpu")
CONFIG = TrainingConfig(8, 16, 0.05, clip=1e9)


def make_images(count=48, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = torch.arange(count) % classes
    patterns = rng.integers(200, size=(classes, 1, 8, 8))
    images = patterns[labels] + rng.integers(50, size=(count, 1, 8, 8))
    moments = torch.full((1, 1, 1), 100.0), torch.full((1, 1, 1), 60.0)
    return DeviceImages(torch.from_numpy(images.astype(np.uint8)), labels, *moments)


@pytest.fixture(scope="module")
def meta(tmp_path_factory):
    data = make_data()
    path = tmp_path_factory.mktemp("transfer") / "meta.safetensors"
    return train_meta_supernet(make_plan(data), data, path, CPU)


def test_the_classifier_alone_is_new(meta):
    network = supernet_for_classes(meta, 4)
    own = meta.network.state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(value, own[name]) != name.startswith("head.")
    assert network(torch.zeros(2, 1, 8, 8), meta.population[0]).shape == (2, 4)


def test_a_step_follows_the_mean_gradient(meta):
    network, images = supernet_for_classes(meta, 4), make_images()
    training = PopulationTraining(network, images, CONFIG, 0, meta.population)
    batch, labels = next(images.in_order(16))
    loss = training.loss(batch, labels, None)
    losses = [cross_entropy(network(batch, each), labels) for each in meta.population]
    torch.testing.assert_close(loss, sum(losses) / len(losses))


def test_halving_until_one_is_left(meta):
    sizes = []

    def run(seed=0):
        return transfer_by_halving(
            supernet_for_classes(meta, 4),
            meta.population,
            make_images(),
            make_images(seed=1),
            CONFIG,
            seed,
            epochs_per_generation=1,
            on_generation=lambda size, accuracy: sizes.append(size),
        )

    winner = run()
    assert sizes == [4, 2, 1]
    np.testing.assert_array_equal(run(), winner)


def test_an_empty_population_is_an_error(meta):
    images = make_images()
    with pytest.raises(ValueError, match="has no members"):
        transfer_by_halving(meta.network, meta.population[:0], images, images, CONFIG, 0)
