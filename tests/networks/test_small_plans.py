"""Plans of networks on small data sets, and settings of the augmentation."""

from __future__ import annotations

import numpy as np
import pytest

from nas_gym.networks import data
from nas_gym.networks.data import ImageData, Split
from nas_gym.networks.plans import SMALL_DATA, supernet_plan, training_plan


def images(count, side=8):
    labels = np.arange(count) % 2
    split = Split(np.zeros((count, 3, side, side), np.uint8), labels)
    few = split.first(2)
    return ImageData("mine", ("a", "b"), split, few, few)


@pytest.mark.parametrize(
    ("count", "batch", "rate"), [(120, 16, 0.1 / 4), (1300, 64, 0.1 / 2), (5120, 256, 0.1)]
)
def test_small_data_sets_have_small_batches(count, batch, rate):
    plan = training_plan("NB201", images(count)).training
    assert (plan.batch_size, plan.learning_rate) == (batch, pytest.approx(rate))


@pytest.mark.parametrize("space", ["NB201", "DARTS"])
def test_small_data_sets_have_small_supernets(space):
    plan = supernet_plan(space, images(120))
    steps = plan.training.epochs * (120 // plan.training.batch_size)
    assert 2000 <= steps < 2010
    assert plan.network["channels"] == 8
    assert supernet_plan(space, images(SMALL_DATA)).network["channels"] == 16


def test_augmentation_can_be_set():
    plan = training_plan("NB201", data.load_images("digits"))
    found = plan.with_settings(pad=2, flip=True, cutout=4, epochs=3)
    assert (found.training.augmentation.pad, found.training.augmentation.cutout) == (2, 4)
    assert found.training.augmentation.flip
    assert found.training.epochs == 3
    assert plan.with_settings(epochs=3).training.augmentation == plan.training.augmentation
    for wrong in ({"flip": 1}, {"pad": 1.5}, {"cutout": -1}, {"pad": 10**9}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            plan.with_settings(**wrong)
