"""Cells whose operations sit on edges, and their graphs, whose operations sit on nodes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces.categorical import CategoricalSpace

Edges = Sequence[tuple[int, int]]
"""Source and target of each edge. Node 0 is the input, the highest one the output; nodes sum what
their edges give them."""


class EdgeCellSpace(CategoricalSpace):
    """A search space of one operation on each edge of a cell.

    Args:
        edges: of the cell.
        choices: the operations that each edge may have.
        names: the names of the edges.
        genotypes, name: as of :class:`~nas_gym.spaces.CategoricalSpace`.
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
        self._adjacency = adjacency(edges)

    @property
    def node_labels(self) -> tuple[str, ...]:
        """What the node operations of :meth:`to_graph` stand for."""
        return self._node_labels

    def to_graph(self, genotypes: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Cells with operations on the nodes: input, the edges of the cell, output.

        Returns:
            adjacency, shape ``(n, edges + 2, edges + 2)`` (the same for every cell), and node
            operations, shape ``(n, edges + 2)``, indices of :attr:`node_labels`.
        """
        array = self.check(genotypes)
        nodes = np.empty((len(array), len(self._adjacency)), np.int64)
        nodes[:, 0], nodes[:, -1] = 0, 1
        nodes[:, 1:-1] = self._node_codes[np.arange(array.shape[1]), array]
        return np.repeat(self._adjacency[None], len(array), axis=0), nodes


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
