"""Drawings of architectures: as text and as an image of one fixed size."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import NB201Space, SearchSpace
from nas_gym.spaces.nb201 import EDGES

if TYPE_CHECKING:
    from matplotlib.path import Path
    from matplotlib.text import Text

    Point = tuple[float, float]

NOTHING = "no architecture yet"

# A page is in pixels, its origin at the lower left.
WIDTH, HEIGHT, MARGIN = 640, 400, 24
_DPI = 100
_TOP, _BOTTOM = 340, 64  # of the drawing, between the title and the small print

_INK, _GREY, _FAINT = "#222222", "#767676", "#BDBDBD"

# Okabe and Ito's palette; the two convolutions are two blues
_OPERATION_COLORS = {
    "none": _FAINT,
    "skip_connect": "#009E73",
    "nor_conv_1x1": "#56B4E9",
    "nor_conv_3x3": "#0072B2",
    "avg_pool_3x3": "#D55E00",
}
# Paul Tol's "light" scheme: fills for dark text, told apart with any colour vision
_FILLS = (
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


def as_text(space: SearchSpace, genotype: NDArray[np.int64] | None, caption: str) -> str:
    """An architecture as a few lines of text.

    Args:
        space: the search space.
        genotype: the decisions so far, shape ``(depth,)`` with ``depth <= space.num_decisions``;
            None where there is no architecture.
        caption: a line to add, such as the accuracy.
    """
    if genotype is None:
        lines = [NOTHING]
    elif _is_complete(space, genotype):
        lines = space.to_text(genotype)
    else:
        labels = _labels(space, genotype)
        lines = [f"{space.name}: {_progress(space, genotype)}"]
        lines += [
            f"{name}: {label}" for name, label in zip(space.decision_names, labels, strict=False)
        ]
        lines.append(f"open: {', '.join(space.decision_names[len(labels) :])}")
    return "\n".join([*lines, caption] if caption else lines)


def as_image(
    space: SearchSpace, genotype: NDArray[np.int64] | None, caption: str
) -> NDArray[np.uint8]:
    """An architecture as a picture, uint8 of shape ``(400, 640, 3)`` whatever it shows.

    The cell of NAS-Bench-201 is drawn as in its paper, with operations on the edges; of other
    spaces, the graph of :meth:`SearchSpace.to_graph`. Where that is but a chain of the decisions,
    and for unfinished architectures, it is the decisions in a row.

    Args:
        space: the search space.
        genotype: the decisions so far, shape ``(depth,)`` with ``depth <= space.num_decisions``;
            None where there is no architecture.
        caption: what stands above the drawing, such as the accuracy.
    """
    page = _Page()
    page.text((MARGIN, 374), space.name, 12, 200, weight="bold", ha="left")
    title, notes = _words(space, genotype, caption)
    page.text((WIDTH - MARGIN, 374), title, 12, 370, ha="right")
    if genotype is None:
        page.text((WIDTH / 2, (_TOP + _BOTTOM) / 2), NOTHING, 13, WIDTH / 2, color=_GREY)
        return page.pixels()
    if isinstance(space, NB201Space):
        _draw_cell(page, _labels(space, genotype))
    elif _is_complete(space, genotype) and not _is_chain(space, genotype):
        _draw_graph(page, space, genotype)
    else:
        _draw_decisions(page, space, genotype)
    _print_small(page, notes)
    return page.pixels()


def _is_complete(space: SearchSpace, genotype: NDArray[np.int64]) -> bool:
    return len(genotype) >= space.num_decisions


def _labels(space: SearchSpace, genotype: NDArray[np.int64]) -> list[str]:
    return [
        labels[choice] for labels, choice in zip(space.choices, genotype.tolist(), strict=False)
    ]


def _progress(space: SearchSpace, genotype: NDArray[np.int64]) -> str:
    return f"{len(genotype)} of {space.num_decisions} decisions"


def _words(space: SearchSpace, genotype: NDArray[np.int64] | None, caption: str) -> tuple[str, str]:
    """The title and the small print."""
    if genotype is None:
        return caption, ""
    if _is_complete(space, genotype):
        return caption, space.to_text(genotype)[0]
    return caption or _progress(space, genotype), f"next: {space.decision_names[len(genotype)]}"


class _Page:
    """A white page to draw on.

    The figure has its own Agg canvas: nothing goes through pyplot, which would keep every figure
    and choose a backend. Colours and fonts are all given, so that no style of the user's matters.
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
        """The page, shape ``(HEIGHT, WIDTH, 3)``."""
        self._canvas.draw()
        rgba = np.asarray(self._canvas.buffer_rgba())
        return rgba[..., :3].copy()

    def text(self, at: Point, words: str, size: float, width: float, **style: Any) -> None:
        """Words of at most a width: in smaller letters, or cut, where they are too long."""
        defaults = {"color": _INK, "ha": "center", "va": "center", "family": "DejaVu Sans"}
        # a label may hold a dollar sign
        text = self._axes.text(
            *at, words, size=size, usetex=False, parse_math=False, **(defaults | style)
        )
        _fit(text, width)

    def box(self, center: Point, size: Point, **style: Any) -> None:
        """A box with round corners."""
        from matplotlib.patches import FancyBboxPatch

        corner = (center[0] - size[0] / 2, center[1] - size[1] / 2)
        defaults: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=5", "linewidth": 1.1}
        self._axes.add_artist(FancyBboxPatch(corner, *size, zorder=3, **(defaults | style)))

    def circle(self, center: Point, radius: float) -> None:
        """The node of a cell."""
        from matplotlib.patches import Circle

        style: dict[str, Any] = {"facecolor": "#F2F2F2", "edgecolor": _INK, "linewidth": 1.2}
        self._axes.add_artist(Circle(center, radius, zorder=3, **style))

    def arrow(self, path: Path, color: str, width: float = 1.2, dashes: Any = "solid") -> None:
        """An arrow along a path."""
        from matplotlib.patches import FancyArrowPatch, PathPatch

        head: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 10 + 2 * width}
        style: dict[str, Any] = {"color": color, "joinstyle": "miter", "capstyle": "butt"}
        if dashes != "solid":
            # on its own, or the outline of the head were dashed as well
            line = PathPatch(path, linewidth=width, linestyle=dashes, fill=False, **style)
            self._axes.add_artist(line)
            width = 0
        self._axes.add_artist(FancyArrowPatch(path=path, linewidth=width, **head, **style))


def _fit(text: Text, width: float, smallest: float = 6.0) -> None:
    """Shrink a text to a width, and cut it where it would be too small to read."""
    extent = text.get_window_extent().width
    if extent <= width:
        return
    size = float(text.get_fontsize())
    # whole half points, since every size loads its letters anew
    text.set_fontsize(max(smallest, math.floor(2 * size * width / extent) / 2))
    extent = text.get_window_extent().width
    if extent > width:
        words = text.get_text()
        text.set_text(words[: max(1, int(len(words) * width / extent) - 1)] + "…")


def _print_small(page: _Page, words: str) -> None:
    lines = [""]
    for piece in re.split(r"(?<=[+, ])", words):
        if lines[-1] and len(lines[-1]) + len(piece) > 84:
            lines.append("")
        lines[-1] += piece
    if len(lines) > 3:
        lines[2:] = [lines[2] + "…"]
    for i, line in enumerate(lines):
        at = (WIDTH / 2, 40 - 13 * i + 6.5 * (len(lines) - 1) - 8)
        page.text(at, line, 8, WIDTH - MARGIN, color=_GREY, family="DejaVu Sans Mono")


# -- the cell of NAS-Bench-201 -------------------------------------------------------------------

_NODES = ((60.0, 184.0), (233.0, 184.0), (407.0, 184.0), (580.0, 184.0))
_RADIUS = 18.0
# how far the arc of each edge rises above the line of the nodes
_RISES = {(0, 2): 68.0, (0, 3): 128.0, (1, 3): -84.0}


def _draw_cell(page: _Page, labels: Sequence[str]) -> None:
    for number, edge in enumerate(EDGES):
        _draw_edge(page, edge, labels[number] if number < len(labels) else None)
    for number, node in enumerate(_NODES):
        page.circle(node, _RADIUS)
        page.text(node, str(number), 11, 2 * _RADIUS, zorder=4)
    for name, node, shift in (("input", _NODES[0], -14), ("output", _NODES[-1], 14)):
        page.text((node[0] + shift, node[1] - 32), name, 9, 60, color=_GREY)


def _draw_edge(page: _Page, edge: tuple[int, int], label: str | None) -> None:
    (x0, y0), (x1, y1) = _NODES[edge[0]], _NODES[edge[1]]
    rise = _RISES.get(edge, 0.0)
    # the peak of a quadratic Bezier curve is half as high as its control point
    path = _arc((x0, y0), ((x0 + x1) / 2, y0 + 2 * rise), (x1, y1))
    start, control, end = np.asarray(path.vertices).tolist()
    middle = ((start[0] + 2 * control[0] + end[0]) / 4, (start[1] + 2 * control[1] + end[1]) / 4)
    if label is None:
        page.arrow(path, _FAINT, 1.4, (0, (1, 2)))
        page.text(middle, "?", 9, 40, color=_GREY, bbox=_pill("white", "white"))
        return
    color = _OPERATION_COLORS[label]
    if label == "none":
        page.arrow(path, color, 1.0, (0, (4, 3)))
        page.text(middle, label, 9, 110, color=_GREY, bbox=_pill("white", "white"))
    else:
        page.arrow(path, color, 2.0)
        page.text(middle, label, 9, 110, bbox=_pill("white", color))


def _pill(fill: str, edge: str) -> dict[str, Any]:
    return {"boxstyle": "round,pad=0.3", "facecolor": fill, "edgecolor": edge, "linewidth": 1.2}


def _arc(start: Point, control: Point, end: Point) -> Path:
    """A quadratic Bezier curve between the rims of two nodes."""
    from matplotlib.path import Path

    return Path(
        [_towards(start, control), control, _towards(end, control)],
        [Path.MOVETO, Path.CURVE3, Path.CURVE3],
    )


def _towards(node: Point, target: Point) -> Point:
    dx, dy = target[0] - node[0], target[1] - node[1]
    scale = _RADIUS / math.hypot(dx, dy)
    return node[0] + scale * dx, node[1] + scale * dy


# -- decisions in a row --------------------------------------------------------------------------


_TWO_LINES = 30.0  # the height that a box needs for them


def _is_chain(space: SearchSpace, genotype: NDArray[np.int64]) -> bool:
    """Whether the graph only repeats the decisions, one after the other."""
    adjacency = space.to_graph(genotype)[0][0]
    size = space.num_decisions + 2
    return np.array_equal(adjacency, np.eye(size, k=1))


def _draw_decisions(page: _Page, space: SearchSpace, genotype: NDArray[np.int64]) -> None:
    count = space.num_decisions
    rows = math.ceil(count / max(5, math.sqrt(count)))
    columns = math.ceil(count / rows)
    centers = [_grid_center(i, columns, rows) for i in range(count)]
    size = _box_size(columns, rows)
    # many rows are read like lines of text
    for start, end in pairwise(centers) if size[1] > _TWO_LINES else ():
        page.arrow(_step(start, end, size), _GREY)
    for i, center in enumerate(centers):
        choice = int(genotype[i]) if i < len(genotype) else None
        _draw_decision(page, center, size, space.decision_names[i], space.choices[i], choice)


def _grid_center(number: int, columns: int, rows: int) -> Point:
    row, column = divmod(number, columns)
    return (
        MARGIN / 2 + (column + 0.5) * (WIDTH - MARGIN) / columns,
        _TOP - (row + 0.5) * (_TOP - _BOTTOM) / rows,
    )


def _box_size(columns: int, rows: int) -> Point:
    width, height = (WIDTH - MARGIN) / columns, (_TOP - _BOTTOM) / rows
    return min(130.0, width - min(24.0, 0.3 * width)), min(50.0, 0.7 * height)


def _draw_decision(
    page: _Page, center: Point, size: Point, name: str, labels: Sequence[str], choice: int | None
) -> None:
    (x, y), (width, height) = center, size
    if choice is None:
        page.box(center, size, facecolor="white", edgecolor=_FAINT, linestyle=(0, (2, 2)))
    else:
        page.box(center, size, facecolor=_FILLS[choice % len(_FILLS)], edgecolor=_INK)
    label = "?" if choice is None else labels[choice]
    color = _GREY if choice is None else _INK
    if height < _TWO_LINES:
        page.text(center, label, 8, width - 4, color=color, zorder=4)
        return
    page.text((x, y + height / 4), name, 7.5, width - 6, color=color, zorder=4)
    page.text((x, y - height / 6), label, 10, width - 6, color=color, zorder=4)


def _step(start: Point, end: Point, size: Point) -> Path:
    """To the next box: straight on, or round the end of the row."""
    from matplotlib.path import Path

    (x0, y0), (x1, y1), (width, height) = start, end, size
    if y0 == y1:
        return Path([(x0 + width / 2, y0), (x1 - width / 2, y1)])
    between = (y0 + y1) / 2
    return Path([(x0, y0 - height / 2), (x0, between), (x1, between), (x1, y1 + height / 2)])


# -- graphs --------------------------------------------------------------------------------------


def _draw_graph(page: _Page, space: SearchSpace, genotype: NDArray[np.int64]) -> None:
    adjacencies, operations = space.to_graph(genotype)
    parents = [np.flatnonzero(column).tolist() for column in adjacencies[0].T]
    layers = _layers(parents)
    step = min(130.0, (WIDTH - MARGIN) / len(layers))
    gap = min(72.0, (_TOP - _BOTTOM) / max(map(len, layers)))
    places = _places(layers, parents, step, gap)
    width, height = min(72.0, 0.64 * step), min(36.0, 0.7 * gap)
    for v, sources in enumerate(parents):
        for u in sources:
            points = [places[u, u][0], *places.get((u, v), []), places[v, v][0]]
            page.arrow(_route(points, width), _GREY)
    for node, operation in enumerate(operations[0].tolist()):
        # the first two labels are the input and the output
        fill = _FILLS[(operation - 2) % len(_FILLS)] if operation > 1 else "#F2F2F2"
        (center,) = places[node, node]
        page.box(center, (width, height), facecolor=fill, edgecolor=_INK)
        page.text(center, space.node_labels[operation], 10, width - 8, zorder=4)


def _layers(parents: Sequence[Sequence[int]]) -> list[list[tuple[int, int]]]:
    """What stands in each layer of the drawing, from left to right (Sugiyama's layout).

    A node ``(v, v)`` stands as far right as its longest path from an input is long. An edge
    ``(u, v)`` has a place in each layer that it jumps over, so that no box stands on it.
    """
    depth: list[int] = []
    for sources in parents:
        depth.append(1 + max((depth[u] for u in sources), default=-1))
    layers: list[list[tuple[int, int]]] = [[] for _ in range(max(depth) + 1)]
    for v, sources in enumerate(parents):
        layers[depth[v]].append((v, v))
        for u in sources:
            for layer in layers[depth[u] + 1 : depth[v]]:
                layer.append((u, v))
    return layers


def _places(
    layers: list[list[tuple[int, int]]],
    parents: Sequence[Sequence[int]],
    step: float,
    gap: float,
) -> dict[tuple[int, int], list[Point]]:
    """The point of each node, and the points of each edge in the layers that it jumps over."""
    places: dict[tuple[int, int], list[Point]] = {}

    def height(member: tuple[int, int]) -> float:
        # the mean of what leads here, which keeps crossings few
        u, v = member
        sources = parents[v] if u == v else [u]
        before = [places.get((w, v)) or places[w, w] for w in sources]
        return sum(points[-1][1] for points in before) / max(1, len(before))

    for number, layer in enumerate(layers):
        x = WIDTH / 2 + (number - (len(layers) - 1) / 2) * step
        ordered = sorted(layer, key=height, reverse=True)
        for rank, member in enumerate(ordered):
            y = (_TOP + _BOTTOM) / 2 - (rank - (len(ordered) - 1) / 2) * gap
            places.setdefault(member, []).append((x, y))
    return places


def _route(points: Sequence[Point], width: float) -> Path:
    """A smooth path from the right of one box to the left of another, level at each point."""
    from matplotlib.path import Path

    vertices: list[Point] = [(points[0][0] + width / 2, points[0][1])]
    codes = [Path.MOVETO]
    for i, (x, y) in enumerate(points[1:], start=1):
        x0, y0 = vertices[-1]
        middle = (x0 + x - width / 2) / 2
        vertices += [(middle, y0), (middle, y), (x - width / 2, y)]
        codes += [Path.CURVE4] * 3
        if i < len(points) - 1:
            vertices.append((x + width / 2, y))
            codes.append(Path.LINETO)
    return Path(vertices, codes)
