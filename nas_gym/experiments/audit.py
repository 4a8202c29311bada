"""How well cheap signals rank architectures: predictors, short training, supernets, other data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.evaluators.named import is_network_evaluator, network_evaluator
from nas_gym.tasks import Task, make_task, task_arguments
from nas_gym.utils.ranks import kendall, precision_at, spearman

BEST = (10, 100)
"""Of precision: the share of a signal's best that are among the truly best."""

SAMPLE = 200
"""Architectures that are looked at where a signal is to be computed for each."""

Indices = NDArray[np.int64]
Values = NDArray[np.float64]


def audit(
    env: str,
    signals: Sequence[str],
    arguments: dict[str, Any],
    *,
    sample: int | None = None,
    seed: int = 0,
    supernet: str | None = None,
    device: str = "auto",
) -> list[dict[str, Any]]:
    """Compare signals with what an environment reports.

    Args:
        env: its ID.
        signals: as of an environment: ``"metric"``, ``"table:metric"``, ``"predictor:FILE"`` or a
            mixture; or validation accuracy by ``"supernet"`` or ``"training(epochs=12)"``
            (:func:`nas_gym.make_task`), on the images of the environment's data set.
        arguments: further ones of the environment, such as ``table`` and ``report``.
        sample: how many architectures are compared, drawn at random; all of the search space by
            default, or :data:`SAMPLE` where one of the signals is computed by networks.
        seed: of what is drawn.
        supernet: the file of the supernet; that of the cache by default.
        device: where networks are computed.

    Returns:
        for each signal its name, the number of ``architectures``, ``spearman`` and ``kendall``
        (tau-b) correlation with the report (less being better turned around in both),
        ``precision_at_10`` and ``_100``, and the ``report`` and ``regret`` of the architecture that
        it ranks first.

    Raises:
        KeyError, ValueError: a signal that the environment could not take.
    """
    own = {**task_arguments(env), **arguments}
    plain = make_task(**own)
    if sample is None and any(map(is_network_evaluator, signals)):
        sample = SAMPLE
    indices = _drawn(plain.space.size, sample, seed)

    def scores(signal: str) -> Values:
        if not is_network_evaluator(signal):
            return make_task(**{**own, "signal": signal}).reward(indices)
        evaluator = network_evaluator(
            plain.space.name,
            plain.dataset,
            signal,
            supernet if signal.startswith("supernet") else None,
            device,
        )
        return evaluator.values("valid_accuracy", plain.space.decode(indices))

    return [_row(signal, scores(signal), plain, indices) for signal in signals]


def _drawn(size: int, sample: int | None, seed: int) -> Indices:
    if sample is None or sample >= size:
        return np.arange(size)
    if sample < 2:
        raise ValueError(f"At least two architectures can be ranked, got sample={sample}.")
    return np.random.default_rng(seed).choice(size, sample, replace=False)


def _row(signal: str, scores: Values, task: Task, indices: Indices) -> dict[str, Any]:
    truth = -task.regret(indices)
    first = indices[[scores.argmax()]]
    precision = {
        f"precision_at_{k}": precision_at(k, scores, truth) for k in BEST if k <= len(truth)
    }
    return {
        "signal": signal,
        "architectures": len(indices),
        "spearman": spearman(scores, truth),
        "kendall": kendall(scores, truth),
        **precision,
        "report": float(task.reported(first)[0]),
        "regret": float(task.regret(first)[0]),
    }
