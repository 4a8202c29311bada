"""Classification of the images in a folder by a trained network."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from nas_gym.networks.data.folder import (
    ImageFiles,
    is_image_name,
    open_image,
    open_image_files,
)
from nas_gym.networks.data.images import Pixels
from nas_gym.networks.trained import TrainedNetwork
from nas_gym.utils.errors import DamagedDataError, MissingDataError

_BATCH = 256


@dataclass(frozen=True)
class Classified:
    """Result of one image file.

    Attributes:
        name: Path of the file in the folder or zip file.
        predicted: Predicted class; empty if the file could not be read.
        probability: Probability of this class, 0 to 1; 0 if the file could not be read.
        error: Reason why the file could not be read; empty otherwise.
    """

    name: str
    predicted: str
    probability: float
    error: str = ""

    @property
    def folder(self) -> str:
        """Name of the file's folder."""
        return PurePosixPath(self.name).parent.name


def classify_images(network: TrainedNetwork, path: Path) -> list[Classified]:
    """Classify the images of a folder or zip file, in alphabetical order of their names.

    Args:
        network: Trained network.
        path: Folder or zip file; images may be in subfolders.

    Raises:
        MissingDataError: If there is no such folder, or it holds no images.
        DamagedDataError: If a file is given that is not a zip file.
    """
    return list(_classify(network, path))


def _classify(network: TrainedNetwork, path: Path) -> Iterator[Classified]:
    with open_image_files(path) as files:
        names = sorted(filter(is_image_name, files.names()))
        if not names:
            raise MissingDataError(f"{path} holds no images.")
        files.check_size(names)
        for start in range(0, len(names), _BATCH):
            read = {name: _read(network, files, name) for name in names[start : start + _BATCH]}
            batch = {name: each for name, each in read.items() if not isinstance(each, str)}
            predictions = _predict(network, batch)
            for name, each in read.items():
                if isinstance(each, str):
                    yield Classified(name, "", 0.0, each)
                else:
                    yield Classified(name, *predictions[name])


def _read(network: TrainedNetwork, files: ImageFiles, name: str) -> Pixels | str:
    """Return the pixels of an image, or the reason why it cannot be read."""
    try:
        return network.preprocess.pixels(open_image(files.read(name), name))
    except DamagedDataError as error:
        return str(error)


def _predict(network: TrainedNetwork, batch: dict[str, Pixels]) -> dict[str, tuple[str, float]]:
    """Return the class of each image, and its probability."""
    if not batch:
        return {}
    logits = network.logits(np.stack(list(batch.values()))).astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    best = logits.argmax(axis=1)
    return {
        name: (network.classes[k], float(row[k]))
        for name, k, row in zip(batch, best, probabilities, strict=True)
    }


def to_csv(rows: list[Classified]) -> bytes:
    """Return a CSV file with the columns ``image``, ``class``, ``probability`` and ``error``."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["image", "class", "probability", "error"])
    for row in rows:
        probability = "" if row.error else f"{row.probability:.6f}"
        writer.writerow([row.name, row.predicted, probability, row.error])
    return text.getvalue().encode("utf-8", "surrogateescape")


def accuracy_by_folder(rows: list[Classified], classes: tuple[str, ...]) -> float | None:
    """Return the accuracy in %, if every image is in a folder that has the name of a class.

    Images that could not be read are left out. Without such folders, the result is ``None``.
    """
    pairs = [(unicodedata.normalize("NFC", row.folder), row.predicted)
             for row in rows if not row.error]  # fmt: skip
    if not pairs or any(folder not in classes for folder, _ in pairs):
        return None
    return 100 * sum(folder == predicted for folder, predicted in pairs) / len(pairs)
