"""Drawings of the graphs of architectures, in layers."""

from __future__ import annotations

from collections.abc import Sequence
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
    NODE_FILL,
    WIDTH,
    Page,
    Point,
)
from nas_gym.spaces import SearchSpace

if TYPE_CHECKING:
    from matplotlib.path import Path


def is_chain(space: SearchSpace, genotype: NDArray[np.int64]) -> bool:
    """Return whether the graph of an architecture merely lists the decisions in order."""
    adjacency = space.to_graph(genotype)[0][0]
    size = space.num_decisions + 2
    return np.array_equal(adjacency, np.eye(size, k=1))


def draw_graph(page: Page, space: SearchSpace, genotype: NDArray[np.int64]) -> None:
    """Draw the graph of an architecture (:meth:`SearchSpace.to_graph`) from left to right.

    Args:
        page: Page to draw on.
        space: Search space.
        genotype: A complete architecture, ``(L,)`` int64.
    """
    adjacencies, operations = space.to_graph(genotype)
    parents = [np.flatnonzero(column).tolist() for column in adjacencies[0].T]
    layers = assign_layers(parents)
    step = min(130.0, (WIDTH - MARGIN) / len(layers))
    gap = min(72.0, (DRAWING_TOP - DRAWING_BOTTOM) / max(map(len, layers)))
    places = place_members(layers, parents, step, gap)
    width, height = min(72.0, 0.64 * step), min(36.0, 0.7 * gap)
    for v, sources in enumerate(parents):
        for u in sources:
            points = [places[u, u][0], *places.get((u, v), []), places[v, v][0]]
            page.arrow(_edge_path(points, width), GREY)
    for node, operation in enumerate(operations[0].tolist()):
        # The first two labels are the input and the output.
        fill = CHOICE_FILLS[(operation - 2) % len(CHOICE_FILLS)] if operation > 1 else NODE_FILL
        (center,) = places[node, node]
        page.box(center, (width, height), facecolor=fill, edgecolor=INK)
        page.text(center, space.node_labels[operation], 10, width - 8, zorder=4)


def assign_layers(parents: Sequence[Sequence[int]]) -> list[list[tuple[int, int]]]:
    """Assign nodes and edges to the layers of the drawing (Sugiyama's layout).

    The layer of a node ``v``, written ``(v, v)``, is the length of the longest path from an input
    to ``v``. An edge ``(u, v)`` also gets a place in each layer that it crosses, so that no box
    covers the edge.

    Args:
        parents: Predecessors of each node; nodes are in topological order.

    Returns:
        Members of each layer, from left to right.
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


def place_members(
    layers: list[list[tuple[int, int]]],
    parents: Sequence[Sequence[int]],
    step: float,
    gap: float,
) -> dict[tuple[int, int], list[Point]]:
    """Return the center of each node, and the points where each edge crosses a layer.

    Args:
        layers: Result of :func:`assign_layers`.
        parents: Predecessors of each node.
        step: Distance between successive layers, in pixels.
        gap: Distance between neighbors within a layer, in pixels.
    """
    places: dict[tuple[int, int], list[Point]] = {}

    def height(member: tuple[int, int]) -> float:
        # Sorting by the mean height of the predecessors avoids most crossings.
        u, v = member
        sources = parents[v] if u == v else [u]
        before = [places.get((w, v)) or places[w, w] for w in sources]
        return sum(points[-1][1] for points in before) / max(1, len(before))

    for number, layer in enumerate(layers):
        x = WIDTH / 2 + (number - (len(layers) - 1) / 2) * step
        ordered = sorted(layer, key=height, reverse=True)
        for rank, member in enumerate(ordered):
            y = (DRAWING_TOP + DRAWING_BOTTOM) / 2 - (rank - (len(ordered) - 1) / 2) * gap
            places.setdefault(member, []).append((x, y))
    return places


def _edge_path(points: Sequence[Point], width: float) -> Path:
    """Return a smooth path between two boxes that is horizontal at each point."""
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
