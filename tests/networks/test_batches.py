"""Images on a device: normalization, batches and augmentation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas_gym.networks import data
from nas_gym.networks.batches import Augmentation, DeviceImages, augment, default_augmentation

CPU = torch.device("cpu")


@pytest.fixture
def digits():
    found = data.load_images("digits")
    return DeviceImages.from_split(found, found.train, CPU)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_in_order(digits):
    batches = list(digits.in_order(300))
    assert [len(labels) for _, labels in batches] == [300, 300, 298]
    images = torch.cat([images for images, _ in batches])
    assert abs(images.mean()) < 1e-5
    assert abs(images.std() - 1) < 1e-3
    np.testing.assert_allclose(
        images * digits.deviation + digits.mean, digits.images.float(), atol=1e-3
    )


def test_images_stay_on_the_cpu_if_the_device_lacks_memory(digits, monkeypatch):
    move = torch.Tensor.to

    def limited(self, *args, **kwargs):
        if self.numel() > 64 * 64:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return move(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "to", limited)
    found = data.load_images("digits")
    waiting = DeviceImages.from_split(found, found.train, CPU)
    assert waiting.device == CPU
    for mine, theirs in zip(waiting.in_order(64), digits.in_order(64), strict=True):
        assert torch.equal(mine[0], theirs[0])
    rows = torch.tensor([5, 2])
    assert torch.equal(waiting.subset(rows).images, digits.images[rows])


def test_shuffled(digits):
    batches = list(digits.shuffled(64, Augmentation(), generator()))
    assert [len(labels) for _, labels in batches] == [64] * 14
    again = list(digits.shuffled(64, Augmentation(), generator()))
    other = list(digits.shuffled(64, Augmentation(), generator(1)))
    for (images, labels), (same, _), (different, _) in zip(batches, again, other, strict=True):
        assert torch.equal(images, same)
        assert not torch.equal(images, different)
        for image, label in zip(images[:3], labels[:3], strict=True):
            (place,) = torch.where((digits.normalized(digits.images) == image).all((1, 2, 3)))
            assert digits.labels[place[0]] == label
    ((images, _),) = digits.shuffled(5000, Augmentation(), generator())
    assert len(images) == 898


def test_crops_are_parts_of_the_padded_image():
    images = torch.arange(1, 1 + 2 * 3 * 5 * 6).float().reshape(2, 3, 5, 6)
    found = augment(images.repeat(200, 1, 1, 1), Augmentation(pad=2), generator())
    places = set()
    for number, image in enumerate(found):
        padded = torch.nn.functional.pad(images[number % 2], (2, 2, 2, 2))
        crops = {(y, x): padded[:, y : y + 5, x : x + 6] for y in range(5) for x in range(5)}
        (place,) = [place for place, crop in crops.items() if torch.equal(crop, image)]
        places.add(place)
    assert len(places) == 25


def test_half_of_the_images_are_mirrored():
    images = torch.randn(400, 2, 4, 5, generator=generator())
    found = augment(images, Augmentation(flip=True), generator())
    mirrored = (found == images.flip(3)).all(dim=(1, 2, 3))
    assert (mirrored | (found == images).all(dim=(1, 2, 3))).all()
    assert 150 < mirrored.sum() < 250


def test_cutout():
    images = torch.ones(300, 2, 8, 8)
    found = augment(images, Augmentation(cutout=4), generator())
    zeros = (found == 0).sum(dim=(1, 2, 3)) / 2
    assert zeros.max() == 16  # a square, cut off at the borders
    assert zeros.min() >= 4
    assert torch.equal(found[:, 0], found[:, 1])
    rows = (found[:, 0] == 0).any(dim=2).sum(dim=1) * (found[:, 0] == 0).any(dim=1).sum(dim=1)
    assert torch.equal(rows.float(), zeros)
    assert len(found[:, 0].unique(dim=0)) > 30


def test_nothing_is_augmented_by_default():
    images = torch.randn(4, 3, 8, 8)
    assert torch.equal(augment(images, Augmentation(), generator()), images)
    assert default_augmentation("digits") == Augmentation(pad=1)
    assert default_augmentation("cifar10") == Augmentation(pad=4, flip=True)
