"""What supernets and training from scratch share as evaluators: networks on images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nas_gym.evaluators.base import Evaluator, Genotypes, Values
from nas_gym.spaces import SearchSpace
from nas_gym.tables import Metric

if TYPE_CHECKING:
    import torch

    from nas_gym.networks.network import Network

Indices = npt.NDArray[np.int64]


class NetworkEvaluator(Evaluator):
    """Evaluators that train or run networks on images.

    A metric is computed when it is first asked for, and remembered: test images are only looked at
    for those who ask for ``test_accuracy``.

    Attributes:
        text: Text that names the evaluator in arguments, such as ``training(epochs=12)``; its name
            by default.
        device: Torch device on which networks are computed.
    """

    space: SearchSpace
    text: str = ""
    device: torch.device

    def evaluate(self, genotypes: Genotypes) -> dict[str, Values]:
        """See :meth:`Evaluator.evaluate`."""
        return {name: self.values(name, genotypes) for name in self.metrics}

    def values(self, metric: str, genotypes: Genotypes) -> Values:
        """See :meth:`Evaluator.values`.

        Raises:
            KeyError: If there is no such metric.
        """
        self.check_metric(metric)
        return self._compute(metric, self.space.encode(genotypes))

    @abstractmethod
    def _compute(self, metric: str, indices: Indices) -> Values:
        """Return one metric of architectures, ``(n,)`` indices -> ``(n,)`` float64."""

    def identity(self) -> dict[str, Any]:
        """Return the text that names the evaluator."""
        return {"evaluator": self.text or self.name}

    def default_columns(self, dataset: str) -> tuple[str, str]:
        """Return validation accuracy as the signal and test accuracy as the report."""
        return "valid_accuracy", "test_accuracy"


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
