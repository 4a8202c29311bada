"""Check that the methods of a search space are consistent with each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces.base import Indices, SearchSpace

_MAX_CHECKED = 10_000  # number of architectures that are checked in a larger space


def check_consistency(space: SearchSpace) -> None:
    """Check that a search space is a bijection between indices and architectures.

    The check covers all indices, or 10,000 of them in a larger space. ``decode`` has to return a
    genotype of the space. The genotype, its string, its alpha and its decisions in a sequential
    environment all have to lead back to the index. Graphs must have the documented shapes.

    Raises:
        TypeError: If ``space`` is not a :class:`SearchSpace`.
        ValueError: If the methods are inconsistent. The message names the space, the method, the
            index and the returned value.
    """
    if not isinstance(space, SearchSpace):
        raise TypeError(
            f"A search space must be an instance of a subclass of SearchSpace, got {space!r}."
        )
    try:
        _check(space)
    except _InconsistencyError as error:
        raise ValueError(f"The search space {_describe(space)} is inconsistent: {error}") from None
    except Exception as error:  # the methods of a subclass can raise anything
        raise ValueError(
            f"A method of the search space {_describe(space)} failed: "
            f"{type(error).__name__}: {error}"
        ) from error


class _InconsistencyError(Exception):
    pass


def _describe(space: SearchSpace) -> str:
    return f"{getattr(space, 'name', '')!r} ({type(space).__name__})"


def _check(space: SearchSpace) -> None:
    rng = np.random.default_rng(0)
    if space.size > np.iinfo(np.int64).max:  # too large to be numbered
        genotypes = space.sample(_MAX_CHECKED, rng)
        _check_genotypes(space, np.arange(len(genotypes)), genotypes)
        found = space.from_text(space.to_text(genotypes))
        _compare(np.arange(len(genotypes)), found, genotypes, "from_text(to_text(genotypes))")
        return
    indices = np.arange(min(space.size, _MAX_CHECKED))
    if space.size > _MAX_CHECKED:
        drawn = rng.integers(0, space.size, _MAX_CHECKED - 2)
        indices = np.unique(np.concatenate([[0, space.size - 1], drawn]))
    genotypes = space.decode(indices)
    _check_genotypes(space, indices, genotypes)
    _compare(indices, space.encode(genotypes), indices, "encode(decode(index))")
    _check_texts(space, indices, genotypes)
    nodes = np.zeros(len(indices), np.int64)
    for depth in range(space.num_decisions):
        nodes = space.extend(depth, nodes, genotypes[:, depth])
    _compare(indices, space.leaf_to_index(nodes), indices, "leaf_to_index(leaf of decode(index))")
    alpha = space.genotype_to_alpha(genotypes)
    back = space.encode(space.alpha_to_genotype(alpha))
    _compare(indices, back, indices, "encode(alpha_to_genotype(genotype_to_alpha(decode(index))))")
    _check_graphs(space, genotypes)
    drawn_genotypes = space.sample(min(space.size, 1000), rng)
    if not space.contains(drawn_genotypes).all():
        raise _InconsistencyError("sample() returned a genotype that is not in the space.")


def _check_genotypes(space: SearchSpace, indices: Indices, genotypes: NDArray[Any]) -> None:
    expected = (len(indices), space.num_decisions)
    if np.shape(genotypes) != expected:
        raise _InconsistencyError(
            f"decode() of {len(indices)} indices returned shape {np.shape(genotypes)}, "
            f"{expected} was expected."
        )
    wrong = (genotypes < 0) | (genotypes >= space.num_choices)
    if wrong.any():
        row = int(np.argmax(wrong.any(axis=1)))
        raise _InconsistencyError(
            f"decode({indices[row]}) returned {genotypes[row].tolist()}, which is outside the "
            f"numbers of choices {space.num_choices.tolist()}."
        )
    inside = space.contains(genotypes)
    if not inside.all():
        row = int(np.argmin(inside))
        raise _InconsistencyError(
            f"decode({indices[row]}) returned {genotypes[row].tolist()}, "
            "which contains() says is not in the space."
        )


def _check_texts(space: SearchSpace, indices: Indices, genotypes: NDArray[Any]) -> None:
    texts = space.to_text(genotypes)
    if len(set(texts)) < len(texts):
        first: dict[str, int] = {}
        for index, text in zip(indices.tolist(), texts, strict=True):
            if text in first:
                raise _InconsistencyError(
                    f"to_text() returned {text!r} for index {first[text]} and for index {index}."
                )
            first[text] = index
    found = space.encode(space.from_text(texts))
    _compare(indices, found, indices, "encode(from_text(to_text(decode(index))))")


def _check_graphs(space: SearchSpace, genotypes: NDArray[Any]) -> None:
    adjacency, operations = space.to_graph(genotypes[:100])
    count = min(len(genotypes), 100)
    nodes = np.shape(operations)[-1]
    if np.shape(operations) != (count, nodes) or np.shape(adjacency) != (count, nodes, nodes):
        raise _InconsistencyError(
            f"to_graph() of {count} genotypes returned the shapes {np.shape(adjacency)} and "
            f"{np.shape(operations)}; (n, V, V) and (n, V) were expected."
        )
    if operations.min() < 0 or operations.max() >= len(space.node_labels):
        raise _InconsistencyError(
            f"to_graph() returned operations {operations.min()} to {operations.max()}, node_labels "
            f"has {len(space.node_labels)} names."
        )


def _compare(indices: Indices, found: Any, expected: Any, call: str) -> None:
    """Raise an error that names the first index for which a call returned a wrong value."""
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape:
        raise _InconsistencyError(
            f"{call} returned shape {found.shape}, {expected.shape} was expected."
        )
    wrong = found != expected
    if wrong.any():
        row = int(np.argmax(wrong.reshape(len(wrong), -1).any(axis=1)))
        raise _InconsistencyError(
            f"{call} returned {found[row].tolist()} for index {indices[row]}, "
            f"{expected[row].tolist()} was expected."
        )
