"""Handwritten digits that come with scikit-learn: the data set that is there on every machine."""

from __future__ import annotations

import numpy as np

from nas_gym.networks.data.images import ImageData, Split, split_by_class


def read_digits() -> ImageData:
    """1,797 digits of 8x8 pixels (Alpaydin and Kaynak, 1998): half of them to train on, a quarter
    each for validation and test."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.round(found.images * 255 / 16).astype(np.uint8)[:, None]
    whole = Split(images, found.target.astype(np.int64))
    train, valid, test = (
        whole.part(rows) for rows in split_by_class(whole.labels, (0.5, 0.25, 0.25))
    )
    return ImageData("digits", tuple("0123456789"), train, valid, test)
