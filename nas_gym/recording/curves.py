"""Curves of searches: incumbent, regret and cost after each query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.recording.front_curves import FrontCurves, compute_front_curves
from nas_gym.tasks import Task


@dataclass(frozen=True)
class Curves:
    """The progress of searches after each query; arrays have shape ``(queries, trials)``.

    In a task with objectives, reports and regrets are those of the set of all queried
    architectures: its hypervolume, and the distance of the hypervolume from that of the Pareto
    front. The incumbent is the architecture with the largest hypervolume alone.

    Attributes:
        indices: Indices of the queried architectures.
        rewards: Rewards of the queried architectures; with ``D`` objectives, ``(queries, trials,
            D)``.
        unique: Number of distinct architectures queried so far.
        incumbents: Index of the architecture of highest reward so far; of equal rewards, the
            architecture that was queried first.
        incumbent_rewards: Reward of the incumbent.
        reports: Reported value of the incumbent (:meth:`Task.reported`).
        regrets: Regret of the incumbent (:meth:`Task.regret`).
        log_ranks: Rank of the incumbent by its regret, as ``log10(1 + rank)``
            (:meth:`Task.log_rank`); ``None`` if the ranks are unknown.
        agent_seconds: Seconds that the agent has spent so far on proposing architectures and on
            learning.
        training_seconds: Seconds that it takes to obtain the search signal of all architectures
            queried so far, according to the table; ``None`` if the table has no training times.
        fronts: Quality of the front found, in a task with objectives.
    """

    indices: NDArray[np.int64]
    rewards: NDArray[np.float64]
    unique: NDArray[np.int64]
    incumbents: NDArray[np.int64]
    incumbent_rewards: NDArray[np.float64]
    reports: NDArray[np.float64]
    regrets: NDArray[np.float64]
    log_ranks: NDArray[np.float64] | None
    agent_seconds: NDArray[np.float64]
    training_seconds: NDArray[np.float64] | None
    fronts: FrontCurves | None = None

    def first_queries(self, queries: int) -> Curves:
        """Return the curves of the first ``queries`` queries."""
        return self._map(lambda array: array[:queries])

    def select_trials(self, trials: slice) -> Curves:
        """Return the curves of some trials."""
        return self._map(lambda array: array[:, trials])

    def _map(self, part: Callable[[NDArray[Any]], NDArray[Any]]) -> Curves:
        """Return curves with a function applied to every array."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        fronts: FrontCurves | None = arrays.pop("fronts")
        parts: dict[str, Any] = {k: None if v is None else part(v) for k, v in arrays.items()}
        if fronts is not None:
            parts["fronts"] = FrontCurves(*(part(v) for v in vars(fronts).values()))
        return Curves(**parts)


def compute_curves(
    task: Task,
    indices: NDArray[np.int64],
    rewards: NDArray[np.float64],
    agent_seconds: NDArray[np.float64] | None = None,
) -> Curves:
    """Compute the curves of searches from their queries.

    Args:
        task: The task that was searched.
        indices: Indices of the queried architectures, ``(queries, trials)`` int64.
        rewards: Rewards that the agent received, ``(queries, trials)`` or, with ``D`` objectives,
            ``(queries, trials, D)`` float64.
        agent_seconds: Seconds that the agent had spent before each query, ``(queries, trials)``
            float64; zeros by default.
    """
    scalars = task.reported(indices) if task.objectives else rewards
    best = np.maximum.accumulate(scalars, axis=0)
    # Whether a query improves on the best reward so far.
    improves = np.ones(scalars.shape, bool)
    improves[1:] = scalars[1:] > best[:-1]
    # The last row, up to each query, that improved on the best reward.
    rows = np.maximum.accumulate(np.where(improves, np.arange(len(scalars))[:, None], 0), axis=0)
    incumbents = np.take_along_axis(indices, rows, axis=0)
    seconds = task.training_seconds(indices)
    fronts = compute_front_curves(task, indices) if task.objectives else None
    return Curves(
        indices,
        rewards,
        np.cumsum(first_occurrences(indices), axis=0),
        incumbents,
        best,
        task.reported(incumbents) if fronts is None else fronts.hypervolumes,
        task.regret(incumbents) if fronts is None else 1.0 - fronts.hypervolumes,
        task.log_rank(incumbents) if fronts is None else None,
        np.zeros(indices.shape) if agent_seconds is None else agent_seconds,
        None if seconds is None else np.cumsum(seconds, axis=0),
        fronts,
    )


def first_occurrences(indices: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each architecture is queried for the first time in its trial.

    Args:
        indices: Indices of the queried architectures, ``(queries, trials)`` int64.

    Returns:
        True for first queries, ``(queries, trials)`` bool.
    """
    order = np.argsort(indices, axis=0, kind="stable")
    ranked = np.take_along_axis(indices, order, axis=0)
    first = np.ones(indices.shape, bool)
    first[1:] = ranked[1:] != ranked[:-1]
    result = np.empty_like(first)
    np.put_along_axis(result, order, first, axis=0)
    return result
