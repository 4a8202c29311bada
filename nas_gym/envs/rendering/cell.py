"""Drawings of the cell of NAS-Bench-201."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nas_gym.envs.rendering.page import GREY, PALE_GREY, Page, Point
from nas_gym.spaces.nb201 import EDGES

if TYPE_CHECKING:
    from matplotlib.path import Path

# Okabe and Ito's palette; both convolutions are blue.
_OPERATION_COLORS = {
    "none": PALE_GREY,
    "skip_connect": "#009E73",
    "nor_conv_1x1": "#56B4E9",
    "nor_conv_3x3": "#0072B2",
    "avg_pool_3x3": "#D55E00",
}

_NODES = ((60.0, 184.0), (233.0, 184.0), (407.0, 184.0), (580.0, 184.0))
_RADIUS = 18.0
# Height of the arc of each edge above the line of the nodes, in pixels; other edges are straight.
_RISES = {(0, 2): 68.0, (0, 3): 128.0, (1, 3): -84.0}


def draw_cell(page: Page, labels: Sequence[str]) -> None:
    """Draw a cell of NAS-Bench-201 as in the NAS-Bench-201 paper, with operations on the edges.

    Args:
        page: Page to draw on.
        labels: Operations of the first edges; the other edges are undecided.
    """
    for number, edge in enumerate(EDGES):
        _draw_edge(page, edge, labels[number] if number < len(labels) else None)
    for number, node in enumerate(_NODES):
        page.circle(node, _RADIUS)
        page.text(node, str(number), 11, 2 * _RADIUS, zorder=4)
    for name, node, shift in (("input", _NODES[0], -14), ("output", _NODES[-1], 14)):
        page.text((node[0] + shift, node[1] - 32), name, 9, 60, color=GREY)


def _draw_edge(page: Page, edge: tuple[int, int], label: str | None) -> None:
    (x0, y0), (x1, y1) = _NODES[edge[0]], _NODES[edge[1]]
    rise = _RISES.get(edge, 0.0)
    # The peak of a quadratic Bezier curve is half as high as its control point.
    path = _arc((x0, y0), ((x0 + x1) / 2, y0 + 2 * rise), (x1, y1))
    start, control, end = np.asarray(path.vertices).tolist()
    middle = ((start[0] + 2 * control[0] + end[0]) / 4, (start[1] + 2 * control[1] + end[1]) / 4)
    if label is None:
        page.arrow(path, PALE_GREY, 1.4, (0, (1, 2)))
        page.text(middle, "?", 9, 40, color=GREY, bbox=_pill("white", "white"))
        return
    color = _OPERATION_COLORS[label]
    if label == "none":
        page.arrow(path, color, 1.0, (0, (4, 3)))
        page.text(middle, label, 9, 110, color=GREY, bbox=_pill("white", "white"))
    else:
        page.arrow(path, color, 2.0)
        page.text(middle, label, 9, 110, bbox=_pill("white", color))


def _pill(fill: str, edge: str) -> dict[str, Any]:
    """Return the style of the rounded box behind a label."""
    return {"boxstyle": "round,pad=0.3", "facecolor": fill, "edgecolor": edge, "linewidth": 1.2}


def _arc(start: Point, control: Point, end: Point) -> Path:
    """Return a quadratic Bezier curve between the circles of two nodes."""
    from matplotlib.path import Path

    return Path(
        [_towards(start, control), control, _towards(end, control)],
        [Path.MOVETO, Path.CURVE3, Path.CURVE3],
    )


def _towards(node: Point, target: Point) -> Point:
    """Return the point of a node's circle that is nearest to a target."""
    dx, dy = target[0] - node[0], target[1] - node[1]
    scale = _RADIUS / math.hypot(dx, dy)
    return node[0] + scale * dx, node[1] + scale * dy
