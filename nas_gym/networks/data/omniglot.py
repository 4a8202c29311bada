"""Omniglot: handwritten characters of many alphabets, 20 drawings each (Lake et al., 2015)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas_gym.networks.data.class_images import (
    ClassImages,
    FewShotData,
    image_hash,
    read_class_images,
)
from nas_gym.networks.data.images import Pixels
from nas_gym.utils.download import RemoteFile, find_file
from nas_gym.utils.errors import DamagedDataError, MissingDataError

_SITE = (
    "https://raw.githubusercontent.com/brendenlake/omniglot/"
    "32aee47094f15296299b761dcaa01400b90c60d5/python"
)
SMALL_SETS = (
    RemoteFile(
        "images_background_small1.zip",
        f"{_SITE}/images_background_small1.zip",
        "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
    ),
    RemoteFile(
        "images_background_small2.zip",
        f"{_SITE}/images_background_small2.zip",
        "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f",
    ),
)
"""The two minimal background sets. Both have Greek and Latin."""
ALL_RUNS = RemoteFile(
    "all_runs.zip",
    f"{_SITE}/one-shot-classification/all_runs.zip",
    "437c1eeab0af8484112e1b4cc0f3d541ec727f7c47b9b202da738af9dfd6c325",
)
"""The official one-shot evaluation."""
FULL_SETS = ("images_background.zip", "images_evaluation.zip")
"""The full background set (30 alphabets) and the evaluation set (20 alphabets)."""

OMNIGLOT_SIZE = 28
"""Height and width to which drawings are scaled by default, in pixels, as in the literature."""

_VALIDATION_ALPHABETS = ("Early_Aramaic",)
_TEST_ALPHABETS = ("Japanese_(katakana)", "Sanskrit", "Tagalog")
_FULL_VALIDATION_ALPHABETS = ("Sanskrit", "Syriac", "Tagalog", "Tibetan", "Tifinagh")
_NUM_RUNS, _NUM_ITEMS = 20, 20


@dataclass(frozen=True)
class OneShotRuns:
    """The official one-shot evaluation: 20 runs of 20-way 1-shot within an alphabet.

    Attributes:
        support: One drawing of each class, ``(runs, 20, channels, height, width)`` uint8.
        query: Drawings to classify, in the same shape.
        labels: Class number of each query drawing, ``(runs, 20)`` int64.
    """

    support: Pixels
    query: Pixels
    labels: NDArray[np.int64]

    @property
    def digest(self) -> str:
        """Hexadecimal sha256 of the drawings and labels."""
        found = hashlib.sha256(repr(self.support.shape).encode())
        for each in (self.support, self.query, self.labels.astype("<i8")):
            found.update(np.ascontiguousarray(each).data)
        return found.hexdigest()

    def check_leaks(self, owners: Mapping[bytes, tuple[str, str]]) -> None:
        """Raise an error if a drawing of a run is among the images of training or validation.

        Args:
            owners: Set and class of each image, by the hash of the image.

        Raises:
            DamagedDataError: If there is such a drawing.
        """
        for image in (*self.support.reshape(-1, *self.support.shape[2:]),
                      *self.query.reshape(-1, *self.query.shape[2:])):  # fmt: skip
            split, name = owners.get(image_hash(image), ("test", ""))
            if split != "test":
                raise DamagedDataError(
                    f"A drawing of the one-shot evaluation is in {name} ({split}), so its error "
                    "would be too low."
                )


def load_omniglot(size: int = OMNIGLOT_SIZE, *, runs: bool = False) -> FewShotData:
    """Return the minimal background sets, split by alphabet.

    Meta-training has the characters of Balinese, Greek, Korean and Latin (the first minimal set
    without one alphabet), meta-validation has Early Aramaic, and meta-test has Katakana, Sanskrit
    and Tagalog. Greek and Latin of the second set are left out, because the first set has them.

    Args:
        size: Height and width to which drawings are scaled, in pixels.
        runs: Whether the official one-shot evaluation replaces the meta-test tasks.

    Raises:
        MissingDataError: If a file is not on this machine.
        DamagedDataError: If a file is damaged.
    """
    first, second = (read_class_images(_find(file.name), size) for file in SMALL_SETS)
    known = {_alphabet(name) for name in first.classes} - set(_VALIDATION_ALPHABETS)
    return FewShotData(
        "omniglot",
        _alphabets(first, "omniglot/train", known),
        _alphabets(first, "omniglot/valid", _VALIDATION_ALPHABETS),
        _alphabets(second, "omniglot/test", _TEST_ALPHABETS),
        rotations=True,
        runs=read_one_shot_runs(_find(ALL_RUNS.name), size) if runs else None,
    )


def load_full_omniglot(size: int = OMNIGLOT_SIZE) -> FewShotData:
    """Return the full background and evaluation sets, split by alphabet.

    Meta-training has 25 alphabets of the background set, meta-validation its last five in
    alphabetical order, and meta-test the 20 alphabets of the evaluation set.

    Args:
        size: Height and width to which drawings are scaled, in pixels.

    Raises:
        MissingDataError: If a file is not on this machine.
        DamagedDataError: If a file is damaged.
    """
    background, evaluation = (read_class_images(_find(name), size) for name in FULL_SETS)
    known = {_alphabet(name) for name in background.classes} - set(_FULL_VALIDATION_ALPHABETS)
    return FewShotData(
        "omniglot-full",
        _alphabets(background, "omniglot-full/train", known),
        _alphabets(background, "omniglot-full/valid", _FULL_VALIDATION_ALPHABETS),
        evaluation.select("omniglot-full/test", list(evaluation.classes)),
        rotations=True,
    )


def _find(name: str) -> Path:
    path = find_file(name)
    if path is None:
        get = (
            "Run `nas-gym data fetch omniglot-images`, or set"
            if name not in FULL_SETS
            else "Get it from github.com/brendenlake/omniglot (folder python), and set"
        )
        raise MissingDataError(
            f"{name} of Omniglot is not on this machine. {get} NAS_GYM_DATA to the folder that "
            "holds it."
        )
    return path


def _alphabet(name: str) -> str:
    return name.partition("/")[0]


def _alphabets(whole: ClassImages, name: str, alphabets: set[str] | tuple[str, ...]) -> ClassImages:
    missing = set(alphabets) - {_alphabet(each) for each in whole.classes}
    if missing:
        raise DamagedDataError(
            f"{whole.name}.zip has no alphabet {', '.join(sorted(missing))}. Get the file again."
        )
    return whole.select(name, [each for each in whole.classes if _alphabet(each) in alphabets])


def read_one_shot_runs(path: Path, size: int = OMNIGLOT_SIZE) -> OneShotRuns:
    """Read the official one-shot evaluation.

    Args:
        path: ``all_runs.zip``, or the unpacked folder.
        size: Height and width to which drawings are scaled, in pixels.

    Raises:
        MissingDataError: If there is no such file.
        DamagedDataError: If the file is damaged, or lacks a drawing or a label.
    """
    from nas_gym.networks.data.folder import ImageFiles, decode_image, open_image_files

    def read(files: ImageFiles, name: str) -> Pixels:
        return decode_image(files.read(name), f"{name} in {path}", size)

    support, query, labels = [], [], []
    with open_image_files(path) as files:
        names = [f"run{number:02}/class_labels.txt" for number in range(1, _NUM_RUNS + 1)]
        names_found = set(files.names())
        files.check_size(sorted(names_found))
        for name in names:
            if name not in names_found:
                raise DamagedDataError(f"{path} has no file {name}. Get the file again.")
            items, classes = _parse_labels(files.read(name), f"{name} in {path}")
            ordered = sorted(set(classes))
            if missing := {*items, *ordered} - names_found:
                raise DamagedDataError(f"{path} lacks {sorted(missing)[0]}. Get the file again.")
            support.append(np.stack([read(files, each) for each in ordered]))
            query.append(np.stack([read(files, each) for each in items]))
            labels.append([ordered.index(each) for each in classes])
    return OneShotRuns(np.stack(support), np.stack(query), np.array(labels, np.int64))


def _parse_labels(content: bytes, name: str) -> tuple[list[str], list[str]]:
    """Return the files of the query drawings, and the file of the class of each."""
    try:
        pairs = [line.split() for line in content.decode("ascii").splitlines() if line.strip()]
        items, classes = ([pair[column] for pair in pairs] for column in (0, 1))
    except (UnicodeDecodeError, IndexError):
        items, classes = [], []
    if not len(set(items)) == len(set(classes)) == len(items) == _NUM_ITEMS:
        raise DamagedDataError(
            f"{name} does not assign {_NUM_ITEMS} drawings to {_NUM_ITEMS} classes, one a line."
        )
    return items, classes
