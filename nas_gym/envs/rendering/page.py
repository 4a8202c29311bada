"""The page that architectures are drawn on, and its colors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.path import Path
    from matplotlib.text import Text

Point = tuple[float, float]
"""Coordinates in pixels, from the lower left corner of the page; or a width and a height."""

WIDTH, HEIGHT, MARGIN = 640, 400, 24
DRAWING_TOP, DRAWING_BOTTOM = 340, 64  # between the title and the notes below
_DPI = 100

INK, GREY, PALE_GREY, NODE_FILL = "#222222", "#767676", "#BDBDBD", "#F2F2F2"

# Paul Tol's "light" color scheme: readable under dark text, and distinct for color-blind readers.
CHOICE_FILLS = (
    "#77AADD",
    "#EE8866",
    "#EEDD88",
    "#FFAABB",
    "#99DDFF",
    "#44BB99",
    "#BBCC33",
    "#AAAA00",
    "#DDDDDD",
)


class Page:
    """A white page of ``WIDTH`` by ``HEIGHT`` pixels.

    The figure has its own Agg canvas, because pyplot would keep every figure and select a backend.
    All colors and fonts are set explicitly, so that the user's matplotlib style has no effect.
    """

    def __init__(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._figure = Figure((WIDTH / _DPI, HEIGHT / _DPI), dpi=_DPI, facecolor="white")
        self._canvas: Any = FigureCanvasAgg(self._figure)
        self._axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
        self._axes.set_axis_off()

    def pixels(self) -> NDArray[np.uint8]:
        """Return the page as an image, ``(HEIGHT, WIDTH, 3)`` uint8."""
        self._canvas.draw()
        rgba = np.asarray(self._canvas.buffer_rgba())
        return rgba[..., :3].copy()

    def text(self, at: Point, words: str, size: float, width: float, **style: Any) -> None:
        """Draw text. Text wider than ``width`` is drawn in a smaller font and, if that is not
        enough, truncated.

        Args:
            at: Position of the text.
            words: The text.
            size: Font size in points.
            width: Largest width in pixels.
            **style: Keyword arguments of ``matplotlib.axes.Axes.text``.
        """
        defaults = {"color": INK, "ha": "center", "va": "center", "family": "DejaVu Sans"}
        # Math text is off, because a label may contain a dollar sign.
        text = self._axes.text(
            *at, words, size=size, usetex=False, parse_math=False, **(defaults | style)
        )
        _fit(text, width)

    def box(self, center: Point, size: Point, **style: Any) -> None:
        """Draw a box with rounded corners, with the style of a ``FancyBboxPatch``."""
        from matplotlib.patches import FancyBboxPatch

        corner = (center[0] - size[0] / 2, center[1] - size[1] / 2)
        defaults: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=5", "linewidth": 1.1}
        self._axes.add_artist(FancyBboxPatch(corner, *size, zorder=3, **(defaults | style)))

    def circle(self, center: Point, radius: float) -> None:
        """Draw the circle of a node."""
        from matplotlib.patches import Circle

        style: dict[str, Any] = {"facecolor": NODE_FILL, "edgecolor": INK, "linewidth": 1.2}
        self._axes.add_artist(Circle(center, radius, zorder=3, **style))

    def arrow(self, path: Path, color: str, width: float = 1.2, dashes: Any = "solid") -> None:
        """Draw an arrow along a path."""
        from matplotlib.patches import FancyArrowPatch, PathPatch

        head: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 10 + 2 * width}
        style: dict[str, Any] = {"color": color, "joinstyle": "miter", "capstyle": "butt"}
        if dashes != "solid":
            # The line is drawn separately, so that the outline of the head is not dashed.
            line = PathPatch(path, linewidth=width, linestyle=dashes, fill=False, **style)
            self._axes.add_artist(line)
            width = 0
        self._axes.add_artist(FancyArrowPatch(path=path, linewidth=width, **head, **style))


def _fit(text: Text, width: float, smallest: float = 6.0) -> None:
    """Reduce the font size of text to fit a width; truncate the text if that is not enough."""
    extent = text.get_window_extent().width
    if extent <= width:
        return
    size = float(text.get_fontsize())
    # Sizes are multiples of half a point, because each new size loads the font again.
    text.set_fontsize(max(smallest, math.floor(2 * size * width / extent) / 2))
    extent = text.get_window_extent().width
    if extent > width:
        words = text.get_text()
        text.set_text(words[: max(1, int(len(words) * width / extent) - 1)] + "…")
