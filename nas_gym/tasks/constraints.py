"""Constraints on metrics of architectures, such as ``help-latency:raspi4 <= 5 ms``."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_gym.evaluators.base import Evaluator
from nas_gym.tables import Metric
from nas_gym.tasks.columns import Column

Values = NDArray[np.float64]

_PATTERN = re.compile(r"\s*(.+?)\s*(<=|>=)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([^\s\d.,_]\S*)?\s*")


@dataclass(frozen=True)
class Constraint:
    """An upper or a lower bound on one metric.

    Attributes:
        column: The metric.
        relation: ``"<="`` for an upper bound, ``">="`` for a lower bound.
        bound: The bound, in the unit of the metric.
        unit: Unit that the user wrote; empty if none was written.
    """

    column: Column
    relation: str
    bound: float
    unit: str = ""

    @classmethod
    def parse(cls, text: str, default: Evaluator) -> Constraint:
        """Parse ``"metric <= 5"`` or ``"table:metric >= 5 unit"``.

        Args:
            text: The constraint.
            default: Evaluator of metrics that are written without an evaluator's name.

        Raises:
            ValueError: If the text is not in this form.
        """
        match = _PATTERN.fullmatch(text)
        try:
            if match is None:
                raise ValueError
            bound = float(match[3])
            if not math.isfinite(bound):
                raise ValueError
        except ValueError:
            raise ValueError(
                f"constraint is COLUMN <= VALUE or COLUMN >= VALUE, such as "
                f"'help-latency:raspi4 <= 5' or 'params <= 0.5 M'; got {text!r}."
            ) from None
        return cls(Column.parse(match[1], default), match[2], bound, match[4] or "")

    def check_unit(self, metric: Metric) -> None:
        """Raise an error if the user wrote another unit than that of the metric.

        Raises:
            ValueError: If the units differ.
        """
        if self.unit and self.unit != metric.unit:
            known = f"is in {metric.unit!r}" if metric.unit else "has no unit"
            raise ValueError(
                f"The constraint {str(self)!r} is in {self.unit!r}, but {self.column} {known}. "
                "Give the value in the unit of the column, or leave the unit out."
            )

    def violations(self, values: Values) -> Values:
        """Return by how much values violate the bound, relative to the bound; 0 if they do not.

        If the bound is 0, violations are in the unit of the metric.
        """
        excess = values - self.bound if self.relation == "<=" else self.bound - values
        scaled: Values = np.maximum(excess, 0.0) / (abs(self.bound) or 1.0)
        return scaled

    def __str__(self) -> str:
        return f"{self.column} {self.relation} {self.bound:g}" + (f" {self.unit}" * bool(self.unit))


def parse_constraints(
    given: str | Constraint | Sequence[str | Constraint], default: Evaluator
) -> tuple[Constraint, ...]:
    """Return constraints from the argument ``constraint`` of a task; see :class:`Constraint`.

    Raises:
        TypeError: If the argument is not text, a constraint, or a sequence of these.
        ValueError: If a text is not a constraint.
    """
    several = (given,) if isinstance(given, str | Constraint) else given
    if not isinstance(several, Sequence) or not all(
        isinstance(each, str | Constraint) for each in several
    ):
        raise TypeError(f"constraint is text or a list of texts, got {given!r}.")
    return tuple(
        Constraint.parse(each, default) if isinstance(each, str) else each for each in several
    )


def total_violation(constraints: Sequence[Constraint], values: Sequence[Values]) -> Values:
    """Return the sum of the relative violations of all constraints; 0 for feasible architectures.

    Args:
        constraints: At least one constraint.
        values: Values of the column of each constraint, in one shape.
    """
    found = [one.violations(own) for one, own in zip(constraints, values, strict=True)]
    total: Values = np.sum(found, axis=0)
    return total


def check_satisfiable(constraints: Sequence[Constraint], columns: Sequence[Values]) -> None:
    """Raise an error if no architecture of a space satisfies all constraints.

    Args:
        constraints: The constraints.
        columns: Values of the column of each constraint for every architecture, ``(size,)`` each.

    Raises:
        ValueError: If there is no such architecture; the message has the nearest possible value.
    """
    left = np.ones(columns[0].shape, bool)
    others: list[str] = []
    for one, values in zip(constraints, columns, strict=True):
        satisfied = left & (one.violations(values) == 0)
        if not satisfied.any():
            possible = values[left]
            extreme, word = (
                (possible.min(), "lowest") if one.relation == "<=" else (possible.max(), "highest")
            )
            among = f" among those with {' and '.join(others)}" if others else ""
            raise ValueError(
                f"No architecture satisfies the constraint {str(one)!r}{among}: the {word} value "
                f"of {one.column} is {extreme:.6g}."
            )
        left = satisfied
        others.append(str(one))


def penalize(
    rewards: Values, violations: Values, floor: Values | float, span: Values | float
) -> Values:
    """Return rewards in which every feasible architecture is above every infeasible one.

    A feasible architecture keeps its reward, which is raised to ``floor`` if noise made it lower.
    An infeasible one has ``floor - span * v / (1 + v)`` for its violation ``v``: below ``floor``,
    above ``floor - span``, and higher for less violation.

    Args:
        rewards: Rewards without constraints.
        violations: Total violations, in the same shape; 0 for feasible architectures.
        floor: Lowest reward of a feasible architecture.
        span: Width of the interval of the rewards of infeasible architectures, above 0.
    """
    penalties = floor - span * violations / (1.0 + violations)
    return np.where(violations > 0, penalties, np.maximum(rewards, floor))
