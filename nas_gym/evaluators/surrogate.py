"""Evaluation by the surrogate of a partial table, for every architecture of the search space."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.evaluators.base import SURROGATE, Evaluator, Genotypes, Values
from nas_gym.predictors.surrogate import HALVES, Surrogate, SurrogateCard, table_digest
from nas_gym.spaces import SearchSpace
from nas_gym.spaces.mnasnet_cost import count_mnasnet_macs, count_mnasnet_parameters
from nas_gym.tables import Metric, Table, load_table
from nas_gym.tables.store import surrogate_path
from nas_gym.utils.errors import DamagedDataError, DataError
from nas_gym.utils.files import explain_write_errors, read_arrays, write_arrays

_ENUMERATED = 2**20  # larger spaces are predicted when architectures are asked for

_Counter = Callable[[Genotypes], NDArray[np.int64]]

_COMPUTED: dict[str, dict[str, _Counter]] = {
    "accel-nasbench": {"params": count_mnasnet_parameters, "macs": count_mnasnet_macs}
}
"""Metrics in millions that are computed exactly, by table."""

_opened: dict[tuple[str, str], Surrogate] = {}


class SurrogateEvaluator(Evaluator):
    """Metrics of all architectures of a search space, predicted from a table of some of them.

    Every metric of the table has three versions. ``<metric>`` is predicted from all architectures
    of the table; ``<metric>@half1`` and ``<metric>@half2`` from disjoint halves. The halves consist
    of different trainings. By default, a task searches on the first half and reports the second, so
    that an agent gains nothing from the errors of the surrogate it searches on. Parameters and MACs
    of MnasNet-like networks are computed, not predicted.

    The first use fits the surrogate, which takes seconds, and keeps it in the folder of the table.

    Args:
        table: Stored table of some architectures of a search space.

    Attributes:
        surrogate: The fitted surrogate.

    Raises:
        DataError: If the table has all architectures, its search space is not defined beyond the
            table, it has too few rows, or the cache cannot be written to.
    """

    name = SURROGATE
    space: SearchSpace
    is_fast = True

    def __init__(self, table: Table) -> None:
        self.space = _whole_space(table)
        self.surrogate = load_surrogate(table, self.space)
        self._computed = _COMPUTED.get(table.name, {})
        self._table = table.name
        self._objectives = dict(table.objectives)
        self._provenance = dict(table.provenance)
        self.metrics: Mapping[str, Metric] = self._describe_metrics(table)

    def _describe_metrics(self, table: Table) -> dict[str, Metric]:
        found = {}
        for metric in table.metrics:
            if metric.name in self._computed:
                found[metric.name] = metric
            elif metric.name in self.cards:
                seconds = metric.seconds if metric.seconds in self.cards else ""
                for suffix in ("", *(f"@{half}" for half in HALVES)):
                    found[metric.name + suffix] = dataclasses.replace(
                        metric,
                        name=metric.name + suffix,
                        description=f"{metric.description}, predicted".lstrip(", "),
                        seconds=seconds,
                    )
        return found

    @property
    def cards(self) -> dict[str, SurrogateCard]:
        """Quality of each predicted metric, by name."""
        return {n: card for n, card in self.surrogate.cards.items() if n not in self._computed}

    def evaluate(self, genotypes: Genotypes) -> dict[str, Values]:
        """See :meth:`Evaluator.evaluate`."""
        predicted = {name: name for name in self.metrics if name not in self._computed}
        found = self.surrogate.predict(genotypes, predicted)
        found |= {name: self.values(name, genotypes) for name in self._computed}
        return {name: found[name] for name in self.metrics}

    def values(self, metric: str, genotypes: Genotypes) -> Values:
        """See :meth:`Evaluator.values`."""
        self.check_metric(metric)
        if metric in self._computed:
            return self._computed[metric](genotypes) / 1e6
        return self.surrogate.predict(genotypes, {metric: metric})[metric]

    def all_values(self, genotypes: Genotypes) -> dict[str, Values]:
        """See :meth:`Evaluator.all_values`."""
        return self.evaluate(genotypes)

    def column(self, metric: str) -> Values | None:
        """Return the metric of every architecture; ``None`` for spaces of more than a million."""
        if self.space.size > _ENUMERATED:
            return None
        return self.values(metric, self.space.decode(np.arange(self.space.size)))

    def default_columns(self, dataset: str) -> tuple[str, str]:
        """Return the signal of the table's task from one half, and its report from the other.

        Raises:
            KeyError: If the table has no task for the data set.
        """
        objective = self._objectives.get(dataset)
        first, second = HALVES
        if objective is not None:
            names = f"{objective.signal}@{first}", f"{objective.report}@{second}"
        if objective is None or not {*names} <= self.metrics.keys():
            raise KeyError(
                f"The surrogate of table {self._table!r} has no task for {dataset!r} (it has: "
                f"{', '.join(self._objectives) or 'none'}). Give both signal= and report=."
            )
        return names

    def identity(self) -> dict[str, Any]:
        """See :meth:`Evaluator.identity`."""
        return {"evaluator": f"{self.name}({self._table})"}

    def provenance(self) -> dict[str, Any]:
        """Return the provenance of the table and the model of each metric."""
        models = {name: card.model for name, card in self.cards.items()}
        return {self._table: self._provenance, self.name: models}


def load_surrogate(table: Table, space: SearchSpace) -> Surrogate:
    """Return the surrogate of a stored table, which is fitted on first use.

    Args:
        table: Stored table.
        space: Search space of all architectures.

    Raises:
        DataError: If the table has too few rows, or the cache cannot be written to.
    """
    path, digest = surrogate_path(table.name), table_digest(table)
    key = (str(path), digest)
    if key not in _opened:
        found = _read_surrogate(table, space, digest)
        if found is None:
            found = Surrogate.fit(table, space)
            save_surrogate(table, found)
        _opened[key] = found
    return _opened[key]


def _read_surrogate(table: Table, space: SearchSpace, digest: str) -> Surrogate | None:
    """Return the surrogate in the folder of a table; ``None`` if it must be fitted."""
    try:
        arrays = read_arrays(surrogate_path(table.name))
        if str(arrays["digest"]) != digest:
            return None
        return Surrogate.from_arrays(space, arrays)
    except (FileNotFoundError, DamagedDataError, LookupError, TypeError, ValueError):
        return None  # it is fitted again, with the same result


def fit_surrogate(table: Table) -> Surrogate:
    """Fit a surrogate to a table.

    Raises:
        DataError: If the table has all architectures, its search space is not defined beyond the
            table, or it has too few rows.
    """
    return Surrogate.fit(table, _whole_space(table))


def save_surrogate(table: Table, surrogate: Surrogate) -> None:
    """Write a surrogate to the folder of its stored table.

    Raises:
        DataError: If the cache cannot be written to.
    """
    path = surrogate_path(table.name)
    arrays = {**surrogate.to_arrays(), "digest": np.array(table_digest(table))}
    with explain_write_errors(path):
        write_arrays(path, arrays)


def _whole_space(table: Table) -> SearchSpace:
    """Return the search space of all architectures of the kind of a table.

    Raises:
        DataError: If the table has all architectures, or the whole space is not defined.
    """
    described = table.space.describe()
    try:
        space = type(table.space).from_description(described)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"The search space of table {table.name!r} ({table.space.kind}) consists of the "
            "architectures of the table, so there are no others to predict."
        ) from error
    if space.size == table.space.size:
        raise DataError(
            f"Table {table.name!r} has all {space.size:,} architectures of its search space, so "
            "there are no others to predict. Search in the table."
        )
    return space


def surrogate_evaluator(table: str) -> SurrogateEvaluator:
    """Return the evaluator of the surrogate of a table, by the table's name.

    Raises:
        KeyError: If there is no such table.
        DataError: See :class:`SurrogateEvaluator`.
    """
    return SurrogateEvaluator(load_table(table))
