"""What is trained, and how: supernets, and the networks of single architectures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from nas_gym.networks.batches import Augmentation, default_augmentation
from nas_gym.networks.darts_network import DARTSNetwork
from nas_gym.networks.data import ImageData
from nas_gym.networks.nb201_network import NB201Network
from nas_gym.networks.network import Network
from nas_gym.networks.training import TrainingConfig
from nas_gym.spaces import SearchSpace

NETWORKS: dict[str, Callable[..., Network]] = {"NB201": NB201Network, "DARTS": DARTSNetwork}
"""The networks of each search space, by its name."""

_OF_IMAGES = ("num_classes", "in_channels")


@dataclass(frozen=True)
class NetworkPlan:
    """What is trained, and how.

    Attributes:
        space: the name of a search space, a key of :data:`NETWORKS`.
        data: the digest of the images (:attr:`ImageData.digest`).
        network: arguments of the network, those of the data set among them.
        training: of the training.
        seed: of initial weights and of the training.
    """

    space: str
    data: str
    network: dict[str, Any]
    training: TrainingConfig
    seed: int = 0

    def describe(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "space": self.space,
            "data": self.data,
            "network": self.network,
            "recipe": self.training.describe(),
            "seed": self.seed,
        }

    @property
    def digest(self) -> str:
        """Tells plans apart: twelve digits."""
        text = json.dumps(self.describe(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def search_space(self) -> SearchSpace:
        """What architectures are drawn from."""
        with torch.device("meta"):  # no weights are needed to know
            return self.build().space

    def build(self, genotype: Any = None) -> Network:
        """A network with fresh weights, drawn from the seed: a supernet, or that of a genotype."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)  # torch's would seed every GPU, too
            return NETWORKS[self.space](**self.network, genotype=genotype)

    def with_settings(self, **changes: Any) -> NetworkPlan:
        """The same with other numbers of the training or of the network, such as ``epochs`` or
        ``channels``.

        Raises:
            ValueError: there is no such number, or a value of another kind.
        """
        known = {name: v for name, v in asdict(self.training).items() if isinstance(v, int | float)}
        known |= {name: v for name, v in self.network.items() if name not in _OF_IMAGES}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(
                    f"There is no setting {name!r} of a {self.space} network and its training. "
                    f"There are: {', '.join(known)}."
                )
            kinds = (int, float) if type(known[name]) is float else (type(known[name]),)
            if type(value) not in kinds:
                raise ValueError(f"{name} is a {kinds[-1].__name__}, got {value!r}.")
        training = {k: v for k, v in changes.items() if k not in self.network}
        network = {k: v for k, v in changes.items() if k in self.network}
        return replace(
            self,
            training=replace(self.training, **training),
            network={**self.network, **network},
        )


def supernet_plan(space: str, data: ImageData, seed: int = 0) -> NetworkPlan:
    """The supernet of a search space on a data set.

    - NB201: NAS-Bench-201's one-shot settings: 250 epochs, 16 channels, 5 cells in a stage (but
      batch norms have parameters here);
    - DARTS: L2NAS, section 3.2: PC-DARTS' supernet of 8 cells and 16 channels, batches of 250,
      Cutout, a rate of 0.025. The paper trains it for 10,000 epochs, here 600;
    - on digits, a small network of either, trained in a minute or so.

    Raises:
        ValueError: a search space without networks.
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
        }[space]
    elif space == "NB201":
        network, training = {"channels": 16, "cells": 5}, TrainingConfig(250, 64, 0.025, 1e-3)
    else:
        network = {"channels": 16, "layers": 8, "partial": 4}
        training = TrainingConfig(600, 250, 0.025, weight_decay=3e-4)
        augmentation = replace(augmentation, cutout=data.shape[1] // 2)
    return _plan(space, data, network, training, augmentation, seed)


def training_plan(
    space: str, data: ImageData, epochs: int | None = None, seed: int = 0
) -> NetworkPlan:
    """A genotype's own network, trained from scratch on a data set.

    - NB201: NAS-Bench-201's settings (Dong and Yang, 2020, Table 4) for 12 epochs, as CATCH
      rewards them: batches of 256, a rate of 0.1;
    - DARTS: L2NAS, section 3.2: 20 cells, 36 channels, an auxiliary head, drop path, Cutout,
      batches of 96, a rate of 0.025 for 1,000 epochs;
    - on digits, a small network of either for 5 epochs: with more channels or epochs, nearly all
      cells know nearly all digits.

    Raises:
        ValueError: a search space without networks.
    """
    check_space(space)
    augmentation = default_augmentation(data.name)
    network: dict[str, Any]
    if data.name == "digits":
        network = {
            "NB201": {"channels": 8, "cells": 1},
            "DARTS": {"channels": 8, "layers": 4, "affine": True},
        }[space]
        training = TrainingConfig(5, 64, 0.05)
    elif space == "NB201":
        network, training = {"channels": 16, "cells": 5}, TrainingConfig(12, 256, 0.1)
    else:
        network = {
            "channels": 36, "layers": 20, "affine": True, "auxiliary": True, "drop_path": 0.2,
        }  # fmt: skip
        training = TrainingConfig(1000, 96, 0.025, weight_decay=3e-4)
        augmentation = replace(augmentation, cutout=data.shape[1] // 2)
    plan = _plan(space, data, network, training, augmentation, seed)
    return plan if epochs is None else plan.with_settings(epochs=epochs)


def check_space(space: str) -> None:
    """Refuse a search space that there are no networks of.

    Raises:
        ValueError: as said.
    """
    if space not in NETWORKS:
        raise ValueError(f"There are networks of {' and '.join(NETWORKS)}, not of {space!r}.")


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
