"""Tasks whose architectures are looked up in tables."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from nas_gym import tables
from nas_gym.evaluators import (
    PREDICTOR,
    Column,
    Mixture,
    PredictorEvaluator,
    TableEvaluator,
    parse_signal,
)
from nas_gym.spaces import SearchSpace
from nas_gym.tables import Metric, Objective, Table
from nas_gym.tasks import noise as noises
from nas_gym.tasks import rewards
from nas_gym.tasks.base import Indices, Task, Values, check_noise


class TableTask(Task):
    """A task over a table, whose columns are its signal and its report.

    Args:
        table: the name of a table (``nas-gym data list`` shows them).
        dataset: the data set; picks the signal and report columns where these are not given.
        signal: the column that rewards are made of: ``"metric"`` of the table, or
            ``"table:metric"`` of another table over the same space, or a weighted sum of columns
            in one unit: ``"0.3 * table:metric + 0.7 * table:metric"``. ``"predictor:FILE"`` is what
            a saved predictor gives (:class:`nas_gym.evaluators.PredictorEvaluator`).
        report: the column that histories and comparisons report.
        noise: standard deviation of Gaussian noise on the signal, in the signal's unit. It stands
            for training each architecture once, anew for each search: within a search, asking
            again gives the same answer. Reports are free of it.
        reward: ``"signal"``, or what to make of an accuracy: ``"exponential"``,
            ``"rescaled(best=0.94)"`` or
            ``"latency(column=help-latency:fpga,target=5,weight=-0.07)"``, see
            :mod:`nas_gym.tasks.rewards`.

    Raises:
        KeyError: an unknown table, data set or metric.
        ValueError: a column with missing values, or of another search space; noise below 0; an
            unknown reward, or one of a signal that is no accuracy.
        MissingDataError: a table that is not on this machine.
    """

    def __init__(
        self,
        table: str,
        dataset: str,
        signal: str | None = None,
        report: str | None = None,
        noise: float = 0.0,
        reward: str = "signal",
    ) -> None:
        main = tables.load_table(table)
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
        self.signal = parse_signal(signal or objective.signal, main)
        self.report = Column.parse(report or objective.report, main)
        parsed = rewards.parse(reward)
        latency = [Column.parse(parsed.column, main)] if isinstance(parsed, rewards.Latency) else []
        self.columns = list(dict.fromkeys([*_columns(self.signal), self.report, *latency]))
        others = [column for column in self.columns if column.table != table]
        extra = [(_table_of(column, main.space), column) for column in others]
        self.evaluator = TableEvaluator(main, extra)
        self.space = self.evaluator.space
        self.noise = check_noise(noise)
        self.reward_name = reward
        self._signals = self._weighted_sum()
        self.direction = self._sign(_weighted(self.signal)[0][1]) if parsed is None else 1.0
        self._reward = self._accuracy_reward(parsed)
        self._factor = (
            parsed.factor(self._complete(latency[0]))
            if isinstance(parsed, rewards.Latency)
            else np.ones(self.space.size)
        )
        self.rewards = self._reward(self._signals) * self._factor
        """Of every architecture, without noise."""
        self._goodness = self._complete(self.report) * self._sign(self.report)
        self._provenance = {
            _source_of(column): dict(found.provenance) for found, column in extra
        } | {table: dict(main.provenance)}

    def _name(self, column: Column) -> str:
        return column.metric if column.table == self.table else str(column)

    def metric(self, column: Column | Mixture) -> Metric:
        """As :meth:`Task.metric`."""
        if isinstance(column, Mixture):
            return replace(self.metric(column.parts[0][1]), name=str(column), seconds="")
        name = self._name(column)
        if name not in self.evaluator.metrics:
            # the table's own error, which lists its metrics
            tables.load_table(column.table).metric(column.metric)
        return self.evaluator.metrics[name]

    def _weighted_sum(self) -> Values:
        parts = _weighted(self.signal)
        found = [self.metric(column) for _, column in parts]
        if len({(metric.unit, metric.maximize) for metric in found}) > 1:
            raise ValueError(
                f"The columns of {self.signal} have different units or directions: a mixture is of "
                "like with like."
            )
        total = np.zeros(self.space.size)
        for weight, column in parts:
            total += weight * self._complete(column)
        return total * self._sign(parts[0][1])

    def _sign(self, column: Column) -> float:
        return 1.0 if self.metric(column).maximize else -1.0

    def _complete(self, column: Column) -> Values:
        self.metric(column)
        values = self.evaluator.column(self._name(column))
        missing = np.count_nonzero(np.isnan(values))
        if missing:
            raise ValueError(
                f"{column} has no value for {missing:,} of {len(values):,} architectures, so it "
                "cannot be a search signal or a reported metric. Choose a complete column."
            )
        return values

    def describe(self) -> dict[str, object]:
        """As :meth:`Task.describe`."""
        return {
            "space": self.space.name,
            "dataset": self.dataset,
            "table": self.table,
            "signal": str(self.signal),
            "report": str(self.report),
            "noise": self.noise,
            "reward": self.reward_name,
            "provenance": self._provenance,
        }

    def metrics(self, indices: Indices) -> dict[str, Values]:
        """As :meth:`Task.metrics`."""
        return self.evaluator.evaluate(indices)

    def reward(self, indices: Indices, keys: noises.Keys | None = None) -> Values:
        """As :meth:`Task.reward`."""
        if not self.noise or keys is None:
            return self.rewards.take(indices)
        error = self.noise * noises.standard_normal(keys, indices)
        return self._reward(self._signals.take(indices) + error) * self._factor.take(indices)

    def _signal_range(self) -> tuple[float, float]:
        return float(self._signals.min()), float(self._signals.max())

    def reported(self, indices: Indices) -> Values:
        """As :meth:`Task.reported`."""
        return self._goodness.take(indices) * self._sign(self.report)

    def training_seconds(self, indices: Indices) -> Values | None:
        """As :meth:`Task.training_seconds`."""
        if isinstance(self.signal, Mixture) or not self.metric(self.signal).seconds:
            return None
        values: Values = self._training_seconds.take(indices)
        return values

    @cached_property
    def _training_seconds(self) -> Values:
        (column,) = _columns(self.signal)
        return tables.load_table(column.table).column(self.metric(column).seconds)

    @cached_property
    def optimum(self) -> float:
        """As :attr:`Task.optimum`."""
        return float(self._goodness.max() * self._sign(self.report))

    def regret(self, indices: Indices) -> Values:
        """As :meth:`Task.regret`."""
        regret: Values = self._goodness.max() - self._goodness.take(indices)
        return regret

    @cached_property
    def ranked_regrets(self) -> Values:
        """As :attr:`Task.ranked_regrets`."""
        return np.sort(self.regret(np.arange(self.space.size)))

    @cached_property
    def regret_unit(self) -> float:
        """The regret of the space's median architecture.

        So, of normalized regrets, 0 is the best architecture, and 1 is as good as the median of
        random ones. Where at least half of the space is optimal it is the mean instead, and 1 where
        all of it is.
        """
        return float(np.median(self.ranked_regrets)) or float(self.ranked_regrets.mean()) or 1.0


def _weighted(signal: Column | Mixture) -> tuple[tuple[float, Column], ...]:
    return signal.parts if isinstance(signal, Mixture) else ((1.0, signal),)


def _columns(signal: Column | Mixture) -> list[Column]:
    return [column for _, column in _weighted(signal)]


def _table_of(column: Column, space: SearchSpace) -> Table:
    """The table that a column is of; that of a predictor's scores is made here."""
    if column.table == PREDICTOR:
        return PredictorEvaluator(space, column.metric).table()
    return tables.load_table(column.table)


def _source_of(column: Column) -> str:
    return str(column) if column.table == PREDICTOR else column.table
