"""Unified graphs: a common graph format for the architectures of all cell-based search spaces.

Predictors read this format. It follows the MP-NAS paper (Loya et al., NeurIPS 2023; section 3.3 and
appendix A): there are eleven operations, and one node each for the input, the output and the whole
graph (the global node). A predictor that was trained on one of these spaces can read the others.

A search space with other operations, such as the choices of a user's table, has node types of its
own. A predictor can only learn such a space from scratch.
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
"""Types of nodes of the unified graph."""

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
    """A batch of graphs, padded to the same number of nodes.

    Attributes:
        adjacency: Adjacency matrices, shape ``(n, nodes, nodes)`` bool; true at ``[i, u, v]`` for
            an edge from u to v.
        nodes: Types of the nodes, shape ``(n, nodes)`` int64, as indices into ``node_types``; -1
            for padding.
        node_types: Names of the types; :data:`NODES` for unified graphs.
    """

    adjacency: NDArray[np.bool_]
    nodes: NDArray[np.int64]
    node_types: tuple[str, ...] = NODES


def graph_node_types(space: SearchSpace) -> tuple[str, ...]:
    """Return the types of the nodes of a search space's graphs.

    They are :data:`NODES` if each node label has a unified operation. Otherwise, they are the
    search space's own: its node labels and the global node.
    """
    if set(space.node_labels) <= _NAMES.keys():
        return NODES
    return tuple(dict.fromkeys((*NODES[:3], *space.node_labels)))


def describe_node_types(node_types: tuple[str, ...]) -> str:
    """Return a short description of node types for messages."""
    if node_types == NODES:
        return "the operations of unified graphs (NAS-Bench-201, DARTS, NAS-Bench-Graph, ...)"
    own = node_types[3:]
    more = ", ..." if len(own) > 3 else ""
    return f"{len(own)} operations of its own ({', '.join(own[:3])}{more})"


def to_graphs(space: SearchSpace, genotypes: ArrayLike) -> Graphs:
    """Return genotypes as graphs, ``(n, L)`` -> ``n`` graphs.

    The last node is the global node; all other nodes have an edge to it. In unified graphs,
    ``zero`` operations and nodes on no path from the input to the output are removed, because they
    cannot change the output. Other graphs keep all nodes.

    Raises:
        ValueError: If ``space.node_labels`` lacks ``"input"`` or ``"output"``.
    """
    missing = {"input", "output"} - set(space.node_labels)
    if missing:
        raise ValueError(
            f"The graphs of {space.name} have no node {' and no node '.join(sorted(missing))}. "
            "node_labels must contain 'input' and 'output'."
        )
    adjacency, codes = space.to_graph(genotypes)
    node_types, labels = graph_node_types(space), space.node_labels
    if node_types is NODES:
        labels = tuple(_NAMES[label] for label in labels)
    types = np.array([node_types.index(label) for label in labels])
    edges, nodes = adjacency.astype(bool), types[codes]
    used = _used_nodes(edges, nodes) if node_types is NODES else np.ones(nodes.shape, bool)
    count, size = nodes.shape
    result = np.zeros((count, size + 1, size + 1), bool)
    result[:, :size, :size] = edges & used[:, :, None] & used[:, None]
    result[:, :size, size] = used
    whole = np.full((count, 1), NODES.index("global"))
    return Graphs(result, np.concatenate([np.where(used, nodes, -1), whole], axis=1), node_types)


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
