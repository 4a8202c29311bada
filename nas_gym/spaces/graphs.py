"""Unified graphs: a common graph format for the architectures of all cell-based search spaces.

Predictors read this format. It follows the MP-NAS paper (Loya et al., NeurIPS 2023; section 3.3 and
appendix A): there are eleven operations, and one node each for the input, the output and the whole
graph (the global node).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces import SearchSpace

OPERATIONS = (
    "conv1", "conv3", "conv5", "conv5_d2", "conv7", "conv7_d2", "linear", "avg_pool", "max_pool",
    "skip", "zero",
)  # fmt: skip
"""Operations, named by kernel size; ``d2`` means a dilation of 2 (MP-NAS paper, Table 8)."""

NODES = ("input", "output", "global", *OPERATIONS)
"""Types of nodes."""

_NAMES = {
    "input": "input",
    "output": "output",
    # NAS-Bench-201 and TransNAS-Bench-101
    "none": "zero",
    "skip_connect": "skip",
    "nor_conv_1x1": "conv1",
    "nor_conv_3x3": "conv3",
    "avg_pool_3x3": "avg_pool",
    # NAS-Bench-ASR
    "linear": "linear",
    "conv5": "conv5",
    "conv5d2": "conv5_d2",
    "conv7": "conv7",
    "conv7d2": "conv7_d2",
    "zero": "zero",
    # NAS-Bench-101
    "conv1x1-bn-relu": "conv1",
    "conv3x3-bn-relu": "conv3",
    "maxpool3x3": "max_pool",
    "absent": "zero",
    # NAS-Bench-Graph
    "fc": "conv1",
    "gcn": "conv3",
    "gin": "conv5",
    "graph": "conv5_d2",
    "cheb": "conv7",
    "arma": "conv7_d2",
    "sage": "avg_pool",
    "gat": "max_pool",
    "skip": "skip",
    # DARTS
    "sum": "skip",
    "max_pool_3x3": "max_pool",
    "sep_conv_3x3": "conv3",
    "sep_conv_5x5": "conv5",
    "dil_conv_3x3": "conv5_d2",
    "dil_conv_5x5": "conv7_d2",
}
"""Type of node (one of :data:`NODES`) of each node label of a search space.

A separable or dilated convolution of DARTS becomes the most similar plain convolution. The MP-NAS
paper does not cover graph neural networks, so this package maps the operations of NAS-Bench-Graph
by its own convention, in which no two operations become the same: ``fc``, which reads one node
only, becomes a 1x1 convolution; operations that weight neighbours become larger convolutions;
``sage``, which averages neighbours, becomes average pooling; ``gat``, which attends to some
neighbours, becomes max pooling.
"""


@dataclass(frozen=True)
class Graphs:
    """A batch of unified graphs, padded to the same number of nodes.

    Attributes:
        adjacency: Adjacency matrices, shape ``(n, nodes, nodes)`` bool; true at ``[i, u, v]`` for
            an edge from u to v.
        nodes: Types of the nodes, shape ``(n, nodes)`` int64, as indices into :data:`NODES`; -1 for
            padding.
    """

    adjacency: NDArray[np.bool_]
    nodes: NDArray[np.int64]


def to_graphs(space: SearchSpace, genotypes: ArrayLike) -> Graphs:
    """Return genotypes as unified graphs, ``(n, L)`` -> ``n`` graphs.

    ``zero`` operations and nodes on no path from the input to the output are removed, because they
    cannot change the output. The last node is the global node; all other nodes have an edge to it.

    Raises:
        ValueError: If a node label of the search space has no unified operation.
    """
    adjacency, codes = space.to_graph(genotypes)
    edges, nodes = adjacency.astype(bool), _unified_types(space)[codes]
    used = _used_nodes(edges, nodes)
    count, size = nodes.shape
    result = np.zeros((count, size + 1, size + 1), bool)
    result[:, :size, :size] = edges & used[:, :, None] & used[:, None]
    result[:, :size, size] = used
    whole = np.full((count, 1), NODES.index("global"))
    return Graphs(result, np.concatenate([np.where(used, nodes, -1), whole], axis=1))


def _unified_types(space: SearchSpace) -> NDArray[np.int64]:
    """Return the index in :data:`NODES` of each node label of a search space."""
    unknown = sorted(set(space.node_labels) - _NAMES.keys())
    if unknown:
        raise ValueError(
            f"{space.name} has operations that are not part of the unified graph: "
            f"{', '.join(unknown)}. Accepted operations: {', '.join(_NAMES)}."
        )
    return np.array([NODES.index(_NAMES[label]) for label in space.node_labels])


def _used_nodes(edges: NDArray[np.bool_], nodes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each node is the input, the output, or on a path between the two."""
    works = nodes != NODES.index("zero")
    ends = [nodes == NODES.index(end) for end in ("input", "output")]
    reached, reaches = (
        _reachable(ends[0], edges, works),
        _reachable(ends[1], edges.swapaxes(1, 2), works),
    )
    used: NDArray[np.bool_] = (reached & reaches) | ends[0] | ends[1]
    return used


def _reachable(
    reached: NDArray[np.bool_], edges: NDArray[np.bool_], works: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return a mask of the nodes reachable through nodes other than ``zero``, ``(n, nodes)``."""
    while True:
        more = reached | ((reached[:, None] @ edges)[:, 0] & works)
        if np.array_equal(more, reached):
            return reached
        reached = more
