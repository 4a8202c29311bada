"""Parameters and FLOPs of architectures, computed from genotypes without building networks."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from nas_gym.evaluators.base import COST, Evaluator, Genotypes, Values
from nas_gym.spaces import SearchSpace
from nas_gym.tables import Metric

IMAGES = {
    "cifar10": (10, 32),
    "cifar100": (100, 32),
    "ImageNet16-120": (120, 16),
    "ImageNet": (1000, 224),
}
"""Number of classes and size in pixels of the images of each data set."""

_METRICS = {
    "params": Metric("params", "M", False, "trainable parameters of the network"),
    "flops": Metric("flops", "M", False, "multiply-adds of the network for one image"),
}

_ENUMERATED = 2**20  # larger spaces are counted when architectures are asked for

_NETWORKS = {
    "NB201Space": ("nb201", "16 channels, 5 cells per stage"),
    "DARTSSpace": ("darts", "36 channels, 20 cells"),
    "MnasNetSpace": ("mnasnet", "32 channels in the first layer"),
}
"""Name in the counters' module and functions, and size of the networks, by class of space."""


def _find_counter(space: str, cost: str) -> Callable[..., Any]:
    # imported on use, because few tasks count
    counters = import_module(f"nas_gym.spaces.{space}_cost")
    counter: Callable[..., Any] = getattr(counters, f"count_{space}_{cost}")
    return counter


class CostEvaluator(Evaluator):
    """Parameters and FLOPs, in millions, of the networks that are trained from scratch.

    The networks are those of the benchmarks: 16 channels and 5 cells per stage for NAS-Bench-201,
    36 channels and 20 cells for DARTS (without its auxiliary head), 32 channels in the first layer
    for MnasNet.

    Args:
        space: Search space: NAS-Bench-201, DARTS or MnasNet.
        dataset: Data set, a key of :data:`IMAGES`.

    Raises:
        ValueError: If the networks of the search space or the images of the data set are unknown.
    """

    name = COST
    metrics = _METRICS
    space: SearchSpace
    is_fast = True

    def __init__(self, space: SearchSpace, dataset: str) -> None:
        kind = type(space)
        if kind.__name__ not in _NETWORKS or not kind.__module__.startswith("nas_gym.spaces."):
            raise ValueError(
                "Parameters and FLOPs are counted for the networks of NB201, DARTS and MnasNet, "
                f"not of {space.name}. Name a column of a table instead, such as TABLE:METRIC."
            )
        if dataset not in IMAGES:
            raise ValueError(
                "Parameters and FLOPs depend on the number of classes and the image size, which "
                f"are known for {', '.join(IMAGES)}; not for {dataset or 'a task without dataset='}"
                "."
            )
        self.space = space
        self._num_classes, self._image_size = IMAGES[dataset]
        name, self._network = _NETWORKS[kind.__name__]
        self._count_params = _find_counter(name, "parameters")
        self._count_flops = _find_counter(name, "flops")

    def evaluate(self, genotypes: Genotypes) -> dict[str, Values]:
        """See :meth:`Evaluator.evaluate`."""
        params = self._count_params(genotypes, self._num_classes)
        flops = self._count_flops(genotypes, self._num_classes, self._image_size)
        return {"params": params / 1e6, "flops": flops / 1e6}

    def values(self, metric: str, genotypes: Genotypes) -> Values:
        """See :meth:`Evaluator.values`."""
        return self.evaluate(genotypes)[metric]

    def column(self, metric: str) -> Values | None:
        """Return the metric of every architecture; ``None`` for spaces of more than a million."""
        if self.space.size > _ENUMERATED:
            return None
        return self.values(metric, self.space.decode(np.arange(self.space.size)))

    def provenance(self) -> dict[str, Any]:
        """Return the size of the networks and of the images."""
        images = {"classes": self._num_classes, "image_size": self._image_size}
        return {self.name: {"network": self._network, **images}}
