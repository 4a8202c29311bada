"""Drawings of the two cells of DARTS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas_gym.envs.rendering.page import (
    CHOICE_FILLS,
    DRAWING_BOTTOM,
    DRAWING_TOP,
    GREY,
    INK,
    MARGIN,
    PALE_GREY,
    WIDTH,
    Page,
    Point,
)
from nas_gym.spaces.darts import CELLS, INPUTS, OPERATIONS, PAIRS, STEPS

if TYPE_CHECKING:
    from matplotlib.path import Path

_RADIUS = 12.0
_HEIGHT = (DRAWING_TOP - DRAWING_BOTTOM) / len(CELLS)
_INPUT_X, _INPUT_RISE = 50.0, 24.0
_FIRST_X, _STEP = 182.0, 112.0  # of the intermediate nodes
_OUTPUT_X = WIDTH - MARGIN - 12.0
_BOX, _BOX_SHIFT, _BOX_RISE = (74.0, 17.0), -52.0, 25.0  # of an operation, relative to its node
_ARC_RISE = 72.0  # of the control points of the longest arcs, above or below the center of a cell


def draw_darts_cells(page: Page, genotype: NDArray[np.int64]) -> None:
    """Draw the normal and the reduction cell of DARTS, one above the other.

    Circles are nodes: the inputs ``-2`` and ``-1``, which are the outputs of the two previous
    cells, four intermediate nodes, and the output. Each intermediate node adds the results of its
    two operations, which are boxes with an arrow from the node that they read. The output
    concatenates the intermediate nodes.

    Args:
        page: Page to draw on.
        genotype: The decisions so far, ``(depth,)`` int64; undecided operations have a question
            mark, and no arrow if their input is also undecided.
    """
    decisions = [int(choice) for choice in genotype]
    of_a_cell = 3 * STEPS - 1
    for number, name in enumerate(CELLS):
        center = DRAWING_TOP - (number + 0.5) * _HEIGHT
        own = decisions[number * of_a_cell : (number + 1) * of_a_cell]
        _draw_cell(page, name, center, own)


def _draw_cell(page: Page, name: str, y: float, decisions: list[int]) -> None:
    """Draw one cell around the height ``y``, given the decisions of this cell so far."""
    from matplotlib.path import Path

    page.text((MARGIN, y + _HEIGHT / 2 - 14), name, 9, 70, color=GREY, ha="left")
    nodes = _node_centers(y)
    page.arrow(Path([nodes[INPUTS], (_OUTPUT_X - _RADIUS, y)]), PALE_GREY)  # the concatenation
    for node, center in enumerate([*nodes, (_OUTPUT_X, y)]):
        page.circle(center, _RADIUS)
        label = "out" if node == len(nodes) else str(node - INPUTS)
        page.text(center, label, 8, 2 * _RADIUS, zorder=4)
    for step in range(STEPS):
        pair = decisions[3 * step - 1 : 3 * step] if step else [0]
        sources = PAIRS[step][pair[0]] if pair else (None, None)
        operations = decisions[3 * step : 3 * step + 2]
        for number, source in enumerate(sources):
            operation = operations[number] if number < len(operations) else None
            _draw_operation(page, nodes, INPUTS + step, 1 - 2 * number, source, operation)


def _node_centers(y: float) -> list[Point]:
    """Return the centers of the inputs and of the intermediate nodes."""
    inputs = [(_INPUT_X, y + _INPUT_RISE), (_INPUT_X, y - _INPUT_RISE)]
    return inputs + [(_FIRST_X + step * _STEP, y) for step in range(STEPS)]


def _draw_operation(
    page: Page,
    nodes: list[Point],
    node: int,
    side: int,
    source: int | None,
    operation: int | None,
) -> None:
    """Draw one operation of a node, with arrows from the node that it reads and to its node.

    Args:
        page: Page to draw on.
        nodes: Centers of the nodes.
        node: The node that the operation belongs to.
        side: 1 to draw above the line of the nodes, -1 to draw below it.
        source: The node that the operation reads; ``None`` if it is undecided.
        operation: Index of the operation; ``None`` if it is undecided.
    """
    from matplotlib.path import Path

    x, y = nodes[node]
    center = (x + _BOX_SHIFT, y + side * _BOX_RISE)
    color = GREY if operation is not None else PALE_GREY
    right = (center[0] + _BOX[0] / 2, center[1])
    page.arrow(Path([right, (x - 0.6 * _RADIUS, y + 0.8 * side * _RADIUS)]), color)
    if source is not None:
        page.arrow(_arc(nodes[source], center, y, side, adjacent=source == node - 1), color)
    if operation is None:
        page.box(center, _BOX, facecolor="white", edgecolor=PALE_GREY, linestyle=(0, (2, 2)))
        page.text(center, "?", 8, _BOX[0], color=GREY, zorder=4)
    else:
        page.box(center, _BOX, facecolor=CHOICE_FILLS[operation], edgecolor=INK)
        page.text(center, OPERATIONS[operation], 7, _BOX[0], zorder=4)


def _arc(source: Point, box: Point, y: float, side: int, *, adjacent: bool) -> Path:
    """Return a path from a node to a box; it passes above or below the boxes between them.

    Args:
        source: Center of the node.
        box: Center of the box.
        y: Height of the center of the cell.
        side: 1 if the box is above ``y``, -1 if it is below.
        adjacent: Whether no other box is between them.
    """
    from matplotlib.path import Path

    left = (box[0] - _BOX[0] / 2, box[1])
    start = (source[0] + _RADIUS, source[1])
    if adjacent or box[0] < _FIRST_X:
        middle = (start[0] + left[0]) / 2
        return Path(
            [start, (middle, start[1]), (middle, left[1]), left],
            [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4],
        )
    top = (box[0], box[1] + side * _BOX[1] / 2)
    if source[0] != _INPUT_X:  # the line to the right of this node is the concatenation
        start = (source[0], y + side * _RADIUS)
    height = y + side * _ARC_RISE
    return Path(
        [start, (start[0] + 20, height), (top[0] - 20, height), top],
        [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4],
    )
