"""A table: the metrics of every architecture of a search space, as one array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces import SearchSpace


@dataclass(frozen=True)
class Metric:
    """One column of a table.

    Attributes:
        name: the column's name.
        unit: ``"%"``, ``"ms"``, ``"M"`` (millions), ``"s"``, or empty for plain numbers.
        maximize: whether larger is better.
        description: what was measured, in a few words.
        seconds: the column that says how long the training took that gave this metric, in
            seconds; empty where the table does not say.
    """

    name: str
    unit: str = ""
    maximize: bool = True
    description: str = ""
    seconds: str = ""


@dataclass(frozen=True)
class Objective:
    """Which columns a data set's task uses: the search signal and the reported metric."""

    signal: str
    report: str


@dataclass(frozen=True, eq=False)
class Table:
    """Metric columns indexed by genotype index.

    Attributes:
        name: the table's name in the catalogue.
        space: the search space whose indices number the rows.
        metrics: the columns.
        values: shape ``(space.size, len(metrics))`` float64; NaN where a value was not measured.
        objectives: for each data set that the table covers, the columns of its task.
        provenance: where the numbers come from: package and version, or file, and sha256.
    """

    name: str
    space: SearchSpace
    metrics: tuple[Metric, ...]
    values: NDArray[np.float64]
    objectives: Mapping[str, Objective]
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = (self.space.size, len(self.metrics))
        if self.values.shape != expected:
            raise ValueError(
                f"Table {self.name!r} needs values of shape {expected}, got {self.values.shape}."
            )
        for objective in self.objectives.values():
            self.metric(objective.signal), self.metric(objective.report)
        for seconds in {metric.seconds for metric in self.metrics} - {""}:
            self.metric(seconds)

    def __repr__(self) -> str:
        size = f"{len(self.values):,} architectures x {len(self.metrics)} metrics"
        return f"<Table {self.name!r}: {size}>"

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {metric.name: i for i, metric in enumerate(self.metrics)}

    def position(self, name: str) -> int:
        """The column number of a metric.

        Raises:
            KeyError: an unknown metric; the message lists those there are.
        """
        if name not in self._positions:
            raise KeyError(
                f"Table {self.name!r} has no metric {name!r}. It has: {', '.join(self._positions)}."
            )
        return self._positions[name]

    def metric(self, name: str) -> Metric:
        """The description of a column; raises ``KeyError`` as :meth:`position` does."""
        return self.metrics[self.position(name)]

    def column(self, name: str) -> NDArray[np.float64]:
        """A copy of one column, shape ``(space.size,)`` float64."""
        return np.array(self.values[:, self.position(name)])

    def lookup(self, indices: ArrayLike, name: str) -> NDArray[np.float64]:
        """One metric of many architectures, shape of ``indices``, float64.

        Raises:
            IndexError: an index outside the table.
            KeyError: an unknown metric.
        """
        found: NDArray[np.float64] = self.values[:, self.position(name)][np.asarray(indices)]
        return found
