"""ImageNet16-120 of NAS-Bench-201: the first 120 classes of ImageNet, 16x16 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas_gym.networks.data.images import ImageData, Split, split_by_class
from nas_gym.tables.sources import pickles
from nas_gym.utils.errors import DamagedDataError, MissingDataError

FOLDER = "ImageNet16"
CLASSES = 120
_TRAINING = tuple(f"train_data_batch_{number}" for number in range(1, 11))


def read_imagenet16(folder: Path) -> ImageData:
    """Read the folder of pickles that NAS-Bench-201's authors publish.

    The official validation images are halved into validation and test images, as in NAS-Bench-201,
    but not into the same halves.

    Raises:
        MissingDataError: If a file is missing.
        DamagedDataError: If a file is damaged.
    """
    for name in (*_TRAINING, "val_data"):
        if not (folder / name).is_file():
            raise MissingDataError(
                f"{folder} lacks {name}. The folder that NAS-Bench-201's authors publish has "
                f"{_TRAINING[0]} to {_TRAINING[-1]} and val_data."
            )
    parts = [_read(folder / name) for name in _TRAINING]
    training = Split(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )
    official_valid = _read(folder / "val_data")
    valid, test = (
        official_valid.part(rows) for rows in split_by_class(official_valid.labels, (0.5, 0.5))
    )
    classes = tuple(str(number) for number in range(1, CLASSES + 1))
    return ImageData("ImageNet16-120", classes, training, valid, test)


def _read(path: Path) -> Split:
    # pickles of Python 2 have bytes as keys, those of Python 3 have str
    batch = pickles.load_pickle(path, pickles.NUMPY, encoding="bytes")
    try:
        batch = {k.decode() if isinstance(k, bytes) else k: value for k, value in batch.items()}
        labels = np.array(batch["labels"], np.int64) - 1
        images = np.asarray(batch["data"], np.uint8).reshape(len(labels), 3, 16, 16)
        if labels.ndim != 1:
            raise ValueError(f"labels have shape {labels.shape}")
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise DamagedDataError(f"{path} is no file of ImageNet16: {error!r:.200}.") from error
    kept = labels < CLASSES
    return Split(images[kept], labels[kept])
