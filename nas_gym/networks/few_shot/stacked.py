"""Adaptation to several tasks at once, with ``torch.func.vmap``.

Convolutions with weights of their own for each task become grouped convolutions. Measured on one
CPU core with NAS-Bench-201 cells and 8 channels, this takes about half the time of a loop over
tasks for images of 14x14 pixels, about as long for 28x28 pixels, and longer for DARTS cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

if TYPE_CHECKING:
    from nas_gym.networks.data.few_shot import FewShotBatch
    from nas_gym.networks.few_shot.adaptation import Weights

_MOST_PIXELS = 16 * 16  # of an image; a loop is faster for larger ones
_MOST_CHANNELS = 16  # of the first convolution; a loop is faster for wider networks


def is_faster_stacked(network: nn.Module, batch: FewShotBatch) -> bool:
    """Return whether adapting to all tasks at once is faster than one after another."""
    height, width = batch.support_images.shape[-2:]
    channels = len(next(network.parameters()))
    return len(batch) > 1 and height * width <= _MOST_PIXELS and channels <= _MOST_CHANNELS


def stacked_logits(network: nn.Module, genotype: Any, weights: Weights, images: Tensor) -> Tensor:
    """Return the logits of each task's network for its own images, ``(tasks, n, ways)``.

    Args:
        network: Network without running batch-norm statistics.
        genotype: Architecture, ``(num_decisions,)``; ``None`` for the network of one architecture.
        weights: Weights of each task by name, ``(tasks, ...)``.
        images: Images of each task, ``(tasks, n, channels, height, width)``.
    """
    logits: Tensor = vmap(lambda own, inputs: functional_call(network, own, (inputs, genotype)))(
        weights, images
    )
    return logits


def stacked_weights(
    network: nn.Module, genotype: Any, batch: FewShotBatch, steps: int, learning_rate: float
) -> Weights:
    """Return the weights after SGD steps on each task's support set, ``(tasks, ...)`` by name.

    With at least one step, only those that the architecture uses.
    """
    weights: Weights = {
        name: each.detach().expand(len(batch), *each.shape).clone().requires_grad_()
        for name, each in network.named_parameters()
    }
    for _ in range(steps):
        logits = stacked_logits(network, genotype, weights, batch.support_images)
        labels = batch.support_labels
        loss = (
            nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
            / labels.shape[1]
        )  # the sum over tasks of their mean losses
        gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        weights = {
            name: (weight.detach() - learning_rate * gradient).requires_grad_()
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
            if gradient is not None
        }
    return weights
