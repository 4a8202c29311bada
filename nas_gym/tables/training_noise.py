"""Noise of single trainings, estimated from architectures that are the same network.

The model of a column of a table is ``value = expected value + noise``. Isomorphic architectures
share the expected value, which is the mean of infinitely many trainings, and have independent
normal noise. Where a table has one column per training seed, the seeds are further trainings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.tables.table import Table

Values = NDArray[np.float64]
Classes = NDArray[np.int64]

_COST_UNITS = ("ms", "ms²", "mJ", "s", "M")  # costs are measured, not trained
_SPREAD = "_std"  # ends the name of a column with the standard deviations of another one
_NEAR_BEST = 0.1  # share of the architectures whose noise is estimated
_FEWEST_NETWORKS = 10  # networks with several trainings that an estimate needs

# numbers of standard deviations of one training
_WINDOW = 8.0  # distance from the best class mean up to which expected values are estimated
_SPACING = 0.2  # distance of the points of the distribution of expected values
_BIN = 0.05  # class means are rounded to its multiples

_ITERATIONS = 200  # of expectation maximization
_SIMULATIONS = 20  # tables from which the error at the best value is estimated


@dataclass(frozen=True)
class TrainingNoise:
    """Noise of the values of a column.

    Attributes:
        near_best: Standard deviation among the best tenth of the architectures, in the unit of the
            column. If these are fewer than ten networks with several trainings, equal to
            ``overall``.
        overall: Standard deviation among all architectures.
        networks: Number of networks with several trainings from which ``near_best`` is estimated.
    """

    near_best: float
    overall: float
    networks: int


def average_classes(values: Values, classes: Classes) -> Values:
    """Return the mean of each architecture's isomorphism class.

    Args:
        values: Values of a metric, ``(n,)``.
        classes: Class number of each architecture, ``(n,)``.

    Returns:
        The means, ``(n,)`` float64; equal for the members of a class.
    """
    _, numbers, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    means: Values = (np.bincount(numbers, values) / sizes)[numbers]
    return means


def column_noise(table: Table, metric: str) -> TrainingNoise | None:
    """Estimate the noise of one value of a column.

    A value is the result of one training, unless the column is a mean over seeds. If the table also
    has the columns of the seeds, ``<metric>@<seed>``, they are the trainings, and the noise of
    their mean is that of one training divided by the square root of the mean number of seeds.

    Returns:
        The noise; ``None`` for latencies and other costs, for the standard deviations
        ``<metric>_std`` of another metric, for incomplete columns, and for tables with too few
        networks that were trained several times.

    Raises:
        KeyError: If the table has no such metric.
    """
    described, values = table.metric(metric), table.column(metric)
    names = [each.name for each in table.metrics]
    is_spread = metric.endswith(_SPREAD) and metric.removesuffix(_SPREAD) in names
    if described.unit in _COST_UNITS or is_spread or np.isnan(values).any():
        return None
    classes = table.space.isomorphism_classes()
    family = metric.partition("@")[0]
    seeds = [name for name in names if name.startswith(f"{family}@")]
    if not seeds:
        return estimate_noise(values, classes, described.maximize)
    trainings = np.stack([table.column(name) for name in seeds])
    present = ~np.isnan(trainings)
    repeated = np.broadcast_to(classes, trainings.shape)
    found = estimate_noise(trainings[present], repeated[present], described.maximize)
    if found is None or metric in seeds:
        return found
    factor = float(present.sum(axis=0).mean() ** -0.5)
    return TrainingNoise(factor * found.near_best, factor * found.overall, found.networks)


def estimate_noise(values: Values, classes: Classes, maximize: bool = True) -> TrainingNoise | None:
    """Estimate the standard deviation of trainings of one network.

    The estimate is the root of the pooled variance within classes: the sum of squared deviations
    from the class means, divided by the number of trainings minus the number of classes. Poor
    networks are often noisier than good ones, so the best tenth is estimated by itself: the classes
    whose mean is in the best tenth of all trainings. The choice by class means does not bias the
    estimate, because the mean and the variance of normal samples are independent.

    Args:
        values: Results of trainings, ``(n,)``.
        classes: Number of the network of each training, ``(n,)``.
        maximize: Whether higher values are better.

    Returns:
        The noise; ``None`` if fewer than ten classes have several trainings, or all trainings of a
        class have equal results, which are then copies of one training.
    """
    signed = values if maximize else -values
    _, numbers, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    means = np.bincount(numbers, signed) / sizes
    squares = np.bincount(numbers, (signed - means[numbers]) ** 2)
    several = sizes > 1
    if several.sum() < _FEWEST_NETWORKS or not np.ptp(signed) > 0:
        return None
    overall = _pooled_deviation(squares[several], sizes[several])
    if overall <= 1e-9 * float(np.ptp(signed)):
        return None
    best = several & (means >= np.quantile(means[numbers], 1 - _NEAR_BEST))
    if best.sum() < _FEWEST_NETWORKS:
        return TrainingNoise(overall, overall, int(several.sum()))
    return TrainingNoise(_pooled_deviation(squares[best], sizes[best]), overall, int(best.sum()))


def _pooled_deviation(squares: NDArray[Any], sizes: NDArray[np.int64]) -> float:
    return float(np.sqrt(squares.sum() / (sizes - 1).sum()))


def expected_values(
    values: Values, classes: Classes, deviation: float, maximize: bool = True
) -> Values:
    """Estimate the expected value of each architecture, the mean of infinitely many trainings.

    The result is the posterior mean, which is closer to the bulk of the architectures than the
    mean of the trainings: the best of many noisy values is high partly by luck. The prior is the
    distribution of the expected values of the networks near the best, estimated without further
    assumptions (nonparametric maximum likelihood: Kiefer and Wolfowitz, 1956; Jiang and Zhang,
    *General maximum likelihood empirical Bayes estimation of normal means*, Annals of Statistics
    2009). Architectures whose class mean is more than eight standard deviations below the best one
    keep it.

    The prior is fitted to the values, the best value included, so the posterior mean of the network
    with the best value is still too close to that value. Its mean error in tables that are
    simulated from the estimated distribution is subtracted (parametric bootstrap: Efron and
    Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 10).

    Args:
        values: Results of trainings, ``(n,)``.
        classes: Number of the network of each architecture, ``(n,)``.
        deviation: Standard deviation of one training, > 0.
        maximize: Whether higher values are better.

    Returns:
        The expected values, ``(n,)`` float64; equal for the members of a class.
    """
    sign = 1.0 if maximize else -1.0
    _, numbers, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    means = sign * np.bincount(numbers, values) / sizes
    near_best = means >= means.max() - _WINDOW * deviation
    scaled, counts = means[near_best] / deviation, sizes[near_best]
    prior = _fit_prior(scaled, counts)
    means[near_best] = deviation * prior.posterior_means(scaled, counts)
    means[numbers[np.argmax(sign * values)]] -= deviation * _mean_error_of_best(prior, counts)
    expected: Values = sign * means[numbers]
    return expected


@dataclass(frozen=True)
class _Prior:
    """Distribution of expected values, in standard deviations of one training.

    Attributes:
        points: Possible expected values, ``(points,)``.
        weights: Probabilities of the points, ``(points,)``.
    """

    points: Values
    weights: Values

    def posterior_means(self, means: Values, sizes: Classes) -> Values:
        """Return the posterior mean of each network; see :func:`_likelihood` for the arguments."""
        posterior = _likelihood(means, sizes, self.points) * self.weights
        found: Values = posterior @ self.points / posterior.sum(axis=1)
        return found


def _likelihood(means: Values, sizes: Classes, points: Values) -> Values:
    """Return the likelihood of points, ``(n, points)``.

    Args:
        means: Observed means of networks, in standard deviations of one training, ``(n,)``.
        sizes: Number of trainings of each network, ``(n,)``.
        points: Expected values, ``(points,)``.
    """
    deviations = np.maximum(sizes**-0.5, _SPACING / 2)  # so that no mean falls between two points
    likelihood: Values = np.exp(-0.5 * ((means[:, None] - points) / deviations[:, None]) ** 2)
    return likelihood


def _fit_prior(means: Values, sizes: Classes) -> _Prior:
    """Estimate the distribution of expected values; see :func:`_likelihood` for the arguments."""
    points = means.max() - np.arange(0, np.ptp(means) + 2, _SPACING)
    # the likelihood is computed once for networks that are equal up to the bins
    factor = sizes.max() + 1
    kinds, counts = np.unique(
        np.rint(means / _BIN).astype(int) * factor + sizes, return_counts=True
    )
    bins, size_of_kind = np.divmod(kinds, factor)
    likelihood = _likelihood(_BIN * bins, size_of_kind, points)
    weights = np.full(len(points), 1 / len(points))
    for _ in range(_ITERATIONS):  # expectation maximization
        weights *= (counts / len(means) / (likelihood @ weights)) @ likelihood
    return _Prior(points, weights / weights.sum())


def _mean_error_of_best(prior: _Prior, sizes: Classes) -> float:
    """Return the mean error of the posterior mean of the network with the best value.

    Args:
        prior: Distribution from which tables are simulated.
        sizes: Number of trainings of each network, ``(n,)``.
    """
    rng = np.random.default_rng(0)
    networks = np.repeat(np.arange(len(sizes)), sizes)
    errors = []
    for _ in range(_SIMULATIONS):
        expected = rng.choice(prior.points, len(sizes), p=prior.weights)
        values = expected[networks] + rng.normal(size=len(networks))
        means = np.bincount(networks, values) / sizes
        best = networks[[values.argmax()]]
        estimate = _fit_prior(means, sizes).posterior_means(means[best], sizes[best])
        errors.append(estimate - expected[best])
    return float(np.mean(errors))
