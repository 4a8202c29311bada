"""Checks of the genotypes that a search method proposes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import SearchSpace


def check_genotypes(
    genotypes: Any, space: SearchSpace, count: int | None, source: str
) -> NDArray[np.int64]:
    """Return genotypes as an array, or raise an error that names their source.

    Args:
        genotypes: Proposed genotypes, ``(count, L)`` integers.
        space: Search space that must contain the genotypes.
        count: Required number of genotypes; ``None`` for any number.
        source: Source of the genotypes, for error messages, such as
            ``"genotypes of MyAgent.ask()"``.

    Raises:
        ValueError: If the type or shape is wrong, or a genotype is not in the search space.
    """
    try:
        array = np.asarray(genotypes)
    except ValueError as error:  # rows of different length
        raise ValueError(f"{source} must be an array: {error}") from error
    rows = array.shape[0] if count is None and array.ndim else count
    expected = (rows, space.num_decisions)
    if array.shape != expected or array.dtype.kind not in "iu":
        wanted = f"({'m' if count is None else count}, {space.num_decisions})"
        raise ValueError(
            f"{source} must be integers of shape {wanted}, one genotype per row; got "
            f"{array.dtype} of shape {array.shape}."
        )
    array = array.astype(np.int64, copy=False)
    in_range = np.all((array >= 0) & (array < space.num_choices), axis=1)
    valid = in_range.copy()
    valid[in_range] = space.contains(array[in_range])
    if not valid.all():
        row = int(np.argmin(valid))
        raise ValueError(
            f"{source} contain an invalid genotype: row {row}, {array[row].tolist()}, is not an "
            f"architecture of {space.name}."
        )
    return array
