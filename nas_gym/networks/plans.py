"""Plans, which hold the network and training settings of supernets and single architectures."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from nas_gym.networks.batches import Augmentation, default_augmentation
from nas_gym.networks.darts_network import DARTSNetwork
from nas_gym.networks.data import DATA_SETS, ImageData
from nas_gym.networks.mnasnet_network import MnasNetNetwork
from nas_gym.networks.nb201_network import NB201Network
from nas_gym.networks.network import Network
from nas_gym.networks.training import TrainingConfig
from nas_gym.spaces import SearchSpace

NETWORKS: dict[str, Callable[..., Network]] = {
    "NB201": NB201Network,
    "DARTS": DARTSNetwork,
    "MnasNet": MnasNetNetwork,
}
"""Network classes by the name of their search space."""

MAX_PARAMETERS = 500_000_000
"""Maximum number of parameters of a network; training needs three times the parameters' memory."""

SMALL_DATA = 5_000
"""Number of training images below which images of the user get a small supernet."""

_SUPERNET_STEPS = 2_000  # of the training of a small supernet
_EPOCH_STEPS, _SMALLEST_BATCH = 20, 16

_DATA_ARGUMENTS = ("num_classes", "in_channels")  # arguments that the data set determines


@dataclass(frozen=True)
class NetworkPlan:
    """Network, training settings and seed: everything that determines a trained network.

    Attributes:
        space: Name of a search space, a key of :data:`NETWORKS`.
        data: Digest of the images (:attr:`ImageData.digest`).
        network: Arguments of the network class, including those that the data set determines.
        training: Settings of the training.
        seed: Seed of the initial weights and of the training.

    Raises:
        ValueError: If the seed is not 0 to 2^63 - 1.
    """

    space: str
    data: str
    network: dict[str, Any]
    training: TrainingConfig
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is 0 to 2^63 - 1, got {self.seed}.")

    def describe(self) -> dict[str, Any]:
        """Return the plan as plain values, as it is stored in files of supernets."""
        return {
            "space": self.space,
            "data": self.data,
            "network": self.network,
            "recipe": self.training.describe(),
            "seed": self.seed,
        }

    @property
    def digest(self) -> str:
        """Identifier of the plan: twelve hexadecimal digits."""
        text = json.dumps(self.describe(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def search_space(self) -> SearchSpace:
        """Search space of the network."""
        with torch.device("meta"):  # allocates no weights
            return self.build().space

    def build(self, genotype: Any = None) -> Network:
        """Return a network with initial weights drawn from the seed.

        Args:
            genotype: Architecture, ``(num_decisions,)``; ``None`` builds a supernet.
        """
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would also seed every GPU
            torch.default_generator.manual_seed(self.seed)
            return NETWORKS[self.space](**self.network, genotype=genotype)

    def with_settings(self, **changes: Any) -> NetworkPlan:
        """Return a copy with other settings of the training or of the network.

        Args:
            changes: New values by name, such as ``epochs=50`` or ``channels=8``.

        Raises:
            ValueError: If there is no such setting, if a value has the wrong type or is outside its
                range, or if the network would have more than :data:`MAX_PARAMETERS` parameters.
        """
        known = {name: v for name, v in asdict(self.training).items() if isinstance(v, int | float)}
        known |= asdict(self.training.augmentation)
        known |= {name: v for name, v in self.network.items() if name not in _DATA_ARGUMENTS}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(
                    f"There is no setting {name!r} of {self.space} networks and their training. "
                    f"Choose from: {', '.join(known)}."
                )
            kinds = (int, float) if type(known[name]) is float else (type(known[name]),)
            if type(value) not in kinds:
                raise ValueError(f"{name} is of type {kinds[-1].__name__}, got {value!r:.100}.")
        augmentation = {k: v for k, v in changes.items() if k in asdict(Augmentation())}
        network = {k: v for k, v in changes.items() if k in self.network}
        training: dict[str, Any] = {
            name: value
            for name, value in changes.items()
            if name not in augmentation and name not in network
        }
        if augmentation:
            training["augmentation"] = replace(self.training.augmentation, **augmentation)
        plan = replace(
            self,
            training=replace(self.training, **training),
            network={**self.network, **network},
        )
        if network:
            plan._check_size(network)
        return plan

    def _check_size(self, changes: dict[str, Any]) -> None:
        """Raise an error if the supernet has too many parameters; it is not allocated."""
        with torch.device("meta"):
            network = NETWORKS[self.space](**self.network)
        count = sum(each.numel() for each in network.parameters())
        if count > MAX_PARAMETERS:
            given = ", ".join(f"{name}={value}" for name, value in changes.items())
            raise ValueError(
                f"The supernet of {self.space} with {given} has {count:,} parameters; at most "
                f"{MAX_PARAMETERS:,} parameters are accepted. Lower these settings."
            )


def supernet_plan(space: str, data: ImageData, seed: int = 0) -> NetworkPlan:
    """Return the plan of the supernet of a search space on a data set.

    - NB201 has the one-shot settings of NAS-Bench-201 (250 epochs, 16 channels, 5 cells per stage),
      except that batch norms have learnable parameters.
    - DARTS has the settings in section 3.2 of the L2NAS paper: the supernet of PC-DARTS with 8
      cells and 16 channels, batches of 250 images, Cutout and a learning rate of 0.025. The paper
      trains for 10,000 epochs; the default here is 600.
    - MnasNet has 32 channels in the first layer, as in EfficientNet-B0, and trains for 250 epochs
      with batches of 128 images.
    - On digits, all spaces use a small network that trains in a few minutes.
    - On images of the user, if there are fewer than :data:`SMALL_DATA` training images, all spaces
      use a small network, which trains for about 2,000 steps, with batches as in
      :func:`training_plan`.

    Raises:
        ValueError: If the search space has no networks.
    """
    check_space(space)
    augmentation = default_augmentation(data.name)
    if data.name == "digits":
        network, training = {
            "NB201": ({"channels": 8, "cells": 1}, TrainingConfig(100, 64, 0.05, 1e-3)),
            "DARTS": (
                {"channels": 8, "layers": 4, "partial": 2},
                TrainingConfig(60, 64, 0.05, 1e-3),
            ),
            "MnasNet": ({"channels": 8}, TrainingConfig(60, 64, 0.05, 1e-3)),
        }[space]
    elif len(data.train) < SMALL_DATA and data.name not in DATA_SETS:
        network = {
            "NB201": {"channels": 8, "cells": 1},
            "DARTS": {"channels": 8, "layers": 4, "partial": 2},
            "MnasNet": {"channels": 8},
        }[space]
        training = _fit_batches(TrainingConfig(1, 64, 0.05, 1e-3), data)
        steps = max(len(data.train) // training.batch_size, 1)
        training = replace(training, epochs=-(-_SUPERNET_STEPS // steps))
    elif space == "NB201":
        network, training = {"channels": 16, "cells": 5}, TrainingConfig(250, 64, 0.025, 1e-3)
    elif space == "MnasNet":
        network, training = {"channels": 32}, TrainingConfig(250, 128, 0.05, weight_decay=4e-5)
    else:
        network = {"channels": 16, "layers": 8, "partial": 4}
        training = TrainingConfig(600, 250, 0.025, weight_decay=3e-4)
        augmentation = replace(augmentation, cutout=data.shape[1] // 2)
    return _plan(space, data, network, training, augmentation, seed)


def training_plan(
    space: str, data: ImageData, epochs: int | None = None, seed: int = 0
) -> NetworkPlan:
    """Return the plan for training single architectures from scratch on a data set.

    - NB201 has the settings of NAS-Bench-201 (Dong and Yang, ICLR 2020, Table 4) for 12 epochs, as
      in the reward of the CATCH paper: batches of 256 images and a learning rate of 0.1.
    - DARTS has the settings in section 3.2 of the L2NAS paper: 20 cells, 36 channels, an auxiliary
      head, drop path, Cutout, batches of 96 images and a learning rate of 0.025 for 1,000 epochs.
    - MnasNet has 32 channels in the first layer, batches of 128 images and a learning rate of 0.05
      for 100 epochs.
    - On digits, all spaces use a small network for 5 epochs. With more channels or epochs, nearly
      all architectures reach the same accuracy.
    - On images of the user, the batch size is halved until an epoch has 20 steps or a batch has 16
      images. The learning rate is multiplied by the square root of the factor, as for equal noise
      of the gradients (Krizhevsky, 2014, section 5).

    Args:
        space: Name of a search space, a key of :data:`NETWORKS`.
        data: Data set.
        epochs: Number of epochs; by default, the number given above.
        seed: Seed of the initial weights and of the training.

    Raises:
        ValueError: If the search space has no networks.
    """
    check_space(space)
    augmentation = default_augmentation(data.name)
    network: dict[str, Any]
    if data.name == "digits":
        network = {
            "NB201": {"channels": 8, "cells": 1},
            "DARTS": {"channels": 8, "layers": 4, "affine": True},
            "MnasNet": {"channels": 8},
        }[space]
        training = TrainingConfig(5, 64, 0.05)
    elif space == "NB201":
        network, training = {"channels": 16, "cells": 5}, TrainingConfig(12, 256, 0.1)
    elif space == "MnasNet":
        network, training = {"channels": 32}, TrainingConfig(100, 128, 0.05, weight_decay=4e-5)
    else:
        network = {
            "channels": 36, "layers": 20, "affine": True, "auxiliary": True, "drop_path": 0.2,
        }  # fmt: skip
        training = TrainingConfig(1000, 96, 0.025, weight_decay=3e-4)
        augmentation = replace(augmentation, cutout=data.shape[1] // 2)
    if data.name not in DATA_SETS:
        training = _fit_batches(training, data)
    plan = _plan(space, data, network, training, augmentation, seed)
    return plan if epochs is None else plan.with_settings(epochs=epochs)


def _fit_batches(training: TrainingConfig, data: ImageData) -> TrainingConfig:
    """Return settings with smaller batches for a small data set, and a learning rate to match."""
    batch_size, learning_rate = training.batch_size, training.learning_rate
    while batch_size >= 2 * _SMALLEST_BATCH and len(data.train) < _EPOCH_STEPS * batch_size:
        batch_size, learning_rate = batch_size // 2, learning_rate / math.sqrt(2)
    return replace(training, batch_size=batch_size, learning_rate=learning_rate)


def check_space(space: str) -> None:
    """Raise an error if a search space has no networks.

    Raises:
        ValueError: If ``space`` is not a key of :data:`NETWORKS`.
    """
    if space not in NETWORKS:
        *first, last = NETWORKS
        raise ValueError(f"There are networks of {', '.join(first)} and {last}, not of {space!r}.")


def _plan(
    space: str,
    data: ImageData,
    network: dict[str, Any],
    training: TrainingConfig,
    augmentation: Augmentation,
    seed: int,
) -> NetworkPlan:
    images = {"num_classes": len(data.classes), "in_channels": data.shape[0]}
    training = replace(training, augmentation=augmentation)
    return NetworkPlan(space, data.digest, {**network, **images}, training, seed)
