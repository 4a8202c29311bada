"""Search space of NAS-Bench-Graph (Qin et al., NeurIPS 2022, section 3)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self

from nas_gym.spaces.base import Genotypes, Indices, SearchSpace
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


class NBGraphSpace(SearchSpace):
    """The graph neural networks of NAS-Bench-Graph: four operations and nine ways to link them.

    A genotype is ``(link, op0, op1, op2, op3)``, an index into :data:`LINKS` and four indices into
    ``operations``. A link lists the input of each operation: 0 is the input of the network, and
    ``j`` is the output of operation ``j - 1``. The outputs of operations that no other operation
    reads form the output of the network. A genotype of four ``skip`` operations is invalid.

    Genotypes that the benchmark considers isomorphic share one index, and ``decode`` returns the
    canonical form. Indices are in the order of the benchmark's hash; see :attr:`keys`.

    ``sample`` is uniform over genotypes, not over architectures: an architecture with many
    isomorphic genotypes is drawn more often. ``mutate`` and ``neighbors`` may return a genotype
    that is isomorphic to the given one.

    Args:
        operations: Operations to choose from, a subset of :data:`GNN_OPERATIONS`. The benchmark's
            table of the data set ``proteins`` has :data:`PROTEINS_OPERATIONS`.
        genotypes: Architectures of a partial space, shape ``(n, 5)``; isomorphic genotypes are
            included. All architectures by default.
        name: Name of the space in histories and messages.

    Raises:
        ValueError: If an operation is unknown or listed twice, ``skip`` is the only operation, or a
            genotype is not in the space.

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
            raise ValueError(
                f"Expected distinct operations, at least one of them not skip, got {operations}."
            )
        labels = ["".join(map(str, link)) for link in LINKS]
        names = ["link", *(f"op{node}" for node in range(_NODES))]
        super().__init__([labels] + [operations] * _NODES, names, name=name)
        self.operations = operations
        numbering = _number_architectures(operations)
        self.tree = numbering.tree
        self.share_indices(numbering.index_of_leaf, numbering.leaf_of_index)
        if genotypes is not None:
            self.restrict(genotypes)

    def describe(self) -> dict[str, Any]:
        """Return the name and the operations of the space as JSON values."""
        return {**super().describe(), "operations": list(self.operations)}

    @classmethod
    def from_description(
        cls, description: Mapping[str, Any], genotypes: ArrayLike | None = None
    ) -> Self:
        """Build a space from a description; see :meth:`SearchSpace.from_description`."""
        return cls(description["operations"], genotypes, description["name"])

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """Keys, in the benchmark's tables, of all architectures of this space.

        The shape is ``(size,)``; keys are in ascending order. A key is ``Arch.valid_hash`` of the
        package ``nas_bench_graph``. The five decimal digits are the link (an index into
        :data:`LINKS`) and the four operations of the canonical form. Operations are numbered as in
        :data:`GNN_OPERATIONS` even in the proteins space, which has fewer.
        """
        genotypes = self.decode(np.arange(self.size))
        keys = _key(genotypes[:, 0], _codes(self.operations)[genotypes[:, 1:]])
        keys.flags.writeable = False
        return keys

    def canonical(self, genotypes: ArrayLike) -> Genotypes:
        """Return the canonical form of each genotype, ``(n, 5)`` -> ``(n, 5)``.

        Raises:
            ValueError: If a genotype is not in the space.
        """
        return self.decode(self.encode(genotypes))

    def to_text(self, genotypes: ArrayLike) -> list[str]:
        """Return the link and the operations of each genotype, as in
        ``[0,0,1,3] gcn gat skip fc``."""
        return [
            f"[{','.join(map(str, LINKS[link]))}] {' '.join(self.operations[op] for op in ops)}"
            for link, *ops in self.check(genotypes).tolist()
        ]

    def from_text(self, texts: Sequence[str]) -> Genotypes:
        """Parse strings in the notation of :meth:`to_text` and return their genotypes.

        An operation may read any earlier operation. If a link is not one of :data:`LINKS`, the
        canonical genotype of the architecture is returned.

        Raises:
            ValueError: If a string is not in this notation, an operation reads a later operation,
                or an operation is unknown.
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
            raise ValueError(
                f"{text!r}: an operation must read the input (0) or an earlier operation."
            )
        names = match.groups()[_NODES:]
        unknown = sorted(set(names) - set(self.operations))
        if unknown:
            raise ValueError(
                f"{text!r}: unknown operations {unknown}, expected some of {self.operations}."
            )
        return [link, [self.operations.index(name) for name in names]]

    @property
    def node_labels(self) -> tuple[str, ...]:
        """Names of the node operations of :meth:`to_graph`."""
        return ("input", "output", *self.operations)

    def to_graph(self, genotypes: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Return architectures as graphs: input, four operations, output.

        Returns:
            Adjacency matrices, shape ``(n, 6, 6)``, with 1 at ``[i, u, v]`` for an edge u -> v, and
            the operations of the nodes, shape ``(n, 6)``, as indices into :attr:`node_labels`.
            Nodes are in topological order.
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
# Below, architectures are given by two arrays of shape (n, 4). parents[:, k] is the node that
# operation k reads: 0 is the input, j is operation j - 1. codes are indices into GNN_OPERATIONS.


@dataclass(frozen=True)
class _Numbering:
    tree: PrefixTree | None
    index_of_leaf: Indices
    leaf_of_index: Indices


@cache
def _number_architectures(operations: tuple[str, ...]) -> _Numbering:
    """Number all architectures with these operations in the order of their keys."""
    shape = (len(LINKS), *[len(operations)] * _NODES)
    genotypes = np.indices(shape).reshape(len(shape), -1).T
    codes = _codes(operations)
    valid = (codes[genotypes[:, 1:]] != _SKIP).any(axis=1)
    tree = None if valid.all() else PrefixTree(genotypes[valid], np.array(shape, np.int64))
    genotypes = genotypes[valid]
    link, canonical = _canonical(np.array(LINKS)[genotypes[:, 0]], codes[genotypes[:, 1:]])
    keys, index_of_leaf = np.unique(_key(link, canonical), return_inverse=True)
    # the canonical form of an architecture is the leaf whose key is the architecture's key
    own = np.flatnonzero(_key(genotypes[:, 0], codes[genotypes[:, 1:]]) == keys[index_of_leaf])
    leaf_of_index = np.empty(len(keys), np.int64)
    leaf_of_index[index_of_leaf[own]] = own
    return _Numbering(tree, index_of_leaf, leaf_of_index)


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
    """Return links (indices into LINKS) and codes of canonical forms, ``(n,)`` and ``(n, 4)``."""
    parents, codes = _pull_skips(parents, codes)
    return _relabel(parents, codes)


def _pull_skips(
    parents: NDArray[np.int64], codes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Move the skips that do not change the function to the front, as a chain.

    A skip does not change the function in three cases: another operation reads the skip; the skip
    reads the input, directly or through other skips; or no other operation reads the skip's parent.
    Any other skip adds a second output and stays in place.
    """
    rows = np.arange(len(parents))
    skip = codes == _SKIP
    read = (parents[:, :, None] == np.arange(1, _NODES + 1)).any(axis=1)
    inner = skip & read
    # parent of each operation after the inner skips are removed; node 0 is the input
    source = np.zeros((len(parents), _NODES + 1), np.int64)
    for node in range(_NODES):
        parent = parents[:, node]
        through = inner[rows, parent - 1] & (parent > 0)
        source[:, node + 1] = np.where(through, source[rows, parent], parent)
    source = source[:, 1:]
    siblings = ((source[:, :, None] == source[:, None, :]) & ~inner[:, None, :]).sum(axis=2)
    moved = inner | skip & ((source == 0) | (siblings == 1))

    # a stable sort puts the moved skips first and keeps the order of the other operations
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
    """Reorder operations so that the link is one of LINKS and the codes are lexicographically
    smallest."""
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
    """Return the rank of each link among the 24 links in which operations read earlier nodes."""
    rank: NDArray[np.int64] = parents @ np.array([24, 12, 4, 1])
    return rank


def _orders(link: tuple[int, ...]) -> tuple[int, NDArray[np.int64]]:
    """Return the index in LINKS of the isomorphic link, and the orders of the operations that
    produce this link."""
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
