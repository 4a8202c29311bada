"""A prefix tree of genotypes, stored in flat arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class PrefixTree:
    """The valid genotypes of a restricted search space.

    Node 0 of depth 0 is the empty prefix. A node of the last depth is a complete genotype; its
    number is the rank of the genotype in lexicographic order.

    Args:
        genotypes: Unique genotypes in lexicographic order, shape ``(size, num_decisions)``.
        num_choices: Numbers of choices, shape ``(num_decisions,)``.

    Attributes:
        genotypes: The argument.
        children: One array for each depth. ``children[t][node, choice]`` is the next node, of
            depth ``t + 1``, or -1 if no genotype has this prefix. Each array ends in a row of -1,
            so that the children of node -1 are -1.
        first_leaves: One array for each depth: rank of the first genotype below each node.
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
        """Return the ranks of genotypes, -1 if one is not in the tree; ``(n, L)`` -> ``(n,)``."""
        node = np.zeros(len(genotypes), np.int64)
        for decision, table in enumerate(self.children):
            node = table[node, genotypes[:, decision]].astype(np.int64)
        return node
