"""Tasks: what is searched, what the agent is told, and what is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from nas_gym import noise as noises
from nas_gym import rewards, tables
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


class Task:
    """One search space, its evaluator, the search signal, and the metric to report.

    The reward of an architecture is its signal, with the sign turned where less is better, so
    that agents always maximize; or what ``reward`` makes of it. Nothing that an agent is given
    depends on the report column; it serves evaluation alone.

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
            :mod:`nas_gym.rewards`.

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
        self.signal = parse_signal(signal or objective.signal, main)
        self.report = Column.parse(report or objective.report, main)
        parsed = rewards.parse(reward)
        latency = [Column.parse(parsed.column, main)] if isinstance(parsed, rewards.Latency) else []
        self.columns = list(dict.fromkeys([*_columns(self.signal), self.report, *latency]))
        """All that rewards and reports are made of."""
        others = [column for column in self.columns if column.table != table]
        extra = [(_table_of(column, main.space), column) for column in others]
        self.evaluator = TableEvaluator(main, extra)
        self.space = self.evaluator.space
        if not 0 <= noise < np.inf:
            raise ValueError(f"noise is a standard deviation, 0 or above, got {noise}.")
        self.noise = float(noise)
        self.reward_name = reward
        self._signals = self._weighted_sum()
        self.direction = self._sign(_weighted(self.signal)[0][1]) if parsed is None else 1.0
        """-1 where rewards are the signal with its sign turned, else 1."""
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
        """The description of the signal or report column; of a mixture, its first part's with the
        mixture's name."""
        if isinstance(column, Mixture):
            return replace(self.metric(column.parts[0][1]), name=str(column), seconds="")
        name = self._name(column)
        if name not in self.evaluator.metrics:
            # the table's own error, which lists its metrics
            tables.load(column.table).metric(column.metric)
        return self.evaluator.metrics[name]

    def _weighted_sum(self) -> NDArray[np.float64]:
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
            "noise": self.noise,
            "reward": self.reward_name,
            "provenance": self._provenance,
        }

    def reward(
        self, indices: NDArray[np.int64], keys: noises.Keys | None = None
    ) -> NDArray[np.float64]:
        """Rewards of architectures, shape of ``indices``, float64.

        Args:
            indices: of architectures.
            keys: of the searches that ask (``SearchHistory.keys``), which their noise depends on,
                a shape that broadcasts to that of ``indices``; without them, there is no noise.
        """
        if not self.noise or keys is None:
            return self.rewards.take(indices)
        error = self.noise * noises.standard_normal(keys, indices)
        return self._reward(self._signals.take(indices) + error) * self._factor.take(indices)

    def noise_keys(self, seeds: Sequence[int | None]) -> noises.Keys:
        """What the noise of searches with these seeds depends on, one number each."""
        if not self.noise:
            return np.zeros(len(seeds), np.uint64)
        return noises.keys(seeds)

    def reward_function(self, name: str) -> rewards.Reward:
        """What makes rewards of this task's signals, in their own unit.

        Args:
            name: as the argument ``reward``.

        Raises:
            ValueError: an unknown name, or one that takes an accuracy where the signal is none.
        """
        parsed = rewards.parse(name)
        if isinstance(parsed, rewards.Latency):
            raise ValueError(f"{name!r} needs to know architectures: give it to the environment.")
        return self._accuracy_reward(parsed)

    def _accuracy_reward(self, parsed: float | rewards.Latency | None) -> rewards.Reward:
        if parsed is None:
            return np.positive  # as it is
        metric = self.metric(self.signal)
        whole = 100.0 if metric.unit == "%" else 1.0
        lowest, highest = self._signals.min(), self._signals.max()
        if not metric.maximize:
            fault = "is better where it is less"
        elif lowest < 0 or highest > whole:
            fault = f"goes from {lowest:.4g} to {highest:.4g} {metric.unit}".rstrip()
        elif isinstance(parsed, rewards.Latency):
            return np.positive
        else:
            return partial(rewards.exponential, best=parsed * whole)
        raise ValueError(
            f"This reward takes an accuracy, in % or as a fraction, but {self.signal} {fault}. "
            "Choose another signal, or reward='signal'."
        )

    def reported(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """The reported metric of architectures, in its own unit, shape of ``indices``."""
        return self._goodness.take(indices) * self._sign(self.report)

    def training_seconds(self, indices: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """How long the training took that gave the search signal, shape of ``indices``, seconds.

        ``None`` where the table does not say.
        """
        if isinstance(self.signal, Mixture) or not self.metric(self.signal).seconds:
            return None
        values: NDArray[np.float64] = self._training_seconds.take(indices)
        return values

    @cached_property
    def _training_seconds(self) -> NDArray[np.float64]:
        (column,) = _columns(self.signal)
        return tables.load(column.table).column(self.metric(column).seconds)

    @cached_property
    def optimum(self) -> float:
        """The best value of the reported metric over the whole space, in its own unit."""
        return float(self._goodness.max() * self._sign(self.report))

    def regret(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far the reported metric lies from the optimum, >= 0, in the metric's unit."""
        regret: NDArray[np.float64] = self._goodness.max() - self._goodness.take(indices)
        return regret


def _weighted(signal: Column | Mixture) -> tuple[tuple[float, Column], ...]:
    return signal.parts if isinstance(signal, Mixture) else ((1.0, signal),)


def _columns(signal: Column | Mixture) -> list[Column]:
    return [column for _, column in _weighted(signal)]


def _table_of(column: Column, space: SearchSpace) -> Table:
    """The table that a column is of; that of a predictor's scores is made here."""
    if column.table == PREDICTOR:
        return PredictorEvaluator(space, column.metric).table()
    return tables.load(column.table)


def _source_of(column: Column) -> str:
    return str(column) if column.table == PREDICTOR else column.table
