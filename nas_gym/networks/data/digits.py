"""Handwritten digits, which scikit-learn contains, so they need no download."""

from __future__ import annotations

import numpy as np

from nas_gym.networks.data.images import ImageData, Split, split_by_class


def read_digits() -> ImageData:
    """Return 1,797 digits of 8x8 pixels (Alpaydin and Kaynak, 1998).

    Half of the digits are for training, a quarter for validation and a quarter for testing.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.round(found.images * 255 / 16).astype(np.uint8)[:, None]
    whole = Split(images, found.target.astype(np.int64))
    rows = split_by_class(whole.labels, (0.5, 0.25, 0.25))
    train, valid, test = (whole.part(each) for each in rows)
    return ImageData("digits", tuple("0123456789"), train, valid, test)
