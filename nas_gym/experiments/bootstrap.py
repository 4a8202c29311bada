"""How sure averages over trials are: percentile bootstrap, stratified by environment.

After R. Agarwal et al., *Deep reinforcement learning at the edge of the statistical precipice*,
NeurIPS 2021, and its library rliable. Every draw has a fixed seed: the same trials have the same
intervals, whatever stands beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Estimate = Literal["mean", "iqm"]

RESAMPLES = 2000
CONFIDENCE = 0.95


def average(values: NDArray[np.float64], estimate: Estimate) -> NDArray[np.float64]:
    """The mean or the interquartile mean (the middle half's) over the last axis."""
    cut = _cut(values.shape[-1], estimate)
    middle: NDArray[np.float64] = np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut]
    return np.asarray(middle.mean(axis=-1), np.float64)


def interval(
    values: NDArray[np.float64], estimate: Estimate, strata: Sequence[int] | None = None
) -> NDArray[np.float64]:
    """The 95 % interval of the mean or interquartile mean over the last axis.

    Args:
        values: ``(..., trials)``; the same resamples of trials serve all rows.
        estimate: what is taken of each resample.
        strata: numbers of trials that belong together, such as those of one environment, in the
            order of the last axis; each is resampled within itself. All of them by default.

    Returns:
        ``(2, ...)``: lower and upper ends.
    """
    trials = values.shape[-1]
    rows = values.reshape(-1, trials)
    # differences from the least: equal values have an interval that is exactly their value
    least = rows.min(axis=1)
    counts = resampled_counts(tuple(strata) if strata is not None else (trials,))
    resampled = _averages(rows - least[:, None], counts, estimate) + least
    return ends(resampled).reshape(2, *values.shape[:-1])


def ends(resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ends of the 95 % interval, ``(2, ...)``, of ``(resamples, ...)`` estimates."""
    tail = (1 - CONFIDENCE) / 2
    result: NDArray[np.float64] = np.quantile(resampled, [tail, 1 - tail], axis=0)
    return result


def improvement(
    first: Sequence[NDArray[np.float64]], second: Sequence[NDArray[np.float64]]
) -> tuple[float, NDArray[np.float64]]:
    """How probably a trial of the first agent has less regret than one of the second.

    Args:
        first: regrets of the first agent's trials in each environment, ``(trials,)`` each.
        second: those of the second agent, in the same environments.

    Returns:
        the probability, ties counted half, as the mean over environments; and its 95 % interval.
    """
    counts = [
        _split(resampled_counts(tuple(len(regrets) for regrets in agent), stream), agent)
        for stream, agent in enumerate((first, second))
    ]
    probabilities, resampled = [], []
    for a, b, count_a, count_b in zip(first, second, *counts, strict=True):
        # (trials of a, trials of b): 1 where a is better, 0.5 where they tie
        better = (a[:, None] < b) + np.float32(0.5) * (a[:, None] == b)
        probabilities.append(better.mean(dtype=np.float64))
        wins = ((count_a @ better) * count_b).sum(axis=1, dtype=np.float64)
        resampled.append(wins / better.size)
    return float(np.mean(probabilities)), ends(np.mean(resampled, axis=0))


@lru_cache(maxsize=8)
def resampled_counts(strata: tuple[int, ...], stream: int = 0) -> NDArray[np.float32]:
    """How often each resample holds each trial, ``(resamples, trials)``; read-only.

    Args:
        strata: numbers of trials; each stratum is resampled within itself.
        stream: different streams are drawn independently.
    """
    rng = np.random.default_rng([stream, 2021])
    parts = []
    for trials in strata:
        drawn = rng.integers(trials, size=(RESAMPLES, trials))
        drawn += np.arange(RESAMPLES)[:, None] * trials
        parts.append(np.bincount(drawn.reshape(-1), minlength=RESAMPLES * trials))
    counts = np.hstack([part.reshape(RESAMPLES, -1) for part in parts]).astype(np.float32)
    counts.setflags(write=False)
    return counts


def _split(
    counts: NDArray[np.float32], like: Sequence[NDArray[np.float64]]
) -> list[NDArray[np.float32]]:
    return np.split(counts, np.cumsum([len(one) for one in like])[:-1], axis=1)


def _averages(
    rows: NDArray[np.float64], counts: NDArray[np.float32], estimate: Estimate
) -> NDArray[np.float64]:
    """The average of each resample of each row, ``(resamples, rows)``."""
    trials = rows.shape[1]
    cut = _cut(trials, estimate)
    if cut == 0:
        means: NDArray[np.float64] = counts.astype(np.float64) @ rows.T / trials
        return means
    result = np.empty((len(counts), len(rows)))
    for i, row in enumerate(rows):
        order = np.argsort(row)
        # a resample in order: where each trial's copies end, but for the quarters cut off
        copies_end = np.cumsum(counts[:, order], axis=1).clip(cut, trials - cut)
        copies = np.diff(copies_end, axis=1, prepend=np.float32(cut))
        result[:, i] = copies @ row[order] / (trials - 2 * cut)
    return result


def _cut(trials: int, estimate: Estimate) -> int:
    return trials // 4 if estimate == "iqm" else 0
