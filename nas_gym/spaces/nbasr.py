"""The cell of NAS-Bench-ASR (Mehrotra et al., ICLR 2021, section 3)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nas_gym.spaces.categorical import Genotypes
from nas_gym.spaces.edge_cells import EdgeCellSpace

OPERATIONS = ("linear", "conv5", "conv5d2", "conv7", "conv7d2", "zero")
BRANCHES = ("none", "skip_connect")
EDGES = ((0, 1), (0, 1), (1, 2), (0, 2), (1, 2), (2, 3), (0, 3), (1, 3), (2, 3))
"""What leads into each of the three nodes: its operation on the node before, then a branch from
each earlier node."""

_MAIN = [0, 2, 5]
_LENGTHS = [2, 3, 4]


class NBASRSpace(EdgeCellSpace):
    """NAS-Bench-ASR: three operations in a row, and skip connections between any two nodes.

    A genotype is ``(op1, 0→1, op2, 0→2, 1→2, op3, 0→3, 1→3, 2→3)``: indices of :data:`OPERATIONS`,
    and 1 for a skip connection. Its text is the benchmark's architecture vector,
    ``[[op1, 0→1], [op2, 0→2, 1→2], [op3, 0→3, 1→3, 2→3]]``.

    Of the 13,824 genotypes the benchmark trained 8,242, one of each group that it takes for the
    same. Here, each has an index of its own; a table's space has those that the table covers.

    Args:
        genotypes: where a table covers a part of the cells, those it does, shape ``(size, 9)``.
        name: what the space is called in histories and messages.

    Example:
        >>> space = NBASRSpace()
        >>> space.size
        13824
        >>> space.to_text([[1, 0, 5, 0, 1, 0, 1, 0, 0]])
        ['[[1, 0], [5, 0, 1], [0, 1, 0, 0]]']
    """

    def __init__(self, genotypes: ArrayLike | None = None, name: str = "NBASR") -> None:
        choices = [OPERATIONS if edge in _MAIN else BRANCHES for edge in range(len(EDGES))]
        names = [
            f"op{target}" if edge in _MAIN else f"{source}->{target}"
            for edge, (source, target) in enumerate(EDGES)
        ]
        super().__init__(EDGES, choices, names, genotypes, name)

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


def _parse(text: str) -> list[int]:
    try:
        nodes: Any = json.loads(text)
        if [len(node) for node in nodes] == _LENGTHS:
            row = [number for node in nodes for number in node]
            limits = [6 if edge in _MAIN else 2 for edge in range(len(EDGES))]
            if all(
                type(number) is int and 0 <= number < limit
                for number, limit in zip(row, limits, strict=True)
            ):
                return row
    except (ValueError, TypeError):
        pass
    raise ValueError(
        f"{text!r} is not an architecture vector of NAS-Bench-ASR. Expected "
        "'[[op, s], [op, s, s], [op, s, s, s]]' with op 0 to 5 and s 0 or 1."
    )
