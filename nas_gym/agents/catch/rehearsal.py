"""Rehearsal of earlier tasks in meta-training, an addition to CATCH.

Without it, the encoder and the evaluator forget earlier tasks. In each step, some of the
(architecture, reward) pairs of an earlier task serve as the context, and the evaluator is trained
to predict the rewards of all its pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.random_streams import RandomStreams

Rehearsal = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]


def draw_rehearsal(
    past: NDArray[np.int64], past_rewards: NDArray[np.float64], rng: RandomStreams
) -> Rehearsal:
    """For each trial, draw one of its earlier tasks, and choose which of that task's pairs form
    the context.

    Args:
        past: Indices of the architectures that each of ``n`` trials queried on its earlier tasks,
            ``(n, tasks, queries)``.
        past_rewards: Rewards of ``past``, ``(n, tasks, queries)``.
        rng: Random number generator.

    Returns:
        Indices of the architectures, their rewards, and a mask that is true for pairs in the
        context; each ``(n, queries)``.
    """
    trials, tasks, queries = past.shape
    draws = rng.random((trials, 2 + queries))
    task = (draws[:, 0] * tasks).astype(np.int64)
    size = 1 + (draws[:, 1] * queries).astype(np.int64)
    in_context = draws[:, 2:].argsort(axis=1).argsort(axis=1) < size[:, None]
    rows = np.arange(trials)
    return past[rows, task], past_rewards[rows, task], in_context
