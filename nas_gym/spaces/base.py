"""What every search space offers, whatever is behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class RandomSource(Protocol):
    """Anything that draws uniform numbers: a NumPy ``Generator``, or one stream for each trial."""

    def random(self, size: tuple[int, int], /) -> NDArray[np.float64]:
        """Uniform numbers in ``[0, 1)`` of the given shape."""
        ...


class SearchSpace(Protocol):
    """An ordered list of decisions; a genotype is one choice (an int) for each.

    Every method works on a batch: genotypes have shape ``(n, num_decisions)``, indices ``(n,)``.
    Distinct indices are distinct rows of a table; several genotypes share an index where the
    benchmark counts them as one architecture.
    """

    name: str
    choices: tuple[tuple[str, ...], ...]
    decision_names: tuple[str, ...]
    num_decisions: int
    num_choices: NDArray[np.int64]
    max_choices: int
    one_hot_size: int
    one_hot_offsets: NDArray[np.int64]
    alpha_size: int
    size: int

    def __hash__(self) -> int:
        """Spaces are told apart by identity."""
        ...

    @property
    def has_masks(self) -> bool:
        """Whether some choice of some prefix is ever invalid."""
        ...

    @property
    def node_labels(self) -> tuple[str, ...]:
        """What the node operations of :meth:`to_graph` stand for."""
        ...

    def contains(self, genotypes: ArrayLike) -> NDArray[np.bool_]:
        """Whether each genotype is an architecture of the space."""
        ...

    def encode(self, genotypes: ArrayLike) -> NDArray[np.int64]:
        """Indices of genotypes."""
        ...

    def decode(self, indices: ArrayLike) -> NDArray[np.int64]:
        """One genotype for each index."""
        ...

    def to_text(self, genotypes: ArrayLike) -> list[str]:
        """Each genotype as text, in the notation of its benchmark."""
        ...

    def from_text(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """The genotypes of texts."""
        ...

    def extend(
        self, depth: int, nodes: NDArray[np.int64], choices: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """One decision more: the prefix nodes that choices lead to, -1 where one is invalid."""
        ...

    def prefix_masks(self, depth: int, nodes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which choices are valid after each prefix, shape ``(n, max_choices)``."""
        ...

    def num_prefixes(self, depth: int) -> int:
        """The number of prefixes of ``depth`` decisions."""
        ...

    def decode_prefixes(self, depth: int, nodes: ArrayLike) -> NDArray[np.int64]:
        """The decisions behind prefix nodes, shape ``(n, depth)``."""
        ...

    def leaf_to_index(self, leaves: NDArray[np.int64]) -> NDArray[np.int64]:
        """Indices of prefix nodes of full depth."""
        ...

    def sample(self, n: int, rng: RandomSource) -> NDArray[np.int64]:
        """Uniformly drawn genotypes."""
        ...

    def neighbors(self, genotypes: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Every genotype one decision away, and which of them are valid."""
        ...

    def mutate(self, genotypes: ArrayLike, rng: RandomSource) -> NDArray[np.int64]:
        """One decision of each genotype changed."""
        ...

    def crossover(
        self, first: ArrayLike, second: ArrayLike, rng: RandomSource
    ) -> NDArray[np.int64]:
        """Children of two parents each."""
        ...

    def one_hot(self, genotypes: ArrayLike) -> NDArray[np.float32]:
        """The choices of genotypes, one-hot and laid end to end, shape ``(n, one_hot_size)``."""
        ...

    def genotype_to_alpha(self, genotypes: ArrayLike) -> NDArray[np.float32]:
        """The continuous relaxation at genotypes: 1 at what they have, ``(n, alpha_size)``."""
        ...

    def alpha_to_genotype(self, alpha: ArrayLike) -> NDArray[np.int64]:
        """Discretization of relaxed architectures."""
        ...

    def to_graph(self, genotypes: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Adjacency matrices and node operations."""
        ...
