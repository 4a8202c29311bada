"""Results of an evaluator that searches keep in their output folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.evaluators.results_store import ResultsStore
from nas_gym.spaces import SearchSpace


class KeptResults:
    """Metrics of architectures in a file, which processes share.

    Args:
        folder: Folder of the file, which is made when a result is added.
        name: Name of the results; the file name begins with it.
        space: Search space of the architectures.
        metrics: Names of the metrics.
        described: Plain values that determine the metrics. Results with other values are in another
            file.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        space: SearchSpace,
        metrics: Sequence[str],
        described: Mapping[str, Any],
    ) -> None:
        self._space = space
        self._metrics = tuple(metrics)
        identity = [self._metrics, space.name, space.size, space.choices, described]
        text = json.dumps(identity, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        # metrics can have any name, unlike columns of SQLite
        self._columns = [f"metric{i}" for i in range(len(self._metrics))]
        path = folder / f"{re.sub(r'[^A-Za-z0-9]', '_', name)}-{digest}.sqlite"
        self.store = ResultsStore(path, self._columns)

    def get(self, genotypes: NDArray[np.int64]) -> list[dict[str, float] | None]:
        """Return the metrics of each architecture by name, ``None`` for those without results.

        Args:
            genotypes: Architectures, ``(n, num_decisions)`` int64.
        """
        rows = [self.store.get(index) for index in self._space.encode(genotypes).tolist()]
        return [
            None if row is None else dict(zip(self._metrics, row.values(), strict=True))
            for row in rows
        ]

    def add(self, genotypes: NDArray[np.int64], results: Sequence[Mapping[str, float]]) -> None:
        """Write the metrics of architectures.

        Args:
            genotypes: Architectures, ``(n, num_decisions)`` int64.
            results: Metrics of each architecture by name.
        """
        for index, result in zip(self._space.encode(genotypes).tolist(), results, strict=True):
            values = (result[metric] for metric in self._metrics)
            self.store.add(index, dict(zip(self._columns, values, strict=True)))
