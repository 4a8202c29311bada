"""Search space of NAS-Bench-101 (Ying et al., ICML 2019, section 2)."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces.base import Genotypes, SearchSpace
from nas_gym.spaces.isomorphism import canonicalize_cells

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3", "absent")
MAX_VERTICES, MAX_EDGES = 7, 9

_SOURCE, _TARGET = np.triu_indices(MAX_VERTICES, 1)
_BITS = len(_SOURCE)
_ABSENT = OPERATIONS.index("absent")
_EXPECTED = (
    "Expected a matrix and the operation of each vertex, such as "
    "'[[0, 1, 0], [0, 0, 1], [0, 0, 0]] input,conv3x3-bn-relu,output'"
)


class NB101Space(SearchSpace):
    """The cells of NAS-Bench-101: at most seven vertices, five operations and nine edges.

    A genotype has 26 integers: 21 bits, which are the upper triangle of the adjacency matrix row by
    row, and the operations of the five inner vertices as indices into :data:`OPERATIONS`. A cell
    with fewer vertices has ``absent`` vertices before the output. Strings contain the arguments of
    the benchmark's ``ModelSpec``: the matrix as JSON, and the operations of the vertices, as in
    ``[[0, 1], [0, 0]] input,output``.

    The space consists of the given cells, each in its canonical form (see
    :mod:`nas_gym.spaces.isomorphism`). Two cells are the same architecture if they are isomorphic
    after all vertices on no path from input to output are removed. The benchmark has 423,624
    architectures.

    Args:
        genotypes: Cells of the space, shape ``(n, 26)``; they need not be canonical.
        name: Name of the space in histories and messages.

    Raises:
        ValueError: If no cell is given, or a cell has no edge or more than nine edges on paths
            from input to output.

    Example:
        >>> text = "[[0, 1, 1], [0, 0, 1], [0, 0, 0]] input,maxpool3x3,output"
        >>> space = NB101Space(NB101Space.parse([text]))
        >>> space.to_text(space.decode([0])) == [text]
        True
    """

    def __init__(self, genotypes: ArrayLike, name: str = "NB101") -> None:
        choices = [("0", "1")] * _BITS + [OPERATIONS] * (MAX_VERTICES - 2)
        names = [f"{u}->{v}" for u, v in zip(_SOURCE.tolist(), _TARGET.tolist(), strict=True)]
        names += [f"op{vertex}" for vertex in range(1, MAX_VERTICES - 1)]
        super().__init__(choices, names, name=name)
        given = self.check(genotypes)
        cells = canonicalize_cells(given, MAX_VERTICES, len(OPERATIONS))
        _check_edges(cells, given)
        self.restrict(cells)

    def to_text(self, genotypes: ArrayLike) -> list[str]:
        """Return the matrix and the operations of each cell, without absent vertices."""
        adjacency, nodes = self.to_graph(genotypes)
        labels = self.node_labels
        texts = []
        for matrix, row in zip(adjacency, nodes, strict=True):
            present = np.flatnonzero(row != labels.index("absent"))
            names = ",".join(labels[row[vertex]] for vertex in present)
            texts.append(f"{json.dumps(matrix[np.ix_(present, present)].tolist())} {names}")
        return texts

    def from_text(self, texts: Sequence[str]) -> Genotypes:
        """Parse strings and return their canonical genotypes; see :meth:`parse`."""
        return self.parse(texts)

    @staticmethod
    def parse(texts: Sequence[str]) -> Genotypes:
        """Parse strings in the notation of :meth:`to_text` into canonical genotypes, ``(n, 26)``.

        Raises:
            ValueError: If a string is not a matrix with operations, or a cell has no edge or more
                than nine edges on paths from input to output.
        """
        rows = np.array([_parse(text) for text in texts], np.int64)
        rows = rows.reshape(-1, _BITS + MAX_VERTICES - 2)
        cells = canonicalize_cells(rows, MAX_VERTICES, len(OPERATIONS))
        _check_edges(cells, texts)
        return cells

    @property
    def node_labels(self) -> tuple[str, ...]:
        """Names of the node operations of :meth:`to_graph`."""
        return ("input", "output", *OPERATIONS)

    def to_graph(self, genotypes: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Return cells as graphs: input, five operations, output.

        Returns:
            Adjacency matrices, shape ``(n, 7, 7)``, and operations of the nodes, shape ``(n, 7)``,
            as indices into :attr:`node_labels`.
        """
        array = self.check(genotypes)
        adjacency = np.zeros((len(array), MAX_VERTICES, MAX_VERTICES), np.int8)
        adjacency[:, _SOURCE, _TARGET] = array[:, :_BITS]
        nodes = np.ones((len(array), MAX_VERTICES), np.int64)
        nodes[:, 0] = 0
        nodes[:, 1:-1] = 2 + array[:, _BITS:]
        return adjacency, nodes


def _check_edges(cells: Genotypes, given: Sequence[str] | Genotypes) -> None:
    """Raise an error if a canonical form has a wrong number of edges.

    Args:
        cells: Canonical forms, shape ``(n, 26)``.
        given: Cells as the user wrote them, as strings or genotypes, for the message.
    """
    edges = cells[:, :_BITS].sum(axis=1)
    wrong = (edges == 0) | (edges > MAX_EDGES)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{given[row]} is not a cell of NAS-Bench-101: 1 to {MAX_EDGES} edges on paths from "
            f"input to output were expected, but it has {edges[row]}."
        )


def _parse(text: str) -> list[int]:
    """Parse one string; the returned genotype need not be canonical."""
    matrix, _, names = text.strip().rpartition(" ")
    operations = names.split(",")
    try:
        given = np.array(json.loads(matrix))
    except ValueError:
        given = np.zeros(0)
    count = len(operations)
    if given.shape != (count, count) or not 2 <= count <= MAX_VERTICES:
        raise ValueError(f"{text!r} is not a cell of NAS-Bench-101. {_EXPECTED}.")
    if not np.isin(given, (0, 1)).all() or np.tril(given).any():
        raise ValueError(
            f"{text!r}: the matrix must have 0 or 1 above its diagonal and 0 elsewhere. "
            f"{_EXPECTED}."
        )
    inner = operations[1:-1]
    if (operations[0], operations[-1]) != ("input", "output") or not set(inner) <= set(
        OPERATIONS[:_ABSENT]
    ):
        raise ValueError(
            f"{text!r}: expected input, then any of {', '.join(OPERATIONS[:_ABSENT])}, then output."
        )
    place = [*range(count - 1), MAX_VERTICES - 1]  # absent vertices come before the output
    whole = np.zeros((MAX_VERTICES, MAX_VERTICES), np.int64)
    whole[np.ix_(place, place)] = given
    codes = [OPERATIONS.index(name) for name in inner] + [_ABSENT] * (MAX_VERTICES - count)
    return [*whole[_SOURCE, _TARGET].tolist(), *codes]
