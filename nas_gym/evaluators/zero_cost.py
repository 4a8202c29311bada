"""Evaluation of architectures by zero-cost proxies, without training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nas_gym.evaluators.base import Values
from nas_gym.evaluators.network import Indices, NetworkEvaluator
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.data import ImageData
from nas_gym.networks.device import move_to_device
from nas_gym.networks.plans import NetworkPlan
from nas_gym.networks.zero_cost import PROXIES
from nas_gym.tables import Metric

IMAGES = 64
"""Default number of images."""


class ZeroCostEvaluator(NetworkEvaluator):
    """Scores of networks with random weights, which rank architectures without training.

    Metrics: ``naswot`` and ``synflow``; higher is better. See :mod:`nas_gym.networks.zero_cost`.
    The values of different search spaces or network sizes cannot be compared.

    Args:
        plan: Plan of the networks; its training settings are not used.
        data: Images that the plan was made for.
        device: Device of the networks.
        images: Number of training images that the networks respond to.

    Raises:
        ValueError: If ``images`` is below 2.
    """

    name = "zero-cost"

    def __init__(
        self, plan: NetworkPlan, data: ImageData, device: torch.device, images: int = IMAGES
    ) -> None:
        if images < 2:
            raise ValueError(f"images is at least 2, got {images}.")
        self.plan, self.device = plan, device
        self.space = plan.search_space
        described = "of the network with random weights"
        self.metrics = {name: Metric(name, "", True, f"{name} {described}") for name in PROXIES}
        # images of one class may stand side by side
        rows = np.linspace(0, len(data.train) - 1, min(images, len(data.train))).astype(np.int64)
        train = DeviceImages.from_split(data, data.train.part(rows), device)
        self._images = train.normalized(train.images)
        self._scores: dict[tuple[str, int], float] = {}

    def _compute(self, metric: str, indices: Indices) -> Values:
        return np.array([self._score(metric, index) for index in indices.tolist()], np.float64)

    def _score(self, metric: str, index: int) -> float:
        key = (metric, index)
        if key not in self._scores:
            genotype = self.space.decode([index])[0]
            network = move_to_device(self.plan.build(genotype), self.device)
            self._scores[key] = PROXIES[metric](network, self._images)
        return self._scores[key]

    def default_columns(self, dataset: str) -> tuple[str, str]:
        """Return ``naswot`` as the signal and the report."""
        return "naswot", "naswot"

    def provenance(self) -> dict[str, Any]:
        """Return the plan of the networks and the number of images."""
        return {self.name: {"plan": self.plan.describe(), "images": len(self._images)}}
