"""Few-shot data from the classes of a supervised data set, such as CIFAR-10."""

from __future__ import annotations

import numpy as np

from nas_gym.networks.data.class_images import ClassImages, FewShotData, split_classes
from nas_gym.networks.data.images import ImageData, Pixels

CLASS_SUBSETS = ("cifar10", "cifar100")
"""Supervised data sets whose classes few-shot tasks can use."""


def split_data_classes(data: ImageData, size: int | None = None) -> FewShotData:
    """Return few-shot data whose three sets have different classes of a supervised data set.

    The images are the published training images. The split of the classes is described at
    :func:`~nas_gym.networks.data.class_images.split_classes`; of CIFAR-10, six classes are for
    meta-training, two for validation, and two for testing.

    Args:
        data: Supervised data set.
        size: Height and width to which images are scaled, in pixels; by default, images keep their
            size.

    Raises:
        DamagedDataError: If an image is in two of the sets, or there are fewer than six classes.
    """
    images = np.concatenate([data.train.images, data.valid.images])
    labels = np.concatenate([data.train.labels, data.valid.labels])
    if size is not None and images.shape[2:] != (size, size):
        images = _scale(images, size)
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=len(data.classes))
    whole = ClassImages(
        data.name, data.classes, images[order], np.cumsum([0, *counts], dtype=np.int64)
    )
    train, valid, test = split_classes(whole)
    return FewShotData(data.name, train, valid, test)


def _scale(images: Pixels, size: int) -> Pixels:
    """Return images scaled like those of a folder."""
    from PIL import Image

    scaled = np.empty((*images.shape[:2], size, size), np.uint8)
    for image, target in zip(images, scaled, strict=True):
        for channel, own in zip(image, target, strict=True):
            own[:] = Image.fromarray(channel).resize((size, size), Image.Resampling.BILINEAR)
    return scaled
