"""Image folders whose images may be divided into training, validation and test images."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from nas_gym.networks.data.class_images import image_hash
from nas_gym.networks.data.folder import read_named_images
from nas_gym.networks.data.images import ImageData, Labels, Split, split_by_class
from nas_gym.utils.errors import DamagedDataError

_SPLITS = ("train", "valid", "test")
_FOLDERS = {
    "train": "train", "training": "train", "valid": "valid", "validation": "valid", "val": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Splits by the names of their folders, in lower case."""

_Rows = NDArray[np.int64]


def read_divided_folder(path: Path, name: str, size: int | None = None) -> ImageData:
    """Return the data set of a folder or zip file of images.

    Images are at ``<class>/<image>``, or at ``<split>/<class>/<image>`` with the splits ``train``,
    ``valid`` (or ``val``) and ``test``. If splits are missing, each class is divided: half of the
    validation images become test images, or half of the training images become validation images.
    If both splits are missing, half of the images are for training, a quarter for validation and a
    quarter for testing. The division is the same on every machine.

    Args:
        path: Path of the folder or zip file.
        name: Name of the data set.
        size: Height and width to which images are scaled, in pixels; by default, images keep their
            size.

    Raises:
        MissingDataError, DataError: See :func:`nas_gym.networks.data.folder.read_named_images`.
        DamagedDataError: For the same reasons as there, if the name of a class is not Unicode, or
            if a split has no images of a class.
    """
    images, names = read_named_images(path, size)
    paths = [PurePosixPath(each) for each in names]
    folders = [_class_name(each, path) for each in paths]
    classes = sorted(set(folders))
    numbers = {each: number for number, each in enumerate(classes)}
    labels = np.array([numbers[each] for each in folders], np.int64)
    whole = Split(images, labels)
    train, valid, test = (whole.part(rows) for rows in _divide(_given_splits(paths), labels))
    return ImageData(name, tuple(classes), train, valid, test)


def _class_name(image: PurePosixPath, folder: Path) -> str:
    """Return the class of an image; a letter with an accent is one character on every system."""
    name = unicodedata.normalize("NFC", image.parent.name)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DamagedDataError(
            f"{folder} has a folder {name!r:.200}, whose name is not Unicode text. Rename it."
        ) from None
    return name


def _given_splits(images: list[PurePosixPath]) -> list[str]:
    """Return the split of each image; all are training images if the folder is not divided."""
    found = [_FOLDERS.get(each.parent.parent.name.lower(), "") for each in images]
    return found if "train" in found and "" not in found else ["train"] * len(images)


def _divide(given: list[str], labels: Labels) -> list[_Rows]:
    """Return the rows of training, validation and test images, each in random order."""
    train, valid, test = (np.flatnonzero(np.array(given) == split) for split in _SPLITS)
    if not len(valid) and not len(test):
        return _split_rows(train, labels, (0.5, 0.25, 0.25))
    if not len(valid):
        train, valid = _split_rows(train, labels, (0.5, 0.5))
    if not len(test):
        valid, test = _split_rows(valid, labels, (0.5, 0.5))
    return [_split_rows(rows, labels, (1.0,))[0] for rows in (train, valid, test)]


def _split_rows(rows: _Rows, labels: Labels, shares: tuple[float, ...]) -> list[_Rows]:
    return [rows[part] for part in split_by_class(labels[rows], shares)]


def count_duplicates(data: ImageData) -> dict[str, int]:
    """Return how many images of each split have the pixels of an image in an earlier split.

    Returns:
        Number of validation images among the training images (``valid``), and of test images
        among the training and validation images (``test``).
    """
    seen: set[bytes] = set()
    counts = {}
    for name, split in data.splits.items():
        hashes = [image_hash(image) for image in split.images]
        counts[name] = sum(each in seen for each in hashes)
        seen.update(hashes)
    del counts["train"]
    return counts
