"""Drawings of architectures as a sequence of decisions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
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
from nas_gym.spaces import SearchSpace

if TYPE_CHECKING:
    from matplotlib.path import Path

_TWO_LINES = 30.0  # height in pixels of a box with two lines of text


def draw_decisions(page: Page, space: SearchSpace, genotype: NDArray[np.int64]) -> None:
    """Draw the decisions in rows of boxes, with the choices made so far.

    Args:
        page: Page to draw on.
        space: Search space.
        genotype: The decisions so far, ``(depth,)`` int64.
    """
    count = space.num_decisions
    rows = math.ceil(count / max(5, math.sqrt(count)))
    columns = math.ceil(count / rows)
    centers = [_grid_center(i, columns, rows) for i in range(count)]
    size = _box_size(columns, rows)
    # Many rows are read like lines of text, and need no arrows.
    for start, end in pairwise(centers) if size[1] > _TWO_LINES else ():
        page.arrow(_arrow_path(start, end, size), GREY)
    for i, center in enumerate(centers):
        choice = int(genotype[i]) if i < len(genotype) else None
        _draw_decision(page, center, size, space.decision_names[i], space.choices[i], choice)


def _grid_center(number: int, columns: int, rows: int) -> Point:
    """Return the center of a box of the grid."""
    row, column = divmod(number, columns)
    return (
        MARGIN / 2 + (column + 0.5) * (WIDTH - MARGIN) / columns,
        DRAWING_TOP - (row + 0.5) * (DRAWING_TOP - DRAWING_BOTTOM) / rows,
    )


def _box_size(columns: int, rows: int) -> Point:
    """Return the width and the height of a box."""
    width, height = (WIDTH - MARGIN) / columns, (DRAWING_TOP - DRAWING_BOTTOM) / rows
    return min(130.0, width - min(24.0, 0.3 * width)), min(50.0, 0.7 * height)


def _draw_decision(
    page: Page, center: Point, size: Point, name: str, labels: Sequence[str], choice: int | None
) -> None:
    (x, y), (width, height) = center, size
    if choice is None:
        page.box(center, size, facecolor="white", edgecolor=PALE_GREY, linestyle=(0, (2, 2)))
    else:
        page.box(center, size, facecolor=CHOICE_FILLS[choice % len(CHOICE_FILLS)], edgecolor=INK)
    label = "?" if choice is None else labels[choice]
    color = GREY if choice is None else INK
    if height < _TWO_LINES:
        page.text(center, label, 8, width - 4, color=color, zorder=4)
        return
    page.text((x, y + height / 4), name, 7.5, width - 6, color=color, zorder=4)
    page.text((x, y - height / 6), label, 10, width - 6, color=color, zorder=4)


def _arrow_path(start: Point, end: Point, size: Point) -> Path:
    """Return a path to the next box, which may be at the beginning of the next row."""
    from matplotlib.path import Path

    (x0, y0), (x1, y1), (width, height) = start, end, size
    if y0 == y1:
        return Path([(x0 + width / 2, y0), (x1 - width / 2, y1)])
    between = (y0 + y1) / 2
    return Path([(x0, y0 - height / 2), (x0, between), (x1, between), (x1, y1 + height / 2)])
