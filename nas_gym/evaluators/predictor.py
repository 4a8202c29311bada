"""Evaluation by prediction: a fitted predictor's scores stand in for what was never measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import SearchSpace
from nas_gym.spaces.graphs import to_graphs
from nas_gym.tables import Metric, Table
from nas_gym.utils.files import sha256

PREDICTOR = "predictor"
"""The table that ``predictor:FILE`` names: the scores of a saved predictor."""


class PredictorEvaluator:
    """Scores of a saved predictor as a metric, ``predictor:FILE``.

    Scores rank architectures; they have no unit. With ``signal="predictor:FILE"``, any
    environment over a search space that the predictor can read searches on them.

    Args:
        space: whose architectures are scored.
        path: of a file as :meth:`nas_gym.predictors.predictor.Predictor.save` writes it, and
            ``nas-gym predict --save``.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedDataError: it holds no predictor.
        ValueError: a search space with operations that are not part of the unified graph.
    """

    def __init__(self, space: SearchSpace, path: str | Path) -> None:
        from nas_gym.predictors.predictor import SavedPredictor

        saved = SavedPredictor.load(path)
        self.space = space
        self._path = Path(path)
        self._predictor = saved.predictor
        self._metric = Metric(str(path), maximize=saved.maximize, description=saved.what)
        self.metrics = {f"{PREDICTOR}:{path}": self._metric}
        to_graphs(space, space.decode([0]))  # refuses spaces that it cannot read

    def evaluate(self, indices: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Scores of architectures; ``(n,)`` indices -> one array of shape ``(n,)``."""
        graphs = to_graphs(self.space, self.space.decode(indices))
        return dict.fromkeys(self.metrics, self._predictor.predict(graphs))

    def table(self) -> Table:
        """The scores of every architecture."""
        (scores,) = self.evaluate(np.arange(self.space.size)).values()
        return Table(
            name=PREDICTOR,
            space=self.space,
            metrics=(self._metric,),
            values=scores[:, None],
            objectives={},
            provenance={"file": self._path.name, "sha256": sha256(self._path)},
        )
