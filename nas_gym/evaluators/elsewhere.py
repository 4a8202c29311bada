"""Evaluations in other processes or on other machines, in place of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nas_gym.evaluators.base import Evaluator

Elsewhere = Callable[["Evaluator", str, NDArray[np.int64]], None]
"""Function of an evaluator, a metric and genotypes ``(n, num_decisions)`` without stored results;
it may add results to the stores of the evaluator."""

_functions: list[Elsewhere] = []


@contextmanager
def evaluating_elsewhere(function: Elsewhere) -> Iterator[None]:
    """Let a function evaluate architectures without stored results while the block runs.

    Evaluators call the function first, and then evaluate what it has not stored.
    """
    _functions.append(function)
    try:
        yield
    finally:
        _functions.remove(function)


def is_evaluating_elsewhere() -> bool:
    """Return whether there is a function of :func:`evaluating_elsewhere`."""
    return bool(_functions)


def evaluate_elsewhere(evaluator: Evaluator, metric: str, genotypes: NDArray[np.int64]) -> None:
    """Call the function of :func:`evaluating_elsewhere`, if there is one and there are genotypes.

    Args:
        evaluator: Evaluator.
        metric: Name of a metric of the evaluator.
        genotypes: Architectures without stored results, ``(n, num_decisions)``.
    """
    if len(genotypes):
        for function in _functions:
            function(evaluator, metric, genotypes)
