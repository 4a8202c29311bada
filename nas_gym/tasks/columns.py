"""References to metrics of evaluators: single columns, and weighted sums of columns."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nas_gym.evaluators.base import COST, COST_METRICS, Evaluator
from nas_gym.utils.expressions import parse_weighted_sum

_DENOISED = ":denoised"


@dataclass(frozen=True)
class Column:
    """One metric of one evaluator, such as a table; written ``table:metric``.

    Attributes:
        source: Name of the evaluator.
        metric: Name of the metric.
        denoised: Whether each value is replaced by the mean over all isomorphic architectures of
            the search space, which were trained separately; written ``table:metric:denoised``.
            For reports only.
    """

    source: str
    metric: str
    denoised: bool = False

    @classmethod
    def parse(cls, text: str, default: Evaluator) -> Column:
        """Parse ``"metric"`` of the default evaluator, or ``"table:metric"``.

        Either may end in ``":denoised"``. A metric of the default evaluator may have a colon in its
        name. ``params`` and ``flops`` are those of
        :class:`nas_gym.evaluators.cost.CostEvaluator` if the default evaluator has no such metric.

        Raises:
            ValueError: If ``":denoised"`` is repeated, or a metric of the default evaluator has
                another suffix.
        """
        if text.endswith(_DENOISED) and text not in default.metrics:
            measured = cls.parse(text.removesuffix(_DENOISED), default)
            if measured.denoised:
                raise ValueError(f"{text!r} ends in {_DENOISED!r} twice. Give {str(measured)!r}.")
            return replace(measured, denoised=True)
        if text in COST_METRICS and text not in default.metrics:
            return cls(COST, text)
        source, colon, metric = text.partition(":")
        if not colon or text in default.metrics:
            return cls(default.name, text)
        if source in default.metrics:
            raise ValueError(
                f"Metric {source!r} is followed by {colon + metric!r}; the only suffix of a metric "
                f"is {_DENOISED!r}."
            )
        return cls(source, metric)

    def __str__(self) -> str:
        return f"{self.source}:{self.metric}{_DENOISED if self.denoised else ''}"


@dataclass(frozen=True)
class Mixture:
    """A weighted sum of columns; written ``0.3 * table:metric + 0.7 * table:metric``.

    Attributes:
        terms: Weights and columns.
    """

    terms: tuple[tuple[float, Column], ...]

    def __str__(self) -> str:
        return " + ".join(f"{weight!r} * {column}" for weight, column in self.terms)


Signal = Column | Mixture


def parse_signal(text: str, default: Evaluator) -> Signal:
    """Parse a column as :meth:`Column.parse` does, or a mixture of such columns.

    Raises:
        ValueError: If a weight is not a number.
    """
    terms = parse_weighted_sum(text)
    if terms is None:
        return Column.parse(text, default)
    return Mixture(tuple((weight, Column.parse(name, default)) for weight, name in terms))


def weighted_columns(signal: Signal) -> tuple[tuple[float, Column], ...]:
    """Return the weights and columns of a signal; a single column has weight 1."""
    return signal.terms if isinstance(signal, Mixture) else ((1.0, signal),)
