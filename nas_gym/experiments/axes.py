"""Axes on which searches can be read: logarithmic, with plain numbers, and down to 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axis import XAxis, YAxis

_DECADES = 3  # below its largest value, an axis of regrets does not go further


def thinned(first: int, last: int, points: int = 200) -> NDArray[np.int64]:
    """At most so many whole numbers from ``first`` to ``last``, evenly on a logarithmic axis."""
    return np.unique(np.geomspace(first, last, points).round().astype(np.int64))


def plain_log_axis(axis: XAxis | YAxis, low: float, high: float) -> None:
    """Make an axis from ``low`` to ``high`` logarithmic."""
    _set_scale(axis, "log")
    _set_ticks(axis, log_ticks(low, high))
    _set_limits(axis, low, high if high > low else low * 1.1)


def regret_axis(axis: XAxis | YAxis, values: NDArray[np.float64], high: float) -> float:
    """Make an axis logarithmic that has to show ``values`` >= 0, and go down to 0 if they do.

    Returns:
        the axis's upper limit.
    """
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
        # below the least value but 0 there is nothing to see: a small linear part is enough
        low = -0.06 * least
        _set_scale(axis, "symlog", linthresh=least, linscale=0.3)
        _set_ticks(axis, [0.0, *log_ticks(least, top)])
    _set_limits(axis, low, top)
    return top


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers from ``low`` to ``high``: as many as can be read."""
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
