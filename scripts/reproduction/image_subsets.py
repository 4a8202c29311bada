"""Images, cells and networks of the studies behind docs/results/images.md."""

from __future__ import annotations

import numpy as np
import torch

from nas_gym.networks.data import ImageData, Split, load_images
from nas_gym.networks.data.images import split_by_class
from nas_gym.networks.data.omniglot import load_omniglot
from nas_gym.spaces import NB201Space

CPU = torch.device("cpu")
SPACE = NB201Space()

RESIDUAL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"
"""Basic block of a residual network: two convolutions and a shortcut."""

NETWORK = {"channels": 16, "cells": 1}
"""Size of the trained networks; the residual network has the nearest number of parameters."""

PER_CLASS = {"train": 250, "valid": 100, "test": 200}
"""Number of images of each class of CIFAR-10."""


def load_subset(name: str) -> ImageData:
    """Return the images of a study: ``cifar10-subset``, or ``omniglot-50`` with 50 characters."""
    return _cifar10_subset() if name == "cifar10-subset" else _omniglot_characters()


def _cifar10_subset() -> ImageData:
    whole = load_images("cifar10")
    train, valid, test = (
        _first_of_each_class(split, PER_CLASS[name]) for name, split in whole.splits.items()
    )
    return ImageData("cifar10-subset", whole.classes, train, valid, test)


def _first_of_each_class(split: Split, count: int) -> Split:
    rows = [np.flatnonzero(split.labels == label)[:count] for label in np.unique(split.labels)]
    return split.part(np.sort(np.concatenate(rows)))


def _omniglot_characters() -> ImageData:
    """Return the first 50 characters; of 20 drawings, 10 train, 5 validate and 5 test."""
    classes = load_omniglot(28).train
    names = sorted(classes.classes)[:50]
    chosen = classes.select("omniglot-50", names)
    whole = Split(chosen.images, np.repeat(np.arange(50), chosen.counts))
    train, valid, test = split_by_class(whole.labels, (0.5, 0.25, 0.25))
    return ImageData(
        "omniglot-50", tuple(names), whole.part(train), whole.part(valid), whole.part(test)
    )
