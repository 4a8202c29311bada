"""Rewards: what becomes of an accuracy before an agent sees it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Reward = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From signals to rewards of the same shape."""

_TEXT = re.compile(r"exponential|rescaled\(best=([^)]+)\)")
_LATENCY = re.compile(r"latency\(column=([^,()]+), ?target=([^,()]+), ?weight=([^,()]+)\)")


@dataclass(frozen=True)
class Latency:
    """``accuracy * (latency / target) ** weight``: CATCH, section 4.3 (from MnasNet).

    Attributes:
        column: where latencies stand, ``"table:metric"``.
        target: in the unit of the column, above 0.
        weight: below 0 where less latency is better.
    """

    column: str
    target: float
    weight: float

    def factor(self, latency: NDArray[np.float64]) -> NDArray[np.float64]:
        """What accuracies are multiplied by, shape of ``latency``."""
        factor: NDArray[np.float64] = (latency / self.target) ** self.weight
        return factor


def exponential(accuracy: NDArray[np.float64], best: float = 1.0) -> NDArray[np.float64]:
    """``100 ** (accuracy / best)``, which tells the best apart more than the rest.

    With ``best=1`` it is the reward of L2NAS, Eq. 3; with the highest accuracy that a data set is
    thought to allow, that of Eq. 7, which is comparable between data sets. (The symbols of both
    equations are missing from the copy of the paper that this follows; so they are read.)

    Args:
        accuracy: fractions of 1.
        best: a fraction of 1, or another unit if ``accuracy`` has that, too.
    """
    rewards: NDArray[np.float64] = 100.0 ** (accuracy / best)
    return rewards


def parse(text: str) -> float | Latency | None:
    """What a reward's name stands for: the ``best`` of an exponential one, a fraction; a
    :class:`Latency`; or None for ``"signal"``, which stays as it is.

    Args:
        text: ``"signal"``, ``"exponential"``, ``"rescaled(best=0.94)"`` or
            ``"latency(column=help-latency:fpga,target=5,weight=-0.07)"``.

    Raises:
        ValueError: another text, a best accuracy outside (0, 1], or a target that is not above 0.
    """
    if text == "signal":
        return None
    latency = _LATENCY.fullmatch(text)
    if latency:
        target, weight = _number(latency[2]), _number(latency[3])
        if not 0 < target < np.inf or not np.isfinite(weight):
            raise ValueError(f"{text!r} needs a target above 0 and a weight, both numbers.")
        return Latency(latency[1].strip(), target, weight)
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(
            "reward is 'signal', 'exponential', 'rescaled(best=0.94)' or "
            f"'latency(column=help-latency:fpga,target=5,weight=-0.07)', got {text!r}."
        )
    best = _number(match[1] or "1")
    if not 0 < best <= 1:
        raise ValueError(f"The best accuracy of {text!r} is a fraction, above 0 and at most 1.")
    return best


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
