"""Images grouped by class, and their split into disjoint sets of classes for few-shot learning."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas_gym.networks.data.images import Pixels
from nas_gym.utils.errors import DamagedDataError, list_names

if TYPE_CHECKING:
    from nas_gym.networks.data.omniglot import OneShotRuns

_CACHE_VERSION = 1


@dataclass(frozen=True)
class ClassImages:
    """Images grouped by class.

    Attributes:
        name: Name of the set, for messages.
        classes: Names of the classes, such as ``Greek/character01``.
        images: Pixels in the order of the classes, ``(n, channels, height, width)`` uint8.
        offsets: Number of images before each class, and of all images, ``(classes + 1,)`` int64.
    """

    name: str
    classes: tuple[str, ...]
    images: Pixels
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.classes)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of images of each class, ``(classes,)``."""
        return np.diff(self.offsets)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @cached_property
    def digest(self) -> str:
        """Hexadecimal sha256 of the images and of the class of each."""
        found = hashlib.sha256(repr(self.images.shape).encode())
        found.update(np.ascontiguousarray(self.images).data)
        found.update(np.ascontiguousarray(self.offsets, "<i8").data)
        return found.hexdigest()

    def select(self, name: str, classes: list[str]) -> ClassImages:
        """Return some classes, in the given order, as a set with another name."""
        numbers = {each: number for number, each in enumerate(self.classes)}
        chosen = [numbers[each] for each in classes]
        rows = [np.arange(self.offsets[c], self.offsets[c + 1]) for c in chosen]
        offsets = np.cumsum([0, *self.counts[chosen]], dtype=np.int64)
        images = self.images[np.concatenate(rows)] if rows else self.images[:0]
        return replace(self, name=name, classes=tuple(classes), images=images, offsets=offsets)

    def hashes(self) -> Iterator[tuple[str, set[bytes]]]:
        """Yield the name of each class, and the hashes of its images."""
        for name, first, end in zip(self.classes, self.offsets[:-1], self.offsets[1:], strict=True):
            yield name, {image_hash(image) for image in self.images[first:end]}


def image_hash(image: Pixels) -> bytes:
    """Return the sha256 of the pixels of an image."""
    return hashlib.sha256(np.ascontiguousarray(image).data).digest()


@dataclass(frozen=True)
class FewShotData:
    """Images of few-shot learning in three sets with disjoint classes.

    Attributes:
        name: Name of the data set.
        train: Classes of meta-training.
        valid: Classes of the search signal (meta-validation).
        test: Classes of the reported metric (meta-test); no training and no search uses them.
        rotations: Whether a class that is rotated by a multiple of 90 degrees is another class, as
            for characters.
        runs: Fixed tasks that replace tasks of the test classes in the reported metric; ``None``
            if the data set has none.

    Raises:
        DamagedDataError: If images have different shapes, if an image or the name of a class is in
            two sets, or if two classes have the same images.
    """

    name: str
    train: ClassImages
    valid: ClassImages
    test: ClassImages
    rotations: bool = False
    runs: OneShotRuns | None = None

    def __post_init__(self) -> None:
        for each in self.splits.values():
            if each.shape != self.train.shape:
                raise DamagedDataError(
                    f"{self.name} has images of different shapes: {self.train.shape} and "
                    f"{each.shape}. Give a size to scale all images to."
                )
        self._check_leaks()

    @property
    def splits(self) -> dict[str, ClassImages]:
        """Sets of classes by name: ``train``, ``valid`` and ``test``."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.train.shape

    @cached_property
    def digest(self) -> str:
        """Hexadecimal sha256 of the images that meta-training and the search use."""
        return hashlib.sha256((self.train.digest + self.valid.digest).encode()).hexdigest()

    @cached_property
    def moments(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of each channel of the training classes, ``(channels,)``
        each, in units of pixel values (0 to 255)."""
        images = self.train.images
        mean = images.mean(axis=(0, 2, 3), dtype=np.float64)
        deviation = images.std(axis=(0, 2, 3), dtype=np.float64)
        return mean.astype(np.float32), np.maximum(deviation, 1e-3).astype(np.float32)

    def _check_leaks(self) -> None:
        """Raise an error if two sets share a class or an image, or two classes are the same."""
        owners: dict[bytes, tuple[str, str]] = {}
        contents: dict[frozenset[bytes], str] = {}
        names: dict[str, str] = {}
        for split, classes in self.splits.items():
            for name, hashes in classes.hashes():
                if names.setdefault(name, split) != split:
                    raise DamagedDataError(
                        f"The class {name} of {self.name} is in {names[name]} and in {split}. Each "
                        "class belongs to one of train, valid and test."
                    )
                other = contents.setdefault(frozenset(hashes), name)
                if other != name:
                    raise DamagedDataError(
                        f"The classes {other} and {name} of {self.name} have the same images. "
                        "Delete one of them."
                    )
                for each in hashes:
                    first, owner = owners.setdefault(each, (split, name))
                    if first != split:
                        raise DamagedDataError(
                            f"An image of {self.name} is in {owner} ({first}) and in {name} "
                            f"({split}), so results would be too good. Delete it from one class."
                        )
        if self.runs is not None:
            self.runs.check_leaks(owners)


def split_classes(whole: ClassImages) -> list[ClassImages]:
    """Split classes into training, validation and test classes.

    If the classes lie in folders ``train``, ``valid`` (or ``val``) and ``test``, these are the
    sets. Otherwise, 60 % of the classes are for training, 20 % for validation and 20 % for testing.
    The split is the same on every machine.

    Raises:
        DamagedDataError: If some of the folders ``train``, ``valid`` and ``test`` are missing, or
            if there are fewer than six classes.
    """
    tops = {PurePosixPath(name).parts[0] for name in whole.classes}
    found = {"valid" if top == "val" else top for top in tops}
    named = found & {"train", "valid", "test"}
    if named:
        return _published_split(whole, found)
    if len(whole) < 6:
        raise DamagedDataError(
            f"{whole.name} has {len(whole)} classes: {list_names(whole.classes)}. Few-shot tasks "
            "need at least six, so that training, validation and test classes have two each."
        )
    order = np.random.default_rng(0).permutation(len(whole))
    share = max(len(whole) // 5, 2)
    parts = order[2 * share :], order[:share], order[share : 2 * share]
    return [
        whole.select(f"{whole.name}/{split}", [whole.classes[c] for c in sorted(part)])
        for split, part in zip(("train", "valid", "test"), parts, strict=True)
    ]


def _published_split(whole: ClassImages, found: set[str]) -> list[ClassImages]:
    expected = {"train", "valid", "test"}
    if found != expected:
        raise DamagedDataError(
            f"{whole.name} has the folders {', '.join(sorted(found))}. Either put all classes into "
            "train, valid and test, or leave these folders out."
        )
    parts: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for name in whole.classes:
        top = PurePosixPath(name).parts[0]
        parts["valid" if top == "val" else top].append(name)
    chosen = []
    for split, names in parts.items():
        part = whole.select(f"{whole.name}/{split}", names)
        short = tuple(str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in names)
        chosen.append(replace(part, classes=short))
    return chosen


def read_class_images(path: Path, size: int | None = None) -> ClassImages:
    """Return the images of a folder or zip file, grouped by class.

    The class of an image is the path of its folder, without folders that all classes share:
    ``<class>/<image>`` or ``<group>/<class>/<image>``. Decoded images are stored in the cache, and
    read from there as long as the files stay the same.

    Args:
        path, size: See :func:`~nas_gym.networks.data.folder.read_named_images`.

    Raises:
        MissingDataError, DamagedDataError, DataError: See
            :func:`~nas_gym.networks.data.folder.read_named_images`.
    """
    from nas_gym.networks.data.folder import read_named_images
    from nas_gym.utils.cache import cache_folder
    from nas_gym.utils.files import write_tensors

    cached = cache_folder() / "few-shot" / f"{path.stem}-{_identity(path, size)}.safetensors"
    if (found := _read_cached(cached)) is None:
        images, names = read_named_images(path, size)
        found = _group(path.stem, images, names)
        write_tensors(
            cached,
            {"images": found.images, "offsets": found.offsets, "classes": np.array(found.classes)},
        )
    return replace(found, name=path.stem)


def _group(name: str, images: Pixels, files: list[str]) -> ClassImages:
    folders = [str(PurePosixPath(file).parent) for file in files]
    order = sorted(range(len(files)), key=lambda row: (folders[row], files[row]))
    classes, counts = np.unique(folders, return_counts=True)  # in the same order
    shared = os.path.commonpath([str(PurePosixPath(each).parent) for each in classes])
    short = tuple(each.removeprefix(f"{shared}/") for each in classes.tolist())
    return ClassImages(name, short, images[order], np.cumsum([0, *counts], dtype=np.int64))


def _identity(path: Path, size: int | None) -> str:
    """Return the identity of the files in a folder or zip file: their names, sizes and times."""
    digest = hashlib.sha256(f"{_CACHE_VERSION} {path.resolve()} {size}".encode())
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.exists():
            status = file.stat()
            digest.update(f"{file} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _read_cached(path: Path) -> ClassImages | None:
    """Return the images in a file of the cache; ``None`` if there is none, or it is damaged."""
    from nas_gym.utils.files import read_tensors

    try:
        arrays = read_tensors(path)
        return ClassImages(
            path.stem, tuple(arrays["classes"].tolist()), arrays["images"], arrays["offsets"]
        )
    except (FileNotFoundError, DamagedDataError, LookupError):
        return None
