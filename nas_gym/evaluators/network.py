"""Base class of evaluators that train or run networks on images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nas_gym.evaluators.base import Evaluator, Genotypes, Values
from nas_gym.evaluators.elsewhere import evaluate_elsewhere, is_evaluating_elsewhere
from nas_gym.spaces import SearchSpace
from nas_gym.tables import Metric

if TYPE_CHECKING:
    import torch

    from nas_gym.networks.network import Network

Indices = npt.NDArray[np.int64]


class NetworkEvaluator(Evaluator):
    """Evaluator that trains or runs networks on images.

    A metric is computed when it is first asked for, and then remembered. Test images are used only
    if ``test_accuracy`` is asked for.

    Attributes:
        text: Text that names the evaluator in arguments, such as ``training(epochs=12)``; its name
            by default.
        device: Device of the networks.
        files: Files in the cache that the evaluator was made from.
    """

    space: SearchSpace
    text: str = ""
    device: torch.device
    files: Sequence[Path] = ()

    def evaluate(self, genotypes: Genotypes) -> dict[str, Values]:
        """See :meth:`Evaluator.evaluate`."""
        return {name: self.values(name, genotypes) for name in self.metrics}

    def values(self, metric: str, genotypes: Genotypes) -> Values:
        """See :meth:`Evaluator.values`.

        Raises:
            KeyError: If there is no such metric.
        """
        self.check_metric(metric)
        indices = self.space.encode(genotypes)
        if is_evaluating_elsewhere():
            missing = self._without_results(metric, indices)
            evaluate_elsewhere(self, metric, self.space.decode(missing))
        return self._compute(metric, indices)

    def keep_results(self, folder: Path, space: SearchSpace) -> None:
        """Do nothing, because metrics are computed separately; see :meth:`Evaluator.keep_results`.

        The results of trainings are in the cache.
        """

    def _without_results(self, metric: str, indices: Indices) -> Indices:
        """Return the different architectures whose metric has to be evaluated, as indices."""
        return indices[:0]

    @abstractmethod
    def _compute(self, metric: str, indices: Indices) -> Values:
        """Return one metric of architectures, ``(n,)`` indices -> ``(n,)`` float64."""

    def identity(self) -> dict[str, Any]:
        """Return the text that names the evaluator."""
        return {"evaluator": self.text or self.name}

    def default_columns(self, dataset: str) -> tuple[str, str]:
        """Return validation accuracy as the signal and test accuracy as the report."""
        return "valid_accuracy", "test_accuracy"


def parameter_count(
    build: Callable[..., Network], settings: dict[str, Any], genotype: Any
) -> float:
    """Return the number of parameters of an architecture's network, in millions.

    The auxiliary head is not counted, because it only helps training.

    Args:
        build: Network class.
        settings: Arguments of the network class, without the genotype.
        genotype: Architecture, ``(num_decisions,)``.
    """
    import torch

    with torch.device("meta"):
        network = build(**settings, genotype=genotype)
    named = network.named_parameters()
    return sum(each.numel() for name, each in named if not name.startswith("auxiliary.")) / 1e6


def image_metrics(weights: str) -> dict[str, Metric]:
    """Return the metrics of a network on images, by name.

    Args:
        weights: Origin of the weights, as the descriptions of the metrics name it.
    """
    metrics = (
        Metric("valid_accuracy", "%", True, f"on validation images, {weights}", "seconds"),
        Metric("test_accuracy", "%", True, f"on test images, {weights}", "seconds"),
        Metric(
            "valid_loss", "", False, f"cross entropy on validation images, {weights}", "seconds"
        ),
        Metric("params", "M", False, "parameters of the network"),
        Metric("seconds", "s", False, "spent on the evaluation"),
    )
    return {metric.name: metric for metric in metrics}
