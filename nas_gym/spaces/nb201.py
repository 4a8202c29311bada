"""Search space of NAS-Bench-201 (Dong and Yang, ICLR 2020, section 2.1)."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import cache, cached_property
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces.base import Genotypes, Indices
from nas_gym.spaces.edge_cells import EdgeCellSpace

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_TEMPLATE = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
_PATTERN = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|")


@cache
def _index_order() -> NDArray[np.int64]:
    # NAS-Bench-201 shuffled its cells, which were in lexicographic order, with Python's
    # random.seed(88); the order is the same in every release of Python 3
    order = list(range(len(OPERATIONS) ** len(EDGES)))
    random.Random(88).shuffle(order)
    return np.array(order, np.int64)


@cache
def _index_of_leaf() -> NDArray[np.int64]:
    return np.argsort(_index_order())


@cache
def _texts() -> list[str]:
    return [_TEMPLATE.format(*names) for names in product(OPERATIONS, repeat=len(EDGES))]


class NB201Space(EdgeCellSpace):
    """The cells of NAS-Bench-201: four nodes, with one of five operations on each of six edges.

    A genotype lists the operations of the edges ``(0→1, 0→2, 1→2, 0→3, 1→3, 2→3)`` as indices into
    :data:`OPERATIONS`. Indices and strings are those of the benchmark's API (``nas_201_api``,
    ``nats_bench``); a string has the form ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.

    The module :mod:`nas_gym.spaces.nb201_cost` computes the parameters and FLOPs of the benchmark's
    networks.

    Args:
        genotypes: Cells of a partial space, shape ``(n, 6)``, which are numbered in lexicographic
            order. All 15,625 cells by default.
        name: Name of the space in histories and messages.

    Example:
        >>> space = NB201Space()
        >>> space.to_text(space.decode([0]))
        ['|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|']
    """

    def __init__(self, genotypes: ArrayLike | None = None, name: str = "NB201") -> None:
        names = [f"{source}->{target}" for source, target in EDGES]
        super().__init__(EDGES, [OPERATIONS] * len(EDGES), names, genotypes, name)

    def leaf_to_index(self, leaves: Indices) -> Indices:
        """Convert leaves to the benchmark's indices. In a partial space, indices and leaves are the
        same."""
        return leaves if self.tree is not None else _index_of_leaf().take(leaves)

    def index_to_leaf(self, indices: Indices) -> Indices:
        """Convert the benchmark's indices to leaves. In a partial space, indices and leaves are the
        same."""
        return indices if self.tree is not None else _index_order().take(indices)

    def to_text(self, genotypes: ArrayLike) -> list[str]:
        """Return arch strings in the notation of ``nas_201_api``."""
        texts = _texts()
        return [texts[leaf] for leaf in (self.check(genotypes) @ self._strides).tolist()]

    def from_text(self, texts: Sequence[str]) -> Genotypes:
        """Parse arch strings and return their genotypes.

        Raises:
            ValueError: If a string is not an arch string of NAS-Bench-201.
        """
        codes = {name: code for code, name in enumerate(OPERATIONS)}
        rows = []
        for text in texts:
            match = _PATTERN.fullmatch(text.strip())
            if match is None or any(name not in codes for name in match.groups()):
                raise ValueError(
                    f"{text!r} is not an arch string of NAS-Bench-201. Expected "
                    f"{_TEMPLATE.format(*['op'] * 6)} with op one of {', '.join(OPERATIONS)}."
                )
            rows.append([codes[name] for name in match.groups()])
        return np.array(rows, np.int64).reshape(-1, len(EDGES))

    def structures(self, genotypes: ArrayLike) -> NDArray[np.int64]:
        """Return the structure number of each genotype, ``(n, 6)`` -> ``(n,)`` in ``[0, 6466)``.

        Two cells have the same structure if they compute the same expression of their input after
        ``none`` edges are removed and ``skip_connect`` edges are contracted
        (``to_unique_str(consider_zero=True)`` of NAS-Bench-201).
        """
        return self._structures.take(self.check(genotypes) @ self._strides)

    def isomorphism_classes(self) -> Indices:
        """Return the structure number of each cell of the space; see :meth:`structures`."""
        return self.structures(self.decode(np.arange(self.size)))

    def canonical(self, genotypes: ArrayLike) -> Genotypes:
        """Return the lexicographically first genotype with the structure of each genotype,
        ``(n, 6)`` -> ``(n, 6)``."""
        ranks = self._representatives.take(self.structures(genotypes))
        return ranks[:, None] // self._strides % self.num_choices

    @cached_property
    def _representatives(self) -> Indices:
        return np.unique(self._structures, return_index=True)[1]

    @cached_property
    def _structures(self) -> NDArray[np.int64]:
        number: dict[str, int] = {}
        cells = product(range(len(OPERATIONS)), repeat=len(EDGES))
        return np.array([number.setdefault(structure(cell), len(number)) for cell in cells])


def structure(cell: Sequence[int]) -> str:
    """Return a string that is the same for all cells with the same structure."""
    operations = iter(cell)
    nodes = ["0"]
    for target in range(1, 4):
        terms = []
        for source in range(target):
            name = OPERATIONS[next(operations)]
            if name == "none" or nodes[source] == "#":
                terms.append("#")
            elif name == "skip_connect":
                terms.append(nodes[source])
            else:
                terms.append(f"({nodes[source]})@{name}")
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]
