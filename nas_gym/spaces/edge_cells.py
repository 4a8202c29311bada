"""Cells whose operations sit on edges, as graphs whose operations sit on nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Edges = Sequence[tuple[int, int]]
"""Source and target of each edge. Node 0 is the input, the highest one the output; nodes sum what
their edges give them."""


def adjacency(edges: Edges) -> NDArray[np.int8]:
    """The graph of input, edges and output, ``(edges + 2, edges + 2)``.

    An edge leads to those that begin in the node that it ends in.
    """
    source, target = np.array(edges).T
    result = np.zeros((len(edges) + 2, len(edges) + 2), np.int8)
    result[0, 1:-1] = source == 0
    result[1:-1, 1:-1] = target[:, None] == source
    result[1:-1, -1] = target == target.max()
    return result


def to_graph(
    edges: Edges, operations: NDArray[np.int64]
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Graphs of cells with these edges, as :meth:`nas_gym.spaces.SearchSpace.to_graph` gives them.

    Args:
        edges: of every cell.
        operations: on each of them, ``(n, edges)``; labels 0 and 1 are input and output, those of
            operations follow.
    """
    count = len(operations)
    ends = np.zeros((count, 1), np.int64)
    nodes = np.concatenate([ends, 2 + operations, ends + 1], axis=1)
    return np.repeat(adjacency(edges)[None], count, axis=0), nodes
