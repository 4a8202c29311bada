"""Memory of a training step, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks.small import small_supernet
from torch import Tensor, nn

from nas_gym.networks import data
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.bayesian.distribution import NetworkDistribution
from nas_gym.networks.bayesian.plans import BASETrainingConfig
from nas_gym.networks.darts_network import DARTSNetwork
from nas_gym.networks.evaluation import use_batch_statistics
from nas_gym.networks.memory import (
    measure_adaptation_memory,
    measure_embedding_memory,
    measure_method_memory,
    measure_step_memory,
)
from nas_gym.networks.nb201_network import NB201Network
from nas_gym.networks.network import Network
from nas_gym.networks.one_shot import ONE_SHOT_SEARCHES
from nas_gym.networks.training import Training, TrainingConfig
from nas_gym.spaces import DARTSSpace, NB201Space
from nas_gym.spaces.darts import OPERATIONS

CPU = torch.device("cpu")
DIGITS = data.load_images("digits")
TRAIN, VALID = (
    DeviceImages.from_split(DIGITS, split, CPU) for split in (DIGITS.train, DIGITS.valid)
)


class Linear(Network):
    """Two layers without biases: 64 -> 32 -> 10."""

    def __init__(self) -> None:
        super().__init__(NB201Space(), [0] * 6, {"in_channels": 1})
        self.first = nn.Linear(64, 32, bias=False)
        self.second = nn.Linear(32, 10, bias=False)

    def forward(self, images: Tensor, genotype: object = None, scales: object = None) -> Tensor:
        return self.second(torch.sigmoid(self.first(images.flatten(1))))

    def forward_mixed(self, images: Tensor, alpha: Tensor) -> Tensor:
        raise NotImplementedError


def test_counted_by_hand():
    found = measure_step_memory(Training(Linear(), TRAIN, TrainingConfig(1, 64, 0.1), 0), 16)
    weights = 4 * (64 * 32 + 32 * 10)
    assert found.weights == weights
    assert found.optimizer == 2 * weights  # gradients and momentum
    # 16 images, outputs of the sigmoid, and inputs that cross entropy saves
    least = 4 * 16 * (64 + 32 + 10)
    assert least <= found.activations <= least + 16 * 8 + 64
    assert found.allocated == 0
    assert found.total == found.weights + found.optimizer + found.activations


def test_a_path_needs_the_memory_of_a_network():
    """AT-NAS, Table 1."""
    largest = np.full(6, 3)
    found = measure_method_memory(small_supernet("NB201"), TRAIN, VALID, largest, 64)
    single = found.pop("largest network").total
    relative = {name: each.total / single for name, each in found.items()}
    for name in ("the same path of the supernet", "rsws", "enas"):
        assert 1.0 <= relative[name] <= 1.2
    assert relative["gdas"] < 1.5  # saves the products with the scales, too
    for name in ("darts-v1", "darts-v2", "setn"):
        assert relative[name] > 2
    assert relative["darts-v2"] > relative["darts-v1"]


@pytest.mark.parametrize("name", ONE_SHOT_SEARCHES)
def test_fixed_architecture_is_the_only_one_trained(name):
    plan = small_supernet("NB201")
    search = ONE_SHOT_SEARCHES[name](plan.build(), TRAIN, VALID, plan.training, 0)
    forward, seen, genotype = search.network.forward, [], np.array([1, 2, 3, 4, 0, 3])

    def spied(images, genotype=None, scales=None):
        seen.append(genotype)
        return forward(images, genotype, scales)

    search.network.forward = spied
    search.fix_architecture(genotype)
    search.begin_epoch()
    search.step(*next(TRAIN.in_order(64)))
    for each in seen:
        np.testing.assert_array_equal(each, genotype)


def test_an_adaptation_needs_the_memory_of_one_network():
    """AT-NAS, Table 1."""
    network, alone = (
        NB201Network(5, 1, channels=8, cells=1, genotype=each) for each in (None, [3] * 6)
    )
    images, labels = torch.zeros(5, 1, 28, 28), torch.arange(5)
    found = []
    for each, genotype in ((network, np.full(6, 3)), (alone, None)):
        use_batch_statistics(each)
        found.append(measure_adaptation_memory(each, genotype, images, labels))
    assert found[0].activations == found[1].activations
    assert found[0].optimizer == found[1].optimizer  # the adapted weights are those of the path
    assert found[1].optimizer == 2 * found[1].weights


def test_an_embedding_step_of_one_path_needs_the_memory_of_a_network():
    """BASE with point weights and straight-through samples."""
    alpha = torch.zeros(28, 7)
    alpha[:, OPERATIONS.index("sep_conv_5x5")] = 100  # on all edges of every drawn architecture
    largest = DARTSSpace().alpha_to_genotype(alpha.flatten().numpy())[0]
    network, alone = (
        DARTSNetwork(5, 1, channels=4, layers=2, genotype=each) for each in (None, largest)
    )
    for each in (network, alone):
        use_batch_statistics(each)
    images, labels = torch.randn(5, 1, 14, 14), torch.arange(5)
    prior = NetworkDistribution.initial(network, None, torch.Generator().manual_seed(0))
    prior = replace(prior, alpha_logits=alpha)
    single = measure_adaptation_memory(alone, None, images, labels)
    config = BASETrainingConfig(variational=False)
    found = measure_embedding_memory(network, prior, images, labels, config)
    assert found.total <= 1.3 * single.total
    assert found.optimizer >= single.optimizer


def test_an_embedding_step_of_the_mixture_needs_the_memory_of_darts():
    network = NB201Network(10, 1, channels=4, cells=1)
    use_batch_statistics(network)
    prior = NetworkDistribution.initial(network, None, torch.Generator().manual_seed(0))
    images, labels = next(TRAIN.in_order(16))
    config = BASETrainingConfig(variational=False, relaxation="soft")
    found = measure_embedding_memory(network, prior, images, labels, config)
    search = ONE_SHOT_SEARCHES["darts-v1"](network, TRAIN, VALID, TrainingConfig(1, 16, 0.1), 0)
    search.begin_epoch()
    darts = measure_step_memory(search, 16)
    assert found.activations == pytest.approx(darts.activations, rel=0.05)
