"""The graph networks of NAS-Bench-Graph (Qin et al., NeurIPS 2022, section 3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces.categorical import CategoricalSpace, Genotypes, Indices
from nas_gym.spaces.prefix_tree import PrefixTree

GNN_OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
PROTEINS_OPERATIONS = ("gcn", "sage", "arma", "fc", "skip")
LINKS = (
    (0, 0, 0, 0),
    (0, 0, 0, 1),
    (0, 0, 1, 1),
    (0, 0, 1, 2),
    (0, 0, 1, 3),
    (0, 1, 1, 1),
    (0, 1, 1, 2),
    (0, 1, 2, 2),
    (0, 1, 2, 3),
)

_NODES = 4
_SKIP = GNN_OPERATIONS.index("skip")
_DECIMAL = np.array([1000, 100, 10, 1])
_PATTERN = re.compile(r"\[(\d), ?(\d), ?(\d), ?(\d)\] (\w+) (\w+) (\w+) (\w+)")


class NBGraphSpace(CategoricalSpace):
    """NAS-Bench-Graph: nine ways to link four operations, nine operations.

    A genotype is ``(link, op0, op1, op2, op3)``, indices of :data:`LINKS` and of ``operations``.
    In ``LINKS``, 0 is the input of the network and ``j`` the output of operation ``j - 1``; what
    nobody reads is the output. Four times ``skip`` is not an architecture.

    Genotypes that are isomorphic in the benchmark's sense share one index: ``encode`` maps them
    to the index of their canonical form, which is what ``decode`` gives. Indices are in the order
    of the benchmark's hash, see :attr:`keys`.

    ``sample`` is uniform over genotypes, not over architectures: one with many isomorphic genotypes
    comes up more often. For the same reason ``mutate`` and ``neighbors`` may give a genotype that
    is isomorphic to the one it came from.

    Args:
        operations: those to choose from, some of :data:`GNN_OPERATIONS`;
            :data:`PROTEINS_OPERATIONS` are the ones in the benchmark's table of proteins.
        genotypes: where a table covers a part of the architectures, those it does, shape
            ``(n, 5)``; isomorphic ones belong too. All by default.
        name: what the space is called in histories and messages.

    Raises:
        ValueError: an operation that is unknown or named twice, or none but ``skip``; a genotype
            that is no architecture.

    Example:
        >>> space = NBGraphSpace()
        >>> space.size
        26206
        >>> space.to_text(space.canonical([[0, 8, 1, 1, 0]]))
        ['[0,1,1,1] skip gat gcn gcn']
    """

    def __init__(
        self,
        operations: Sequence[str] = GNN_OPERATIONS,
        genotypes: ArrayLike | None = None,
        name: str = "NBGraph",
    ) -> None:
        operations = tuple(operations)
        unknown = sorted(set(operations) - set(GNN_OPERATIONS))
        if unknown:
            raise ValueError(f"Unknown operations {unknown}, expected some of {GNN_OPERATIONS}.")
        if len(set(operations)) < len(operations) or not set(operations) - {"skip"}:
            raise ValueError(f"Expected distinct operations besides skip, got {operations}.")
        labels = ["".join(map(str, link)) for link in LINKS]
        names = ["link", *(f"op{node}" for node in range(_NODES))]
        super().__init__([labels] + [operations] * _NODES, names, name=name)
        self.operations = operations
        self._numbering = _number(operations)
        self.tree = self._numbering.tree
        self.size = len(self._numbering.keys)
        if genotypes is not None:
            self._restrict(np.asarray(genotypes))

    def _restrict(self, genotypes: NDArray[Any]) -> None:
        whole = self._numbering
        indices = np.unique(self.encode(genotypes))
        if len(indices) == 0:
            raise ValueError("A restricted search space needs at least one genotype.")
        leaves = np.flatnonzero(np.isin(whole.index_of_leaf, indices))
        self.tree = PrefixTree(self._decode_leaves(leaves), self.num_choices)
        self._numbering = _Numbering(
            self.tree,
            index_of_leaf=np.searchsorted(indices, whole.index_of_leaf[leaves]),
            leaf_of_index=np.searchsorted(leaves, whole.leaf_of_index[indices]),
            keys=whole.keys[indices],
        )
        self.size = len(indices)

    @property
    def keys(self) -> NDArray[np.int64]:
        """The key of each index in the benchmark's tables, shape ``(size,)``, ascending.

        The five decimal digits of a key are the canonical form's link and operations, each an
        index of :data:`LINKS` and :data:`GNN_OPERATIONS` (``Arch.valid_hash`` of the package
        ``nas_bench_graph``, on proteins too).
        """
        return self._numbering.keys

    def leaf_to_index(self, leaves: Indices) -> Indices:
        """Indices of the canonical forms of leaves."""
        return self._numbering.index_of_leaf.take(leaves)

    def _index_to_leaf(self, indices: Indices) -> Indices:
        return self._numbering.leaf_of_index.take(indices)

    def canonical(self, genotypes: ArrayLike) -> Genotypes:
        """The form in which the benchmark lists each genotype, ``(n, 5)`` -> ``(n, 5)``.

        Raises:
            ValueError: a genotype that is not an architecture of the space.
        """
        return self.decode(self.encode(genotypes))

    def to_text(self, genotypes: ArrayLike) -> list[str]:
        """Each genotype as its link and its operations, such as ``[0,0,1,3] gcn gat skip fc``."""
        return [
            f"[{','.join(map(str, LINKS[link]))}] {' '.join(self.operations[op] for op in ops)}"
            for link, *ops in self.check(genotypes).tolist()
        ]

    def from_text(self, texts: Sequence[str]) -> Genotypes:
        """Genotypes of texts.

        Each operation may read any one before it: a link that is not among :data:`LINKS` is
        isomorphic to one that is, and gives the canonical genotype.

        Raises:
            ValueError: a text of another form, a link that reads a later operation, or an
                unknown operation.
        """
        rows = [self._read(text) for text in texts]
        parents, operations = np.array(rows, np.int64).reshape(-1, 2, _NODES).swapaxes(0, 1)
        genotypes = np.column_stack([_LINK_NUMBER[_rank(parents)], operations])
        other = genotypes[:, 0] < 0
        codes = _codes(self.operations)
        link, canonical = _canonical(parents[other], codes[operations[other]])
        genotypes[other] = np.column_stack([link, _positions(codes)[canonical]])
        return genotypes

    def _read(self, text: str) -> list[list[int]]:
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not of the form '[0,0,1,3] gcn gat skip fc'.")
        link = [int(digit) for digit in match.groups()[:_NODES]]
        if any(parent > node for node, parent in enumerate(link)):
            raise ValueError(f"{text!r}: an operation reads the input (0) or one before it.")
        names = match.groups()[_NODES:]
        unknown = sorted(set(names) - set(self.operations))
        if unknown:
            raise ValueError(
                f"{text!r}: unknown operations {unknown}, expected some of {self.operations}."
            )
        return [link, [self.operations.index(name) for name in names]]

    @property
    def node_labels(self) -> tuple[str, ...]:
        """What the node operations of :meth:`to_graph` stand for."""
        return ("input", "output", *self.operations)

    def to_graph(self, genotypes: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Graphs with operations on the nodes: input, the four operations, output.

        Returns:
            adjacency, shape ``(n, 6, 6)`` with ``adjacency[i, u, v] = 1`` for an edge u -> v in
            topological order, and node operations, shape ``(n, 6)``, indices of
            :attr:`node_labels`.
        """
        array = self.check(genotypes)
        operations = np.ones((len(array), _NODES + 2), np.int64)
        operations[:, 0] = 0
        operations[:, 1:-1] = 2 + array[:, 1:]
        return _adjacency()[array[:, 0]], operations


@cache
def _adjacency() -> NDArray[np.int8]:
    result = np.zeros((len(LINKS), _NODES + 2, _NODES + 2), np.int8)
    for adjacency, link in zip(result, LINKS, strict=True):
        adjacency[link, np.arange(1, _NODES + 1)] = 1
        adjacency[1:-1, -1] = ~adjacency[1:-1].any(axis=1)
    return result


# -- isomorphism -------------------------------------------------------------------------------
#
# Below, an architecture is its parents, shape (n, 4), parents[:, k] the node that operation k
# reads (0 the input, j operation j - 1), and its codes, shape (n, 4), indices of GNN_OPERATIONS.


@dataclass(frozen=True)
class _Numbering:
    tree: PrefixTree | None
    index_of_leaf: Indices
    leaf_of_index: Indices
    keys: NDArray[np.int64]


@cache
def _number(operations: tuple[str, ...]) -> _Numbering:
    """The architectures over some operations, numbered in the order of their keys."""
    shape = (len(LINKS), *[len(operations)] * _NODES)
    genotypes = np.indices(shape).reshape(len(shape), -1).T
    codes = _codes(operations)
    valid = (codes[genotypes[:, 1:]] != _SKIP).any(axis=1)
    tree = None if valid.all() else PrefixTree(genotypes[valid], np.array(shape, np.int64))
    genotypes = genotypes[valid]
    link, canonical = _canonical(np.array(LINKS)[genotypes[:, 0]], codes[genotypes[:, 1:]])
    keys, index_of_leaf = np.unique(_key(link, canonical), return_inverse=True)
    keys.flags.writeable = False  # one array for every space of these operations
    # a canonical form is one of the leaves itself: the one whose key is its own
    own = np.flatnonzero(_key(genotypes[:, 0], codes[genotypes[:, 1:]]) == keys[index_of_leaf])
    leaf_of_index = np.empty(len(keys), np.int64)
    leaf_of_index[index_of_leaf[own]] = own
    return _Numbering(tree, index_of_leaf, leaf_of_index, keys)


def _codes(operations: tuple[str, ...]) -> NDArray[np.int64]:
    return np.array([GNN_OPERATIONS.index(name) for name in operations], np.int64)


def _positions(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    positions = np.full(len(GNN_OPERATIONS), -1, np.int64)
    positions[codes] = np.arange(len(codes))
    return positions


def _key(link: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    key: NDArray[np.int64] = link * 10_000 + codes @ _DECIMAL
    return key


def _canonical(
    parents: NDArray[np.int64], codes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Links (indices of LINKS) and codes of canonical forms, ``(n,)`` and ``(n, 4)``."""
    parents, codes = _pull_skips(parents, codes)
    return _relabel(parents, codes)


def _pull_skips(
    parents: NDArray[np.int64], codes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Move the skips that change nothing to the front, one after the other.

    Such a skip is one that something reads, one that reads the input, directly or through skips,
    and one that is alone in reading what it reads. The others add a second output, and stay.
    """
    rows = np.arange(len(parents))
    skip = codes == _SKIP
    read = (parents[:, :, None] == np.arange(1, _NODES + 1)).any(axis=1)
    inner = skip & read
    # what each operation reads once the inner skips are gone; node 0 is the input
    source = np.zeros((len(parents), _NODES + 1), np.int64)
    for node in range(_NODES):
        parent = parents[:, node]
        through = inner[rows, parent - 1] & (parent > 0)
        source[:, node + 1] = np.where(through, source[rows, parent], parent)
    source = source[:, 1:]
    siblings = ((source[:, :, None] == source[:, None, :]) & ~inner[:, None, :]).sum(axis=2)
    moved = inner | skip & ((source == 0) | (siblings == 1))

    # a stable sort puts the moved ones first and keeps the order of the others
    order = np.argsort(~moved, axis=1, kind="stable")
    count = moved.sum(axis=1)
    place = np.zeros((len(parents), _NODES + 1), np.int64)
    place[:, 0] = count
    np.put_along_axis(place, order + 1, np.arange(1, _NODES + 1)[None], axis=1)
    sorted_source = np.take_along_axis(source, order, axis=1)
    new_parents = np.take_along_axis(place, sorted_source, axis=1)
    front = np.arange(_NODES) < count[:, None]
    return np.where(front, np.arange(_NODES), new_parents), np.take_along_axis(codes, order, axis=1)


def _relabel(
    parents: NDArray[np.int64], codes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of the orders of the operations that give one of LINKS, the one with the least codes."""
    rank = _rank(parents)
    link = np.empty(len(parents), np.int64)
    result = np.empty_like(codes)
    for each in np.unique(rank):
        rows = np.flatnonzero(rank == each)
        link[rows], orders = _ORDERS[each]
        candidates = codes[rows][:, orders]
        best = (candidates @ _DECIMAL).argmin(axis=1)
        result[rows] = candidates[np.arange(len(rows)), best]
    return link, result


def _rank(parents: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rank of each link among all 24 in which operations read earlier ones."""
    rank: NDArray[np.int64] = parents @ np.array([24, 12, 4, 1])
    return rank


def _orders(link: tuple[int, ...]) -> tuple[int, NDArray[np.int64]]:
    """The number in LINKS of an isomorphic link, and the orders of operations that lead there."""
    found: dict[int, list[tuple[int, ...]]] = {}
    for order in permutations(range(_NODES)):
        place = [0, *(order.index(node) + 1 for node in range(_NODES))]
        moved = tuple(place[link[node]] for node in order)
        if moved in LINKS:
            found.setdefault(LINKS.index(moved), []).append(order)
    [(number, orders)] = found.items()
    return number, np.array(orders)


_ALL_LINKS = list(product(range(1), range(2), range(3), range(4)))
_LINK_NUMBER = np.array([LINKS.index(link) if link in LINKS else -1 for link in _ALL_LINKS])
_ORDERS = [_orders(link) for link in _ALL_LINKS]
