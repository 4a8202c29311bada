"""Evaluation by look-up: every metric of an architecture is a row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import SearchSpace
from nas_gym.tables import Metric, Table


@dataclass(frozen=True)
class Column:
    """One metric of one table; its text form is ``table:metric``."""

    table: str
    metric: str

    @classmethod
    def parse(cls, text: str, default: Table) -> Column:
        """``"metric"`` of the default table, or ``"table:metric"``."""
        table, colon, metric = text.partition(":")
        if not colon or text in (own.name for own in default.metrics):
            return cls(default.name, text)
        return cls(table, metric)

    def __str__(self) -> str:
        return f"{self.table}:{self.metric}"


@dataclass(frozen=True)
class Mixture:
    """A weighted sum of columns; its text form is ``0.3 * table:metric + 0.7 * table:metric``."""

    parts: tuple[tuple[float, Column], ...]

    def __str__(self) -> str:
        return " + ".join(f"{weight!r} * {column}" for weight, column in self.parts)


def parse_signal(text: str, default: Table) -> Column | Mixture:
    """A column as :meth:`Column.parse` reads it, or a mixture of such columns.

    Raises:
        ValueError: a weight that is not a number.
    """
    if " * " not in text:
        return Column.parse(text, default)
    parts = []
    for part in text.split(" + "):
        weight, times, column = part.partition(" * ")
        try:
            parts.append((float(weight), Column.parse(column.strip(), default)))
        except ValueError:
            times = ""
        if not times:
            raise ValueError(
                f"A mixture is written '0.3 * table:metric + 0.7 * table:metric', got {text!r}."
            )
    return Mixture(tuple(parts))


class TableEvaluator:
    """All metrics of one table, and single columns of others.

    Args:
        table: whose metrics are all reported, under their own names.
        extra: columns of other tables over the same search space, reported as ``table:metric``.

    Raises:
        ValueError: an extra column over another search space.
    """

    def __init__(self, table: Table, extra: Sequence[tuple[Table, Column]] = ()) -> None:
        self.space: SearchSpace = table.space
        self.metrics: dict[str, Metric] = {metric.name: metric for metric in table.metrics}
        self._values = table.values
        if extra:
            for other, column in extra:
                if not same_rows(other.space, table.space):
                    raise ValueError(
                        f"{column} covers {other.space.name} ({other.space.size:,} architectures), "
                        f"but table {table.name!r} covers {table.space.name} "
                        f"({table.space.size:,}): their rows do not belong together."
                    )
                self.metrics[str(column)] = other.metric(column.metric)
            columns = [other.column(column.metric) for other, column in extra]
            self._values = np.column_stack([table.values, *columns])

    def evaluate(self, indices: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Every metric of architectures; ``(n,)`` indices -> arrays of shape ``(n,)``."""
        rows = self._values.take(indices, axis=0)
        return dict(zip(self.metrics, rows.T, strict=True))

    def column(self, name: str) -> NDArray[np.float64]:
        """One metric of every architecture, a contiguous copy of shape ``(space.size,)``."""
        return np.array(self._values[:, list(self.metrics).index(name)])


def same_rows(first: SearchSpace, second: SearchSpace) -> bool:
    """Whether an index means the same architecture in both spaces."""
    if (type(first), first.size, first.choices) != (type(second), second.size, second.choices):
        return False
    rows = np.arange(first.size)
    return first is second or np.array_equal(first.decode(rows), second.decode(rows))
