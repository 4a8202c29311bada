"""Logarithmic axes for search curves, with plain numbers as labels; regret axes may include 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axis import XAxis, YAxis

_DECADES = 3  # decades below the largest regret that are shown


def log_spaced_integers(first: int, last: int, most: int = 200) -> NDArray[np.int64]:
    """Return distinct integers that are evenly spaced on a logarithmic axis.

    Args:
        first: Lowest integer, at least 1.
        last: Highest integer.
        most: Highest number of integers.
    """
    return np.unique(np.geomspace(first, last, most).round().astype(np.int64))


def set_log_axis(axis: XAxis | YAxis, low: float, high: float) -> None:
    """Make an axis logarithmic, with limits ``low`` and ``high``."""
    _set_scale(axis, "log")
    _set_ticks(axis, log_ticks(low, high))
    _set_limits(axis, low, high if high > low else low * 1.1)


def set_regret_axis(axis: XAxis | YAxis, values: NDArray[np.float64], high: float) -> float:
    """Make an axis of regrets logarithmic; it includes 0 if a value is 0.

    With negative regrets (see :meth:`nas_gym.Task.regret`), the axis is linear.

    Args:
        axis: Axis to change.
        values: Regrets.
        high: Highest value that must be visible.

    Returns:
        Upper limit of the axis.
    """
    low = float(values.min())
    if low < 0:
        margin = 0.05 * ((high - low) or abs(low))
        _set_limits(axis, low - margin, high + margin)
        return high
    positive = values[values > 0]
    if len(positive) == 0:
        _set_limits(axis, -0.02, 1.0)
        return 1.0
    least = max(float(positive.min()), float(positive.max()) * 10.0**-_DECADES)
    top = max(high, least) * 1.15
    if len(positive) == values.size:
        low = least / 1.15
        _set_scale(axis, "log")
        _set_ticks(axis, log_ticks(low, top))
    else:
        # nothing lies between 0 and the lowest positive value, so a small linear part is enough
        low = -0.06 * least
        _set_scale(axis, "symlog", linthresh=least, linscale=0.3)
        _set_ticks(axis, [0.0, *log_ticks(least, top)])
    _set_limits(axis, low, top)
    return top


def log_ticks(low: float, high: float) -> list[float]:
    """Return at most about seven round numbers from ``low`` to ``high``."""
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [float(d * s) for d in decades for s in steps if low <= d * s <= high * 1.0001]
        if len(ticks) <= 7:
            break
    return ticks


def _set_scale(axis: XAxis | YAxis, scale: str, **arguments: float) -> None:
    getattr(axis.axes, f"set_{axis.axis_name}scale")(scale, **arguments)


def _set_ticks(axis: XAxis | YAxis, ticks: list[float]) -> None:
    axis.set_ticks(ticks, [f"{tick:,.6g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def _set_limits(axis: XAxis | YAxis, low: float, high: float) -> None:
    getattr(axis.axes, f"set_{axis.axis_name}lim")(low, high)
