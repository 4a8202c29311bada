"""Gumbel noise, and one architecture that is drawn with it (GDAS; Dong and Yang, CVPR 2019)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_gym.networks.network import Network


def gumbel_noise(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    """Return independent noise with the standard Gumbel distribution, on the CPU."""
    uniform = torch.rand(shape, generator=generator).clamp(1e-10, 1 - 1e-7)
    return -torch.log(-torch.log(uniform))


def straight_through_path(
    network: Network, alpha_logits: Tensor, noise: Tensor, temperature: float
) -> tuple[NDArray[np.int64], Tensor]:
    """Draw one architecture, with factors that carry the gradient of a softmax to alpha.

    Args:
        network: Supernet.
        alpha_logits: Logits of the operations of each edge, ``(edges, operations)``.
        noise: Gumbel noise, in the same shape.
        temperature: Temperature of the softmax.

    Returns:
        The genotype, ``(num_decisions,)``, and factors for the outputs of the operations, in the
        shape ``scales_shape``. All factors are 1; they carry the gradient of the softmax.
    """
    noisy = alpha_logits.log_softmax(dim=-1) + noise.to(alpha_logits.device)
    soft = (noisy / temperature).softmax(dim=-1).flatten()
    # discretize the noisy logits: at low temperature, ``soft`` is exactly 1 on many edges
    genotype = network.space.alpha_to_genotype(noisy.detach().flatten().cpu().numpy())
    chosen = torch.from_numpy(network.space.genotype_to_alpha(genotype)[0] > 0)
    straight_through = 1.0 - soft.detach() + soft  # value 1, gradient of the softmax
    scales = straight_through[chosen.to(soft.device)].reshape(network.scales_shape)
    return genotype[0], scales
