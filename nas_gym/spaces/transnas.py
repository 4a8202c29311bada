"""Micro search space of TransNAS-Bench-101 (Duan et al., CVPR 2021, section 3.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from nas_gym.spaces.base import Genotypes
from nas_gym.spaces.edge_cells import EdgeCellSpace
from nas_gym.spaces.nb201 import EDGES

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
_TEMPLATE = "64-41414-{}_{}{}_{}{}{}"
_PATTERN = re.compile(r"64-41414-([0-3])_([0-3])([0-3])_([0-3])([0-3])([0-3])")


class TransNASSpace(EdgeCellSpace):
    """The cells of TransNAS-Bench-101 micro: one of four operations on each of six edges.

    The edges are those of NAS-Bench-201. A genotype lists the operations of the edges ``(0→1, 0→2,
    1→2, 0→3, 1→3, 2→3)`` as indices into :data:`OPERATIONS`. Strings are those of the benchmark's
    API: in ``64-41414-1_02_333``, the first two parts describe the network around the cell, which
    is always the same, and the part after the second hyphen lists the operations.

    Args:
        genotypes: Cells of a partial space, shape ``(n, 6)``. All 4,096 cells by default.
        name: Name of the space in histories and messages.

    Example:
        >>> space = TransNASSpace()
        >>> space.size
        4096
        >>> space.to_text([[1, 0, 2, 3, 3, 3]])
        ['64-41414-1_02_333']
    """

    def __init__(self, genotypes: ArrayLike | None = None, name: str = "TransNAS") -> None:
        names = [f"{source}->{target}" for source, target in EDGES]
        super().__init__(EDGES, [OPERATIONS] * len(EDGES), names, genotypes, name)

    def to_text(self, genotypes: ArrayLike) -> list[str]:
        """Return arch strings in the notation of the benchmark."""
        return [_TEMPLATE.format(*row) for row in self.check(genotypes).tolist()]

    def from_text(self, texts: Sequence[str]) -> Genotypes:
        """Parse arch strings and return their genotypes.

        Raises:
            ValueError: If a string is not an arch string of the micro search space.
        """
        rows = []
        for text in texts:
            match = _PATTERN.fullmatch(text.strip())
            if match is None:
                raise ValueError(
                    f"{text!r} is not an arch string of TransNAS-Bench-101's micro search space. "
                    "Expected '64-41414-1_02_333' with operations 0 to 3."
                )
            rows.append([int(digit) for digit in match.groups()])
        return np.array(rows, np.int64).reshape(-1, len(EDGES))
