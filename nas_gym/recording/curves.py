"""How searches stood after each query, worked out from the architectures that they queried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.tasks import Task


@dataclass(frozen=True)
class Curves:
    """How searches stood after each query; every array has shape ``(queries, trials)``.

    Attributes:
        indices: the architectures queried.
        rewards: their rewards.
        unique: how many distinct architectures were queried so far.
        incumbents: the architectures of highest reward so far (the first of equals).
        incumbent_rewards: their rewards.
        reports: their reported metric.
        regrets: its distance from the optimum of the space.
        agent_seconds: what the agent has spent so far on proposing and learning.
        training_seconds: what the benchmark says that training the architectures so far took, to
            get the search signal; ``None`` where its table does not say.
    """

    indices: NDArray[np.int64]
    rewards: NDArray[np.float64]
    unique: NDArray[np.int64]
    incumbents: NDArray[np.int64]
    incumbent_rewards: NDArray[np.float64]
    reports: NDArray[np.float64]
    regrets: NDArray[np.float64]
    agent_seconds: NDArray[np.float64]
    training_seconds: NDArray[np.float64] | None

    def first_queries(self, queries: int) -> Curves:
        """The curves of the first queries alone."""
        return self._map(lambda array: array[:queries])

    def select_trials(self, trials: slice) -> Curves:
        """The curves of some of the trials."""
        return self._map(lambda array: array[:, trials])

    def _map(self, part: Callable[[NDArray[Any]], NDArray[Any]]) -> Curves:
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        parts: dict[str, Any] = {k: None if v is None else part(v) for k, v in arrays.items()}
        return Curves(**parts)


def compute_curves(
    task: Task,
    indices: NDArray[np.int64],
    rewards: NDArray[np.float64],
    agent_seconds: NDArray[np.float64] | None = None,
) -> Curves:
    """The curves of queried architectures, ``(queries, trials)`` indices.

    Args:
        task: what was searched.
        indices: the architectures queried.
        rewards: what the agent was given for them, shape of ``indices``.
        agent_seconds: spent so far, shape of ``indices``; zeros where not measured.
    """
    best = np.maximum.accumulate(rewards, axis=0)
    # the row in which the best so far was first reached
    reached = np.ones(rewards.shape, bool)
    reached[1:] = rewards[1:] > best[:-1]
    rows = np.maximum.accumulate(np.where(reached, np.arange(len(rewards))[:, None], 0), axis=0)
    incumbents = np.take_along_axis(indices, rows, axis=0)
    spent = task.training_seconds(indices)
    return Curves(
        indices,
        rewards,
        np.cumsum(first_occurrences(indices), axis=0),
        incumbents,
        best,
        task.reported(incumbents),
        task.regret(incumbents),
        np.zeros(indices.shape) if agent_seconds is None else agent_seconds,
        None if spent is None else np.cumsum(spent, axis=0),
    )


def first_occurrences(indices: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where an index occurs for the first time in its column, ``(queries, trials)`` bool."""
    order = np.argsort(indices, axis=0, kind="stable")
    ranked = np.take_along_axis(indices, order, axis=0)
    first = np.ones(indices.shape, bool)
    first[1:] = ranked[1:] != ranked[:-1]
    result = np.empty_like(first)
    np.put_along_axis(result, order, first, axis=0)
    return result
