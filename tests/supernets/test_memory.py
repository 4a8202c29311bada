"""Memory of a training step, counted by hand."""

from __future__ import annotations

import numpy as np
import torch
from supernets.small import small_supernet
from torch import Tensor, nn

from nas_gym.spaces import NB201Space
from nas_gym.supernets import data
from nas_gym.supernets.batches import Resident
from nas_gym.supernets.memory import memory_of_step
from nas_gym.supernets.network import Network
from nas_gym.supernets.searches import SEARCHES
from nas_gym.supernets.training import Recipe, Training

CPU = torch.device("cpu")
DIGITS = data.load("digits")
TRAIN, VALID = (Resident.of(DIGITS, split, CPU) for split in (DIGITS.train, DIGITS.valid))


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
    found = memory_of_step(Training(Linear(), TRAIN, Recipe(1, 64, 0.1), 0), 16)
    weights = 4 * (64 * 32 + 32 * 10)
    assert found.weights == weights
    assert found.optimizer == 2 * weights  # gradients and momentum
    # images, the output of the sigmoid, and what cross entropy keeps of 16 images
    least = 4 * 16 * (64 + 32 + 10)
    assert least <= found.activations <= least + 16 * 8 + 64
    assert found.allocated == 0
    assert found.total == found.weights + found.optimizer + found.activations


def test_a_path_takes_what_a_network_takes():
    """The point of AT-NAS, Table 1."""
    plan = small_supernet("NB201")
    largest = [3] * 6
    single = memory_of_step(Training(plan.build(largest), TRAIN, plan.recipe, 0), 64)
    path = Training(plan.build(), TRAIN, plan.recipe, 0, lambda _: np.array(largest))
    through = memory_of_step(path, 64)
    assert through.total <= 1.2 * single.total
    mixing = SEARCHES["darts-v1"](plan.build(), TRAIN, VALID, plan.recipe, 0)
    mixing.begin_epoch()
    assert memory_of_step(mixing, 64).total > 2 * single.total
