"""Rank correlation of signals with a report: predictors, short training, supernets, tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.evaluators.named import is_network_evaluator, network_evaluator
from nas_gym.experiments.environments import check_env_id
from nas_gym.experiments.settings import check_seeds
from nas_gym.tasks import Task, make_task, task_arguments
from nas_gym.utils.ranks import kendall, precision_at, spearman

BEST = (10, 100)
"""Values of k in precision at k: the fraction of a signal's best k that are truly among the best
k."""

SAMPLE = 200
"""Number of architectures that are compared if a signal comes from neural networks."""

Indices = NDArray[np.int64]
Values = NDArray[np.float64]


def audit(
    env: str,
    signals: Sequence[str],
    arguments: dict[str, Any],
    *,
    sample: int | None = None,
    seed: int = 0,
    dataset: str | None = None,
    size: int | None = None,
    supernet: str | None = None,
    device: str = "auto",
) -> list[dict[str, Any]]:
    """Compare the rankings of signals with the ranking by an environment's reported metric.

    Args:
        env: Environment ID.
        signals: Signals of environments (``"metric"``, ``"table:metric"``, ``"predictor:FILE"`` or
            a weighted sum), or ``"supernet"`` or ``"training(epochs=12)"`` for the validation
            accuracy of neural networks on the images of the environment's data set (see
            :func:`nas_gym.make_task`).
        arguments: Further arguments of the environment, such as ``table`` and ``report``.
        sample: Number of random architectures; by default the whole search space, or
            :data:`SAMPLE` if a signal comes from neural networks.
        seed: Seed of the sample.
        dataset: Images for neural networks; by default, the environment's data set.
        size: Height and width in pixels that the images of a folder are scaled to.
        supernet: File of the supernet; the cached one by default.
        device: Device that neural networks are computed on.

    Returns:
        For each signal its name (``signal``), the number of ``architectures``, the ``spearman`` and
        ``kendall`` (tau-b) correlation with the report (both oriented so that higher is better),
        ``precision_at_10`` and ``precision_at_100``, and the ``report`` and ``regret`` of the
        architecture that the signal ranks first.

    Raises:
        KeyError, ValueError: If the environment cannot take a signal, or the seed is negative.
    """
    check_seeds(seed)
    check_env_id(env)
    own = {**task_arguments(env), **arguments}
    if "space" in own:  # the report also comes from neural networks
        networks = {"dataset": dataset, "size": size, "supernet": supernet}
        given = {name: value for name, value in networks.items() if value is not None}
        own |= {**given, "device": device}
    task = make_task(**own)
    if sample is None and any(map(is_network_evaluator, signals)):
        sample = SAMPLE
    indices = _sample_indices(task.space.size, sample, seed)

    def scores(signal: str) -> Values:
        if not is_network_evaluator(signal):
            return make_task(**{**own, "signal": signal}).reward(indices)
        evaluator = network_evaluator(
            task.space.name,
            dataset or task.dataset,
            signal,
            None if signal.startswith("training") else supernet,
            device,
            size,
        )
        return evaluator.values("valid_accuracy", task.space.decode(indices))

    return [_row(signal, scores(signal), task, indices) for signal in signals]


def _sample_indices(size: int, sample: int | None, seed: int) -> Indices:
    """Return indices of random architectures, or of all if ``sample`` is ``None``."""
    if sample is None or sample >= size:
        return np.arange(size)
    if sample < 2:
        raise ValueError(
            f"sample must be at least 2, got {sample}: a ranking needs two architectures."
        )
    return np.random.default_rng(seed).choice(size, sample, replace=False)


def _row(signal: str, scores: Values, task: Task, indices: Indices) -> dict[str, Any]:
    """Return the result of one signal."""
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
