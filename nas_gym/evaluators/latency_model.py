"""Prediction of latency from a few measurements."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nas_gym.evaluators.base import Genotypes, Values
from nas_gym.spaces import SearchSpace
from nas_gym.spaces.graphs import to_graphs


class LatencyModel:
    """Ridge regression of latency, learned from measurements.

    The features are the choice of each decision, how often each operation occurs, and how often it
    occurs on paths from the input to the output.

    Args:
        space: Search space.
        genotypes: Measured architectures, ``(n, L)``.
        latencies: Their latencies, ``(n,)``.

    Attributes:
        error: Mean absolute error in five-fold cross-validation, in the unit of the latencies.
        correlation: Spearman correlation of the predictions in cross-validation with the
            latencies.

    Raises:
        ValueError: If there are fewer than ten measurements.
    """

    def __init__(self, space: SearchSpace, genotypes: Genotypes, latencies: ArrayLike) -> None:
        from scipy.stats import spearmanr
        from sklearn.linear_model import RidgeCV
        from sklearn.model_selection import KFold, cross_val_predict

        if len(genotypes) < 10:
            raise ValueError(
                f"A latency model needs at least 10 measurements, got {len(genotypes)}."
            )
        self.space = space
        features, target = self._features(genotypes), np.asarray(latencies, np.float64)
        model = RidgeCV(alphas=np.geomspace(1e-3, 1e3, 13))
        folds = KFold(5, shuffle=True, random_state=0)
        predicted = cross_val_predict(model, features, target, cv=folds)
        self.error = float(np.abs(predicted - target).mean())
        self.correlation = float(spearmanr(predicted, target).statistic)
        self._model = model.fit(features, target)

    def predict(self, genotypes: Genotypes) -> Values:
        """Return the predicted latencies of architectures, ``(n, L)`` -> ``(n,)``."""
        return np.asarray(self._model.predict(self._features(genotypes)), np.float64)

    def _features(self, genotypes: Genotypes) -> Values:
        choices = self.space.one_hot(genotypes)
        labels = [label for each in self.space.choices for label in each]
        kinds = list(dict.fromkeys(labels))
        of_kind = np.array([[label == kind for kind in kinds] for label in labels], np.float64)
        graphs = to_graphs(self.space, genotypes)
        used = (graphs.nodes[..., None] == np.arange(len(graphs.node_types))).sum(axis=1)
        return np.hstack([choices, choices @ of_kind, used])
