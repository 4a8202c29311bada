"""Fine-tune a predictor; cross-validation on the shots chooses the number of SGD steps.

This is meta-testing with fine-tuning in section 3.2 of the MP-NAS paper (Loya et al., NeurIPS
2023).
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, vmap

from nas_gym.predictors.maml import Parameters, adapt
from nas_gym.utils.ranks import spearman

STEP_CHOICES = (5, 10, 20, 50, 100)
"""Numbers of SGD steps from which cross-validation chooses."""

_MAX_FOLDS = 5
_RATE_FACTOR = 0.5
"""Learning rate of fine-tuning, relative to the inner loop's."""


def fine_tune(
    model: nn.Module,
    parameters: Parameters,
    shots: tuple[Tensor, ...],
    *,
    algorithm: str,
    learning_rate: float,
) -> tuple[dict[str, Tensor], int]:
    """Return parameters adapted to a few labelled architectures, and the number of SGD steps.

    Cross-validation chooses the number of steps from :data:`STEP_CHOICES`: the one with the highest
    Spearman correlation between predictions and labels of held-out shots; ties go to fewer steps.

    Args:
        model: Network, called with all tensors of ``shots`` except the last.
        parameters: Initial parameters by name.
        shots: Inputs of the model, then labels; ``(k, ...)`` each.
        algorithm: Key of :data:`~nas_gym.predictors.config.ALGORITHMS`.
        learning_rate: Learning rate of the inner loop; fine-tuning uses half of this value.
    """
    step = partial(adapt, model, algorithm=algorithm, learning_rate=_RATE_FACTOR * learning_rate)
    steps = _choose_steps(model, parameters, shots, step)
    with torch.no_grad():
        return step(parameters=parameters, support=shots, steps=steps), steps


def _choose_steps(
    model: nn.Module,
    parameters: Parameters,
    shots: tuple[Tensor, ...],
    step: partial[dict[str, Tensor]],
) -> int:
    train_rows, held_out_rows = cross_validation_folds(len(shots[-1]))
    if not held_out_rows.size:
        return STEP_CHOICES[0]

    def predict_held_out(support: tuple[Tensor, ...], inputs: tuple[Tensor, ...]) -> Tensor:
        """Return predictions for one fold after each number of steps, ``(choices, size)``."""
        adapted, done, found = parameters, 0, []
        for steps in STEP_CHOICES:
            adapted = step(parameters=adapted, support=support, steps=steps - done)
            done = steps
            found.append(functional_call(model, adapted, inputs))
        return torch.stack(found)

    with torch.no_grad():
        predicted = vmap(predict_held_out)(
            tuple(each[train_rows] for each in shots),
            tuple(each[held_out_rows] for each in shots[:-1]),
        )
    labels = shots[-1][held_out_rows].reshape(-1).numpy()
    scores = [spearman(each, labels) for each in predicted.transpose(0, 1).flatten(1).numpy()]
    return STEP_CHOICES[int(np.argmax(scores))]


def cross_validation_folds(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows that each fold trains on and holds out.

    All folds hold out the same number of rows. The remainder of the division is never held out.

    Args:
        count: Number of rows.

    Returns:
        Training rows, ``(folds, count - size)``, and held-out rows, ``(folds, size)``.
    """
    folds = min(_MAX_FOLDS, count)
    size = count // folds if count > 1 else 0
    held_out = np.arange(folds * size).reshape(size, folds).T
    everything = np.arange(count)
    train = [np.setdiff1d(everything, each) for each in held_out]
    return np.array(train, np.int64), held_out
