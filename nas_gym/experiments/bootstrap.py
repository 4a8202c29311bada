"""Confidence intervals over trials: percentile bootstrap, stratified by environment.

After R. Agarwal et al., *Deep reinforcement learning at the edge of the statistical precipice*,
NeurIPS 2021, and its library rliable. The resamples have a fixed seed: the same trials have the
same intervals, whatever they are compared with.
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


def average_trials(values: NDArray[np.float64], estimate: Estimate) -> NDArray[np.float64]:
    """Return the mean or the interquartile mean (of the middle half) over the last axis."""
    cut = _cut(values.shape[-1], estimate)
    middle: NDArray[np.float64] = np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut]
    return np.asarray(middle.mean(axis=-1), np.float64)


def confidence_interval(
    values: NDArray[np.float64], estimate: Estimate, strata: Sequence[int] | None = None
) -> NDArray[np.float64]:
    """Return the 95 % interval of the mean or interquartile mean over the last axis.

    Args:
        values: Values, ``(..., trials)``; all rows have the same resamples of trials.
        estimate: Estimate that is computed from each resample.
        strata: Sizes of groups of trials, such as the trials in one environment, in the order of
            the last axis; each group is resampled separately. One group by default.

    Returns:
        Lower and upper ends, ``(2, ...)``.
    """
    trials = values.shape[-1]
    rows = values.reshape(-1, trials)
    # differences from the lowest value: equal values then have an interval of width 0
    least = rows.min(axis=1)
    counts = resampled_counts(tuple(strata) if strata is not None else (trials,))
    resampled = _averages(rows - least[:, None], counts, estimate) + least
    return interval_ends(resampled).reshape(2, *values.shape[:-1])


def interval_ends(resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ends of the 95 % interval of estimates, ``(resamples, ...)`` -> ``(2, ...)``."""
    tail = (1 - CONFIDENCE) / 2
    result: NDArray[np.float64] = np.quantile(resampled, [tail, 1 - tail], axis=0)
    return result


def probability_of_improvement(
    first: Sequence[NDArray[np.float64]], second: Sequence[NDArray[np.float64]]
) -> tuple[float, NDArray[np.float64]]:
    """Return the probability that the first agent's regret in a trial is below the second agent's.

    Args:
        first: Regrets of the first agent's trials in each environment, ``(trials,)`` each.
        second: Regrets of the second agent's trials, in the same environments.

    Returns:
        The probability, with ties counted half, as the mean over environments; and its 95 %
        interval.
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
    return float(np.mean(probabilities)), interval_ends(np.mean(resampled, axis=0))


@lru_cache(maxsize=8)
def resampled_counts(strata: tuple[int, ...], stream: int = 0) -> NDArray[np.float32]:
    """Return how often each trial is in each resample, ``(resamples, trials)``; read-only.

    Args:
        strata: Sizes of the groups of trials; each group is resampled separately.
        stream: Number of the random stream; different streams are independent.
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
    """Split the columns of counts into groups of the sizes of other arrays."""
    return np.split(counts, np.cumsum([len(one) for one in like])[:-1], axis=1)


def _averages(
    rows: NDArray[np.float64], counts: NDArray[np.float32], estimate: Estimate
) -> NDArray[np.float64]:
    """Return the average of each resample of each row, ``(resamples, rows)``."""
    trials = rows.shape[1]
    cut = _cut(trials, estimate)
    if cut == 0:
        means: NDArray[np.float64] = counts.astype(np.float64) @ rows.T / trials
        return means
    result = np.empty((len(counts), len(rows)))
    for i, row in enumerate(rows):
        order = np.argsort(row)
        # positions at which each trial's copies end in the sorted resample, without the outer
        # quarters
        copies_end = np.cumsum(counts[:, order], axis=1).clip(cut, trials - cut)
        copies = np.diff(copies_end, axis=1, prepend=np.float32(cut))
        result[:, i] = copies @ row[order] / (trials - 2 * cut)
    return result


def _cut(trials: int, estimate: Estimate) -> int:
    return trials // 4 if estimate == "iqm" else 0
