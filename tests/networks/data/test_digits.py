"""The digits of scikit-learn."""

from __future__ import annotations

import numpy as np

from nas_gym.networks import data


def test_digits():
    digits = data.load_images("digits")
    assert data.load_images("digits", None) is digits
    assert digits.shape == (1, 8, 8)
    assert [len(split) for split in digits.splits.values()] == [898, 449, 450]
    assert digits.digest.startswith("5426159cb237")  # the same on every machine
    together = np.concatenate([split.images for split in digits.splits.values()])
    assert len(np.unique(together.reshape(1797, -1), axis=0)) == 1797
    for split in digits.splits.values():
        counts = np.bincount(split.labels)
        assert counts.max() - counts.min() <= 6
    mean, deviation = digits.moments
    pixels = digits.train.images.astype(float)
    np.testing.assert_allclose([mean[0], deviation[0]], [pixels.mean(), pixels.std()], rtol=1e-5)
