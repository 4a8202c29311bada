"""Path encoding of architectures (White et al., BANANAS, AAAI 2021, section 4)."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces.base import Genotypes, SearchSpace
from nas_gym.spaces.graphs import NODES, to_graphs

_SKIP = NODES.index("skip")

_Path = tuple[int, ...]
"""Types of the nodes on a path from input to output, without skip connections."""


def path_encoding(space: SearchSpace, genotypes: Genotypes) -> NDArray[np.float32]:
    """Return how many paths from input to output have each sequence of operations.

    Skip connections do not count as operations, and paths through ``zero`` operations do not count.
    The same network therefore has the same encoding in whatever form it is written.

    Args:
        space: Search space.
        genotypes: Genotypes, ``(n, L)``.

    Returns:
        Numbers of paths, ``(n, k)`` float32, for the ``k`` sequences that occur.
    """
    graphs = to_graphs(space, genotypes)
    adjacency, nodes = graphs.adjacency[:, :-1, :-1], graphs.nodes[:, :-1]  # no global node
    is_unified = graphs.node_types == NODES
    columns: dict[_Path, int] = {}
    known: dict[bytes, Counter[_Path]] = {}
    entries: list[tuple[int, int, int]] = []
    for row, (edges, types) in enumerate(zip(adjacency, nodes, strict=True)):
        key = edges.tobytes() + types.tobytes()
        if key not in known:
            known[key] = _count_paths(edges, types, is_unified)
        entries += [(row, columns.setdefault(p, len(columns)), n) for p, n in known[key].items()]
    encoding = np.zeros((len(nodes), len(columns)), np.float32)
    if entries:
        rows, places, counts = zip(*entries, strict=True)
        encoding[rows, places] = counts
    return encoding


def _count_paths(
    edges: NDArray[np.bool_], types: NDArray[np.int64], is_unified: bool
) -> Counter[_Path]:
    """Return the number of paths of each sequence of operations in one graph."""
    start, end = (int(np.argmax(types == NODES.index(name))) for name in ("input", "output"))
    after: dict[int, Counter[_Path]] = {end: Counter({(): 1})}

    def count(node: int) -> Counter[_Path]:
        if node not in after:
            found: Counter[_Path] = Counter()
            for target in np.flatnonzero(edges[node]).tolist():
                kind = int(types[target])
                hidden = target == end or (is_unified and kind == _SKIP)
                for path, paths in count(target).items():
                    found[path if hidden else (kind, *path)] += paths
            after[node] = found
        return after[node]

    return count(start)
