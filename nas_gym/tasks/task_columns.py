"""The class :class:`TaskColumns`: the columns of a task and the evaluators that compute them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas_gym.evaluators.base import COST, Evaluator
from nas_gym.evaluators.named import network_evaluator
from nas_gym.evaluators.predictor import PREDICTOR, PredictorEvaluator
from nas_gym.evaluators.table import TableEvaluator, same_rows
from nas_gym.spaces import SearchSpace
from nas_gym.tables import DataError, Metric, load_table
from nas_gym.tables.store import is_stored
from nas_gym.tasks.columns import Column, Mixture, Signal

Values = NDArray[np.float64]


class TaskColumns:
    """The columns that a task uses, each with the evaluator that computes it.

    Args:
        space: Search space.
        evaluators: Evaluators that columns may name. Tables, saved predictors, costs and measured
            latencies are opened by name.
        columns: Columns of the task.
        dataset: Name of the data set.

    Raises:
        KeyError: If there is no such metric or table.
        ValueError: If a column has missing values or another search space.
        MissingDataError: If a table is not on this machine.
    """

    def __init__(
        self,
        space: SearchSpace,
        evaluators: Sequence[Evaluator],
        columns: Sequence[Column],
        dataset: str,
    ) -> None:
        self._space = space
        self._dataset = dataset
        by_name = {each.name: each for each in evaluators}
        self._evaluators = {column: self._find(column, by_name) for column in columns}
        self._arrays = {column: self._read(column) for column in columns}
        self._seconds: dict[Column, Values] = {}

    def _find(self, column: Column, by_name: dict[str, Evaluator]) -> Evaluator:
        """Return the evaluator of a column."""
        found = by_name[column.source] if column.source in by_name else self._open(column)
        found.check_metric(column.metric)
        if found.space is not None and not same_rows(found.space, self._space):
            raise ValueError(
                f"{column} covers {found.space.name} ({found.space.size:,} architectures), but "
                f"this task searches {self._space.name} ({self._space.size:,}): their rows do not "
                "belong together."
            )
        return found

    def _open(self, column: Column) -> Evaluator:
        """Return an evaluator that is known by its name."""
        if column.source == PREDICTOR:
            return PredictorEvaluator(self._space, column.metric)
        if column.source == COST:
            from nas_gym.evaluators.cost import CostEvaluator

            return CostEvaluator(self._space, self._dataset)
        if column.source.partition("(")[0] == "latency":
            kind = type(self._space).__name__.removesuffix("Space")
            return network_evaluator(kind, self._dataset, column.source, device="cpu")
        return TableEvaluator(load_table(column.source))

    def _read(self, column: Column) -> Values | None:
        """Return the values of the whole search space; ``None`` if they are computed on request."""
        values = self._evaluators[column].column(column.metric)
        missing = 0 if values is None else np.count_nonzero(np.isnan(values))
        if values is not None and missing:
            raise ValueError(
                f"{column} has no value for {missing:,} of {len(values):,} architectures, so it "
                "cannot be a search signal or a reported metric. Choose a complete column."
            )
        return self._denoise(column, values) if column.denoised else values

    def _denoise(self, column: Column, values: Values | None) -> Values:
        """Return the mean of a column over the isomorphic architectures of each architecture."""
        from nas_gym.tables.training_noise import average_classes

        if values is not None:
            classes = self._space.isomorphism_classes()
            if len(np.unique(classes)) < len(values):
                return average_classes(values, classes)
        raise ValueError(
            f"{column} needs a table over a search space that lists isomorphic architectures "
            f"separately, such as NB201; {self._space.name} does not. Leave out ':denoised'."
        )

    def evaluator(self, column: Column) -> Evaluator:
        """Return the evaluator of a column.

        Raises:
            KeyError: If the task does not use this column.
        """
        if column not in self._evaluators:
            raise KeyError(f"{column} is not a column of this task.")
        return self._evaluators[column]

    def evaluators(self) -> list[Evaluator]:
        """Return every evaluator once, in the order of the columns."""
        return list(dict.fromkeys(self._evaluators.values()))

    def metric(self, column: Signal) -> Metric:
        """Return the description of a column; a mixture has the description of its first column,
        with another name.

        Raises:
            KeyError: If the task does not use this column.
        """
        if isinstance(column, Mixture):
            first = self.metric(column.terms[0][1])
            return dataclasses.replace(first, name=str(column), seconds="")
        metric = self.evaluator(column).metrics[column.metric]
        if not column.denoised:
            return metric
        description = f"{metric.description}, mean over isomorphic architectures".lstrip(", ")
        return dataclasses.replace(
            metric, name=f"{metric.name}:denoised", description=description, seconds=""
        )

    def array(self, column: Column) -> Values | None:
        """Return the values of the whole search space, ``(space.size,)``; ``None`` if unknown."""
        return self._arrays[column]

    def arrays(self, columns: Sequence[Column]) -> list[Values] | None:
        """Return the arrays of several columns; ``None`` if one of them is unknown."""
        found = [self._arrays[column] for column in columns]
        known = [array for array in found if array is not None]
        return known if len(known) == len(found) else None

    def values(self, column: Column, indices: NDArray[np.int64]) -> Values:
        """Return the values of one column, in the shape of ``indices`` and the column's unit."""
        array = self._arrays[column]
        if array is not None:
            return array.take(indices)
        genotypes = self._space.decode(np.ravel(indices))
        found = self._evaluators[column].values(column.metric, genotypes)
        return found.reshape(np.shape(indices))

    def training_seconds(self, column: Column, indices: NDArray[np.int64]) -> Values | None:
        """Return the time to obtain values, in seconds, in the shape of ``indices``.

        For tables, this is the training time that the benchmark states. ``None`` if unknown.
        """
        evaluator = self._evaluators[column]
        seconds = evaluator.metrics[column.metric].seconds
        if seconds and self._arrays[column] is not None:
            if column not in self._seconds:
                whole = evaluator.column(seconds)
                assert whole is not None
                self._seconds[column] = whole
            return self._seconds[column].take(indices)
        found = evaluator.cost(column.metric, self._space.decode(np.ravel(indices)))
        return None if found is None else found.reshape(np.shape(indices))

    def are_stored(self) -> bool:
        """Return whether every column is of a table as it is stored in the cache now."""
        try:
            return all(
                column.source == COST
                or (
                    isinstance(evaluator, TableEvaluator)
                    and is_stored(evaluator.name)
                    and load_table(evaluator.name) is evaluator.table
                )
                for column, evaluator in self._evaluators.items()
            )
        except DataError:
            return False
