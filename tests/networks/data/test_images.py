"""Splits by class, and checks of image data sets."""

from __future__ import annotations

import numpy as np
import pytest
from networks.small import random_images

from nas_gym.networks.data.images import ImageData, Split, split_by_class
from nas_gym.utils.errors import DamagedDataError

RNG = np.random.default_rng(0)


def test_splits_are_disjoint_and_stratified():
    labels = RNG.integers(0, 5, 1000)
    parts = split_by_class(labels, (0.5, 0.3, 0.2))
    assert sorted(np.concatenate(parts)) == list(range(1000))
    for part, share in zip(parts, (0.5, 0.3, 0.2), strict=True):
        counts, whole = np.bincount(labels[part]), np.bincount(labels)
        np.testing.assert_allclose(counts, share * whole, atol=1)
    for part in parts:  # the first rows of a part are a random sample
        assert len(np.unique(labels[part[:50]])) == 5
    np.testing.assert_array_equal(parts[0], split_by_class(labels, (0.5, 0.3, 0.2))[0])
    assert not np.array_equal(parts[0], split_by_class(labels, (0.5, 0.3, 0.2), seed=1)[0])


def test_splits_of_different_shapes():
    split = Split(random_images(4), np.array([0, 1, 0, 1]))
    with pytest.raises(DamagedDataError, match="different shapes"):
        ImageData("x", ("a", "b"), split, split, Split(random_images(4, 16), split.labels))
