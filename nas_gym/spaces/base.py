"""Base class of all search spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self

from nas_gym.spaces.prefix_tree import PrefixTree

Genotypes = NDArray[np.int64]
Indices = NDArray[np.int64]

# smaller than every alpha, and greater than the -inf of an invalid choice
_LOWEST = np.finfo(np.float32).min


class RandomSource(Protocol):
    """A source of uniform random numbers: a NumPy ``Generator``, or one stream per trial."""

    def random(self, size: tuple[int, int], /) -> NDArray[np.float64]:
        """Return uniform numbers in ``[0, 1)`` of the given shape."""
        ...


class SearchSpace:
    """An ordered list of categorical decisions.

    A **genotype** has one choice (an int) per decision. Every method works on a batch: genotypes
    have shape ``(n, L)`` with ``L = num_decisions``, indices have shape ``(n,)``. An **index** is
    the row of an architecture in a table. Several genotypes may share an index if the benchmark
    treats these genotypes as one architecture.

    To write your own search space, subclass this class. The simplest subclass takes ``genotypes``
    and ``name`` and passes its choices to ``super().__init__``::

        class HexSpace(SearchSpace):
            def __init__(self, genotypes=None, name="Hex"):
                super().__init__([("relu", "gelu"), ("3x3", "5x5")], None, genotypes, name)

    Everything else is derived from the choices. A subclass may override the following methods:

    - :meth:`to_text` and :meth:`from_text` define a benchmark's notation;
    - :meth:`to_graph` and :attr:`node_labels` define graphs for predictors and drawings;
    - :meth:`leaf_to_index` and :meth:`index_to_leaf` define another order of the indices;
    - :meth:`genotype_to_alpha` and :meth:`alpha_to_genotype` define another discretization;
    - :meth:`describe` and :meth:`from_description` are needed if the constructor has parameters
      other than ``genotypes`` and ``name``.

    If several genotypes share an index, the constructor has to call :meth:`share_indices`.
    :func:`nas_gym.spaces.check_consistency` checks that the methods are consistent with each other.
    Register the class with :func:`nas_gym.spaces.register_space` so that its tables can be stored.

    Args:
        choices: Labels of the choices, one sequence per decision. The labels of a decision must
            be distinct, without commas and without spaces at either end.
        names: Names of the decisions; ``decision0``, ``decision1``, … by default.
        genotypes: Architectures of the space, shape ``(n, num_decisions)``; duplicates are merged.
            All combinations of choices by default.
        name: Name of the space in histories and messages; :attr:`kind` by default.

    Attributes:
        kind: Name of the class in stored tables; the class's name without ``Space`` by default.
        name: Name of the space in histories and messages.
        choices: Labels of the choices of each decision.
        decision_names: Names of the decisions.
        num_decisions: Number of decisions.
        num_choices: Number of choices of each decision, shape ``(num_decisions,)`` int64.
        max_choices: Largest number of choices of a decision.
        one_hot_size: Sum of the numbers of choices.
        one_hot_offsets: Position of each decision's first choice in a one-hot row, shape
            ``(num_decisions,)`` int64.
        alpha_size: Length of a relaxed architecture (alpha).
        size: Number of architectures.
        is_partial: Whether the space has only some of the architectures of its kind.
        tree: Prefix tree of the valid genotypes; ``None`` if every combination is valid.

    Raises:
        ValueError: If there is no decision, a decision has no choice, a label is not allowed, or a
            genotype is outside the choices.

    Example:
        >>> space = SearchSpace([("conv", "pool"), ("relu", "gelu", "tanh")])
        >>> space.size
        6
        >>> space.to_text([[1, 2]])
        ['pool,tanh']
    """

    kind: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" not in cls.__dict__:
            cls.kind = cls.__name__.removesuffix("Space")

    def __init__(
        self,
        choices: Sequence[Sequence[str]],
        names: Sequence[str] | None = None,
        genotypes: ArrayLike | None = None,
        name: str = "",
    ) -> None:
        self.name = name or self.kind
        self.choices = tuple(tuple(str(label) for label in labels) for labels in choices)
        self.num_choices = np.array([len(labels) for labels in self.choices], np.int64)
        if len(self.choices) == 0 or self.num_choices.min() < 1:
            raise ValueError("A search space needs at least one decision with at least one choice.")
        self.decision_names = tuple(names or (f"decision{i}" for i in range(len(self.choices))))
        if len(self.decision_names) != len(self.choices):
            raise ValueError(
                f"{len(self.choices)} decisions need {len(self.choices)} names, got "
                f"{self.decision_names}."
            )
        for decision, labels in zip(self.decision_names, self.choices, strict=True):
            _check_labels(decision, labels)
        self.num_decisions = len(self.choices)
        self.max_choices = int(self.num_choices.max())
        self.one_hot_size = self.alpha_size = int(self.num_choices.sum())
        self.one_hot_offsets = np.concatenate([[0], np.cumsum(self.num_choices)[:-1]])
        self.tree: PrefixTree | None = None
        self.size = self._num_combinations = int(np.prod(self.num_choices.astype(object)))
        self.is_partial = False
        self._index_of_leaf: Indices | None = None
        self._leaf_of_index: Indices | None = None
        if genotypes is not None:
            self.restrict(genotypes)

    def restrict(self, genotypes: ArrayLike) -> None:
        """Keep only the given architectures. Call this method only in a constructor.

        Args:
            genotypes: Genotypes to keep, shape ``(n, num_decisions)``. All genotypes that share an
                index with a given genotype are kept.

        Raises:
            ValueError: If no genotype is given, or a genotype is not in the space.
        """
        array = np.asarray(genotypes)
        if len(array) == 0:
            raise ValueError("A restricted search space needs at least one genotype.")
        if self._index_of_leaf is None or self._leaf_of_index is None:
            valid = np.unique(self.check(array), axis=0)
            if len(valid) == self.size:
                return
            size = len(valid)
        else:
            indices = np.unique(self.encode(array))
            if len(indices) == self.size:
                return
            leaves = np.flatnonzero(np.isin(self._index_of_leaf, indices))
            valid = self._decode_leaves(leaves)
            self._index_of_leaf = np.searchsorted(indices, self._index_of_leaf[leaves])
            self._leaf_of_index = np.searchsorted(leaves, self._leaf_of_index[indices])
            size = len(indices)
        self.tree = PrefixTree(valid, self.num_choices)
        self.size = size
        self.is_partial = True

    def share_indices(self, index_of_leaf: Indices, leaf_of_index: Indices) -> None:
        """Let several genotypes share an index. Call this method only in a constructor.

        A leaf is the rank of a valid genotype in lexicographic order.

        Args:
            index_of_leaf: Index of each leaf, shape ``(number of leaves,)``.
            leaf_of_index: Leaf that :meth:`decode` returns for each index, shape ``(size,)``.
        """
        self._index_of_leaf, self._leaf_of_index = index_of_leaf, leaf_of_index
        self.size = len(leaf_of_index)

    def __repr__(self) -> str:
        size = f"{self.num_decisions} decisions, {self.size:,} architectures"
        return f"<{type(self).__name__} {self.name!r}: {size}>"

    # -- storage -----------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """Return a description of the space, without its genotypes, as JSON values.

        The description is stored with the tables of the space. It must have the keys ``kind`` and
        ``name``.
        """
        return {"kind": self.kind, "name": self.name}

    @classmethod
    def from_description(
        cls, description: Mapping[str, Any], genotypes: ArrayLike | None = None
    ) -> Self:
        """Build a space from a description.

        Args:
            description: Return value of :meth:`describe`.
            genotypes: Architectures of a partial space; ``None`` for the whole space.
        """
        # keywords, because a subclass may have these two parameters at any position
        arguments: dict[str, Any] = {"genotypes": genotypes, "name": description["name"]}
        return cls(**arguments)

    def subset(self, genotypes: ArrayLike, name: str) -> SearchSpace:
        """Return a space of the given architectures only.

        Args:
            genotypes: Genotypes of the architectures, shape ``(n, num_decisions)``.
            name: Name of the new space.
        """
        return self.from_description({**self.describe(), "name": name}, genotypes)

    # -- genotypes, indices, strings ---------------------------------------------------------

    def check(self, genotypes: ArrayLike) -> Genotypes:
        """Return genotypes as an int64 array of shape ``(n, num_decisions)``.

        This checks the shape and the range of each choice. :meth:`contains` says whether a
        combination of choices is valid.

        Raises:
            TypeError: If the genotypes are not integers.
            ValueError: If the shape is wrong, or a choice is out of range.
        """
        array = np.atleast_2d(np.asarray(genotypes))
        if array.dtype.kind not in "iu":
            raise TypeError(f"Genotypes must be integers, got an array of {array.dtype}.")
        if array.ndim != 2 or array.shape[1] != self.num_decisions:
            raise ValueError(
                f"Genotypes of {self.name} must have shape (n, {self.num_decisions}), got "
                f"{array.shape}."
            )
        array = array.astype(np.int64)
        wrong = (array < 0) | (array >= self.num_choices)
        if wrong.any():
            row, decision = np.argwhere(wrong)[0]
            raise ValueError(
                f"Genotype {array[row].tolist()} of {self.name}: decision {decision} "
                f"({self.decision_names[decision]}) must be 0 to {self.num_choices[decision] - 1}, "
                f"got {array[row, decision]}."
            )
        return array

    def contains(self, genotypes: ArrayLike) -> NDArray[np.bool_]:
        """Return whether each genotype is in the space; ``(n, L)`` -> ``(n,)`` bool."""
        array = self.check(genotypes)
        if self.tree is None:
            return np.ones(len(array), bool)
        return self.tree.find(array) >= 0

    def encode(self, genotypes: ArrayLike) -> Indices:
        """Return the indices of genotypes, ``(n, L)`` -> ``(n,)`` int64 in ``[0, size)``.

        Raises:
            ValueError: If a genotype is not in the space.
            OverflowError: If the space is too large to be numbered with 64 bits.
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
        """Return one genotype per index, ``(n,)`` -> ``(n, L)`` int64.

        This is the inverse of :meth:`encode`.

        Raises:
            IndexError: If an index is outside ``[0, size)``.
        """
        array = np.atleast_1d(np.asarray(indices, np.int64))
        if len(array) and (array.min() < 0 or array.max() >= self.size):
            raise IndexError(
                f"Indices of {self.name} must be 0 to {self.size - 1}, "
                f"got {array.min()} to {array.max()}."
            )
        return self._decode_leaves(self.index_to_leaf(array))

    def isomorphism_classes(self) -> Indices:
        """Return a class number for each architecture of the space, ``(size,)`` int64.

        Architectures in one class have different indices but are the same network, so that tables
        of such a space hold several trainings of it. By default, every architecture is in a class
        of its own.
        """
        return np.arange(self.size)

    def to_text(self, genotypes: ArrayLike) -> list[str]:
        """Return each genotype as a string: the labels of its choices, separated by commas."""
        return [
            ",".join(labels[choice] for labels, choice in zip(self.choices, row, strict=True))
            for row in self.check(genotypes).tolist()
        ]

    def from_text(self, texts: Sequence[str]) -> Genotypes:
        """Parse strings in the notation of :meth:`to_text` and return their genotypes.

        Raises:
            ValueError: If a string has a wrong number of labels, or an unknown label.
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

    # -- prefixes ----------------------------------------------------------------------------
    #
    # A sequential environment makes one decision per step. It stores the decisions so far as one
    # integer, a node. If every combination is valid, a node is the prefix as a number in mixed
    # radix; otherwise it is a node of the prefix tree. A node of the last depth is a leaf.

    def extend(self, depth: int, nodes: Indices, choices: Indices) -> Indices:
        """Make one more decision.

        Args:
            depth: Number of decisions made so far.
            nodes: Nodes of that depth; an integer or an array of shape ``(n,)``.
            choices: Choices in ``[0, num_choices[depth])``, in the same shape as ``nodes``.

        Returns:
            Nodes of depth ``depth + 1``; -1 for an invalid choice.
        """
        if self.tree is None:
            after = nodes * self._radix[depth]
            after += choices
            return after
        return self.tree.children[depth][nodes, choices].astype(np.int64)

    def prefix_masks(self, depth: int, nodes: Indices) -> NDArray[np.bool_]:
        """Return a mask of the valid choices at nodes, ``(n,)`` -> ``(n, max_choices)`` bool."""
        masks = np.zeros((*np.shape(nodes), self.max_choices), bool)
        width = int(self.num_choices[depth])
        masks[..., :width] = True if self.tree is None else self.tree.children[depth][nodes] >= 0
        return masks

    @cached_property
    def has_masks(self) -> bool:
        """Whether some action of a sequential environment is invalid at some node."""
        return self.tree is not None or bool((self.num_choices != self.max_choices).any())

    def num_prefixes(self, depth: int) -> int:
        """Return the number of nodes of a depth."""
        if self.tree is None:
            return int(np.prod(self.num_choices[:depth].astype(object)))
        return (
            len(self.tree.children[depth]) - 1 if depth < self.num_decisions else self._num_leaves
        )

    def decode_prefixes(self, depth: int, nodes: ArrayLike) -> Genotypes:
        """Return the decisions that lead to nodes, ``(n,)`` -> ``(n, depth)`` int64."""
        nodes = np.asarray(nodes, np.int64)
        if self.tree is None:
            strides = np.concatenate([np.cumprod(self.num_choices[1:depth][::-1])[::-1], [1]])[
                :depth
            ]
            digits: Genotypes = nodes[:, None] // strides % self.num_choices[:depth]
            return digits
        return self.tree.genotypes[self.tree.first_leaves[depth][nodes], :depth]

    def leaf_to_index(self, leaves: Indices) -> Indices:
        """Return the indices of leaves, ``(n,)`` -> ``(n,)``; by default, the leaves themselves.

        A leaf is the rank of a valid genotype in lexicographic order. Override this method
        together with :meth:`index_to_leaf` to number architectures in another order.
        """
        return leaves if self._index_of_leaf is None else self._index_of_leaf.take(leaves)

    def index_to_leaf(self, indices: Indices) -> Indices:
        """Return one leaf per index, the inverse of :meth:`leaf_to_index`; ``(n,)`` -> ``(n,)``."""
        return indices if self._leaf_of_index is None else self._leaf_of_index.take(indices)

    @cached_property
    def _radix(self) -> list[NDArray[np.int64]]:
        # NumPy multiplies faster with zero-dimensional arrays than with Python numbers
        return [np.array(choices) for choices in self.num_choices]

    @cached_property
    def _strides(self) -> NDArray[np.int64]:
        if self.tree is None and self._num_combinations > np.iinfo(np.int64).max:
            raise OverflowError(
                f"{self.name} has {self.size:.1e} architectures, too many to number with 64 bits."
            )
        return np.concatenate([np.cumprod(self.num_choices[1:][::-1])[::-1], [1]])

    @property
    def _num_leaves(self) -> int:
        return self._num_combinations if self.tree is None else len(self.tree.genotypes)

    def _decode_leaves(self, leaves: Indices) -> Genotypes:
        if self.tree is None:
            return leaves[:, None] // self._strides % self.num_choices
        return self.tree.genotypes[leaves].copy()

    # -- search operators --------------------------------------------------------------------

    @property
    def decision_groups(self) -> NDArray[np.int64]:
        """Group of each decision, ``(num_decisions,)``, numbered from 0.

        :func:`nas_gym.spaces.evolution.next_generation` keeps the decisions of a group together,
        such as the decisions about one node of a cell. By default, each decision is a group.
        """
        return np.arange(self.num_decisions)

    def sample(self, n: int, rng: RandomSource) -> Genotypes:
        """Return ``n`` genotypes, drawn uniformly; shape ``(n, L)``."""
        if self.tree is None:
            return (rng.random((n, self.num_decisions)) * self.num_choices).astype(np.int64)
        leaves = (rng.random((n, 1))[:, 0] * self._num_leaves).astype(np.int64)
        return self._decode_leaves(leaves)

    def neighbors(self, genotypes: ArrayLike) -> tuple[Genotypes, NDArray[np.bool_]]:
        """Return all genotypes that differ from the given ones in exactly one decision.

        Returns:
            Neighbours, shape ``(n, num_neighbors, L)`` with ``num_neighbors = sum(num_choices -
            1)``, and whether each neighbour is in the space, shape ``(n, num_neighbors)``.
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

        The decision is drawn uniformly, and then another choice for this decision. In a restricted
        space, the mutation is drawn uniformly from the valid neighbours. A genotype without valid
        neighbours (possible with a partial table) is replaced by a random genotype of the space.
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
        """Return children of pairs of parents, ``(n, L)`` and ``(n, L)`` -> ``(n, L)``.

        Each decision comes from either parent with equal probability. In a restricted space, the
        first parent replaces a child that is not in the space.
        """
        a, b = self.check(first), self.check(second)
        child = np.where(rng.random(a.shape) < 0.5, a, b)
        return child if self.tree is None else np.where(self.contains(child)[:, None], child, a)

    # -- continuous relaxation ---------------------------------------------------------------

    def one_hot(self, genotypes: ArrayLike) -> NDArray[np.float32]:
        """Return the concatenated one-hot vectors of the decisions, ``(n, L)`` -> ``(n,
        one_hot_size)``."""
        array = self.check(genotypes)
        rows = np.zeros((len(array), self.one_hot_size), np.float32)
        np.put_along_axis(rows, array + self.one_hot_offsets, 1.0, axis=1)
        return rows

    def genotype_to_alpha(self, genotypes: ArrayLike) -> NDArray[np.float32]:
        """Return the relaxation of genotypes, ``(n, L)`` -> ``(n, alpha_size)``.

        By default, this is :meth:`one_hot`: the concatenated rows of the alpha matrix.
        """
        return self.one_hot(genotypes)

    def alpha_to_genotype(self, alpha: ArrayLike) -> Genotypes:
        """Discretize relaxed architectures, ``(n, alpha_size)`` -> ``(n, L)``.

        By default, each decision is the argmax of the corresponding row of the alpha matrix
        (Algorithm 1 of the L2NAS paper). Of equal values, the first is chosen. In a restricted
        space, the decisions are made in order, and the argmax is taken over the choices that are
        valid after the earlier decisions.

        Raises:
            ValueError: If the shape is wrong, or a value is NaN.
        """
        alpha = self.check_alpha(alpha)
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

    def check_alpha(self, alpha: ArrayLike) -> NDArray[Any]:
        """Return alpha as an array of shape ``(n, alpha_size)``.

        Raises:
            ValueError: If the shape is wrong, or a value is NaN.
        """
        array = np.atleast_2d(np.asarray(alpha))
        if array.ndim != 2 or array.shape[1] != self.alpha_size:
            raise ValueError(
                f"Alpha of {self.name} must have shape (n, {self.alpha_size}), got {array.shape}."
            )
        if np.isnan(array).any():
            raise ValueError(f"Alpha of {self.name} must not contain NaN.")
        return array

    # -- graphs ------------------------------------------------------------------------------

    @property
    def node_labels(self) -> tuple[str, ...]:
        """Names of the node operations of :meth:`to_graph`."""
        labels = (
            f"{name}={label}"
            for name, row in zip(self.decision_names, self.choices, strict=True)
            for label in row
        )
        return ("input", "output", *labels)

    def to_graph(self, genotypes: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Return genotypes as graphs with operations on the nodes.

        By default, the graph is a chain: input, one node per decision, output.

        Returns:
            Adjacency matrices, shape ``(n, V, V)`` int8, with 1 at ``[i, u, v]`` for an edge u ->
            v, and the operations of the nodes, shape ``(n, V)`` int64, as indices into
            :attr:`node_labels`. Nodes are in topological order.
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
    """Raise an error if strings made of these labels could not be parsed unambiguously."""
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ValueError(f"Two choices of {decision} are labelled {twice!r}. Rename one.")
    for label in labels:
        if "," in label or label != label.strip():
            raise ValueError(
                f"{label!r}, a choice of {decision}: a label must not contain a comma or begin or "
                "end with a space. Rename it."
            )
