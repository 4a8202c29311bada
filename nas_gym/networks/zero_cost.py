"""Zero-cost proxies: scores of networks with random weights that need no training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode


def naswot(network: nn.Module, images: Tensor) -> float:
    """Return how differently the activations of a network respond to different images.

    The score is log det(K + I), where entry (i, j) of K counts the outputs of activation functions
    that are positive for both images i and j, or for none of them (Mellor et al., *Neural
    Architecture Search without Training*, ICML 2021, Eq. 2). The identity matrix I keeps the score
    finite for networks that respond to all images alike. Batch norms use the statistics of the
    images.

    Args:
        network: Network with initial weights, and ReLU or SiLU as activation functions.
        images: Batch of normalized images, ``(batch, channels, height, width)`` float32.
    """
    responses = _Responses(len(images), images.device)
    with torch.no_grad(), responses:
        network.train()(images)
    return float(torch.linalg.slogdet(responses.kernel).logabsdet)


class _Responses(TorchFunctionMode):
    """Counts equal responses of activation functions to each pair of images."""

    def __init__(self, count: int, device: torch.device) -> None:
        super().__init__()
        self.kernel = torch.eye(count, dtype=torch.float64, device=device)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        outputs = func(*args, **(kwargs or {}))
        if func in (functional.relu, functional.silu):
            active = (outputs > 0).flatten(1).float()
            idle = 1 - active
            self.kernel += (active @ active.T + idle @ idle.T).double()
        return outputs


def synflow(network: nn.Module, images: Tensor) -> float:
    """Return the logarithm of the synaptic flow of a network.

    The flow is the sum over all weights w of w · dR/dw, where R is the sum of the network's outputs
    for an image of ones, and every weight is replaced with its absolute value (Tanaka et al.,
    *Pruning neural networks without any data by iteratively conserving synaptic flow*, NeurIPS
    2020, Eq. 2; as a proxy: Abdelfattah et al., ICLR 2021). Batch norms keep their initial
    statistics, so they change nothing.

    Args:
        network: Network with initial weights; it is changed.
        images: Batch of images; only their shape is used.
    """
    network.eval().double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    ones = torch.ones_like(images[:1], dtype=torch.float64)
    parameters = [each for each in network.parameters() if each.requires_grad]
    gradients = torch.autograd.grad(network(ones).sum(), parameters, allow_unused=True)
    flow = sum(
        float((weight.detach() * gradient).sum())
        for weight, gradient in zip(parameters, gradients, strict=True)
        if gradient is not None
    )
    return float(torch.log1p(torch.tensor(flow, dtype=torch.float64)))


PROXIES = {"naswot": naswot, "synflow": synflow}
"""Zero-cost proxies by name."""
