"""Tables: the metrics of all architectures of a search space, as one array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces import SearchSpace
from nas_gym.utils.errors import list_names, shorten


@dataclass(frozen=True)
class Metric:
    """Description of a metric.

    Attributes:
        name: Name of the metric, which is also the name of its column in a table.
        unit: Unit: ``"%"``, ``"ms"``, ``"M"`` (millions), ``"s"``, or empty for plain numbers.
        maximize: Whether higher is better.
        description: What was measured, in a few words.
        seconds: Name of the metric with the training time in seconds; empty if the training time is
            unknown.
    """

    name: str
    unit: str = ""
    maximize: bool = True
    description: str = ""
    seconds: str = ""


@dataclass(frozen=True)
class Objective:
    """The columns that the task of a data set uses: the search signal and the reported metric.

    Attributes:
        signal: Name of the metric from which rewards are computed.
        report: Name of the metric that is reported.
    """

    signal: str
    report: str


@dataclass(frozen=True, eq=False)
class Table:
    """The metrics of all architectures of a search space.

    Attributes:
        name: Name of the table in the catalogue.
        space: Search space; row ``i`` belongs to the architecture with index ``i``.
        metrics: Descriptions of the columns.
        values: Values of shape ``(space.size, len(metrics))`` float64; NaN for a value that was not
            measured.
        objectives: Columns of the task of each data set of the table.
        provenance: Source of the numbers: package and version, or file, and sha256.

    Raises:
        ValueError: If ``values`` has a wrong shape.
        KeyError: If an objective or a metric names a column that does not exist.
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
        """Return the column number of a metric.

        Raises:
            KeyError: If the table has no such metric; the message lists its metrics.
        """
        if name not in self._positions:
            raise KeyError(
                f"Table {self.name!r} has no metric {shorten(name, 80)!r}. It has: "
                f"{list_names(self._positions)}."
            )
        return self._positions[name]

    def metric(self, name: str) -> Metric:
        """Return the description of a column.

        Raises:
            KeyError: If the table has no such metric.
        """
        return self.metrics[self.position(name)]

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a copy of one column, shape ``(space.size,)`` float64.

        Raises:
            KeyError: If the table has no such metric.
        """
        return np.array(self.values[:, self.position(name)])

    def lookup(self, indices: ArrayLike, name: str) -> NDArray[np.float64]:
        """Return one metric of architectures, float64 of the shape of ``indices``.

        Raises:
            IndexError: If an index is outside the table.
            KeyError: If the table has no such metric.
        """
        found: NDArray[np.float64] = self.values[:, self.position(name)][np.asarray(indices)]
        return found
