"""Reward functions, which compute rewards from the search signal."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.utils.expressions import parse_call

Values = NDArray[np.float64]


class Reward(ABC):
    """A function from signals, and perhaps other metrics, to rewards.

    Attributes:
        columns: Other metrics that the reward depends on, as ``table:metric`` or ``metric``.
        takes_accuracy: Whether the signal must be an accuracy, in % or as a fraction. Otherwise
            the reward is the signal, negated if the metric is minimized.
    """

    columns: tuple[str, ...] = ()
    takes_accuracy: bool = True

    @abstractmethod
    def apply(self, signals: Values, others: Sequence[Values], whole: float) -> Values:
        """Return the rewards of architectures.

        Args:
            signals: Search signals, higher is better; any shape.
            others: Values of each of :attr:`columns`, in the same shape as ``signals``.
            whole: Accuracy of 100 % in the unit of the signals: 100 for %, 1 for fractions.
        """

    @abstractmethod
    def __str__(self) -> str:
        """Return the string from which :func:`parse_reward` makes this reward."""


@dataclass(frozen=True)
class SignalReward(Reward):
    """The search signal itself; negated if the metric is minimized."""

    takes_accuracy = False

    def apply(self, signals: Values, others: Sequence[Values], whole: float) -> Values:
        """See :meth:`Reward.apply`."""
        return signals

    def __str__(self) -> str:
        return "signal"


@dataclass(frozen=True)
class ExponentialReward(Reward):
    """The reward ``100 ** (accuracy / best)``, which emphasizes differences between the best
    architectures.

    ``accuracy`` and ``best`` are fractions of 1. With ``best=1``, this is Eq. 3 of the L2NAS paper.
    With the highest accuracy that is considered possible on a data set, it is Eq. 7, which makes
    rewards comparable between data sets. (The symbols in both equations are illegible in the
    available text of the paper.)

    Attributes:
        best: Fraction above 0 and at most 1; ``None`` for the best accuracy that the evaluator
            knows, such as the best accuracy in a supernet's training.

    Raises:
        ValueError: If ``best`` is outside (0, 1].
    """

    best: float | None = 1.0

    def __post_init__(self) -> None:
        if self.best is not None and not 0 < self.best <= 1:
            raise ValueError(
                f"best must be an accuracy as a fraction, above 0 and at most 1; got {self.best}."
            )

    def apply(self, signals: Values, others: Sequence[Values], whole: float) -> Values:
        """See :meth:`Reward.apply`."""
        assert self.best is not None  # the task fills it in
        rewards: Values = 100.0 ** (signals / (self.best * whole))
        return rewards

    def __str__(self) -> str:
        return "exponential" if self.best == 1 else f"rescaled(best={self.best!r})"


@dataclass(frozen=True)
class LatencyReward(Reward):
    """The reward ``signal * (latency / target) ** weight`` (CATCH paper, section 4.3; MnasNet).

    The signal, usually an accuracy, has its own unit, such as %.

    Attributes:
        column: Metric that holds the latencies, ``"table:metric"``.
        target: Latency at which the factor is 1, in the unit of the column, above 0.
        weight: Exponent; below 0 if less latency is better.

    Raises:
        ValueError: If ``target`` is not above 0, or ``target`` or ``weight`` is not a finite
            number.
    """

    column: str
    target: float
    weight: float

    def __post_init__(self) -> None:
        if not _is_number(self.target) or not self.target > 0 or not _is_number(self.weight):
            raise ValueError(
                "A latency reward needs a target above 0 and a weight, both numbers; got "
                f"target={self.target!r} and weight={self.weight!r}."
            )

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """The column of the latencies."""
        return (self.column,)

    def apply(self, signals: Values, others: Sequence[Values], whole: float) -> Values:
        """See :meth:`Reward.apply`."""
        rewards: Values = signals * (others[0] / self.target) ** self.weight
        return rewards

    def __str__(self) -> str:
        return f"latency(column={self.column},target={self.target!r},weight={self.weight!r})"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))


def _exponential() -> Reward:
    return ExponentialReward()


def _rescaled(best: float | None = None) -> Reward:
    return ExponentialReward(best)


_REWARDS: dict[str, Callable[..., Reward]] = {
    "signal": SignalReward,
    "exponential": _exponential,
    "rescaled": _rescaled,
    "latency": LatencyReward,
}
_EXAMPLES = (
    "'signal', 'exponential', 'rescaled(best=0.94)' or "
    "'latency(column=help-latency:fpga,target=5,weight=-0.07)'"
)


def parse_reward(text: str) -> Reward:
    """Parse the string of a reward.

    Args:
        text: ``"signal"``, ``"exponential"``, ``"rescaled(best=0.94)"``, ``"rescaled"`` (with the
            best accuracy that the evaluator knows) or
            ``"latency(column=help-latency:fpga,target=5,weight=-0.07)"``.

    Raises:
        ValueError: If the string is not in one of these forms, or a value is out of range.
    """
    try:
        call = parse_call(text)
    except ValueError:
        raise ValueError(f"reward is {_EXAMPLES}, got {text!r}.") from None
    make = _REWARDS.get(call.name)
    if make is None:
        raise ValueError(f"reward is {_EXAMPLES}, got {text!r}.")
    try:
        inspect.signature(make).bind(**call.arguments)
        return make(**call.arguments)
    except TypeError as error:  # unknown or missing arguments, or a string in place of a number
        raise ValueError(f"reward is {_EXAMPLES}, got {text!r} ({error}).") from None
