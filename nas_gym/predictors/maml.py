"""Model-agnostic meta-learning of a predictor: MAML, ANIL and BOIL, first or second order.

Equation numbers refer to the MP-NAS paper (Loya et al., NeurIPS 2023), section 3.2. The inner loop
adapts the parameters to the support set of a task (Eq. 4; Eq. 6 for BOIL). The outer loop improves
the initial parameters by the loss on the query set after adaptation (Eq. 5; Eq. 7 for BOIL).

The paper uses the squared error (Eq. 1). Here, predictions and labels are standardized first, so
the loss is one minus the correlation of predictions and labels. A ranking does not need the scale
of a task, and a few labels do not determine the scale. With the plain squared error, the first
steps mostly shift all predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from nas_gym.predictors.config import ALGORITHMS

Parameters = Mapping[str, Tensor]
"""Parameters of a network by name."""

_MIN_VARIANCE = 1e-3  # added to the variance; avoids a division by zero for equal values


def correlation_loss(predicted: Tensor, labels: Tensor) -> Tensor:
    """Return one minus the correlation of predictions and labels, ``(n,)`` each.

    The loss is half the mean squared error of the standardized values.
    """
    return torch.square(_standardized(predicted) - _standardized(labels)).mean() / 2


def _standardized(values: Tensor) -> Tensor:
    centered = values - values.mean()
    return centered / torch.sqrt(torch.square(centered).mean() + _MIN_VARIANCE)


def adapt(
    model: nn.Module,
    parameters: Parameters,
    support: tuple[Tensor, ...],
    *,
    algorithm: str,
    learning_rate: float,
    steps: int,
    first_order: bool = False,
) -> dict[str, Tensor]:
    """Run the inner loop: return the parameters after SGD steps on a support set.

    These are Eq. 4 and 6 of the MP-NAS paper.

    Args:
        model: Network, called with all tensors of ``support`` except the last.
        parameters: Initial parameters by name.
        support: Inputs of the model, then labels; ``(k, ...)`` each.
        algorithm: Key of :data:`ALGORITHMS`.
        learning_rate: Learning rate of SGD.
        steps: Number of SGD steps.
        first_order: Whether the outer loop treats the gradients of these steps as constants.
    """
    adapted = {name: each for name, each in parameters.items() if _changes(algorithm, name)}
    fixed = {name: each for name, each in parameters.items() if name not in adapted}
    for _ in range(steps):
        gradients = grad(partial(_loss, model, pairs=support))(adapted, fixed=fixed)
        if first_order:
            gradients = {name: gradient.detach() for name, gradient in gradients.items()}
        adapted = {name: each - learning_rate * gradients[name] for name, each in adapted.items()}
    return {name: adapted.get(name, each) for name, each in parameters.items()}


def meta_loss(
    model: nn.Module,
    parameters: Parameters,
    support: tuple[Tensor, ...],
    query: tuple[Tensor, ...],
    *,
    algorithm: str,
    learning_rate: float,
    steps: int,
    first_order: bool = False,
) -> Tensor:
    """Return the outer loop's loss: the mean query loss after adaptation to each task.

    These are Eq. 5 and 7 of the MP-NAS paper.

    Args:
        model: Network, called with all tensors of ``support`` except the last.
        parameters: Initial parameters by name.
        support: Inputs and labels of the support sets, ``(tasks, k, ...)`` each.
        query: Inputs and labels of the query sets, ``(tasks, q, ...)`` each.
        algorithm: Key of :data:`ALGORITHMS`.
        learning_rate: Learning rate of the inner loop.
        steps: SGD steps of the inner loop.
        first_order: Whether to treat the inner loop's gradients as constants.
    """

    def task_loss(support: tuple[Tensor, ...], query: tuple[Tensor, ...]) -> Tensor:
        adapted = adapt(
            model,
            parameters,
            support,
            algorithm=algorithm,
            learning_rate=learning_rate,
            steps=steps,
            first_order=first_order,
        )
        return _loss(model, adapted, pairs=query, fixed={})

    losses: Tensor = vmap(task_loss, randomness="different")(support, query)
    return losses.mean()


def _changes(algorithm: str, name: str) -> bool:
    return name.startswith(ALGORITHMS[algorithm])


def _loss(
    model: nn.Module, adapted: Parameters, *, pairs: tuple[Tensor, ...], fixed: Parameters
) -> Tensor:
    *inputs, labels = pairs
    predicted = functional_call(model, {**adapted, **fixed}, tuple(inputs))
    return correlation_loss(predicted, labels)
