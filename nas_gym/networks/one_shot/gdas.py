"""GDAS, gradient-based search with a differentiable architecture sampler (Dong and Yang, CVPR
2019)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nas_gym.networks.gumbel import gumbel_noise, straight_through_path
from nas_gym.networks.one_shot.base import Genotype
from nas_gym.networks.one_shot.differentiable import DifferentiableSearch


class GDASSearch(DifferentiableSearch):
    """Search in which each batch trains one architecture, drawn with Gumbel noise.

    The gradient reaches alpha through a softmax whose temperature falls from 10 to 0.1. In the
    space of DARTS, an architecture is drawn by discretizing the noisy alpha, so each node has two
    edges, as in the final cells; the published code of GDAS keeps all edges.
    """

    temperatures: ClassVar[tuple[float, float]] = (10.0, 0.1)
    """Temperature of the softmax in the first and the last epoch."""

    def fix_architecture(self, genotype: Genotype) -> None:
        """Set alpha so that every batch draws one architecture."""
        alpha = torch.from_numpy(self.space.genotype_to_alpha(genotype[None])[0])
        with torch.no_grad():  # 100 exceeds the Gumbel noise by far
            self.alpha_logits.copy_(100 * (alpha > 0).reshape(self.alpha_logits.shape))

    def sample(self) -> tuple[Genotype, Tensor]:
        """Draw an architecture from the current alpha.

        Returns:
            The genotype, ``(num_decisions,)``, and factors for the outputs of the operations, in
            the shape ``scales_shape``. All factors are 1; they carry the gradient of the softmax.
        """
        first, last = self.temperatures
        progress = min(self.epoch / max(self.config.epochs - 1, 1), 1.0)
        temperature = first + (last - first) * progress
        noise = gumbel_noise(self.alpha_logits.shape, self._generator)
        return straight_through_path(self.network, self.alpha_logits, noise, temperature)

    def alpha_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a drawn architecture, as a function of alpha."""
        genotype, scales = self.sample()
        return nn.functional.cross_entropy(self.network(images, genotype, scales), labels)

    def loss(self, images: Tensor, labels: Tensor, genotype: Any) -> Tensor:
        """Return the loss of a drawn architecture, with alpha as a constant."""
        with torch.no_grad():
            genotype, scales = self.sample()
        return nn.functional.cross_entropy(self.network(images, genotype, scales), labels)
