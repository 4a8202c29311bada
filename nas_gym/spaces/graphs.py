"""Architectures of different cell-based search spaces as graphs of one kind, for predictors.

MP-NAS (Loya et al., NeurIPS 2023), section 3.3 and appendix A: eleven operations, and a node each
for input, output and the whole graph.
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
"""Kernel size; ``d2`` for a dilation of 2 (Table 8)."""

NODES = ("input", "output", "global", *OPERATIONS)
"""What a node can be."""

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
"""Node labels of search spaces, in the words of :data:`NODES`.

DARTS' separable and dilated convolutions stand for the plain ones that come next to them, the
larger for the larger. MP-NAS has no graph networks. Those of NAS-Bench-Graph are read by a
convention of this package, not by an equivalence: what looks at a node alone is a convolution of
one pixel (``fc``), what weighs neighbours a larger one, ``sage`` takes their mean, ``gat`` attends
to some of them. No two operations become one.
"""


@dataclass(frozen=True)
class Graphs:
    """Graphs of one kind, padded to one size.

    Attributes:
        adjacency: ``(n, nodes, nodes)`` bool, true at ``[u, v]`` for an edge from u to v.
        nodes: what each node is, ``(n, nodes)`` int64 indices of :data:`NODES`; -1 for none.
    """

    adjacency: NDArray[np.bool_]
    nodes: NDArray[np.int64]


def to_graphs(space: SearchSpace, genotypes: ArrayLike) -> Graphs:
    """Genotypes as graphs of one kind, ``(n, L)`` -> ``n`` graphs.

    What cannot change the output is left out: ``zero``, and nodes that lie on no path from the
    input to the output. The last node is the global one; every other leads to it.

    Raises:
        ValueError: a search space with operations that are none of :data:`OPERATIONS`.
    """
    adjacency, codes = space.to_graph(genotypes)
    return prune(adjacency.astype(bool), _unified(space)[codes])


def prune(edges: NDArray[np.bool_], nodes: NDArray[np.int64]) -> Graphs:
    """Graphs without what cannot change the output, and with the global node as the last.

    Args:
        edges: ``(n, nodes, nodes)``, as in :class:`Graphs`.
        nodes: ``(n, nodes)``, with an input and an output each.
    """
    kept = _kept(edges, nodes)
    count, size = nodes.shape
    result = np.zeros((count, size + 1, size + 1), bool)
    result[:, :size, :size] = edges & kept[:, :, None] & kept[:, None]
    result[:, :size, size] = kept
    whole = np.full((count, 1), NODES.index("global"))
    return Graphs(result, np.concatenate([np.where(kept, nodes, -1), whole], axis=1))


def _unified(space: SearchSpace) -> NDArray[np.int64]:
    """The index in :data:`NODES` of each node label of a search space."""
    unknown = sorted(set(space.node_labels) - _NAMES.keys())
    if unknown:
        raise ValueError(
            f"{space.name} has operations that are not part of the unified graph: "
            f"{', '.join(unknown)}. Those that are: {', '.join(_NAMES)}."
        )
    return np.array([NODES.index(_NAMES[label]) for label in space.node_labels])


def _kept(edges: NDArray[np.bool_], nodes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which nodes lie on a path from input to output, and these two, ``(n, nodes)``."""
    works = nodes != NODES.index("zero")
    ends = [nodes == NODES.index(end) for end in ("input", "output")]
    reached, reaches = _spread(ends[0], edges, works), _spread(ends[1], edges.swapaxes(1, 2), works)
    kept: NDArray[np.bool_] = (reached & reaches) | ends[0] | ends[1]
    return kept


def _spread(
    reached: NDArray[np.bool_], edges: NDArray[np.bool_], works: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Nodes, and those that paths lead to from them through nodes that work, ``(n, nodes)``."""
    while True:
        more = reached | ((reached[:, None] @ edges)[:, 0] & works)
        if np.array_equal(more, reached):
            return reached
        reached = more
