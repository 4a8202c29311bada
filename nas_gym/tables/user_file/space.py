"""The search space of a user's table: the whole of a known one, or the part that a file covers."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import SearchSpace
from nas_gym.tables.user_file.columns import file_error, first_file_error
from nas_gym.tables.user_file.genotypes import Architectures


def fit_space(found: Architectures, name: str) -> tuple[SearchSpace, NDArray[np.int64]]:
    """The space that has just the architectures of the file, and the index of each row.

    Where it is a part of ``found.space`` it is called ``name``.

    Raises:
        UserFileError: a genotype is no architecture of its space, or two rows are the same.
    """
    space = found.space
    try:
        genotypes = _canonical(space, found.genotypes)
    except ValueError:
        check = partial(_canonical, space)
        raise first_file_error(check, found.genotypes, found.column) from None
    if len(genotypes) != space.size:
        space = space.subset(genotypes, name)
    indices = space.encode(genotypes)
    _check_distinct(indices, found)
    return space, indices


def _canonical(space: SearchSpace, genotypes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Genotypes that are equal where they share an index; raises ``ValueError`` outside a space."""
    if space.size > np.iinfo(np.int64).max:  # has no indices
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
        f"{' and '.join(texts)}. One row for each was expected: delete one or take the mean. "
        "If a further column is a decision, name them all with decisions=."
    )
