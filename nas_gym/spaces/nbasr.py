"""The cell of NAS-Bench-ASR (Mehrotra et al., ICLR 2021, section 3)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces.categorical import Genotypes, Indices
from nas_gym.spaces.edge_cells import EdgeCellSpace
from nas_gym.spaces.isomorphism import canonical
from nas_gym.spaces.prefix_tree import PrefixTree

OPERATIONS = ("linear", "conv5", "conv5d2", "conv7", "conv7d2", "zero")
BRANCHES = ("none", "skip_connect")
EDGES = ((0, 1), (0, 1), (1, 2), (0, 2), (1, 2), (2, 3), (0, 3), (1, 3), (2, 3))
"""What leads into each of the three nodes: its operation on the node before, then a branch from
each earlier node."""

_MAIN = [0, 2, 5]
_CHOICES = [OPERATIONS if edge in _MAIN else BRANCHES for edge in range(len(EDGES))]
_LENGTHS = [2, 3, 4]


class NBASRSpace(EdgeCellSpace):
    """NAS-Bench-ASR: three operations in a row, and skip connections between any two nodes.

    A genotype is ``(op1, 0→1, op2, 0→2, 1→2, op3, 0→3, 1→3, 2→3)``: indices of :data:`OPERATIONS`,
    and 1 for a skip connection. Its text is the benchmark's architecture vector,
    ``[[op1, 0→1], [op2, 0→2, 1→2], [op3, 0→3, 1→3, 2→3]]``.

    Of the 13,824 genotypes the benchmark trained 8,242, one of each group that it takes for the
    same (``get_model_hash`` of the package ``nasbench_asr``): those whose graphs are isomorphic
    without the operations ``zero``, all edges of these, and what is then on no path from input to
    output. They share one index, and ``decode`` gives the one that the benchmark enumerates last,
    as its ``get_archs_with_zero`` does. They may compute different functions: what a branch adds
    to the node of a ``zero`` is not part of the benchmark's graph. It is part of
    :meth:`to_graph`'s.

    ``sample`` is uniform over genotypes, not over architectures. For the same reason ``mutate``
    and ``neighbors`` may give a genotype of the same index.

    Args:
        genotypes: where a table covers a part of the architectures, those it does, shape
            ``(n, 9)``; others of their groups belong too. All by default.
        name: what the space is called in histories and messages.

    Example:
        >>> space = NBASRSpace()
        >>> space.size
        8242
        >>> space.to_text([[1, 0, 5, 0, 1, 0, 1, 0, 0]])
        ['[[1, 0], [5, 0, 1], [0, 1, 0, 0]]']
    """

    def __init__(self, genotypes: ArrayLike | None = None, name: str = "NBASR") -> None:
        names = [
            f"op{target}" if edge in _MAIN else f"{source}->{target}"
            for edge, (source, target) in enumerate(EDGES)
        ]
        super().__init__(EDGES, _CHOICES, names, None, name)
        self._index_of_leaf, self._leaf_of_index = _groups()
        self.size = len(self._leaf_of_index)
        if genotypes is not None:
            self._restrict(np.asarray(genotypes))

    def _restrict(self, genotypes: NDArray[Any]) -> None:
        indices = np.unique(self.encode(genotypes))
        if len(indices) == 0:
            raise ValueError("A restricted search space needs at least one genotype.")
        if len(indices) == self.size:
            return
        leaves = np.flatnonzero(np.isin(self._index_of_leaf, indices))
        self.tree = PrefixTree(self._decode_leaves(leaves), self.num_choices)
        self._index_of_leaf = np.searchsorted(indices, self._index_of_leaf[leaves])
        self._leaf_of_index = np.searchsorted(leaves, self._leaf_of_index[indices])
        self.size = len(indices)

    def leaf_to_index(self, leaves: Indices) -> Indices:
        """Indices of the groups of leaves."""
        return self._index_of_leaf.take(leaves)

    def _index_to_leaf(self, indices: Indices) -> Indices:
        return self._leaf_of_index.take(indices)

    def to_text(self, genotypes: ArrayLike) -> list[str]:
        """Architecture vectors, as the benchmark writes them."""
        rows = self.check(genotypes).tolist()
        return [json.dumps([row[:2], row[2:5], row[5:]]) for row in rows]

    def from_text(self, texts: Sequence[str]) -> Genotypes:
        """Genotypes of architecture vectors.

        Raises:
            ValueError: a text that is not an architecture vector of NAS-Bench-ASR.
        """
        rows = [_parse(text) for text in texts]
        return np.array(rows, np.int64).reshape(-1, len(EDGES))


@cache
def _groups() -> tuple[Indices, Indices]:
    """The group of each leaf, ``(13824,)``, and the leaf that stands for each, ``(8242,)``."""
    genotypes = np.indices([len(labels) for labels in _CHOICES]).reshape(len(EDGES), -1).T
    op1, skip01, op2, skip02, skip12, op3, skip03, skip13, skip23 = genotypes.T
    main = np.ones_like(op1)
    # Of input, three operations and output. A branch into a node leads to what reads the node.
    edges = [main, skip01, skip02, skip03, main, skip12, skip13, main, skip23, main]
    cells = canonical(np.column_stack([*edges, op1, op2, op3]), 5, len(OPERATIONS))
    group_of_leaf = np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)
    last_first = np.lexsort(genotypes.T)[::-1]  # the benchmark counts the first decision fastest
    _, first = np.unique(group_of_leaf[last_first], return_index=True)
    return group_of_leaf, last_first[first]


def _parse(text: str) -> list[int]:
    try:
        nodes: Any = json.loads(text)
        if [len(node) for node in nodes] == _LENGTHS:
            row = [number for node in nodes for number in node]
            if all(
                type(number) is int and 0 <= number < len(labels)
                for number, labels in zip(row, _CHOICES, strict=True)
            ):
                return row
    except (ValueError, TypeError):
        pass
    raise ValueError(
        f"{text!r} is not an architecture vector of NAS-Bench-ASR. Expected "
        "'[[op, s], [op, s, s], [op, s, s, s]]' with op 0 to 5 and s 0 or 1."
    )
