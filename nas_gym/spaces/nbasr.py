"""Search space of NAS-Bench-ASR (Mehrotra et al., ICLR 2021, section 3)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nas_gym.spaces.base import Genotypes, Indices
from nas_gym.spaces.edge_cells import EdgeCellSpace
from nas_gym.spaces.isomorphism import canonicalize_cells

OPERATIONS = ("linear", "conv5", "conv5d2", "conv7", "conv7d2", "zero")
BRANCHES = ("none", "skip_connect")
EDGES = ((0, 1), (0, 1), (1, 2), (0, 2), (1, 2), (2, 3), (0, 3), (1, 3), (2, 3))
"""Incoming edges of each of the three nodes.

The first edge of a node carries the node's operation; every other edge is a skip connection from an
earlier node.
"""

_MAIN = [0, 2, 5]
_CHOICES = [OPERATIONS if edge in _MAIN else BRANCHES for edge in range(len(EDGES))]
_LENGTHS = [2, 3, 4]


class NBASRSpace(EdgeCellSpace):
    """The cells of NAS-Bench-ASR: a chain of three operations with optional skip connections.

    A genotype is ``(op1, 0→1, op2, 0→2, 1→2, op3, 0→3, 1→3, 2→3)``. Operations are indices into
    :data:`OPERATIONS`; the other entries are 1 for a skip connection, else 0. Strings are the
    benchmark's architecture vectors, ``[[op1, 0→1], [op2, 0→2, 1→2], [op3, 0→3, 1→3, 2→3]]``.

    There are 13,824 genotypes. The benchmark divides them into 8,242 groups (``get_model_hash`` of
    the package ``nasbench_asr``) and trained one architecture per group. To compare two genotypes,
    the benchmark removes the ``zero`` operations with all their edges, and then all nodes on no
    path from input to output. The two genotypes are in one group if the remaining graphs are
    isomorphic. A group has one index. ``decode`` returns the genotype of the group that the
    benchmark enumerates last (``get_archs_with_zero``). Genotypes of a group may compute different
    functions, because a skip connection to the node of a ``zero`` operation is not part of the
    benchmark's graph. It is part of the graph that :meth:`to_graph` returns.

    ``sample`` is uniform over genotypes, not over architectures. ``mutate`` and ``neighbors`` may
    return a genotype with the same index.

    Args:
        genotypes: Architectures of a partial space, shape ``(n, 9)``; all genotypes in the same
            groups are included. All architectures by default.
        name: Name of the space in histories and messages.

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
        self.share_indices(*_groups())
        if genotypes is not None:
            self.restrict(genotypes)

    def to_text(self, genotypes: ArrayLike) -> list[str]:
        """Return architecture vectors in the notation of the benchmark."""
        rows = self.check(genotypes).tolist()
        return [json.dumps([row[:2], row[2:5], row[5:]]) for row in rows]

    def from_text(self, texts: Sequence[str]) -> Genotypes:
        """Parse architecture vectors and return their genotypes.

        Raises:
            ValueError: If a string is not an architecture vector of NAS-Bench-ASR.
        """
        rows = [_parse(text) for text in texts]
        return np.array(rows, np.int64).reshape(-1, len(EDGES))


@cache
def _groups() -> tuple[Indices, Indices]:
    """Return the group of each leaf, ``(13824,)``, and one leaf of each group, ``(8242,)``."""
    genotypes = np.indices([len(labels) for labels in _CHOICES]).reshape(len(EDGES), -1).T
    op1, skip01, op2, skip02, skip12, op3, skip03, skip13, skip23 = genotypes.T
    main = np.ones_like(op1)
    # edges between input, three operations and output; a skip connection to a node leads to the
    # operations that read the node
    edges = [main, skip01, skip02, skip03, main, skip12, skip13, main, skip23, main]
    cells = canonicalize_cells(np.column_stack([*edges, op1, op2, op3]), 5, len(OPERATIONS))
    group_of_leaf = np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)
    # in the benchmark's enumeration, the first decision varies fastest
    last_first = np.lexsort(genotypes.T)[::-1]
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
