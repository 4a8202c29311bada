"""Tasks: what is searched, what the agent is told, and what is reported."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas_gym import tables
from nas_gym.evaluators import Column, TableEvaluator
from nas_gym.tables import Metric, Objective


class Task:
    """One search space, its evaluator, the search signal, and the metric to report.

    The reward of an architecture is its signal, with the sign turned where less is better, so
    that agents always maximize. Nothing that an agent is given depends on the report column; it
    serves evaluation alone.

    Args:
        table: the name of a table (``nas-gym data list`` shows them).
        dataset: the data set; picks the signal and report columns where these are not given.
        signal: the column that rewards are made of: ``"metric"`` of the table, or
            ``"table:metric"`` of another table over the same space.
        report: the column that histories and comparisons report.

    Raises:
        KeyError: an unknown table, data set or metric.
        ValueError: a column with missing values, or of another search space.
        MissingDataError: a table that is not on this machine.
    """

    def __init__(
        self, table: str, dataset: str, signal: str | None = None, report: str | None = None
    ) -> None:
        main = tables.load(table)
        objective = main.objectives.get(dataset)
        if objective is None:
            if signal is None or report is None:
                raise KeyError(
                    f"Table {table!r} has no task for {dataset!r} (it has: "
                    f"{', '.join(main.objectives) or 'none'}). Give both signal= and report=."
                )
            objective = Objective(signal, report)
        self.table = table
        self.dataset = dataset
        self.signal = Column.parse(signal or objective.signal, main)
        self.report = Column.parse(report or objective.report, main)
        others = dict.fromkeys(c for c in (self.signal, self.report) if c.table != table)
        self.evaluator = TableEvaluator(
            main, [(tables.load(column.table), column) for column in others]
        )
        self.space = self.evaluator.space
        self.rewards = self._complete(self.signal) * self._sign(self.signal)
        self._goodness = self._complete(self.report) * self._sign(self.report)
        self._provenance = {
            name: dict(tables.load(name).provenance)
            for name in dict.fromkeys([table, self.signal.table, self.report.table])
        }

    def _name(self, column: Column) -> str:
        return column.metric if column.table == self.table else str(column)

    def metric(self, column: Column) -> Metric:
        """The description of the signal or report column."""
        name = self._name(column)
        if name not in self.evaluator.metrics:
            # the table's own error, which lists its metrics
            tables.load(column.table).metric(column.metric)
        return self.evaluator.metrics[name]

    def _sign(self, column: Column) -> float:
        return 1.0 if self.metric(column).maximize else -1.0

    def _complete(self, column: Column) -> NDArray[np.float64]:
        self.metric(column)
        values = self.evaluator.column(self._name(column))
        missing = np.count_nonzero(np.isnan(values))
        if missing:
            raise ValueError(
                f"{column} has no value for {missing:,} of {len(values):,} architectures, so it "
                "cannot be a search signal or a reported metric. Choose a complete column."
            )
        return values

    def __repr__(self) -> str:
        columns = f"signal {self.signal}, report {self.report}"
        return f"<Task {self.space.name} on {self.dataset}: {columns}>"

    def describe(self) -> dict[str, object]:
        """What names this task exactly, for histories: columns and provenance."""
        return {
            "space": self.space.name,
            "dataset": self.dataset,
            "table": self.table,
            "signal": str(self.signal),
            "report": str(self.report),
            "provenance": self._provenance,
        }

    def reward(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rewards of architectures, shape of ``indices``, float64."""
        return self.rewards.take(indices)

    def reported(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """The reported metric of architectures, in its own unit, shape of ``indices``."""
        return self._goodness.take(indices) * self._sign(self.report)

    def training_seconds(self, indices: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """How long the training took that gave the search signal, shape of ``indices``, seconds.

        ``None`` where the table does not say.
        """
        if not self.metric(self.signal).seconds:
            return None
        values: NDArray[np.float64] = self._training_seconds.take(indices)
        return values

    @cached_property
    def _training_seconds(self) -> NDArray[np.float64]:
        return tables.load(self.signal.table).column(self.metric(self.signal).seconds)

    @cached_property
    def optimum(self) -> float:
        """The best value of the reported metric over the whole space, in its own unit."""
        return float(self._goodness.max() * self._sign(self.report))

    def regret(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far the reported metric lies from the optimum, >= 0, in the metric's unit."""
        regret: NDArray[np.float64] = self._goodness.max() - self._goodness.take(indices)
        return regret
