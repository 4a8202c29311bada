"""Image data sets, and their splits into training, validation and test images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.utils.errors import DamagedDataError

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Images of a data set with their labels.

    Attributes:
        images: Pixels, ``(n, channels, height, width)`` uint8.
        labels: Class numbers from 0, ``(n,)`` int64.
    """

    images: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, rows: NDArray[np.int64]) -> Split:
        """Return the images of some rows."""
        return Split(self.images[rows], self.labels[rows])

    def first(self, count: int) -> Split:
        """Return the first ``count`` images, or all if there are fewer."""
        return Split(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class ImageData:
    """An image data set.

    Attributes:
        name: Name of the data set.
        classes: Names of the classes, in the order of the labels.
        train: Images that train weights.
        valid: Images of the search signal.
        test: Images of the reported metric; no training and no search uses them.

    Raises:
        DamagedDataError: If there are fewer than two classes, if a split has no images of some
            class, if a label is no class number, or if images have different shapes.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    valid: Split
    test: Split

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise DamagedDataError(
                f"{self.name} has images of class {', '.join(self.classes)} only. Classification "
                "needs at least two classes."
            )
        for kind, split in self.splits.items():
            labels = split.labels
            if len(labels) and (labels.min() < 0 or labels.max() >= len(self.classes)):
                raise DamagedDataError(
                    f"{self.name} has labels from {labels.min()} to {labels.max()}, 0 to "
                    f"{len(self.classes) - 1} were expected."
                )
            present = np.bincount(labels, minlength=len(self.classes)) > 0
            if not present.all():
                missing = [name for name, has in zip(self.classes, present, strict=True) if not has]
                raise DamagedDataError(
                    f"{self.name} has no {kind} images of class {', '.join(missing[:10])}. Every "
                    "class needs images in each split."
                )
            if split.images.shape[1:] != self.train.images.shape[1:]:
                raise DamagedDataError(
                    f"{self.name} has images of different shapes: {self.train.images.shape[1:]} "
                    f"and {split.images.shape[1:]}."
                )

    @property
    def splits(self) -> dict[str, Split]:
        """Splits by name: ``train``, ``valid`` and ``test``."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    @cached_property
    def digest(self) -> str:
        """Hexadecimal sha256 of the images and labels of all splits."""
        found = hashlib.sha256()
        for split in self.splits.values():
            found.update(repr(split.images.shape).encode())
            found.update(np.ascontiguousarray(split.images).data)
            found.update(np.ascontiguousarray(split.labels, "<i8").data)
        return found.hexdigest()

    @cached_property
    def moments(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of each channel of the training images, ``(channels,)`` each,
        in units of pixel values (0 to 255)."""
        size = np.prod(self.train.images.shape[2:]) * len(self.train)
        counts = [np.bincount(channel, minlength=256) for channel in self._by_channel()]
        values = np.arange(256)
        mean = np.array([count @ values for count in counts]) / size
        square = np.array([count @ values**2 for count in counts]) / size
        deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
        return mean.astype(np.float32), np.maximum(deviation, 1e-3).astype(np.float32)

    def _by_channel(self) -> list[NDArray[Any]]:
        return [self.train.images[:, c].reshape(-1) for c in range(self.shape[0])]


def split_by_class(
    labels: Labels, shares: tuple[float, ...], seed: int = 0
) -> list[NDArray[np.int64]]:
    """Split rows into disjoint parts with equal class frequencies, each in random order.

    Published files are often sorted by class. After this function, the first images of a part are
    a random sample of the part.

    Args:
        labels: Class numbers, ``(n,)``.
        shares: Fraction of each part; they sum to 1. Rows left by rounding go to the last part.
        seed: Seed of the split and of the order.

    Returns:
        The rows of each part.
    """
    rng = np.random.default_rng(seed)
    parts: list[list[NDArray[np.int64]]] = [[] for _ in shares]
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        ends = np.round(np.cumsum(shares[:-1]) * len(rows)).astype(int)
        for part, chunk in zip(parts, np.split(rows, ends), strict=True):
            part.append(chunk)
    return [rng.permutation(np.concatenate(part)) for part in parts]


def from_published_splits(
    name: str, classes: tuple[str, ...], training: Split, test: Split, valid_share: float = 0.5
) -> ImageData:
    """Return a data set from its published training and test images.

    Half of the training images become validation images, as in DARTS, NAS-Bench-201 and L2NAS.

    Args:
        name: Name of the data set.
        classes: Names of the classes, in the order of the labels.
        training: Published training images.
        test: Published test images.
        valid_share: Fraction of the training images used for validation.
    """
    train, valid = split_by_class(training.labels, (1 - valid_share, valid_share))
    (test_rows,) = split_by_class(test.labels, (1.0,))
    return ImageData(
        name, classes, training.part(train), training.part(valid), test.part(test_rows)
    )
