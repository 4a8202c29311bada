"""Model-agnostic meta-learning of a predictor: MAML, ANIL and BOIL, of first order or second.

MP-NAS (Loya et al., NeurIPS 2023), section 3.2: the inner loop takes the parameters to a task with
a few of its architectures (Eq. 4; Eq. 6 for BOIL), the outer loop moves where it begins (Eq. 5, 7).

Where the paper has the squared error (Eq. 1), both predictions and labels are standardized first,
so that it is one minus their correlation. A task's scale is not known from a few labels, and a
ranking does not need it; with the plain error, the first steps go into shifting all predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from nas_gym.predictors.config import ALGORITHMS

Parameters = Mapping[str, Tensor]

_LEAST_VARIANCE = 1e-3


def correlation_loss(predicted: Tensor, labels: Tensor) -> Tensor:
    """Half the mean squared error of standardized ``(n,)`` predictions and labels: one minus their
    correlation."""
    return torch.square(_standardized(predicted) - _standardized(labels)).mean() / 2


def _standardized(values: Tensor) -> Tensor:
    centered = values - values.mean()
    return centered / torch.sqrt(torch.square(centered).mean() + _LEAST_VARIANCE)


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
    """The inner loop: parameters after some steps of SGD on a task's support set.

    Args:
        model: what is called with all of ``support`` but its last, the labels.
        parameters: where the steps begin, by name.
        support: inputs and labels, ``(k, ...)`` each.
        algorithm: of :data:`ALGORITHMS`.
        learning_rate: of the steps.
        steps: how many.
        first_order: whether the outer loop takes the steps' gradients for constants.
    """
    own = {name: each for name, each in parameters.items() if _changes(algorithm, name)}
    fixed = {name: each for name, each in parameters.items() if name not in own}
    for _ in range(steps):
        slopes = grad(partial(_loss, model, pairs=support))(own, fixed=fixed)
        if first_order:
            slopes = {name: slope.detach() for name, slope in slopes.items()}
        own = {name: each - learning_rate * slopes[name] for name, each in own.items()}
    return {name: own.get(name, each) for name, each in parameters.items()}


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
    """The outer loop's loss: on the query sets of tasks, after adapting to their support sets.

    Args:
        model, parameters, algorithm, learning_rate, steps, first_order: as of :func:`adapt`.
        support: inputs and labels, ``(tasks, k, ...)`` each.
        query: those to be predicted afterwards, ``(tasks, q, ...)`` each.
    """

    def of_one(support: tuple[Tensor, ...], query: tuple[Tensor, ...]) -> Tensor:
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

    losses: Tensor = vmap(of_one, randomness="different")(support, query)
    return losses.mean()


def _changes(algorithm: str, name: str) -> bool:
    return name.startswith(ALGORITHMS[algorithm])


def _loss(
    model: nn.Module, own: Parameters, *, pairs: tuple[Tensor, ...], fixed: Parameters
) -> Tensor:
    *inputs, labels = pairs
    return correlation_loss(functional_call(model, {**own, **fixed}, tuple(inputs)), labels)
