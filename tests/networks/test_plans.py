"""Plans: digests, settings and the values of the papers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas_gym.networks import data
from nas_gym.networks.plans import supernet_plan, training_plan

DIGITS = data.load_images("digits")


def test_digests_and_settings():
    plans = [
        supernet_plan("NB201", DIGITS),
        supernet_plan("NB201", DIGITS, seed=1),
        supernet_plan("DARTS", DIGITS),
        supernet_plan("NB201", DIGITS).with_settings(epochs=7),
        training_plan("NB201", DIGITS),
        training_plan("NB201", DIGITS, epochs=12),
    ]
    assert len({plan.digest for plan in plans}) == len(plans)
    assert plans[0].digest == supernet_plan("NB201", DIGITS).with_settings().digest
    same = [supernet_plan("NB201", DIGITS).build() for _ in range(2)]
    assert torch.equal(*(each.head.weight for each in same))
    narrow = plans[0].with_settings(channels=3, learning_rate=1)
    assert (narrow.build().settings["channels"], narrow.training.learning_rate) == (3, 1)
    with pytest.raises(ValueError, match=r"no setting 'width' of NB201 .*epochs.*channels, cells"):
        plans[0].with_settings(width=3)
    with pytest.raises(ValueError, match=r"epochs is of type int, got 1\.5"):
        plans[0].with_settings(epochs=1.5)
    with pytest.raises(ValueError, match="no setting 'num_classes'"):
        plans[0].with_settings(num_classes=3)
    with pytest.raises(ValueError, match="networks of NB201, DARTS and MnasNet, not of 'OFA'"):
        supernet_plan("OFA", DIGITS)


def test_settings_of_the_papers():
    cifar = data.ImageData(
        "cifar10", tuple("abcdefghij"), *[
            data.Split(np.zeros((10, 3, 32, 32), np.uint8), np.arange(10))
        ] * 3
    )  # fmt: skip
    plan = supernet_plan("DARTS", cifar)
    assert plan.network == {
        "channels": 16, "layers": 8, "partial": 4, "num_classes": 10, "in_channels": 3
    }  # fmt: skip
    assert (plan.training.batch_size, plan.training.learning_rate) == (250, 0.025)
    assert plan.training.augmentation.cutout == 16
    plan = training_plan("DARTS", cifar)
    assert (plan.network["channels"], plan.network["layers"]) == (36, 20)
    assert (plan.training.epochs, plan.training.batch_size) == (1000, 96)
    plan = training_plan("NB201", cifar)
    assert (plan.training.epochs, plan.training.batch_size, plan.training.learning_rate) == (
        12,
        256,
        0.1,
    )
