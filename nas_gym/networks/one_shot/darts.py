"""DARTS, first and second order (Liu, Simonyan and Yang, ICLR 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nas_gym.networks.device import without_tf32
from nas_gym.networks.one_shot.base import Batch
from nas_gym.networks.one_shot.differentiable import DifferentiableSearch


class DARTSSearch(DifferentiableSearch):
    """First-order DARTS: alpha and the weights both train on the mixture.

    The gradient of alpha treats the current weights as constants.
    """

    def loss(self, images: Tensor, labels: Tensor, genotype: Any) -> Tensor:
        """Return the loss of the mixture, with alpha as a constant."""
        logits = self.network.forward_mixed(images, self.alpha.detach())
        return nn.functional.cross_entropy(logits, labels)


class SecondOrderDARTSSearch(DARTSSearch):
    """Second-order DARTS: the gradient of alpha includes the next step of the weights.

    In the DARTS paper, Eq. 7 is the gradient through that step, and Eq. 8 approximates the
    Hessian-vector product in it by finite differences.
    """

    extra_weight_copies = 3  # initial weights, gradient of the training loss, validation gradient
    perturbation: ClassVar[float] = 0.01
    """Norm of the change of all weights in the finite difference (DARTS paper, Eq. 8)."""

    def _precision(self, device: torch.device) -> AbstractContextManager[object]:
        # the finite difference is between nearly equal weights, which bfloat16 cannot tell apart
        return nullcontext()

    def alpha_gradient(self, train: Batch, valid: Batch) -> Tensor:
        """Return the gradient of the validation loss after the next step of the weights (DARTS
        paper, Eq. 7)."""
        weights = [each for each in self.network.parameters() if each.requires_grad]
        rate = self.learning_rate
        with without_tf32(), _restored(weights) as initial:
            train_gradient = self._gradients(train, weights)
            _set_weights(weights, initial, self._sgd_steps(weights, train_gradient), -rate)
            gradient, *direction = self._gradients(valid, [self.alpha_logits, *weights])
            norm = float(torch.cat([each.flatten() for each in direction]).norm())
            epsilon = self.perturbation / max(norm, 1e-12)
            sides = []
            for scale in (epsilon, -epsilon):  # Eq. 8
                _set_weights(weights, initial, direction, scale)
                sides.append(self._gradients(train, [self.alpha_logits])[0])
        result: Tensor = gradient - rate * (sides[0] - sides[1]) / (2 * epsilon)
        return result

    def _sgd_steps(self, weights: list[Any], gradients: list[Tensor]) -> list[Tensor]:
        """Return the optimizer's steps at a learning rate of 1, without the Nesterov term."""
        steps = []
        for weight, gradient in zip(weights, gradients, strict=True):
            step = gradient + self.config.weight_decay * weight.detach()
            momentum = self._optimizer.state[weight].get("momentum_buffer")
            steps.append(step if momentum is None else step + self.config.momentum * momentum)
        return steps


@contextmanager
def _restored(weights: list[Any]) -> Iterator[list[Tensor]]:
    """Yield copies of the weights and restore them on exit, even after an out-of-memory error."""
    copies = [each.detach().clone() for each in weights]
    try:
        yield copies
    finally:
        _set_weights(weights, copies, copies, 0.0)


@torch.no_grad()
def _set_weights(
    weights: list[Any], start: list[Tensor], directions: list[Tensor], scale: float
) -> None:
    """Set the weights to ``start + scale * directions``."""
    for weight, before, direction in zip(weights, start, directions, strict=True):
        weight.copy_(before + scale * direction)
