"""Search space of DARTS (Liu, Simonyan and Yang, ICLR 2019), as used in L2NAS."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces.base import Genotypes, SearchSpace
from nas_gym.spaces.categorical import CategoricalSpace

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""Operations of DARTS except ``none``, which no discrete architecture has (L2NAS paper, section
3.2)."""

CELLS = ("normal", "reduce")
INPUTS = 2  # a cell reads the outputs of the two previous cells
STEPS = 4  # intermediate nodes
PAIRS = tuple(tuple(combinations(range(INPUTS + step), 2)) for step in range(STEPS))
"""Possible pairs of inputs of each intermediate node."""

EDGES = tuple((source, INPUTS + step) for step in range(STEPS) for source in range(INPUTS + step))
"""Edges of a cell of the supernet, in the order of the rows of alpha."""

_FIRST_EDGE = np.array([0, 2, 5, 9])  # index in EDGES of each node's first edge
_DECISIONS = 3 * STEPS - 1  # decisions per cell; the inputs of the first node are fixed
_NOTATION = re.compile(
    r"Genotype\(normal=(\[.*?\])(?:, normal_concat=.*?)?, "
    r"reduce=(\[.*?\])(?:, reduce_concat=.*?)?\)"
)


def is_reduction_cell(layer: int, layers: int) -> bool:
    """Return whether a cell of a network halves the resolution: at one and two thirds of the depth.

    The first cell never does, so that a network of two cells has a normal and a reduction cell.
    """
    return layer > 0 and layer in (layers // 3, 2 * layers // 3)


class Genotype(NamedTuple):
    """An architecture in DARTS' notation: two ``(operation, input)`` per intermediate node."""

    normal: list[tuple[str, int]]
    normal_concat: list[int]
    reduce: list[tuple[str, int]]
    reduce_concat: list[int]


class DARTSSpace(SearchSpace):
    """The cells of DARTS: a normal and a reduction cell, each with four intermediate nodes.

    Every node reads two earlier nodes and applies an operation to each. A genotype has 22
    decisions, 11 per cell. The first two are the operations on the inputs of the first node, which
    are the outputs of the two previous cells. Every other node has three decisions: the pair of
    earlier nodes that it reads (an index into :data:`PAIRS`), and the operations on the two nodes
    of the pair. There are 1.08 * 10^18 genotypes.

    Alpha has shape ``(2, 14, 7)``: two cells (normal, reduction), 14 edges per cell (:data:`EDGES`)
    and 7 operations (:data:`OPERATIONS`).

    Args:
        name: Name of the space in histories and messages.

    Example:
        >>> space = DARTSSpace()
        >>> space.size
        1076746950455072400
    """

    cells: tuple[str, ...] = CELLS
    """Names of the cells that a genotype describes."""

    def __init__(self, name: str = "DARTS") -> None:
        operations, choices, names = list(OPERATIONS), [], []
        for cell in self.cells:
            for step, pairs in enumerate(PAIRS):
                if len(pairs) > 1:
                    choices.append([f"{a}&{b}" for a, b in pairs])
                    names.append(f"{cell}{step}.inputs")
                choices += [operations, operations]
                names += [f"{cell}{step}.first", f"{cell}{step}.second"]
        super().__init__(choices, names, None, name)
        self.alpha_size = len(self.cells) * len(EDGES) * len(OPERATIONS)

    @property
    def decision_groups(self) -> NDArray[np.int64]:
        """Group of each decision: the inputs and operations of one node; see
        :attr:`SearchSpace.decision_groups`."""
        decision = np.arange(self.num_decisions)
        step = (decision % _DECISIONS + 1) // 3
        return decision // _DECISIONS * STEPS + step

    def subset(self, genotypes: ArrayLike, name: str) -> SearchSpace:
        """Return a :class:`CategoricalSpace` of the given architectures.

        Algorithm 2 of the L2NAS paper chooses among all architectures, so it is not defined for a
        part of the space.
        """
        return CategoricalSpace(self.choices, self.decision_names, genotypes, name)

    # -- edges -----------------------------------------------------------------------------------

    def edges(self, genotypes: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the edges of cells, and the operations on them.

        Returns:
            Edges as ascending indices into :data:`EDGES`, shape ``(n, 2, 8)``, for the normal and
            the reduction cell, with two edges per node; and operations as indices into
            :data:`OPERATIONS`, in the same shape.
        """
        array = self.check(genotypes).reshape(-1, len(self.cells), _DECISIONS)
        pairs = np.insert(array[..., 2::3], 0, 0, axis=-1)  # the first node has only one pair
        operations = np.delete(array, np.s_[2::3], axis=-1)
        sources = np.stack(
            [np.array(PAIRS[step])[pairs[..., step]] for step in range(STEPS)], axis=-2
        )
        return (sources + _FIRST_EDGE[:, None]).reshape(operations.shape), operations

    def _from_edges(self, rows: NDArray[np.int64], operations: NDArray[np.int64]) -> Genotypes:
        """Return the genotypes with these edges and operations, the inverse of :meth:`edges`."""
        cells = np.empty((len(rows), len(self.cells), _DECISIONS), np.int64)
        cells[..., np.setdiff1d(np.arange(_DECISIONS), np.arange(2, _DECISIONS, 3))] = operations
        sources = rows.reshape(len(rows), len(self.cells), STEPS, 2) - _FIRST_EDGE[:, None]
        for step in range(1, STEPS):
            position = np.full((INPUTS + step, INPUTS + step), -1)
            position[tuple(np.array(PAIRS[step]).T)] = np.arange(len(PAIRS[step]))
            chosen = sources[..., step, :]
            cells[..., 3 * step - 1] = position[chosen[..., 0], chosen[..., 1]]
        return cells.reshape(len(rows), self.num_decisions)

    # -- continuous relaxation --------------------------------------------------------------------

    def genotype_to_alpha(self, genotypes: ArrayLike) -> NDArray[np.float32]:
        """Return alpha with 1 at the operation of each edge and 0 elsewhere, ``(n, 22)`` -> ``(n,
        196)``."""
        rows, operations = self.edges(genotypes)
        alpha = np.zeros((len(rows), len(self.cells), len(EDGES) * len(OPERATIONS)), np.float32)
        np.put_along_axis(alpha, rows * len(OPERATIONS) + operations, 1.0, axis=2)
        return alpha.reshape(len(rows), self.alpha_size)

    def alpha_to_genotype(self, alpha: ArrayLike) -> Genotypes:
        """Discretize relaxed architectures, ``(n, 196)`` -> ``(n, 22)``.

        As in Algorithm 2 of the L2NAS paper, an edge gets the operation with the largest weight,
        and a node keeps the two edges whose largest weights are highest. Of equal values, the first
        is chosen.

        Raises:
            ValueError: If the shape is wrong, or a value is NaN.
        """
        weights = self.check_alpha(alpha).reshape(-1, len(self.cells), len(EDGES), len(OPERATIONS))
        best, operations = weights.max(axis=3), weights.argmax(axis=3)
        rows = []
        for first, pairs in zip(_FIRST_EDGE, PAIRS, strict=True):
            inputs = best[..., first : first + pairs[-1][1] + 1]
            top = np.argsort(-inputs, axis=2, kind="stable")[..., :2]
            rows.append(first + np.sort(top, axis=2))
        kept = np.concatenate(rows, axis=2)
        return self._from_edges(kept, np.take_along_axis(operations, kept, axis=2))

    # -- text -------------------------------------------------------------------------------------

    def to_notation(self, genotypes: ArrayLike) -> list[Genotype]:
        """Return genotypes in DARTS' notation, with the inputs of each node in ascending order."""
        every, concat = [], list(range(INPUTS, INPUTS + STEPS))
        for rows, operations in zip(*self.edges(genotypes), strict=True):
            cells = [
                [(OPERATIONS[o], EDGES[row][0]) for row, o in zip(*cell, strict=True)]
                for cell in zip(rows.tolist(), operations.tolist(), strict=True)
            ]
            every.append(Genotype(cells[0], concat, cells[1], concat))
        return every

    def from_notation(self, notations: Sequence[Any]) -> Genotypes:
        """Return the genotypes of architectures in DARTS' notation.

        Args:
            notations: Objects with the attributes ``normal`` and ``reduce`` of DARTS' ``Genotype``.
                The two inputs of a node may be in either order.

        Raises:
            ValueError: If a cell does not have eight pairs, an operation is unknown, or a node
                reads the same node twice or a later node.
        """
        read = [[_read_cell(cell) for cell in (each.normal, each.reduce)] for each in notations]
        array = np.array(read, np.int64).reshape(-1, len(self.cells), 2 * STEPS, 2)
        return self._from_edges(array[..., 0], array[..., 1])

    def to_text(self, genotypes: ArrayLike) -> list[str]:
        """Return strings in DARTS' notation, ``Genotype(normal=[('sep_conv_3x3', 0), ...``."""
        return [repr(each) for each in self.to_notation(genotypes)]

    def from_text(self, texts: Sequence[str]) -> Genotypes:
        """Parse strings in DARTS' notation and return their genotypes.

        Raises:
            ValueError: If a string is not in this notation, or :meth:`from_notation` rejects the
                cells.
        """
        return self.from_notation([_parse(text) for text in texts])

    # -- graphs -----------------------------------------------------------------------------------

    @property
    def node_labels(self) -> tuple[str, ...]:
        """Names of the node operations of :meth:`to_graph`."""
        return ("input", "output", "sum", *OPERATIONS)

    def to_graph(self, genotypes: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Return both cells as one graph with two disconnected parts.

        Returns:
            Adjacency matrices, ``(n, 30, 30)``, and operations of the nodes, ``(n, 30)``, as
            indices into :attr:`node_labels`. Each cell has 15 nodes: two inputs, two operations and
            a sum per intermediate node, and the output.
        """
        rows, operations = self.edges(genotypes)
        size = INPUTS + 3 * STEPS + 1
        adjacency = np.zeros((len(rows), len(self.cells), size, size), np.int8)
        nodes = np.empty((len(rows), len(self.cells), size), np.int64)
        nodes[..., :INPUTS], nodes[..., -1], nodes[..., 4::3] = 0, 1, 2
        n, cell = np.ogrid[: len(rows), : len(self.cells)]
        sources = rows - np.repeat(_FIRST_EDGE, 2)
        place = np.where(sources < INPUTS, sources, INPUTS + 3 * (sources - INPUTS) + 2)
        for number in range(2 * STEPS):
            step, which = divmod(number, 2)
            own, total = INPUTS + 3 * step + which, INPUTS + 3 * step + 2
            nodes[..., own] = 3 + operations[..., number]
            adjacency[n, cell, place[..., number], own] = 1
            adjacency[..., own, total] = 1
            adjacency[..., total, -1] = 1
        return _block_diagonal(adjacency), nodes.reshape(len(rows), len(self.cells) * size)


class DARTSCellsSpace(DARTSSpace):
    """The cells of DARTS, with an architecture of its own for every cell of a network (AT-NAS).

    The text of an architecture is the code of the AT-NAS paper (section 3.1): one digit per edge
    of each cell, 0 for no operation, and otherwise the number of the operation in
    :data:`OPERATIONS`, counted from 1. A code has ``14 * cells`` digits.

    Networks of three and more cells have too many architectures to be numbered with 64 bits, so no
    environment can search this space then. Meta-training needs no numbers.

    Args:
        cells: Number of cells.
        name: Name of the space in messages.

    Example:
        >>> space = DARTSCellsSpace(2)
        >>> space.to_text([[0] * 22])
        ['1111011001100011110110011000']
    """

    def __init__(self, cells: int = 2, name: str = "DARTSCells") -> None:
        self.cells = tuple(f"cell{number}." for number in range(cells))
        super().__init__(name)

    def to_text(self, genotypes: ArrayLike) -> list[str]:
        """Return the codes of architectures."""
        rows, operations = self.edges(genotypes)
        codes = np.zeros((len(rows), len(self.cells), len(EDGES)), np.int64)
        np.put_along_axis(codes, rows, operations + 1, axis=2)
        return ["".join(map(str, code)) for code in codes.reshape(len(rows), -1).tolist()]

    def from_text(self, texts: Sequence[str]) -> Genotypes:
        """Parse codes and return their genotypes.

        Raises:
            ValueError: If a code has a wrong length, a wrong digit, or a node without two
                operations.
        """
        size = len(self.cells) * len(EDGES)
        for text in texts:
            if re.fullmatch(f"[0-{len(OPERATIONS)}]{{{size}}}", text) is None:
                raise ValueError(
                    f"A code of {len(self.cells)} cells has {size} digits from 0 to "
                    f"{len(OPERATIONS)}, got {text!r:.300}."
                )
        codes = np.array([[int(digit) for digit in text] for text in texts], np.int64)
        codes = codes.reshape(-1, len(self.cells), len(EDGES))
        used = np.add.reduceat(codes > 0, _FIRST_EDGE, axis=2)
        if (used != 2).any():
            text = texts[int(np.argwhere(used != 2)[0, 0])]
            raise ValueError(f"Each node of a cell has two operations, which {text} violates.")
        rows = np.nonzero(codes)[2].reshape(len(codes), len(self.cells), 2 * STEPS)
        return self._from_edges(rows, np.take_along_axis(codes, rows, axis=2) - 1)


def _block_diagonal(adjacency: NDArray[np.int8]) -> NDArray[np.int8]:
    n, cells, size, _ = adjacency.shape
    result = np.zeros((n, cells * size, cells * size), np.int8)
    for cell in range(cells):
        part = slice(cell * size, (cell + 1) * size)
        result[:, part, part] = adjacency[:, cell]
    return result


def _parse(text: str) -> Genotype:
    match = _NOTATION.fullmatch(" ".join(text.split()))
    try:
        if match is None:
            raise ValueError
        return Genotype(literal_eval(match[1]), [], literal_eval(match[2]), [])
    except (ValueError, SyntaxError):
        raise ValueError(
            f"{text!r} is not in DARTS' notation, Genotype(normal=[('sep_conv_3x3', 0), "
            "('skip_connect', 1), ...], normal_concat=[2, 3, 4, 5], reduce=[...], "
            "reduce_concat=[2, 3, 4, 5])."
        ) from None


def _read_cell(cell: Sequence[tuple[str, int]]) -> list[tuple[int, int]]:
    """Return the index in EDGES and the operation of each pair, sorted by input in each node."""
    if len(cell) != 2 * STEPS:
        raise ValueError(f"A cell of DARTS must have {2 * STEPS} operations, got {len(cell)}.")
    found = []
    for step in range(STEPS):
        pair = sorted(cell[2 * step : 2 * step + 2], key=lambda each: each[1])
        for name, source in pair:
            if name not in OPERATIONS:
                raise ValueError(
                    f"Unknown operation {name!r}; one of {', '.join(OPERATIONS)} was expected."
                )
            if source not in range(INPUTS + step):
                raise ValueError(
                    f"Node {INPUTS + step} of a cell can read nodes 0 to {INPUTS + step - 1}, "
                    f"got {source}."
                )
        if pair[0][1] == pair[1][1]:
            raise ValueError(
                f"Node {INPUTS + step} of a cell reads node {pair[0][1]} twice; two different "
                "nodes were expected."
            )
        found += [
            (int(_FIRST_EDGE[step]) + source, OPERATIONS.index(name)) for name, source in pair
        ]
    return found
