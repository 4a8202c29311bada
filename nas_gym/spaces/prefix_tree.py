"""A prefix tree of genotypes, stored in flat arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class PrefixTree:
    """A prefix tree of the valid genotypes of a restricted search space.

    Node 0 at depth 0 is the empty prefix. A node at the last depth is a complete genotype, and its
    number is the rank of the genotype in lexicographic order.

    Args:
        genotypes: Unique genotypes in lexicographic order, shape ``(size, num_decisions)``.
        num_choices: Number of choices of each decision, shape ``(num_decisions,)``.

    Attributes:
        genotypes: The argument ``genotypes``.
        children: One array per depth. ``children[t][node, choice]`` is the node at depth ``t + 1``,
            or -1 if no genotype has this prefix. The last row of each array is -1, so that the
            children of node -1 are -1.
        first_leaves: One array per depth, with the rank of the first genotype below each node.
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
        """Return the ranks of genotypes, or -1 if not in the tree; ``(n, L)`` -> ``(n,)``."""
        node = np.zeros(len(genotypes), np.int64)
        for decision, table in enumerate(self.children):
            node = table[node, genotypes[:, decision]].astype(np.int64)
        return node
