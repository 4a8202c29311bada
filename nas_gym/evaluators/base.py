"""Base class of all evaluators of architectures."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from nas_gym.evaluators.elsewhere import evaluate_elsewhere, is_evaluating_elsewhere
from nas_gym.spaces import SearchSpace
from nas_gym.tables import Metric
from nas_gym.utils.errors import EvaluationError
from nas_gym.utils.source_code import source_identity

if TYPE_CHECKING:
    from nas_gym.evaluators.kept_results import KeptResults
    from nas_gym.evaluators.results_store import ResultsStore

Genotypes = NDArray[np.int64]
Values = NDArray[np.float64]

_KEPT_SECONDS = 0.02  # an evaluation that is quicker is repeated, because writing takes as long

COST = "cost"
"""Name of the evaluator of parameters and FLOPs (:mod:`nas_gym.evaluators.cost`)."""

COST_METRICS = ("params", "flops")
"""Its metrics; a task also knows them without ``cost:``."""


SURROGATE = "surrogate"
"""Name of the evaluator of the surrogate of a table (:mod:`nas_gym.evaluators.surrogate`)."""


class Evaluator(ABC):
    """A method of performance estimation, which maps architectures to named metrics.

    Tables, supernets, training from scratch and predictors are evaluators. To write an evaluator,
    define :attr:`metrics` and :meth:`evaluate`; everything else has a default.

    Attributes:
        name: Short name. A metric is written ``name:metric`` in histories, and in tasks with
            several evaluators.
        metrics: Description of each metric (unit, direction), by the metric's name.
        space: Search space of the architectures that the evaluator accepts; ``None`` if it accepts
            the space of any task.
        best_accuracy: Highest accuracy that is considered possible, in the unit of the accuracy
            metrics; ``None`` if unknown. Used by ``reward="rescaled"``.
        is_fast: Whether tens of thousands of architectures are evaluated in a second, so that the
            Pareto front of a large space can be approximated. Default: false.

    Example:
        >>> import numpy as np
        >>> from nas_gym.evaluators import Evaluator
        >>> from nas_gym.tables import Metric
        >>> class CountSkips(Evaluator):
        ...     name = "skips"
        ...     metrics = {"count": Metric("count", maximize=True)}
        ...     def evaluate(self, genotypes):
        ...         return {"count": (genotypes == 1).sum(axis=1).astype(float)}
        >>> CountSkips().values("count", np.array([[1, 1, 0, 0, 2, 3]]))
        array([2.])
    """

    name: str = "evaluator"
    metrics: Mapping[str, Metric]
    space: SearchSpace | None = None
    best_accuracy: float | None = None
    is_fast: bool = False

    @abstractmethod
    def evaluate(self, genotypes: Genotypes) -> Mapping[str, Values]:
        """Evaluate architectures.

        Args:
            genotypes: Architectures, ``(n, num_decisions)`` int64.

        Returns:
            Values of every metric in :attr:`metrics` by name, one array ``(n,)`` float64 each,
            without NaN.
        """

    # -- optional -------------------------------------------------------------------------------

    def values(self, metric: str, genotypes: Genotypes) -> Values:
        """Return one metric of architectures.

        By default, :meth:`evaluate` is called once per architecture, and its results are cached.
        Override this method if metrics are computed separately.

        Args:
            metric: A name in :attr:`metrics`.
            genotypes: Architectures, ``(n, num_decisions)`` int64.

        Returns:
            The values, ``(n,)`` float64.

        Raises:
            EvaluationError: If :meth:`evaluate` raises an error, or its result is not as described.
        """
        remembered: dict[bytes, dict[str, float]] = self.__dict__.setdefault("_remembered", {})
        keys = [row.tobytes() for row in genotypes]
        new = {key: row for row, key in enumerate(keys) if key not in remembered}
        if new:
            found = self._find_results(metric, genotypes[list(new.values())])
            remembered |= zip(new, found, strict=True)
        return np.array([remembered[key][metric] for key in keys], np.float64)

    def all_values(self, genotypes: Genotypes) -> dict[str, Values]:
        """Return every metric of architectures, as :meth:`values` does."""
        return {name: self.values(name, genotypes) for name in self.metrics}

    def keep_results(self, folder: Path, space: SearchSpace) -> None:
        """Keep results in a folder from now on, and use those that it holds.

        A search calls this method with its output folder, so that no architecture is evaluated
        again when the search continues, or by other processes. By default, results of
        :meth:`evaluate` are kept if an evaluation takes at least 20 ms.

        Args:
            folder: Folder of the results.
            space: Search space of the architectures.
        """
        # imported on use, so that the first environment is made quickly
        from nas_gym.evaluators.kept_results import KeptResults

        described = {**self.identity(), **self.provenance()}
        metrics = list(self.metrics)
        self.__dict__["_kept"] = KeptResults(folder, self.name, space, metrics, described)

    def results_stores(self) -> Sequence[ResultsStore]:
        """Return the files that hold results of this evaluator."""
        kept: KeptResults | None = self.__dict__.get("_kept")
        return [] if kept is None else [kept.store]

    def column(self, metric: str) -> Values | None:
        """Return one metric of every architecture of :attr:`space`, in the order of its indices.

        Returns:
            Values, ``(space.size,)`` float64; ``None`` (the default) if the space cannot be
            enumerated.
        """
        return None

    def optimum(self, metric: str) -> float | None:
        """Return the best value of a metric in the whole space, or a bound on it.

        Regret is the distance from this value. If it is ``None`` (the default), regret is the
        distance from 100 for a metric in %, and from 0 for a metric that is minimized.
        """
        return None

    def cost(self, metric: str, genotypes: Genotypes) -> Values | None:
        """Return the time in seconds to obtain a metric, ``(n,)`` float64.

        By default, these are the values of the metric that ``Metric.seconds`` names, or ``None`` if
        ``Metric.seconds`` is empty.
        """
        seconds = self.metrics[metric].seconds
        return self.values(seconds, genotypes) if seconds else None

    def default_columns(self, dataset: str) -> tuple[str, str]:
        """Return the names of the default signal and the default reported metric."""
        first = next(iter(self.metrics))
        return first, first

    def identity(self) -> dict[str, Any]:
        """Return plain values that identify this evaluator in the description of a task."""
        return {"evaluator": self.name}

    def provenance(self) -> dict[str, Any]:
        """Return plain values that determine the metrics: packages, files, settings, digests.

        Two evaluators with equal identity and provenance return equal values.
        """
        own = type(self)
        path = f"{own.__module__}.{own.__qualname__}"
        return {self.name: {"class": path, **source_identity(own)}}

    # -- methods that subclasses do not override ------------------------------------------------

    def check_metric(self, metric: str) -> None:
        """Raise an error if a metric does not exist.

        Raises:
            KeyError: If :attr:`metrics` has no such name; the message lists all names.
        """
        if metric not in self.metrics:
            raise KeyError(
                f"{self.name!r} has no metric {metric!r}. It has: {', '.join(self.metrics)}."
            )

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the evaluator itself: environments, which Gymnasium makes from copies of their
        arguments, share what it has computed."""
        return self

    def _find_results(self, metric: str, genotypes: Genotypes) -> list[dict[str, float]]:
        """Return the metrics of each architecture, by name; evaluate those without kept results."""
        kept: KeptResults | None = self.__dict__.get("_kept")
        found: list[dict[str, float] | None] = [None] * len(genotypes)
        if kept is not None:
            found = kept.get(genotypes)
            if is_evaluating_elsewhere():
                without = [row for row, result in enumerate(found) if result is None]
                evaluate_elsewhere(self, metric, genotypes[without])
                found = kept.get(genotypes)
        missing = [row for row, result in enumerate(found) if result is None]
        if missing:
            started = time.perf_counter()
            arrays = self._evaluate_checked(genotypes[missing])
            seconds = (time.perf_counter() - started) / len(missing)
            new = [{k: float(v[i]) for k, v in arrays.items()} for i in range(len(missing))]
            if kept is not None and seconds >= _KEPT_SECONDS:
                kept.add(genotypes[missing], new)
            for row, result in zip(missing, new, strict=True):
                found[row] = result
        return [result for result in found if result is not None]

    def _evaluate_checked(self, genotypes: Genotypes) -> dict[str, Values]:
        whose = f"{type(self).__name__}.evaluate"
        try:
            returned = self.evaluate(genotypes)
        except Exception as error:
            raise EvaluationError(
                f"{whose} raised {type(error).__name__}: {error} (genotypes "
                f"{genotypes[:3].tolist()}{'…' if len(genotypes) > 3 else ''})."
            ) from error
        if not isinstance(returned, Mapping):
            raise EvaluationError(
                f"{whose} returned {type(returned).__name__}; a dictionary of arrays by metric "
                "was expected."
            )
        missing = [name for name in self.metrics if name not in returned]
        if missing:
            raise EvaluationError(
                f"{whose} did not return {', '.join(missing)}, which its metrics declare."
            )
        return {
            name: _check_values(whose, name, returned[name], genotypes) for name in self.metrics
        }


def _check_values(whose: str, metric: str, values: Any, genotypes: Genotypes) -> Values:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise EvaluationError(f"{whose} returned {metric} that are not numbers.") from None
    if array.shape != (len(genotypes),):
        raise EvaluationError(
            f"{whose} returned {metric} of shape {array.shape}; ({len(genotypes)},) was expected, "
            "one value per genotype."
        )
    finite = np.isfinite(array)
    if not finite.all():
        row = int(finite.argmin())
        raise EvaluationError(
            f"{whose} returned {array[row]} as {metric} of genotype {genotypes[row].tolist()}; "
            "a finite number was expected."
        )
    return array
