"""The cell of TransNAS-Bench-101's micro search space (Duan et al., CVPR 2021, section 3.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from nas_gym.spaces.categorical import Genotypes
from nas_gym.spaces.edge_cells import EdgeCellSpace
from nas_gym.spaces.nb201 import EDGES

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
_TEMPLATE = "64-41414-{}_{}{}_{}{}{}"
_PATTERN = re.compile(r"64-41414-([0-3])_([0-3])([0-3])_([0-3])([0-3])([0-3])")


class TransNASSpace(EdgeCellSpace):
    """TransNAS-Bench-101 micro: four operations on the six edges of NAS-Bench-201's cell.

    A genotype is ``(0→1, 0→2, 1→2, 0→3, 1→3, 2→3)``, each an index of :data:`OPERATIONS`, and so
    is its text, ``64-41414-1_02_333``, as the benchmark's API writes it. The first two parts are
    the network around the cell, which is one for all.

    Args:
        genotypes: where a table covers a part of the cells, those it does, shape ``(size, 6)``.
            All 4,096 by default.
        name: what the space is called in histories and messages.

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
        """Arch strings, as the benchmark writes them."""
        return [_TEMPLATE.format(*row) for row in self.check(genotypes).tolist()]

    def from_text(self, texts: Sequence[str]) -> Genotypes:
        """Genotypes of arch strings.

        Raises:
            ValueError: a text that is not an arch string of the micro search space.
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
