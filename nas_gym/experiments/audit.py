"""How well cheap signals rank architectures: predictors, short training, other data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nas_gym.envs.base import make_task
from nas_gym.evaluators.rank_correlation import kendall, precision_at, spearman
from nas_gym.task_sets import arguments_of
from nas_gym.tasks import Task

BEST = (10, 100)
"""Of precision: the share of a signal's best that are among the truly best."""


def audit(env: str, signals: Sequence[str], arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare signals with what an environment reports, over its whole search space.

    Args:
        env: its ID.
        signals: as of an environment: ``"metric"``, ``"table:metric"``, ``"predictor:FILE"`` or a
            mixture.
        arguments: further ones of the environment, such as ``table`` and ``report``.

    Returns:
        for each signal its name, ``spearman`` and ``kendall`` (tau-b) correlation with the report
        (less being better turned around in both), ``precision_at_10`` and ``_100``, and the
        ``report`` and ``regret`` of the architecture that it ranks first.

    Raises:
        KeyError, ValueError: a signal that the environment could not take.
    """
    own = arguments_of(env)
    tasks = (make_task(**{**own, **arguments, "signal": signal}) for signal in signals)
    return [_row(signal, task) for signal, task in zip(signals, tasks, strict=True)]


def _row(signal: str, task: Task) -> dict[str, Any]:
    everything = np.arange(task.space.size)
    truth, scores = -task.regret(everything), task.rewards
    first = np.array([scores.argmax()])
    precision = {
        f"precision_at_{k}": precision_at(k, scores, truth) for k in BEST if k <= len(truth)
    }
    return {
        "signal": signal,
        "spearman": spearman(scores, truth),
        "kendall": kendall(scores, truth),
        **precision,
        "report": float(task.reported(first)[0]),
        "regret": float(task.regret(first)[0]),
    }
