"""From a meta-learned predictor to one of a task: steps of SGD, as many as its few labels suggest.

MP-NAS (Loya et al., NeurIPS 2023), section 3.2, meta-testing with fine-tuning.
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
"""Of the inner loop, to choose from."""

_FOLDS = 5
_LOWERED = 0.5
"""The learning rate, beside that of the inner loop: more steps of a smaller size."""


def fine_tune(
    model: nn.Module,
    parameters: Parameters,
    shots: tuple[Tensor, ...],
    *,
    algorithm: str,
    learning_rate: float,
) -> tuple[dict[str, Tensor], int]:
    """Parameters adapted to labelled architectures, and after how many steps.

    The number of steps is that of :data:`STEP_CHOICES` whose predictions of shots left out have the
    highest Spearman correlation with their labels; the least of those that are equal. Nothing but
    the shots is looked at.

    Args:
        model: what is called with all of ``shots`` but their last, the labels.
        parameters: where the steps begin.
        shots: inputs and labels, ``(k, ...)`` each.
        algorithm: of :data:`~nas_gym.predictors.maml.ALGORITHMS`.
        learning_rate: of the inner loop; it is halved here.
    """
    step = partial(adapt, model, algorithm=algorithm, learning_rate=_LOWERED * learning_rate)
    steps = _choose_steps(model, parameters, shots, step)
    with torch.no_grad():
        return step(parameters=parameters, support=shots, steps=steps), steps


def _choose_steps(
    model: nn.Module,
    parameters: Parameters,
    shots: tuple[Tensor, ...],
    step: partial[dict[str, Tensor]],
) -> int:
    learned, left_out = _folds(len(shots[-1]))
    if not left_out.size:
        return STEP_CHOICES[0]

    def predictions(support: tuple[Tensor, ...], inputs: tuple[Tensor, ...]) -> Tensor:
        """Of what was left out, after each of the steps."""
        adapted, done, found = parameters, 0, []
        for steps in STEP_CHOICES:
            adapted = step(parameters=adapted, support=support, steps=steps - done)
            done = steps
            found.append(functional_call(model, adapted, inputs))
        return torch.stack(found)

    with torch.no_grad():
        found = vmap(predictions)(
            tuple(each[learned] for each in shots), tuple(each[left_out] for each in shots[:-1])
        )
    labels = shots[-1][left_out].reshape(-1).numpy()
    scores = [spearman(each, labels) for each in found.transpose(0, 1).flatten(1).numpy()]
    return STEP_CHOICES[int(np.argmax(scores))]


def _folds(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which shots each fold learns from, and which it leaves out, as many in each.

    Shots beyond a multiple of the number of folds are learned from by all.
    """
    folds = min(_FOLDS, count)
    size = count // folds if count > 1 else 0
    left_out = np.arange(folds * size).reshape(size, folds).T
    everything = np.arange(count)
    learned = [np.setdiff1d(everything, each) for each in left_out]
    return np.array(learned, np.int64), left_out
