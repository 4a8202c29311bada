"""A set of genotypes as a prefix tree stored in flat arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class PrefixTree:
    """The valid genotypes of a restricted search space.

    Node 0 of depth 0 is the empty prefix. ``children[t][node, choice]`` is the node of depth
    ``t + 1`` that the choice leads to, or -1 where no genotype of the set starts that way. A node
    of the last depth is a whole genotype, and its number is the genotype's rank in lexicographic
    order. ``first_leaves[t]`` is the first genotype of each node of depth ``t``. Every array of
    children ends in a row of -1, so that walking on from -1 stays at -1.

    Args:
        genotypes: shape ``(size, num_decisions)``, unique rows in lexicographic order.
        num_choices: shape ``(num_decisions,)``, the number of choices of each decision.
    """

    def __init__(self, genotypes: NDArray[np.int64], num_choices: NDArray[np.int64]) -> None:
        self.genotypes = genotypes
        self.children: list[NDArray[np.int32]] = []
        parent = np.zeros(len(genotypes), np.int64)
        changed = np.zeros(len(genotypes), bool)
        changed[:1] = True
        self.first_leaves = [np.flatnonzero(changed)]
        for decision, choices in enumerate(num_choices):
            column = genotypes[:, decision]
            changed[1:] |= column[1:] != column[:-1]
            node = np.cumsum(changed) - 1
            table = np.full((int(parent[-1]) + 2, int(choices)), -1, np.int32)
            table[parent, column] = node
            self.children.append(table)
            self.first_leaves.append(np.flatnonzero(changed))
            parent = node

    def find(self, genotypes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ranks of genotypes, -1 where one is not in the set; ``(n, L)`` -> ``(n,)``."""
        node = np.zeros(len(genotypes), np.int64)
        for decision, table in enumerate(self.children):
            node = table[node, genotypes[:, decision]].astype(np.int64)
        return node
