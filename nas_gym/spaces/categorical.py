"""Search spaces that are a list of categorical decisions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces.base import RandomSource
from nas_gym.spaces.prefix_tree import PrefixTree

Genotypes = NDArray[np.int64]
Indices = NDArray[np.int64]

# below every alpha and above the -inf of an invalid choice
_LOWEST = np.finfo(np.float32).min


class CategoricalSpace:
    """An ordered list of categorical decisions, each with its own set of choices.

    The space of a user's own table, and the base of the known spaces. See
    :class:`nas_gym.spaces.SearchSpace` for what each method promises.

    Args:
        choices: the labels of the choices, one sequence for each decision. Those of a decision are
            distinct; commas and surrounding spaces are kept for :meth:`from_text`.
        names: the names of the decisions; ``decision0``, ``decision1``, … by default.
        genotypes: where not every combination is an architecture, those that are, shape
            ``(size, num_decisions)``; duplicates are merged. All combinations by default.
        name: what the space is called in histories and messages.

    Raises:
        ValueError: no decision, a decision without choices, labels that :meth:`from_text` could
            not tell apart, or a genotype outside the choices.

    Example:
        >>> space = CategoricalSpace([("conv", "pool"), ("relu", "gelu", "tanh")])
        >>> space.size
        6
        >>> space.to_text([[1, 2]])
        ['pool,tanh']
    """

    def __init__(
        self,
        choices: Sequence[Sequence[str]],
        names: Sequence[str] | None = None,
        genotypes: ArrayLike | None = None,
        name: str = "categorical",
    ) -> None:
        self.name = name
        self.choices = tuple(tuple(str(label) for label in labels) for labels in choices)
        self.num_choices = np.array([len(labels) for labels in self.choices], np.int64)
        if len(self.choices) == 0 or self.num_choices.min() < 1:
            raise ValueError("A search space needs at least one decision with at least one choice.")
        self.decision_names = tuple(names or (f"decision{i}" for i in range(len(self.choices))))
        if len(self.decision_names) != len(self.choices):
            raise ValueError(
                f"{len(self.choices)} decisions need as many names, got {self.decision_names}."
            )
        for decision, labels in zip(self.decision_names, self.choices, strict=True):
            _check_labels(decision, labels)
        self.num_decisions = len(self.choices)
        self.max_choices = int(self.num_choices.max())
        self.one_hot_size = self.alpha_size = int(self.num_choices.sum())
        # one_hot[offset[d] + c] belongs to choice c of decision d
        self.one_hot_offsets = np.concatenate([[0], np.cumsum(self.num_choices)[:-1]])
        self.tree: PrefixTree | None = None
        self.size = int(np.prod(self.num_choices.astype(object)))
        if genotypes is not None:
            self._restrict(np.asarray(genotypes))

    def _restrict(self, genotypes: NDArray[Any]) -> None:
        if len(genotypes) == 0:
            raise ValueError("A restricted search space needs at least one genotype.")
        unique = np.unique(self.check(genotypes), axis=0)
        if len(unique) < self.size:
            self.tree = PrefixTree(unique, self.num_choices)
            self.size = len(unique)

    def __repr__(self) -> str:
        size = f"{self.num_decisions} decisions, {self.size:,} architectures"
        return f"<{type(self).__name__} {self.name!r}: {size}>"

    # -- genotypes, indices, text ------------------------------------------------------------

    def check(self, genotypes: ArrayLike) -> Genotypes:
        """Genotypes as an int64 array of shape ``(n, num_decisions)``, or a clear error.

        Raises:
            TypeError: not integers.
            ValueError: wrong shape, or a choice out of range. (Whether the combination is an
                architecture of a restricted space is :meth:`encode`'s to say.)
        """
        array = np.atleast_2d(np.asarray(genotypes))
        if array.dtype.kind not in "iu":
            raise TypeError(f"Genotypes are integers, got an array of {array.dtype}.")
        if array.ndim != 2 or array.shape[1] != self.num_decisions:
            raise ValueError(
                f"Genotypes of {self.name} have shape (n, {self.num_decisions}), got {array.shape}."
            )
        array = array.astype(np.int64)
        wrong = (array < 0) | (array >= self.num_choices)
        if wrong.any():
            row, decision = np.argwhere(wrong)[0]
            raise ValueError(
                f"Genotype {array[row].tolist()} of {self.name}: decision {decision} "
                f"({self.decision_names[decision]}) takes 0 to {self.num_choices[decision] - 1}, "
                f"got {array[row, decision]}."
            )
        return array

    def contains(self, genotypes: ArrayLike) -> NDArray[np.bool_]:
        """Whether each genotype is an architecture of the space; ``(n, L)`` -> ``(n,)`` bool."""
        array = self.check(genotypes)
        if self.tree is None:
            return np.ones(len(array), bool)
        return self.tree.find(array) >= 0

    def encode(self, genotypes: ArrayLike) -> Indices:
        """Indices of genotypes, ``(n, L)`` -> ``(n,)`` int64 in ``[0, size)``.

        Raises:
            ValueError: a genotype that is not an architecture of the space.
        """
        array = self.check(genotypes)
        if self.tree is None:
            return self.leaf_to_index(array @ self._strides)
        leaves = self.tree.find(array)
        if (leaves < 0).any():
            missing = array[np.argmax(leaves < 0)].tolist()
            raise ValueError(f"{missing} is not an architecture of {self.name}.")
        return self.leaf_to_index(leaves)

    def decode(self, indices: ArrayLike) -> Genotypes:
        """Genotypes of indices, ``(n,)`` -> ``(n, L)`` int64; the inverse of :meth:`encode`.

        Raises:
            IndexError: an index outside ``[0, size)``.
        """
        array = np.atleast_1d(np.asarray(indices, np.int64))
        if len(array) and (array.min() < 0 or array.max() >= self.size):
            raise IndexError(
                f"Indices of {self.name} are 0 to {self.size - 1}, "
                f"got {array.min()} to {array.max()}."
            )
        return self._decode_leaves(self._index_to_leaf(array))

    def to_text(self, genotypes: ArrayLike) -> list[str]:
        """Each genotype as text: its choices' labels, separated by commas."""
        return [
            ",".join(labels[choice] for labels, choice in zip(self.choices, row, strict=True))
            for row in self.check(genotypes).tolist()
        ]

    def from_text(self, texts: Sequence[str]) -> Genotypes:
        """Genotypes of texts as :meth:`to_text` writes them.

        Raises:
            ValueError: a text with another number of labels, or an unknown label.
        """
        lookup = [{label: i for i, label in enumerate(labels)} for labels in self.choices]
        rows = []
        for text in texts:
            labels = [label.strip() for label in text.split(",")]
            if len(labels) != self.num_decisions:
                raise ValueError(
                    f"{text!r} has {len(labels)} choices, "
                    f"{self.name} has {self.num_decisions} decisions."
                )
            for decision, label in enumerate(labels):
                if label not in lookup[decision]:
                    raise ValueError(
                        f"{text!r}: unknown choice {label!r} of {self.decision_names[decision]}; "
                        f"one of {', '.join(self.choices[decision])} was expected."
                    )
            rows.append([lookup[decision][label] for decision, label in enumerate(labels)])
        return np.array(rows, np.int64).reshape(-1, self.num_decisions)

    # -- prefixes: what a sequential environment walks along ------------------------------------
    #
    # A prefix of t decisions is one integer, its node. In an unrestricted space a node is the
    # prefix in mixed radix; in a restricted one it is a node of the prefix tree. A node of the
    # last depth is a leaf.

    def extend(self, depth: int, nodes: Indices, choices: Indices) -> Indices:
        """The nodes of depth ``depth + 1`` that choices lead to; -1 where a choice is invalid.

        ``nodes`` and ``choices`` are integers or arrays of shape ``(n,)``; every choice must lie
        in ``[0, num_choices[depth])``.
        """
        if self.tree is None:
            after = nodes * self._radix[depth]
            after += choices
            return after
        return self.tree.children[depth][nodes, choices].astype(np.int64)

    def prefix_masks(self, depth: int, nodes: Indices) -> NDArray[np.bool_]:
        """Which choices are valid after each prefix; ``(n,)`` -> ``(n, max_choices)`` bool."""
        masks = np.zeros((*np.shape(nodes), self.max_choices), bool)
        width = int(self.num_choices[depth])
        masks[..., :width] = True if self.tree is None else self.tree.children[depth][nodes] >= 0
        return masks

    @cached_property
    def has_masks(self) -> bool:
        """Whether some choice of some prefix is ever invalid."""
        return self.tree is not None or bool((self.num_choices != self.max_choices).any())

    def num_prefixes(self, depth: int) -> int:
        """The number of nodes of a depth."""
        if self.tree is None:
            return int(np.prod(self.num_choices[:depth].astype(object)))
        return (
            len(self.tree.children[depth]) - 1 if depth < self.num_decisions else self._num_leaves
        )

    def decode_prefixes(self, depth: int, nodes: ArrayLike) -> Genotypes:
        """The decisions made so far, ``(n,)`` -> ``(n, depth)`` int64."""
        nodes = np.asarray(nodes, np.int64)
        if self.tree is None:
            strides = np.concatenate([np.cumprod(self.num_choices[1:depth][::-1])[::-1], [1]])[
                :depth
            ]
            digits: Genotypes = nodes[:, None] // strides % self.num_choices[:depth]
            return digits
        return self.tree.genotypes[self.tree.first_leaves[depth][nodes], :depth]

    def leaf_to_index(self, leaves: Indices) -> Indices:
        """Indices of leaves; subclasses that number architectures in another order map here."""
        return leaves

    def _index_to_leaf(self, indices: Indices) -> Indices:
        return indices

    @cached_property
    def _radix(self) -> list[NDArray[np.int64]]:
        # as arrays of no dimension, which NumPy multiplies with faster than with Python's numbers
        return [np.array(choices) for choices in self.num_choices]

    @cached_property
    def _strides(self) -> NDArray[np.int64]:
        if self.tree is None and self.size > np.iinfo(np.int64).max:
            raise OverflowError(
                f"{self.name} has {self.size:.1e} architectures, too many to number with 64 bits."
            )
        return np.concatenate([np.cumprod(self.num_choices[1:][::-1])[::-1], [1]])

    @cached_property
    def _num_leaves(self) -> int:
        return self.size if self.tree is None else len(self.tree.genotypes)

    def _decode_leaves(self, leaves: Indices) -> Genotypes:
        if self.tree is None:
            return leaves[:, None] // self._strides % self.num_choices
        return self.tree.genotypes[leaves].copy()

    # -- search operators --------------------------------------------------------------------

    def sample(self, n: int, rng: RandomSource) -> Genotypes:
        """``n`` genotypes, uniformly from the space; shape ``(n, L)``."""
        if self.tree is None:
            return (rng.random((n, self.num_decisions)) * self.num_choices).astype(np.int64)
        leaves = (rng.random((n, 1))[:, 0] * self._num_leaves).astype(np.int64)
        return self._decode_leaves(leaves)

    def neighbors(self, genotypes: ArrayLike) -> tuple[Genotypes, NDArray[np.bool_]]:
        """All genotypes that differ in exactly one decision.

        Returns:
            The neighbours, shape ``(n, num_neighbors, L)`` with ``num_neighbors = sum(num_choices
            - 1)``, and which of them are architectures of the space, shape ``(n, num_neighbors)``.
        """
        array = self.check(genotypes)
        decision = np.repeat(np.arange(self.num_decisions), self.num_choices - 1)
        shift = np.concatenate([np.arange(1, k) for k in self.num_choices]).astype(np.int64)
        result = np.repeat(array[:, None, :], len(decision), axis=1)
        row = np.arange(len(decision))
        result[:, row, decision] = (array[:, decision] + shift) % self.num_choices[decision]
        valid = self.contains(result.reshape(-1, self.num_decisions))
        return result, valid.reshape(result.shape[:2])

    def mutate(self, genotypes: ArrayLike, rng: RandomSource) -> Genotypes:
        """Change exactly one decision of each genotype, ``(n, L)`` -> ``(n, L)``.

        A decision is drawn uniformly, then another choice of it. In a restricted space, the draw
        is uniform over the valid neighbours; a genotype that has none (possible in a partial
        table) is replaced by a sample of the space.
        """
        array = self.check(genotypes)
        if self.tree is None:
            open_decisions = np.flatnonzero(self.num_choices > 1)
            if len(open_decisions) == 0:
                return array
            draws = rng.random((len(array), 2))
            decision = open_decisions[(draws[:, 0] * len(open_decisions)).astype(np.int64)]
            shift = 1 + (draws[:, 1] * (self.num_choices[decision] - 1)).astype(np.int64)
            rows = np.arange(len(array))
            array[rows, decision] = (array[rows, decision] + shift) % self.num_choices[decision]
            return array
        neighbors, valid = self.neighbors(array)
        draws = rng.random((len(array), 2))
        count = valid.sum(axis=1)
        # the (rank + 1)-th valid neighbour of each row
        rank = (draws[:, 0] * count).astype(np.int64)
        pick = np.argmax(np.cumsum(valid, axis=1) > rank[:, None], axis=1)
        mutated = neighbors[np.arange(len(array)), pick]
        fresh = self._decode_leaves((draws[:, 1] * self._num_leaves).astype(np.int64))
        return np.where((count > 0)[:, None], mutated, fresh)

    def crossover(self, first: ArrayLike, second: ArrayLike, rng: RandomSource) -> Genotypes:
        """Uniform crossover: each decision from either parent with equal chance.

        Where the child is not an architecture of a restricted space, the first parent is kept.
        """
        a, b = self.check(first), self.check(second)
        child = np.where(rng.random(a.shape) < 0.5, a, b)
        return child if self.tree is None else np.where(self.contains(child)[:, None], child, a)

    # -- continuous relaxation ------------------------------------------------------------------

    def one_hot(self, genotypes: ArrayLike) -> NDArray[np.float32]:
        """The choices of genotypes, one-hot and laid end to end; ``(n, L)`` -> ``(n,
        one_hot_size)``."""
        array = self.check(genotypes)
        rows = np.zeros((len(array), self.one_hot_size), np.float32)
        np.put_along_axis(rows, array + self.one_hot_offsets, 1.0, axis=1)
        return rows

    def genotype_to_alpha(self, genotypes: ArrayLike) -> NDArray[np.float32]:
        """One-hot rows of the alpha matrix, laid end to end; ``(n, L)`` -> ``(n, alpha_size)``."""
        return self.one_hot(genotypes)

    def alpha_to_genotype(self, alpha: ArrayLike) -> Genotypes:
        """The argmax of each row of the alpha matrix, ``(n, alpha_size)`` -> ``(n, L)``.

        Ties go to the first choice. In a restricted space the rows are read in order and the
        argmax is among the choices that are valid after those before (L2NAS, Algorithm 1, where
        nothing is restricted).

        Raises:
            ValueError: wrong shape, or NaN.
        """
        alpha = self._check_alpha(alpha)
        nodes = np.zeros(len(alpha), np.int64)
        genotypes = np.empty((len(alpha), self.num_decisions), np.int64)
        for decision, offset in enumerate(self.one_hot_offsets):
            row = alpha[:, offset : offset + self.num_choices[decision]]
            if self.tree is not None:
                valid = self.tree.children[decision][nodes] >= 0
                row = np.where(valid, np.maximum(row, _LOWEST), -np.inf)
            genotypes[:, decision] = row.argmax(axis=1)
            nodes = self.extend(decision, nodes, genotypes[:, decision])
        return genotypes

    def _check_alpha(self, alpha: ArrayLike) -> NDArray[Any]:
        array = np.atleast_2d(np.asarray(alpha))
        if array.ndim != 2 or array.shape[1] != self.alpha_size:
            raise ValueError(
                f"Alpha of {self.name} has shape (n, {self.alpha_size}), got {array.shape}."
            )
        if np.isnan(array).any():
            raise ValueError("Alpha holds NaN, numbers were expected.")
        return array

    # -- graphs ----------------------------------------------------------------------------------

    @property
    def node_labels(self) -> tuple[str, ...]:
        """What the node operations of :meth:`to_graph` stand for."""
        labels = (
            f"{name}={label}"
            for name, row in zip(self.decision_names, self.choices, strict=True)
            for label in row
        )
        return ("input", "output", *labels)

    def to_graph(self, genotypes: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Graphs for graph predictors: a chain from input over the decisions to output.

        Returns:
            adjacency, shape ``(n, V, V)`` with ``adjacency[i, u, v] = 1`` for an edge u -> v in
            topological order, and node operations, shape ``(n, V)``, indices of
            :attr:`node_labels`.
        """
        array = self.check(genotypes)
        nodes = self.num_decisions + 2
        adjacency = np.zeros((len(array), nodes, nodes), np.int8)
        adjacency[:, np.arange(nodes - 1), np.arange(1, nodes)] = 1
        operations = np.ones((len(array), nodes), np.int64)
        operations[:, 0] = 0
        operations[:, 1:-1] = 2 + self.one_hot_offsets + array
        return adjacency, operations


def _check_labels(decision: str, labels: Sequence[str]) -> None:
    """Refuse labels with which a genotype's text could not be read back."""
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ValueError(f"Two choices of {decision} are labelled {twice!r}. Rename one.")
    for label in labels:
        if "," in label or label != label.strip():
            raise ValueError(
                f"{label!r}, a choice of {decision}: a label holds no comma, and no space at its "
                "ends. Rename it."
            )
