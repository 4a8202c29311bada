"""Canonical forms of isomorphic cells with operations on the vertices."""

from __future__ import annotations

from functools import cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray


def canonicalize_cells(cells: NDArray[np.int64], vertices: int, labels: int) -> NDArray[np.int64]:
    """Return the canonical forms of cells. Isomorphic cells have the same canonical form.

    A cell is the upper triangle of its adjacency matrix, row by row, followed by one label per
    inner vertex. The last label marks a vertex as absent; edges of an absent vertex are ignored.
    Vertices on no path from input to output also become absent. All orders of the inner vertices
    in which edges go forward are then compared. The canonical form is the lexicographically last of
    the reordered cells, so absent vertices come just before the output.

    Args:
        cells: Cells, shape ``(n, edges + inner)``, with ``edges = vertices * (vertices - 1) / 2``
            and ``inner = vertices - 2``.
        vertices: Number of vertices, including input and output; at most 7.
        labels: Number of labels.

    Returns:
        Canonical cells, in the same shape. A cell without a path from input to output has no edges.
    """
    pruned = _prune(cells, vertices, labels - 1)
    weights = _weights(vertices, labels)
    best = pruned @ weights[0]
    for order in weights[1:]:
        np.maximum(best, pruned @ order, out=best)
    # the first order leaves the cell unchanged, so its weights are the strides of the mixed radix
    edges = pruned.shape[1] - (vertices - 2)
    radix = np.where(np.arange(pruned.shape[1]) < edges, 2, labels)
    digits: NDArray[np.int64] = best[:, None] // weights[0] % radix
    return digits


def _prune(cells: NDArray[np.int64], vertices: int, absent: int) -> NDArray[np.int64]:
    """Remove edges and vertices that are on no path from input to output from cells."""
    source, target = np.triu_indices(vertices, 1)
    bits, labels = cells[:, : len(source)], cells[:, len(source) :]
    edges = np.zeros((len(cells), vertices, vertices), bool)
    edges[:, source, target] = bits
    present = np.pad(labels != absent, ((0, 0), (1, 1)), constant_values=True)
    reached, reaches = np.zeros_like(present), np.zeros_like(present)
    reached[:, 0] = reaches[:, -1] = True
    for vertex in range(1, vertices):  # edges go from lower to higher vertices
        reached[:, vertex] = present[:, vertex] & (reached & edges[:, :, vertex]).any(axis=1)
        other = vertices - 1 - vertex
        reaches[:, other] = present[:, other] & (reaches & edges[:, other]).any(axis=1)
    used = reached & reaches
    kept = bits * (used[:, source] & used[:, target])
    return np.concatenate([kept, np.where(used[:, 1:-1], labels, absent)], axis=1)


@cache
def _weights(vertices: int, labels: int) -> list[NDArray[np.int64]]:
    """Return one weight vector per order of the inner vertices.

    The lexicographic rank of a reordered cell among all cells is the dot product of the original
    cell and the weights of the order. It is negative if an edge goes backward in that order.
    """
    source, target = np.triu_indices(vertices, 1)
    inner = vertices - 2
    label_weights = labels ** np.arange(inner)[::-1]
    edge_weights = np.full((vertices, vertices), -(2 ** len(source) * labels**inner))
    edge_weights[source, target] = 2 ** np.arange(len(source))[::-1] * labels**inner
    result = []
    for order in permutations(range(1, vertices - 1)):
        place = np.array([0, *order, vertices - 1])
        moved = edge_weights[place[source], place[target]]
        result.append(np.concatenate([moved, label_weights[place[1:-1] - 1]]))
    return result
