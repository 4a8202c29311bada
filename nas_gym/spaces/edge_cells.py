"""Search spaces of cells with operations on the edges."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces.base import SearchSpace

Edges = Sequence[tuple[int, int]]
"""Source and target node of each edge.

Node 0 is the input, and the last node is the output. A node is the sum of its incoming edges.
"""


class EdgeCellSpace(SearchSpace):
    """A search space with one decision per edge of a cell: the operation on the edge.

    Args:
        edges: Edges of the cell.
        choices: Operations that each edge may have.
        names: Names of the edges.
        genotypes: Architectures of the space; see :class:`~nas_gym.spaces.SearchSpace`.
        name: Name of the space in histories and messages.
    """

    def __init__(
        self,
        edges: Edges,
        choices: Sequence[Sequence[str]],
        names: Sequence[str],
        genotypes: ArrayLike | None,
        name: str,
    ) -> None:
        super().__init__(choices, names, genotypes, name)
        labels = list(dict.fromkeys(chain(*choices)))
        self._node_labels = ("input", "output", *labels)
        self._node_codes = np.zeros((len(edges), self.max_choices), np.int64)
        for codes, operations in zip(self._node_codes, choices, strict=True):
            codes[: len(operations)] = [2 + labels.index(each) for each in operations]
        self._adjacency = _line_graph(edges)
        self._targets = np.array([target for _, target in edges])

    @property
    def decision_groups(self) -> NDArray[np.int64]:
        """Group of each decision: the edges into one node; see
        :attr:`SearchSpace.decision_groups`."""
        return np.unique(self._targets, return_inverse=True)[1].astype(np.int64)

    @property
    def node_labels(self) -> tuple[str, ...]:
        """Names of the node operations of :meth:`to_graph`."""
        return self._node_labels

    def to_graph(self, genotypes: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Return cells as graphs with one node per edge of the cell.

        Returns:
            Adjacency matrices, shape ``(n, edges + 2, edges + 2)``, which are the same for every
            cell, and the operations of the nodes, shape ``(n, edges + 2)``, as indices into
            :attr:`node_labels`. The first node is the input, the last node is the output.
        """
        array = self.check(genotypes)
        nodes = np.empty((len(array), len(self._adjacency)), np.int64)
        nodes[:, 0], nodes[:, -1] = 0, 1
        nodes[:, 1:-1] = self._node_codes[np.arange(array.shape[1]), array]
        return np.repeat(self._adjacency[None], len(array), axis=0), nodes


def _line_graph(edges: Edges) -> NDArray[np.int8]:
    """Return the adjacency matrix of input, edges and output, ``(edges + 2, edges + 2)``.

    An edge precedes the edges that begin at its target.
    """
    source, target = np.array(edges).T
    result = np.zeros((len(edges) + 2, len(edges) + 2), np.int8)
    result[0, 1:-1] = source == 0
    result[1:-1, 1:-1] = target[:, None] == source
    result[1:-1, -1] = target == target.max()
    return result
