"""Surrogate of a partial table: regression of its metrics on the decisions of architectures.

The model is ridge regression of scikit-learn on features of the decisions. Its parameters are plain
arrays, and a fit gives the same bits every time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self

from nas_gym.spaces import SearchSpace
from nas_gym.tables import Table
from nas_gym.utils.errors import DataError

Values = NDArray[np.float64]

FORMAT = 1  # of the arrays; another format is fitted again

FEWEST_ROWS = 50
"""Smallest number of values of a metric that a surrogate is fitted to."""

FOLDS = 5
HALVES = ("half1", "half2")
"""Names of the surrogates that are fitted to one half of the architectures each."""

_MOST_JOINT = 256  # combinations of the decisions of a group that get a feature each
_MOST_PRODUCTS = 2000  # features of pairs of decisions; a space with more has none

_PENALTIES = {"additive": 1.0, "quadratic": 10.0}
"""Strength of the regularization by the name of the features, for a target of unit variance."""

_ALL = FOLDS + len(HALVES)  # number of the model of all architectures
_BATCH = 512  # architectures whose features fit into the cache of a processor

_TRANSFORMS = ("identity", "reciprocal")


@dataclass(frozen=True)
class SurrogateCard:
    """Quality of the surrogate of one metric, in five-fold cross-validation.

    Attributes:
        rows: Number of architectures that the surrogate was fitted to.
        model: Features (``additive`` or ``quadratic``) and transform (``identity`` or
            ``reciprocal``) with the least error.
        r2: Coefficient of determination.
        kendall: Kendall's rank correlation of predictions and values.
        error: Mean absolute error, in the unit of the metric.
        low, high: Range of the values, in the unit of the metric.
    """

    rows: int
    model: str
    r2: float
    kendall: float
    error: float
    low: float
    high: float


class Surrogate:
    """Regression of the metrics of a table on the decisions of architectures.

    There are two sets of features. *Additive* features encode the choices of each group of
    decisions (:attr:`SearchSpace.decision_groups`), such as the settings of a block: the cost of a
    network is the sum of the costs of its blocks. *Quadratic* features add the products of all
    pairs of decisions; a decision whose labels are positive numbers is represented by their
    logarithm. The target is the metric or, for positive metrics, its reciprocal, such as the time
    per image in place of the throughput. Of these models, the one with the least error in cross-
    validation is used.

    One model is fitted to all architectures. Two models are fitted to disjoint halves, so that a
    search can use one half as its signal and report the other. Five models leave out a fifth of the
    architectures each; their spread is a measure of uncertainty.

    Attributes:
        space: Search space of all architectures.
        cards: Quality of each metric, by name.

    Args:
        space: Search space of all architectures.
        cards: Quality of each metric, by name.
        weights: Weights of the models, ``(len(cards), 8, features + 1)``: the five that leave out a
            fifth, the two halves, and the one of all architectures. The last weight is the
            intercept.
    """

    def __init__(
        self, space: SearchSpace, cards: Mapping[str, SurrogateCard], weights: Values
    ) -> None:
        self.space = space
        self.cards = dict(cards)
        self._weights = weights
        self._features = SurrogateFeatures(space)
        self._row = {name: row for row, name in enumerate(cards)}

    @classmethod
    def fit(cls, table: Table, space: SearchSpace) -> Self:
        """Fit a surrogate to every metric of a table that has enough values.

        Metrics of single trainings, ``<metric>@<seed>``, are left out.

        Args:
            table: Table of some architectures of the space.
            space: Search space of all architectures.

        Raises:
            DataError: If no metric has at least :data:`FEWEST_ROWS` values.
        """
        from threadpoolctl import threadpool_limits

        names = [metric.name for metric in table.metrics if "@" not in metric.name]
        columns = {name: table.column(name) for name in names}
        present = {name: np.isfinite(column) for name, column in columns.items()}
        names = [name for name in names if present[name].sum() >= FEWEST_ROWS]
        if not names:
            raise DataError(
                f"A surrogate needs at least {FEWEST_ROWS} architectures with values of a metric; "
                f"table {table.name!r} has {table.space.size}. Import a larger table."
            )
        features = SurrogateFeatures(space)
        inputs = features(table.space.decode(np.arange(table.space.size)))
        found: dict[str, tuple[SurrogateCard, Values]] = {}
        with threadpool_limits(1):  # the bits of a matrix product depend on the threads
            for mask in {present[name].tobytes() for name in names}:
                group = [name for name in names if present[name].tobytes() == mask]
                rows = np.flatnonzero(present[group[0]])
                values = np.stack([columns[name][rows] for name in group], axis=1)
                fitted = _fit_metrics(inputs[rows], values, rows, features, table.space.size)
                found |= zip(group, fitted, strict=True)
        cards = {name: found[name][0] for name in names}
        return cls(space, cards, np.stack([found[name][1] for name in names]))

    def predict(self, genotypes: ArrayLike, metrics: Mapping[str, str]) -> dict[str, Values]:
        """Predict metrics of architectures.

        Args:
            genotypes: Architectures, ``(n, num_decisions)``.
            metrics: Metric to predict for each name of the result. The name of a metric selects the
                model of all architectures of the table; ``@half1`` or ``@half2`` after the name
                selects the model of one half.

        Returns:
            Predictions by the given names, ``(n,)`` float64 each, in the unit of the metric.

        Raises:
            KeyError: If the surrogate was not fitted to a metric.
        """
        array = self.space.check(genotypes)
        found = {name: np.empty(len(array)) for name in metrics}
        for start in range(0, len(array), _BATCH):
            part = slice(start, start + _BATCH)
            inputs = self._features(array[part])
            for name, column in metrics.items():
                metric, _, half = column.partition("@")
                model = FOLDS + HALVES.index(half) if half else _ALL
                found[name][part] = self._members(metric, inputs, slice(model, model + 1))[0]
        return found

    def deviation(self, metric: str, genotypes: ArrayLike) -> Values:
        """Return the standard deviation of the five models' predictions, ``(n, L)`` -> ``(n,)``.

        A large deviation shows that the models disagree. The error of a prediction also contains
        the noise of single trainings, which the card includes.

        Raises:
            KeyError: If the surrogate was not fitted to the metric.
        """
        members = self._members(metric, self._features(genotypes), slice(FOLDS))
        return np.asarray(members.std(axis=0, ddof=1), np.float64)

    def extrapolates(self, metric: str, genotypes: ArrayLike) -> NDArray[np.bool_]:
        """Return whether predictions are outside the range of the table, ``(n, L)`` -> ``(n,)``.

        Raises:
            KeyError: If the surrogate was not fitted to the metric.
        """
        card = self._card(metric)
        values = self.predict(genotypes, {metric: metric})[metric]
        outside: NDArray[np.bool_] = (values < card.low) | (values > card.high)
        return outside

    def _card(self, metric: str) -> SurrogateCard:
        if metric not in self.cards:
            raise KeyError(
                f"The surrogate was not fitted to {metric!r}. It has: {', '.join(self.cards)}."
            )
        return self.cards[metric]

    def _members(self, metric: str, inputs: Values, members: slice) -> Values:
        """Return predictions of some models, ``(n, features)`` -> ``(members, n)``."""
        card = self._card(metric)
        weights = self._weights[self._row[metric], members]
        targets = weights[:, :-1] @ inputs.T + weights[:, -1:]
        return _untransform(targets, card.model, card.low, card.high)

    # -- storage ------------------------------------------------------------------------------

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return arrays from which :meth:`from_arrays` restores the surrogate."""
        cards = {name: asdict(card) for name, card in self.cards.items()}
        return {"cards": np.array(json.dumps(cards)), "weights": self._weights}

    @classmethod
    def from_arrays(cls, space: SearchSpace, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Restore a surrogate from the arrays of :meth:`to_arrays`.

        Raises:
            KeyError, TypeError, ValueError: If the arrays are not those of a surrogate.
        """
        cards = {
            name: SurrogateCard(**card) for name, card in json.loads(str(arrays["cards"])).items()
        }
        weights = np.asarray(arrays["weights"], np.float64)
        expected = (len(cards), _ALL + 1, SurrogateFeatures(space).size + 1)
        if weights.shape != expected or not np.isfinite(weights).all():
            raise ValueError(f"weights of shape {expected} were expected, got {weights.shape}")
        return cls(space, cards, weights)


def table_digest(table: Table) -> str:
    """Return a digest of the data that a surrogate is fitted to, and of the surrogate's format."""
    digest = hashlib.sha256(str(FORMAT).encode())
    digest.update(json.dumps([metric.name for metric in table.metrics]).encode())
    digest.update(json.dumps(table.space.describe(), sort_keys=True).encode())
    digest.update(np.ascontiguousarray(table.values).tobytes())
    digest.update(table.space.decode(np.arange(table.space.size)).tobytes())
    return digest.hexdigest()


class SurrogateFeatures:
    """Features of architectures, which depend on the search space only.

    Attributes:
        additive: Number of additive features, which are the first.
        size: Number of all features.

    Args:
        space: Search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        groups = space.decision_groups
        self._joint = []
        for group in np.unique(groups):
            decisions = np.flatnonzero(groups == group)
            if np.prod(space.num_choices[decisions].astype(object)) <= _MOST_JOINT:
                self._joint.append(decisions)
            else:
                self._joint += [decisions[[place]] for place in range(len(decisions))]
        self._codes = [_decision_codes(labels) for labels in space.choices]
        width = sum(codes.shape[1] for codes in self._codes)
        self._pairs = np.triu_indices(width)
        if len(self._pairs[0]) > _MOST_PRODUCTS:
            self._pairs = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        joint = sum(int(np.prod(space.num_choices[decisions])) for decisions in self._joint)
        self.additive = joint
        self.size = joint + width + len(self._pairs[0])

    def __call__(self, genotypes: ArrayLike) -> Values:
        """Return the features of architectures, ``(n, num_decisions)`` -> ``(n, size)``."""
        array = self._space.check(genotypes)
        features = np.zeros((len(array), self.size))
        start = 0
        for decisions in self._joint:
            choices = self._space.num_choices[decisions]
            joint = np.ravel_multi_index(tuple(array[:, decisions].T), tuple(choices))
            features[np.arange(len(array)), start + joint] = 1.0
            start += int(np.prod(choices))
        single = np.concatenate(
            [codes[array[:, decision]] for decision, codes in enumerate(self._codes)], axis=1
        )
        features[:, start : start + single.shape[1]] = single
        first, second = self._pairs
        features[:, start + single.shape[1] :] = single[:, first] * single[:, second]
        return features


def _decision_codes(labels: tuple[str, ...]) -> Values:
    """Return the features of each choice of a decision, ``(choices, features)``.

    Features have mean 0 and, for numbers, variance 1 over the choices.
    """
    try:
        numbers = np.array([float(label) for label in labels])
    except ValueError:
        numbers = np.zeros(0)
    if len(numbers) > 1 and (numbers > 0).all() and np.isfinite(numbers).all():
        logarithms = np.log(numbers)
        scaled: Values = (logarithms - logarithms.mean()) / logarithms.std()
        return scaled[:, None]
    codes = np.eye(len(labels))[:, 1:]
    centred: Values = (codes - codes.mean(axis=0)) * (len(labels) / max(len(labels) - 1, 1))
    return centred


def _transform(values: Values, transform: str) -> Values:
    return 1.0 / values if transform == "reciprocal" else values


def _untransform(targets: Values, model: str, low: float, high: float) -> Values:
    """Return the values with the given targets, limited to a neighbourhood of a range.

    Args:
        targets: Targets of a model, any shape.
        model: Name of the model, which ends in the name of the transform.
        low, high: Range of the values that the model was fitted to.
    """
    transform = model.partition(", ")[2]
    ends = np.sort(_transform(np.array([low, high]), transform))
    margin = (ends[1] - ends[0]) / 2
    least = ends[0] / 2 if ends[0] > 0 else ends[0] - margin
    return _transform(np.clip(targets, least, ends[1] + margin), transform)


def _fit_metrics(
    inputs: Values,
    values: Values,
    rows: NDArray[np.int64],
    features: SurrogateFeatures,
    size: int,
) -> list[tuple[SurrogateCard, Values]]:
    """Fit the models of metrics that were measured on the same architectures.

    Args:
        inputs: Features of these architectures, ``(n, features)``.
        values: The metrics, ``(n, m)``.
        rows: Index of each architecture in the table, ``(n,)``, which determines its fold.
        features: Function that computed ``inputs``.
        size: Number of architectures of the table.

    Returns:
        For each metric, the card, and the weights of the eight models, ``(8, features + 1)``.
    """
    order = np.random.default_rng(0).permutation(size)[rows]
    fold, half = order % FOLDS, order * len(HALVES) // size
    members = [fold != number for number in range(FOLDS)]
    members += [half == number for number in range(len(HALVES))]
    members.append(np.ones(len(rows), bool))
    candidates: list[list[tuple[SurrogateCard, Values]]] = [[] for _ in values.T]
    for name, transform in product(_PENALTIES, _TRANSFORMS):
        used = features.additive if name == "additive" else features.size
        suitable = [
            k for k, each in enumerate(values.T) if transform == "identity" or min(each) > 0
        ]
        targets = _transform(values[:, suitable], transform)
        weights = np.zeros((len(suitable), len(members), features.size + 1))
        for number, chosen in enumerate(members):
            coefficients, intercepts = _ridge(
                inputs[chosen, :used], targets[chosen], _PENALTIES[name]
            )
            weights[:, number, :used], weights[:, number, -1] = coefficients, intercepts
        for k, own in zip(suitable, weights, strict=True):
            left_out = (inputs * own[fold, :-1]).sum(axis=1) + own[fold, -1]
            card = _assess(left_out, values[:, k], f"{name}, {transform}")
            candidates[k].append((card, own))
    return [max(each, key=lambda found: found[0].r2) for each in candidates]


def _assess(targets: Values, values: Values, model: str) -> SurrogateCard:
    """Return the card of predictions in cross-validation.

    Args:
        targets: Predicted targets, ``(n,)``, before the inverse of the transform.
        values: Values of the metric, ``(n,)``.
        model: Name of the model.
    """
    from scipy.stats import kendalltau

    low, high = float(values.min()), float(values.max())
    predicted = _untransform(targets, model, low, high)
    errors = predicted - values
    return SurrogateCard(
        rows=len(values),
        model=model,
        r2=1.0 - float((errors**2).mean() / (values.var() or 1.0)),
        kendall=float(kendalltau(predicted, values).statistic),
        error=float(np.abs(errors).mean()),
        low=low,
        high=high,
    )


def _ridge(inputs: Values, targets: Values, penalty: float) -> tuple[Values, Values]:
    """Return coefficients, ``(m, features)``, and intercepts, ``(m,)``, of ridge regressions.

    Args:
        inputs: Features, ``(n, features)``.
        targets: Targets, ``(n, m)``.
        penalty: Strength of the regularization for a target of unit variance.
    """
    from sklearn.linear_model import Ridge

    mean, scale = targets.mean(axis=0), targets.std(axis=0)
    scale[scale == 0] = 1.0
    model = Ridge(alpha=penalty, solver="cholesky").fit(inputs, (targets - mean) / scale)
    return model.coef_ * scale[:, None], model.intercept_ * scale + mean
