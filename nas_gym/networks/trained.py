"""Trained networks of single architectures: their files, preprocessing and predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas_gym.networks.data import ImageData
from nas_gym.networks.data.folder import open_image, to_8_bits, to_pixels
from nas_gym.networks.data.images import Pixels
from nas_gym.networks.network import Network
from nas_gym.networks.plans import NETWORKS
from nas_gym.utils.errors import DamagedDataError, DataError, MissingDataError
from nas_gym.utils.files import read_json, read_tensors, write_atomically, write_tensors

if TYPE_CHECKING:
    from PIL import Image

FORMAT = 1
"""Version of the files of a trained network."""
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
"""Names of the files in the folder of a trained network."""

_PREDICTION_BATCH = 256


@dataclass(frozen=True)
class Preprocessing:
    """Conversion of an image to the input of a network.

    Attributes:
        channels: 1 for grey images, 3 for colour images.
        height, width: Size that an image is scaled to, in pixels.
        mean, deviation: Mean and standard deviation of each channel of the training images, in
            units of pixel values (0 to 255).

    Example:
        >>> preprocess = Preprocessing(1, 8, 8, (127.5,), (64.0,))
        >>> preprocess.normalize(np.full((2, 1, 8, 8), 255, np.uint8)).shape
        torch.Size([2, 1, 8, 8])
    """

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of_data(cls, data: ImageData) -> Preprocessing:
        """Return the preprocessing of a network that is trained on a data set."""
        mean, deviation = (tuple(map(float, each)) for each in data.moments)
        return cls(*data.shape, mean, deviation)

    def __call__(self, image: Image.Image | str | Path) -> Tensor:
        """Return an image as the input of a network, ``(channels, height, width)`` float32.

        Args:
            image: Pillow image, or path of an image file.

        Raises:
            FileNotFoundError: If there is no such file.
            DamagedDataError: If the file cannot be read as an image.
        """
        if isinstance(image, str | Path):
            image = open_image(Path(image).read_bytes(), str(image))
        return self.normalize(self.pixels(to_8_bits(image))[None])[0]

    def pixels(self, image: Image.Image) -> Pixels:
        """Return the pixels of an image of mode ``L`` or ``RGB``, scaled to the network's size."""
        image = image.convert("L" if self.channels == 1 else "RGB")
        return to_pixels(image, (self.width, self.height))

    def normalize(self, pixels: Pixels) -> Tensor:
        """Return pixels, ``(n, channels, height, width)`` uint8, as the input of a network."""
        mean, deviation = (
            torch.tensor(each, dtype=torch.float32)[:, None, None]
            for each in (self.mean, self.deviation)
        )
        return (torch.from_numpy(np.array(pixels, order="C")).float() - mean) / deviation


class TrainedNetwork(nn.Module):
    """Trained image classifier of one architecture, in evaluation mode.

    Attributes:
        classes: Names of the classes, in the order of the logits.
        preprocess: Conversion of an image to the input of the network.
        description: Content of ``model.json``.

    Args:
        network: Network of one architecture with trained weights.
        description: Content of ``model.json``.
    """

    def __init__(self, network: Network, description: dict[str, Any]) -> None:
        super().__init__()
        self.network = network
        self.classes: tuple[str, ...] = tuple(description["classes"])
        preprocessing = description["preprocessing"]
        channels, height, width = (preprocessing[each] for each in ("channels", "height", "width"))
        mean, deviation = (tuple(preprocessing[each]) for each in ("mean", "deviation"))
        self.preprocess = Preprocessing(channels, height, width, mean, deviation)
        self.description = description
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits, ``(n, classes)``, of preprocessed images.

        Args:
            images: Images, ``(n, channels, height, width)`` float32.
        """
        logits: Tensor = self.network(images)
        return logits

    @torch.no_grad()
    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return the logits of images, ``(n, classes)`` float32, in full precision.

        Args:
            pixels: Images, ``(n, channels, height, width)`` uint8, of the network's size.
        """
        device = next(self.parameters()).device
        parts = [
            self(self.preprocess.normalize(pixels[start : start + _PREDICTION_BATCH]).to(device))
            for start in range(0, len(pixels), _PREDICTION_BATCH)
        ]
        found: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
        return found


def describe_network(network: Network, data: ImageData) -> dict[str, Any]:
    """Return the entries of ``model.json`` that :func:`load_network` needs.

    Args:
        network: Network of one architecture.
        data: Images that it is trained on.
    """
    genotype = list(network.genotype or ())
    return {
        "format": FORMAT,
        "space": next(name for name, kind in NETWORKS.items() if kind is type(network)),
        "arch": network.space.to_text(np.array([genotype]))[0],
        "genotype": genotype,
        "network": network.settings,
        "classes": list(data.classes),
        "preprocessing": asdict(Preprocessing.of_data(data)),
    }


def save_weights(folder: Path, network: Network) -> None:
    """Write the weights of a network to ``model.safetensors``, atomically.

    Raises:
        DataError: If the file cannot be written.
    """
    weights = {name: each.detach().cpu().numpy() for name, each in network.state_dict().items()}
    write_tensors(folder / WEIGHTS, weights)


def save_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write ``model.json``, atomically.

    It is the last file that is written, so a folder that has it is complete.

    Raises:
        DataError: If the file cannot be written.
    """
    text = json.dumps(description, indent=1, ensure_ascii=False)
    write_atomically(folder / DESCRIPTION, f"{text}\n".encode())


def load_network(folder: str | Path, device: str = "cpu") -> TrainedNetwork:
    """Return a network that ``nas-gym train`` trained, in evaluation mode.

    Args:
        folder: Folder of the network.
        device: Device name of torch.

    Raises:
        MissingDataError: If the folder holds no trained network.
        DataError: If another version of the package wrote the folder.
        DamagedDataError: If a file is damaged.
        ValueError: If this machine has no such device.

    Example:
        >>> import nas_gym
        >>> network = nas_gym.load_network("model/")  # doctest: +SKIP
        >>> logits = network(network.preprocess("photo.jpg")[None])  # doctest: +SKIP
        >>> network.classes[logits.argmax()]  # doctest: +SKIP
        'cat'
    """
    from nas_gym.networks.device import find_device

    where, folder = find_device(device), Path(folder)
    description = read_description(folder)
    try:
        return build_trained_network(description, read_weights(folder)).to(where)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if isinstance(error, DataError):
            raise
        raise DamagedDataError(
            f"{folder} holds no usable network: {error!s:.300}. Train the network again."
        ) from error


def read_weights(folder: Path) -> dict[str, NDArray[Any]]:
    """Return the weights in the folder of a trained network.

    Raises:
        DamagedDataError: If the file is missing or damaged.
    """
    try:
        return read_tensors(folder / WEIGHTS)
    except FileNotFoundError:
        raise DamagedDataError(f"{folder} has no {WEIGHTS}. Train the network again.") from None


def build_trained_network(
    description: dict[str, Any], weights: Mapping[str, NDArray[Any]]
) -> TrainedNetwork:
    """Return the network of a description, with given weights.

    Args:
        description: Content of ``model.json``, or the entries of :func:`describe_network`.
        weights: Arrays of the network's state by name.

    Raises:
        LookupError, TypeError, ValueError, RuntimeError: If the description or the weights do
            not belong to a network.
    """
    with torch.random.fork_rng(devices=[]):  # initial weights are overwritten below
        network = NETWORKS[description["space"]](
            **description["network"], genotype=description["genotype"]
        )
    network.load_state_dict({name: torch.from_numpy(each) for name, each in weights.items()})
    if not all(np.isfinite(each).all() for each in weights.values()):
        raise ValueError("weights are NaN or infinite")
    return TrainedNetwork(network, description)


def read_description(folder: Path) -> dict[str, Any]:
    """Return the content of ``model.json``.

    Raises:
        MissingDataError: If the folder holds no trained network.
        DataError: If another version of the package wrote the folder.
        DamagedDataError: If the file is damaged.
    """
    try:
        found = read_json(folder / DESCRIPTION)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingDataError(
            f"{folder} holds no trained network ({DESCRIPTION}). `nas-gym train` makes one."
        ) from None
    if not isinstance(found, dict) or "format" not in found:
        raise DamagedDataError(f"{folder / DESCRIPTION} does not describe a network.")
    if found["format"] != FORMAT:
        written = found.get("versions", {})
        version = written.get("nas_gym", "unknown") if isinstance(written, dict) else "unknown"
        raise DataError(
            f"{folder} has format {found['format']!r:.40} (nas_gym {version}), but this version "
            f"reads format {FORMAT}. Use that version of nas_gym, or train the network again."
        )
    return found
