"""Adaptation of a network to few-shot tasks by a few SGD steps (AT-NAS paper, Eq. 4).

Tasks are adapted one after another. This loop takes 1.07 to 1.19 times as long as the forward and
backward passes alone. Narrow networks for small images, in which the overhead of function calls
dominates, are evaluated on several tasks at once; see :mod:`nas_gym.networks.few_shot.stacked`.
Meta-training keeps the loop: its gradients must not depend on how many tasks a process has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas_gym.networks.few_shot.stacked import (
    is_faster_stacked,
    stacked_logits,
    stacked_weights,
)
from nas_gym.utils.errors import DivergedError

if TYPE_CHECKING:
    from nas_gym.networks.data.few_shot import FewShotBatch

Weights = dict[str, Tensor]
"""Parameters of a network by their names; only those that an architecture uses."""

_TASKS_AT_ONCE = 20  # limits memory


def adaptation_accuracies(
    network: nn.Module, genotype: Any, batch: FewShotBatch, steps: int, learning_rate: float
) -> Tensor:
    """Return the accuracy on each task's query set after SGD on its support set (Eq. 4).

    Every task starts from the network's weights, which stay unchanged. Batch norms use the
    statistics of each batch, as in MAML.

    Args:
        network: Network without running batch-norm statistics; see
            :func:`nas_gym.networks.evaluation.use_batch_statistics`.
        genotype: Architecture, ``(num_decisions,)``; ``None`` for the network of one architecture.
        batch: Tasks on the network's device.
        steps: SGD steps on the support set.
        learning_rate: Learning rate of these steps.

    Returns:
        Accuracies in %, ``(tasks,)`` float32, on the CPU.

    Raises:
        DivergedError: If logits become NaN or infinite.
    """
    adapt = _stacked_query_logits if is_faster_stacked(network, batch) else _query_logits
    found = []
    for start in range(0, len(batch), _TASKS_AT_ONCE):
        part = batch.part(start, start + _TASKS_AT_ONCE)
        logits = adapt(network, genotype, part, steps, learning_rate)
        if not torch.isfinite(logits).all():
            raise DivergedError(
                f"An adaptation with {steps} steps diverged. Lower its learning rate "
                f"({learning_rate:g})."
            )
        found.append((logits.argmax(dim=2) == part.query_labels).float().mean(dim=1).cpu())
    return 100 * torch.cat(found)


def _query_logits(
    network: nn.Module, genotype: Any, batch: FewShotBatch, steps: int, learning_rate: float
) -> Tensor:
    """Return logits for the query images after adaptation, ``(tasks, n, ways)``."""
    logits = []
    for images, labels, queries in zip(
        batch.support_images, batch.support_labels, batch.query_images, strict=True
    ):
        weights = adapted_weights(network, genotype, images, labels, steps, learning_rate)
        with torch.no_grad():
            logits.append(functional_call(network, weights, (queries, genotype)))
    return torch.stack(logits)


def _stacked_query_logits(
    network: nn.Module, genotype: Any, batch: FewShotBatch, steps: int, learning_rate: float
) -> Tensor:
    """Return the same as :func:`_query_logits`, computed for all tasks at once."""
    weights = stacked_weights(network, genotype, batch, steps, learning_rate)
    with torch.no_grad():
        return stacked_logits(network, genotype, weights, batch.query_images)


def adapted_weights(
    network: nn.Module,
    genotype: Any,
    images: Tensor,
    labels: Tensor,
    steps: int,
    learning_rate: float,
    second_order: bool = False,
) -> Weights:
    """Return the weights after SGD steps on one task's images.

    Args:
        network: Network as in :func:`adaptation_accuracies`.
        genotype: Architecture as in :func:`adaptation_accuracies`.
        images: Images of the task, ``(n, channels, height, width)``.
        labels: Class numbers, ``(n,)`` int64.
        steps: SGD steps; with 0, the weights are those of the network.
        learning_rate: Learning rate of these steps.
        second_order: Whether the result is differentiable with respect to the network's parameters
            through all steps. Otherwise, the result consists of new leaf tensors that require
            gradients.
    """
    weights: Weights = dict(network.named_parameters())
    for step in range(steps):
        if step:
            logits = functional_call(network, weights, (images, genotype))
        else:  # functional_call would replace all parameters of a supernet
            logits = network(images, genotype)
        loss = nn.functional.cross_entropy(logits, labels)
        gradients = torch.autograd.grad(
            loss, list(weights.values()), allow_unused=True, create_graph=second_order
        )
        pairs = zip(weights.items(), gradients, strict=True)
        moved = {
            name: weight - learning_rate * gradient
            for (name, weight), gradient in pairs
            if gradient is not None
        }
        weights = moved if second_order else detached(moved)
    return weights


def detached(weights: Weights) -> Weights:
    """Return the same values as new leaf tensors that require gradients."""
    return {name: weight.detach().requires_grad_() for name, weight in weights.items()}


def query_gradients(
    network: nn.Module,
    genotype: Any,
    weights: Weights,
    images: Tensor,
    labels: Tensor,
    wrt: Weights,
) -> tuple[Tensor, Weights]:
    """Return the loss on a query set, and its gradients.

    Args:
        network: Network as in :func:`adaptation_accuracies`.
        genotype: Architecture as in :func:`adaptation_accuracies`.
        weights: Adapted weights, as :func:`adapted_weights` returns them.
        images: Query images, ``(n, channels, height, width)``.
        labels: Class numbers, ``(n,)`` int64.
        wrt: Tensors to differentiate with respect to: the adapted weights for the first order, or
            the network's parameters for the second order.

    Returns:
        Loss, a scalar; and gradients of the tensors on which the loss depends, by name.
    """
    logits = functional_call(network, weights, (images, genotype))
    loss = nn.functional.cross_entropy(logits, labels)
    gradients = torch.autograd.grad(loss, list(wrt.values()), allow_unused=True)
    pairs = zip(wrt, gradients, strict=True)
    return loss.detach(), {name: each for name, each in pairs if each is not None}
