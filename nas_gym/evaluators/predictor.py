"""Evaluation by prediction: the scores of a fitted predictor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nas_gym.evaluators.base import Evaluator, Genotypes, Values
from nas_gym.spaces import SearchSpace
from nas_gym.spaces.graphs import graph_node_types, to_graphs
from nas_gym.tables import Metric
from nas_gym.utils.files import sha256

PREDICTOR = "predictor"
"""Name of the evaluator whose metrics are files: ``predictor:FILE``."""

_ENUMERATED = 2**20  # larger spaces are scored when architectures are asked for


class PredictorEvaluator(Evaluator):
    """Scores of a saved predictor as a metric, ``predictor:FILE``.

    Scores rank architectures; they have no unit. With ``signal="predictor:FILE"``, any
    environment over a search space that the predictor can read searches on them.

    Args:
        space: Search space of the architectures.
        path: File that :meth:`nas_gym.predictors.predictor.Predictor.save` or
            ``nas-gym predict --save`` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedDataError: If the file holds no predictor.
        ValueError: If the graphs of the search space have other types of nodes than those that the
            predictor was trained on.
    """

    name = PREDICTOR
    space: SearchSpace

    def __init__(self, space: SearchSpace, path: str | Path) -> None:
        from nas_gym.predictors.predictor import SavedPredictor

        saved = SavedPredictor.load(path)
        self.space = space
        self._path = Path(path)
        self._predictor = saved.predictor
        metric = Metric(str(path), maximize=saved.maximize, description=saved.description)
        self.metrics = {metric.name: metric}
        self._predictor.check_node_types(graph_node_types(space))

    def evaluate(self, genotypes: Genotypes) -> dict[str, Values]:
        """See :meth:`Evaluator.evaluate`."""
        graphs = to_graphs(self.space, genotypes)
        return dict.fromkeys(self.metrics, self._predictor.predict(graphs))

    def column(self, metric: str) -> Values | None:
        """Return the scores of every architecture; ``None`` for spaces of more than a million."""
        if self.space.size > _ENUMERATED:
            return None
        return self.evaluate(self.space.decode(np.arange(self.space.size)))[metric]

    def provenance(self) -> dict[str, Any]:
        """Return the name and the sha256 of the file."""
        found = {"file": self._path.name, "sha256": sha256(self._path)}
        return {f"{self.name}:{name}": found for name in self.metrics}
