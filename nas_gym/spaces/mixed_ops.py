"""Cells that mix the operations of all search spaces, on the topologies of each.

The mixed-ops extension of MP-NAS (Loya et al., NeurIPS 2023), section 3.3 and appendix A.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces import nb201, nbasr
from nas_gym.spaces.base import RandomSource
from nas_gym.spaces.edge_cells import Edges, adjacency
from nas_gym.spaces.graphs import NODES, OPERATIONS, Graphs, prune
from nas_gym.spaces.nb101 import MAX_EDGES, MAX_VERTICES

_MOST = len(nbasr.EDGES)
"""Operations, in any topology."""


class MixedOps:
    """Every topology of four search spaces, with any of the eleven operations on each node.

    An index stands for a topology and an operation for each of its nodes. Counted are, in the order
    of the indices:

    - NAS-Bench-101: the upper triangular matrices of 2 to 7 vertices and at most 9 edges in which
      every vertex lies on a path from the first to the last, isomorphic ones counted apart. Those
      of v vertices, v - 2 of them operations, are 1, 2, 10, 121, 1,545 and 4,793: 794,700,072
      graphs.
    - NAS-Bench-201, and TransNAS-Bench-101-Micro of the same topology, counted once: an operation
      on each of six edges, 11^6 = 1,771,561.
    - NAS-Bench-ASR: an operation on each of nine edges, 11^9 = 2,357,947,691. In the benchmark,
      six of them are the branches, ``skip`` or ``zero``.

    These are 3,154,419,324. The paper says "more than 2.35 B" and does not say how it counts: 11^9
    alone is 2.358 B.

    Example:
        >>> space = MixedOps()
        >>> space.size
        3154419324
        >>> space.to_graphs(space.sample(5, np.random.default_rng(0))).nodes.shape
        (5, 12)
    """

    def __init__(self) -> None:
        self._edges, self._operations = _topologies()
        self._ends = np.cumsum(len(OPERATIONS) ** self._operations)
        self.size = int(self._ends[-1])

    def sample(self, n: int, rng: RandomSource) -> NDArray[np.int64]:
        """``n`` indices, uniformly; shape ``(n,)``, int64 in ``[0, size)``."""
        return (rng.random((n, 1))[:, 0] * self.size).astype(np.int64)

    def to_graphs(self, indices: ArrayLike) -> Graphs:
        """Graphs of indices, ``(n,)`` -> ``n`` graphs of 12 nodes.

        The nodes are input, nine operations, output and the global node. What a topology lacks is
        absent, and so is what cannot change the output, as in
        :func:`nas_gym.spaces.graphs.to_graphs`.

        Raises:
            TypeError: not integers.
            IndexError: an index outside ``[0, size)``.
        """
        array = self._check(indices)
        topology = np.searchsorted(self._ends, array, side="right")
        operations = self._operations[topology]
        rank = array - self._ends[topology] + len(OPERATIONS) ** operations
        place = np.arange(_MOST, dtype=np.int64)
        digits = rank[:, None] // len(OPERATIONS) ** place % len(OPERATIONS)
        nodes = np.empty((len(array), _MOST + 2), np.int64)
        nodes[:, [0, -1]] = NODES.index("input"), NODES.index("output")
        present = place < operations[:, None]
        nodes[:, 1:-1] = np.where(present, NODES.index(OPERATIONS[0]) + digits, -1)
        return prune(self._edges[topology], nodes)

    def _check(self, indices: ArrayLike) -> NDArray[np.int64]:
        array = np.atleast_1d(np.asarray(indices))
        if array.dtype.kind not in "iu":
            raise TypeError(f"Indices are integers, got an array of {array.dtype}.")
        if len(array) and (array.min() < 0 or array.max() >= self.size):
            raise IndexError(
                f"Indices of mixed ops are 0 to {self.size - 1}, got {array.min()} to "
                f"{array.max()}."
            )
        return array.astype(np.int64)


@cache
def _topologies() -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Edges between input, nine operations and output, ``(6474, 11, 11)``; operations of each."""
    families = [_nb101(vertices) for vertices in range(2, MAX_VERTICES + 1)]
    families += [_of_edges(nb201.EDGES), _of_edges(nbasr.EDGES)]
    counts = [len(edges) for edges in families]
    operations = np.array([edges.shape[1] - 2 for edges in families], np.int64)
    return np.concatenate([_widen(edges) for edges in families]), np.repeat(operations, counts)


def _nb101(vertices: int) -> NDArray[np.bool_]:
    """NAS-Bench-101's matrices of so many vertices, all in use, ``(n, vertices, vertices)``."""
    source, target = np.triu_indices(vertices, 1)
    numbers = np.arange(2 ** len(source), dtype="<u4").view(np.uint8).reshape(-1, 4)
    bits = np.unpackbits(numbers, axis=1, count=len(source), bitorder="little").astype(bool)
    bits = bits[bits.sum(axis=1) <= MAX_EDGES]
    edges = np.zeros((len(bits), vertices, vertices), bool)
    edges[:, source, target] = bits
    # edges go from lower to higher: with one into each vertex, all are reached from the first
    reached = np.all(edges[:, :, 1:].any(axis=1), axis=1)
    reaches = np.all(edges[:, :-1].any(axis=2), axis=1)
    used: NDArray[np.bool_] = edges[reached & reaches]
    return used


def _of_edges(edges: Edges) -> NDArray[np.bool_]:
    """The topology whose operations are these edges, ``(1, operations + 2, operations + 2)``."""
    return adjacency(edges)[None].astype(bool)


def _widen(edges: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With room for nine operations between input and output, ``(n, 11, 11)``."""
    place = np.append(np.arange(edges.shape[1] - 1), _MOST + 1)
    result = np.zeros((len(edges), _MOST + 2, _MOST + 2), bool)
    result[:, place[:, None], place] = edges
    return result
