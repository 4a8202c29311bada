"""Rehearsal of earlier tasks in meta-training, an addition to CATCH.

Without it, encoder and evaluator forget earlier tasks. Part of an earlier task's pairs of
architecture and reward are the context, and the evaluator predicts all of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.random_streams import RandomStreams

Rehearsal = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]


def draw_rehearsal(
    past: NDArray[np.int64], past_rewards: NDArray[np.float64], rng: RandomStreams
) -> Rehearsal:
    """Draw an earlier task for each trial, and the part of its pairs that is the context.

    Args:
        past: Architectures that each trial queried on its earlier tasks, ``(n, tasks, queries)``.
        past_rewards: Their rewards, of the same shape.
        rng: Random number generator.

    Returns:
        Architectures ``(n, queries)``, their rewards, and which of the pairs are in the context.
    """
    trials, tasks, queries = past.shape
    draws = rng.random((trials, 2 + queries))
    task = (draws[:, 0] * tasks).astype(np.int64)
    size = 1 + (draws[:, 1] * queries).astype(np.int64)
    in_context = draws[:, 2:].argsort(axis=1).argsort(axis=1) < size[:, None]
    rows = np.arange(trials)
    return past[rows, task], past_rewards[rows, task], in_context
