"""The ``info`` dictionary that describes the latest queries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.envs.history import SearchHistory
from nas_gym.tasks import Task


def query_info(
    task: Task, history: SearchHistory, queries: int, genotypes: NDArray[np.int64]
) -> dict[str, Any]:
    """Return a description of the latest queries and of the progress of the searches.

    Args:
        task: The task that is searched.
        history: History of ``n`` searches; it may contain later queries.
        queries: Number of queries of each search, up to and including those described.
        genotypes: The queried architectures, ``(n, L)`` int64, or ``(n, m, L)`` if one step
            queries ``m`` architectures of each search.

    Returns:
        Arrays whose first axis is the search: ``genotype``, ``index``, ``arch`` (text) and
        ``metrics`` (a dictionary of arrays) of the queried architectures; ``queries`` and
        ``unique_queries``; ``incumbent`` (index of the architecture of highest reward so far),
        ``incumbent_reward``, ``incumbent_report`` (:meth:`Task.reported`) and ``regret``
        (:meth:`Task.regret`), or, in a task with objectives, ``non_dominated`` (whether no earlier
        query dominates the latest one); and ``signal`` and ``report``, the names of the columns
        that rewards and reports come from, as ``table:metric``. In a task with constraints, also
        ``feasible`` and ``violation`` of the queried architectures, and ``incumbent_feasible``.
    """
    rows = genotypes.reshape(-1, genotypes.shape[-1])
    shape = genotypes.shape[:-1]
    indices = task.space.encode(rows)
    infos = {
        "genotype": genotypes,
        "index": indices.reshape(shape),
        "arch": np.array(task.space.to_text(rows), object).reshape(shape),
        "metrics": {name: values.reshape(shape) for name, values in task.metrics(indices).items()},
        "queries": np.full(len(genotypes), queries),
        "unique_queries": history.unique_queries(queries),
        **(_front_info if task.objectives else _incumbent_info)(task, history, queries),
        "signal": np.full(len(genotypes), str(task.signal), object),
        "report": np.full(len(genotypes), str(task.report), object),
    }
    if task.constraints:
        violations = task.violations(indices).reshape(shape)
        infos |= {"feasible": violations == 0, "violation": violations}
    return infos


def _incumbent_info(task: Task, history: SearchHistory, queries: int) -> dict[str, Any]:
    """Return the entries of the info about the incumbents."""
    incumbents = history.incumbents(queries)
    infos = {
        "incumbent": incumbents,
        "incumbent_reward": history.reward(incumbents),
        "incumbent_report": task.reported(incumbents),
        "regret": task.regret(incumbents),
    }
    if task.constraints:
        infos["incumbent_feasible"] = task.violations(incumbents) == 0
    return infos


def _front_info(task: Task, history: SearchHistory, queries: int) -> dict[str, Any]:
    """Return whether no earlier query dominates the latest query of each search."""
    vectors = task.reward(history.indices[:queries], history.keys)
    earlier, latest = vectors[:-1], vectors[-1]
    dominates = (earlier >= latest).all(axis=-1) & (earlier > latest).any(axis=-1)
    return {"non_dominated": ~dominates.any(axis=0)}


def add_presence_masks(infos: dict[str, Any], present: NDArray[np.bool_]) -> dict[str, Any]:
    """Return infos in the form of Gymnasium's vector environments.

    Args:
        infos: Arrays whose first axis is the environment, or dictionaries of such arrays.
        present: Whether each environment has the entries, ``(num_envs,)`` bool.

    Returns:
        The entries, and for each ``key`` an entry ``_key`` that holds ``present``.
    """
    result: dict[str, Any] = {}
    for key, value in infos.items():
        result[key] = add_presence_masks(value, present) if isinstance(value, dict) else value
        result[f"_{key}"] = present
    return result


def first_info(infos: dict[str, Any]) -> dict[str, Any]:
    """Return the info of the first search, with NumPy scalars converted to Python numbers."""
    result: dict[str, Any] = {}
    for key, value in infos.items():
        if isinstance(value, dict):
            result[key] = first_info(value)
        else:
            first = value[0]
            result[key] = first.item() if isinstance(first, np.generic) else first
    return result
