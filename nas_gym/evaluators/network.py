"""Evaluation of networks on images: what supernets and training from scratch have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import SearchSpace
from nas_gym.tables import Metric

if TYPE_CHECKING:
    from nas_gym.networks.network import Network

Indices = NDArray[np.int64]
Values = NDArray[np.float64]


class NetworkEvaluator(ABC):
    """Metrics of architectures that are computed when they are asked for, and remembered.

    Attributes:
        name: the kind of evaluation, which its metrics are named after: ``"supernet"`` or
            ``"training"``.
        space: whose architectures are evaluated.
        metrics: what is measured, by name.
    """

    name: str
    space: SearchSpace
    metrics: dict[str, Metric]

    @abstractmethod
    def values(self, metric: str, indices: Indices) -> Values:
        """One metric of architectures, shape of ``indices``, float64.

        Raises:
            KeyError: an unknown metric.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What determines the values, for histories, as plain values."""

    def evaluate(self, indices: Indices) -> dict[str, Values]:
        """Every metric of architectures; ``(n,)`` indices -> arrays of shape ``(n,)``."""
        return {name: self.values(name, indices) for name in self.metrics}


def parameters(build: Callable[..., Network], settings: dict[str, Any], genotype: Any) -> float:
    """The number of parameters of a genotype's network, in millions.

    An auxiliary head is not among them: it only helps training.

    Args:
        build: its class.
        settings: what that is built with.
        genotype: ``(num_decisions,)``.
    """
    import torch

    with torch.device("meta"):
        network = build(**settings, genotype=genotype)
    named = network.named_parameters()
    return sum(each.numel() for name, each in named if not name.startswith("auxiliary.")) / 1e6


def images_metrics(what: str) -> dict[str, Metric]:
    """What is measured of a network on images.

    Args:
        what: how it comes by its weights.
    """
    metrics = (
        Metric("valid_accuracy", "%", True, f"on validation images, {what}", "seconds"),
        Metric("test_accuracy", "%", True, f"on test images, {what}", "seconds"),
        Metric("valid_loss", "", False, f"cross entropy on validation images, {what}", "seconds"),
        Metric("params", "M", False, "parameters of the network"),
        Metric("seconds", "s", False, "spent on the evaluation"),
    )
    return {metric.name: metric for metric in metrics}
