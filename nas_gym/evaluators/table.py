"""Evaluation by look-up: every metric of an architecture is in a row of a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas_gym.evaluators.base import Evaluator, Genotypes, Values
from nas_gym.spaces import SearchSpace
from nas_gym.tables import Table


class TableEvaluator(Evaluator):
    """The metrics of one table.

    Args:
        table: Table to look architectures up in. The evaluator has its name.
    """

    space: SearchSpace

    def __init__(self, table: Table) -> None:
        self.table = table
        self.name = table.name
        self.space = table.space
        self.metrics = {metric.name: metric for metric in table.metrics}

    def check_metric(self, metric: str) -> None:
        """See :meth:`Evaluator.check_metric`."""
        self.table.position(metric)

    def evaluate(self, genotypes: Genotypes) -> dict[str, Values]:
        """See :meth:`Evaluator.evaluate`; metrics that were not measured are NaN."""
        rows = self.table.values.take(self.space.encode(genotypes), axis=0)
        return dict(zip(self.metrics, rows.T, strict=True))

    def values(self, metric: str, genotypes: Genotypes) -> Values:
        """See :meth:`Evaluator.values`."""
        return self.table.lookup(self.space.encode(genotypes), metric)

    def all_values(self, genotypes: Genotypes) -> dict[str, Values]:
        """See :meth:`Evaluator.all_values`."""
        return self.evaluate(genotypes)

    def column(self, metric: str) -> Values:
        """See :meth:`Evaluator.column`."""
        return self.table.column(metric)

    def default_columns(self, dataset: str) -> tuple[str, str]:
        """Return the signal and the report of the table's task for a data set.

        Raises:
            KeyError: If the table has no task for the data set.
        """
        objective = self.table.objectives.get(dataset)
        if objective is None:
            raise KeyError(
                f"Table {self.name!r} has no task for {dataset!r} (it has: "
                f"{', '.join(self.table.objectives) or 'none'}). Give both signal= and report=."
            )
        return objective.signal, objective.report

    def identity(self) -> dict[str, Any]:
        """See :meth:`Evaluator.identity`."""
        return {"table": self.name}

    def provenance(self) -> dict[str, Any]:
        """Return the provenance of the table, under its name."""
        return {self.name: dict(self.table.provenance)}


def same_rows(first: SearchSpace, second: SearchSpace) -> bool:
    """Return whether an index means the same architecture in both spaces."""
    if (type(first), first.size, first.choices) != (type(second), second.size, second.choices):
        return False
    if first is second:
        return True
    rows = np.arange(min(first.size, 2**20))
    return np.array_equal(first.decode(rows), second.decode(rows))
