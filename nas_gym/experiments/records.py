"""Results of searches: the arrays that are stored, the trials of an agent, and their histories."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.recording.curves import Curves
from nas_gym.tasks import Task

Record = dict[str, NDArray[Any]]
"""Arrays ``(queries, trials)`` by the names of :data:`RECORDED`; rewards have a third axis in tasks
with objectives."""

RECORDED: dict[str, type] = {
    "indices": np.int64,
    "rewards": np.float64,
    "agent_seconds": np.float64,
}
"""Names and types of the arrays that are stored; all curves are computed from them."""


@dataclass(frozen=True)
class TrialResults:
    """The finished trials of one agent in one environment, and the errors of failed trials.

    Attributes:
        env: Environment ID.
        searched_env: ID of the same task in the mode that the agent searched in.
        agent: Label of the agent.
        task: Task that was searched.
        seeds: Seeds of the finished trials, in the order of the curves' columns.
        curves: State of these trials after each query.
        failures: Error texts of the failed trials by seed.
    """

    env: str
    searched_env: str
    agent: str
    task: Task
    seeds: list[int]
    curves: Curves
    failures: dict[int, str]


def history_lines(task: Task, curves: Curves, seeds: list[int], start: int) -> str:
    """Return the history as JSON lines, query by query.

    Each line has ``query`` (from 1), ``seed``, ``index``, ``arch``, ``genotype``, ``reward``,
    ``unique_queries``, ``incumbent`` (an index), ``incumbent_reward``, ``incumbent_report``,
    ``regret``, ``agent_seconds`` (cumulative), and ``training_seconds`` (cumulative) if the
    table holds training times. In a task with constraints, it also has ``feasible`` and
    ``violation`` of the architecture, and ``incumbent_feasible``. In a task with objectives,
    ``reward`` is a list, ``incumbent_report`` is the hypervolume of all architectures queried so
    far, and ``regret`` is its distance from 1; see :class:`nas_gym.recording.curves.Curves`.

    Args:
        task: Task that was searched.
        curves: State of the trials after each query.
        seeds: Seeds of the trials.
        start: First query to return, counted from 0.
    """
    genotypes = task.space.decode(curves.indices[start:].reshape(-1))
    texts = task.space.to_text(genotypes)
    columns: dict[str, NDArray[Any]] = {
        "index": curves.indices,
        "reward": curves.rewards,
        "unique_queries": curves.unique,
        "incumbent": curves.incumbents,
        "incumbent_reward": curves.incumbent_rewards,
        "incumbent_report": curves.reports,
        "regret": curves.regrets,
        "agent_seconds": curves.agent_seconds.round(6),
    }
    if curves.training_seconds is not None:
        columns["training_seconds"] = curves.training_seconds
    if task.constraints:
        violations = task.violations(curves.indices)
        columns |= {"feasible": violations == 0, "violation": violations}
        columns["incumbent_feasible"] = task.violations(curves.incumbents) == 0
    flat: dict[str, list[Any]] = {
        name: values[start:].reshape(-1, *values.shape[2:]).tolist()
        for name, values in columns.items()
    }
    flat["arch"], flat["genotype"] = texts, genotypes.tolist()
    result = []
    for row in range(len(texts)):
        query, trial = divmod(row, len(seeds))
        record: dict[str, Any] = {"query": start + query + 1, "seed": seeds[trial]}
        record |= {name: values[row] for name, values in flat.items()}
        result.append(json.dumps(record) + "\n")
    return "".join(result)
