"""Building the search space of a user's table from the architectures of the file."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import CategoricalSpace, SearchSpace
from nas_gym.tables.user_file.columns import file_error, first_file_error
from nas_gym.tables.user_file.genotypes import Architectures


def fit_space(
    found: Architectures, name: str, *, is_new: bool
) -> tuple[SearchSpace, NDArray[np.int64]]:
    """Return a search space with exactly the architectures of the file.

    Args:
        found: Architectures of the file.
        name: Name of the space if the file covers only a part of ``found.space``, or if
            ``found.space`` has no name.
        is_new: Whether ``found.space`` was made for the file, or is a known benchmark.

    Returns:
        The space, and the index of each row, shape ``(n,)``.

    Raises:
        UserFileError: If a genotype is not in its space, or two rows have the same architecture.
    """
    space = found.space
    try:
        genotypes = _canonical(space, found.genotypes)
    except ValueError:
        check = partial(_canonical, space)
        raise first_file_error(check, found.genotypes, found.column) from None
    if len(genotypes) != space.size or (is_new and isinstance(space, CategoricalSpace)):
        space = space.subset(genotypes, name)
    indices = space.encode(genotypes)
    _check_distinct(indices, found)
    return space, indices


def _canonical(space: SearchSpace, genotypes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the genotype that represents the architecture of each given genotype.

    Raises:
        ValueError: If a genotype is not in the space.
    """
    if space.size > np.iinfo(np.int64).max:  # too large to be numbered
        space.contains(genotypes)
        return genotypes
    return space.decode(space.encode(genotypes))


def _check_distinct(indices: NDArray[np.int64], found: Architectures) -> None:
    order = np.argsort(indices, kind="stable")
    again = np.flatnonzero(indices[order][1:] == indices[order][:-1])
    if len(again) == 0:
        return
    place = again[np.argmin(order[again + 1])]
    rows = order[place : place + 2]
    texts = dict.fromkeys(found.space.to_text(found.genotypes[rows]))
    raise file_error(
        f"data rows {rows[0] + 1} and {rows[1] + 1} are the same architecture, "
        f"{' and '.join(texts)}. One row per architecture was expected: delete one row or use "
        "the mean. If another column is a decision, name all columns of decisions with decisions=."
    )
