"""CIFAR-10 and CIFAR-100, from the published archives of Python pickles or of binary files."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from nas_gym.networks.data.images import ImageData, Split, from_published_splits
from nas_gym.tables.sources import pickles
from nas_gym.utils.download import RemoteFile
from nas_gym.utils.errors import DamagedDataError, DataError
from nas_gym.utils.limits import check_unpacked_size

_SITE = "https://www.cs.toronto.edu/~kriz"
_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class CIFARArchives:
    """Description of the two archives of a data set.

    Attributes:
        name: Name of the data set.
        python: Archive of Python pickles, as published.
        binary: File name of the archive of binary files.
        training: Names of the training members, without endings.
        test: Name of the test member, without ending.
        labels: Key of the labels in a pickle.
        label_bytes: Number of label bytes before the pixels of a binary image; the last one is the
            label.
        classes: Key and member of the class names in the archive of pickles.
    """

    name: str
    python: RemoteFile
    binary: str
    training: tuple[str, ...]
    test: str
    labels: bytes
    label_bytes: int
    classes: tuple[bytes, str]


_CIFAR10 = CIFARArchives(
    "cifar10",
    RemoteFile(
        "cifar-10-python.tar.gz",
        f"{_SITE}/cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    "cifar-10-binary.tar.gz",
    tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test_batch",
    b"labels",
    1,
    (b"label_names", "batches.meta"),
)
_CIFAR100 = CIFARArchives(
    "cifar100",
    RemoteFile(
        "cifar-100-python.tar.gz",
        f"{_SITE}/cifar-100-python.tar.gz",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
    "cifar-100-binary.tar.gz",
    ("train",),
    "test",
    b"fine_labels",
    2,
    (b"fine_label_names", "meta"),
)
CIFAR_ARCHIVES = {each.name: each for each in (_CIFAR10, _CIFAR100)}
"""Archives by the name of their data set."""


def read_cifar(path: Path, archives: CIFARArchives) -> ImageData:
    """Read one of the two archives of a data set.

    Args:
        path: Path of the archive.
        archives: Description of the data set's archives.

    Raises:
        DamagedDataError: If the archive is cut short, or if a member is missing or damaged.
    """
    members = _members(path)
    binary = f"{archives.test}.bin" in members
    wanted = [f"{name}.bin" if binary else name for name in (*archives.training, archives.test)]
    meta = {"batches.meta": "batches.meta.txt", "meta": "fine_label_names.txt"}[archives.classes[1]]
    meta = meta if binary else archives.classes[1]
    missing = [name for name in (*wanted, meta) if name not in members]
    if missing:
        raise DamagedDataError(
            f"{path} lacks {', '.join(missing)}: it is no archive of {archives.name}. Get it "
            f"from {_SITE}/cifar.html."
        )
    read_one = _read_binary if binary else _read_pickle
    splits = [read_one(members[name], f"{name} in {path}", archives) for name in wanted]
    classes = _classes(members[meta], f"{meta} in {path}", archives, binary)
    training = Split(
        np.concatenate([each.images for each in splits[:-1]]),
        np.concatenate([each.labels for each in splits[:-1]]),
    )
    return from_published_splits(archives.name, classes, training, splits[-1])


def _members(path: Path) -> dict[str, bytes]:
    """Return the content of each file of an archive, by its name without folders."""
    found, total = {}, 0
    if not path.is_file():  # opening a pipe would wait for ever
        raise DamagedDataError(f"{path} is not a file. Get it from {_SITE}/cifar.html.")
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                total += member.size
                check_unpacked_size(total, str(path))
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    found[PurePosixPath(member.name).name] = file.read()
    except DataError:
        raise
    except Exception as error:  # a damaged archive can raise any error
        raise DamagedDataError(
            f"{path} could not be read: {error}. Delete it and get it again from "
            f"{_SITE}/cifar.html."
        ) from error
    return found


def _read_pickle(content: bytes, name: str, archives: CIFARArchives) -> Split:
    batch = pickles.load_pickle(content, pickles.NUMPY, name, encoding="bytes")
    try:
        return _split(
            np.asarray(batch[b"data"], np.uint8), np.array(batch[archives.labels], np.int64)
        )
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise DamagedDataError(f"{name} is no batch of {archives.name}: {error!r:.200}.") from error


def _read_binary(content: bytes, name: str, archives: CIFARArchives) -> Split:
    size = archives.label_bytes + _PIXELS
    if not content or len(content) % size:
        raise DamagedDataError(f"{name} has {len(content)} bytes, which is no multiple of {size}.")
    rows = np.frombuffer(content, np.uint8).reshape(-1, size)
    return _split(
        rows[:, archives.label_bytes :], rows[:, archives.label_bytes - 1].astype(np.int64)
    )


def _split(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> Split:
    if labels.ndim != 1:
        raise ValueError(f"labels have shape {labels.shape}")
    return Split(pixels.reshape(len(labels), *_SHAPE), labels)


def _classes(content: bytes, name: str, archives: CIFARArchives, binary: bool) -> tuple[str, ...]:
    try:
        if binary:
            return tuple(content.decode().split())
        found = pickles.load_pickle(content, pickles.NUMPY, name, encoding="bytes")
        return tuple(each.decode() for each in found[archives.classes[0]])
    except (AttributeError, LookupError, TypeError, UnicodeDecodeError) as error:
        raise DamagedDataError(
            f"{name} holds no class names of {archives.name}: {error!r:.200}."
        ) from error
