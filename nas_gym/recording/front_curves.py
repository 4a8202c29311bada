"""Curves of searches with several objectives: the front found after each query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_gym.tasks import Task
from nas_gym.tasks.fronts import Vectors, non_dominated
from nas_gym.utils.extras import import_extra


@dataclass(frozen=True)
class FrontCurves:
    """Quality of the queried architectures as a set; arrays have shape ``(queries, trials)``.

    Attributes:
        hypervolumes: Hypervolume relative to that of the Pareto front of the space, 0 to 1.
        distances: IGD+, the mean distance of that front from the queried architectures; infinite
            before the first feasible architecture.
        shares: Fraction of that front that was queried.
    """

    hypervolumes: NDArray[np.float64]
    distances: NDArray[np.float64]
    shares: NDArray[np.float64]


def compute_front_curves(task: Task, indices: NDArray[np.int64]) -> FrontCurves:
    """Compute the quality of the front found after each query.

    Args:
        task: Task with objectives.
        indices: Indices of the queried architectures, ``(queries, trials)`` int64.

    Raises:
        MissingDataError: If the package moocore is not installed.
    """
    trials = [_trial(task, own) for own in indices.T]
    curves = np.reshape(trials, (len(trials), len(indices), 3))
    return FrontCurves(*curves.T)


def _trial(task: Task, indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the measures of one trial after each query, ``(queries, 3)``."""
    vectors, feasible = task.reported_objectives(indices), task.violations(indices) == 0
    front = task.reported_front
    found = np.empty((0, vectors.shape[1]))  # distinct vectors that nothing found dominates
    measures = np.array([0.0, np.inf, 0.0])
    result = np.empty((len(indices), 3))
    for query, vector in enumerate(vectors):
        if feasible[query] and not (found >= vector).all(axis=1).any():
            found = np.vstack([found[~(vector >= found).all(axis=1)], vector])
            measures = np.array(
                [front.hypervolume(found), front.distance(found), front.share(found)]
            )
        result[query] = measures
    return result


def found_front(task: Task, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the queried architectures that no other queried architecture dominates.

    Args:
        task: Task with objectives.
        indices: Indices of queried architectures, any shape.

    Returns:
        Distinct indices of feasible architectures, ascending.
    """
    distinct = np.unique(indices)
    distinct = distinct[task.violations(distinct) == 0]
    front: NDArray[np.int64] = distinct[non_dominated(task.reported_objectives(distinct))]
    return front


def median_attainment(task: Task, indices: NDArray[np.int64]) -> Vectors:
    """Return the front that half of the trials attain: the median attainment surface.

    A trial attains a vector if one of its feasible architectures is at least as good in every
    objective (Fonseca et al., EMO 2001). Trials without a feasible architecture are left out.

    Args:
        task: Task with two or three objectives.
        indices: Indices of the queried architectures, ``(queries, trials)`` int64.

    Returns:
        Reported objectives, to be maximized, ``(k, D)``, highest first objective first.

    Raises:
        MissingDataError: If the package moocore is not installed.
    """
    moocore = import_extra("moocore", "mo")
    fronts = [task.reported_objectives(found_front(task, own)) for own in indices.T]
    trials = np.repeat(np.arange(len(fronts)), [len(front) for front in fronts])
    if not len(trials):
        return np.empty((0, len(task.objectives)))
    surface = moocore.eaf(-np.concatenate(fronts), trials, percentiles=[50])  # of costs
    vectors: Vectors = -surface[:, :-1]
    return vectors[np.argsort(-vectors[:, 0], kind="stable")]
