"""Rewards: what becomes of an accuracy before an agent sees it."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Reward = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From signals to rewards of the same shape."""

_TEXT = re.compile(r"exponential|rescaled\(best=([^)]+)\)")


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


def parse(text: str) -> float | None:
    """The ``best`` of a reward's name, a fraction; None for ``"signal"``, which stays as it is.

    Args:
        text: ``"signal"``, ``"exponential"`` or ``"rescaled(best=0.94)"``.

    Raises:
        ValueError: another text, or a best accuracy outside (0, 1].
    """
    if text == "signal":
        return None
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(
            f"reward is 'signal', 'exponential' or 'rescaled(best=0.94)', got {text!r}."
        )
    try:
        best = float(match[1] or 1.0)
    except ValueError:
        best = np.nan
    if not 0 < best <= 1:
        raise ValueError(f"The best accuracy of {text!r} is a fraction, above 0 and at most 1.")
    return best
