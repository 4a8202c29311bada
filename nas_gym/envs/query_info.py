"""The ``info`` of a query, for one search or for many side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.envs.history import SearchHistory
from nas_gym.tasks import Task


def query_info(
    task: Task, history: SearchHistory, queries: int, genotypes: NDArray[np.int64]
) -> dict[str, Any]:
    """What was queried and how the searches stand after ``queries`` queries each.

    Args:
        task: what is searched.
        history: of the searches; it may have gone on since.
        queries: after how many queries.
        genotypes: the latest queries, shape ``(n, L)``, or ``(n, m, L)`` where one step queries
            ``m`` architectures of each search.

    Returns:
        Arrays that start with the search: ``genotype``, ``index``, ``arch`` (text), ``metrics``
        (a dictionary of arrays), ``queries``, ``unique_queries``, ``incumbent`` (the index of the
        architecture of highest reward so far), ``incumbent_reward``, ``incumbent_report`` (its
        reported metric), ``regret`` (distance of that from the best of the space), and ``signal``
        and ``report`` (the columns that rewards and reports come from, as ``table:metric``).
    """
    rows = genotypes.reshape(-1, genotypes.shape[-1])
    shape = genotypes.shape[:-1]
    indices = task.space.encode(rows)
    incumbents = history.incumbents(queries)
    return {
        "genotype": genotypes,
        "index": indices.reshape(shape),
        "arch": np.array(task.space.to_text(rows), object).reshape(shape),
        "metrics": {name: values.reshape(shape) for name, values in task.metrics(indices).items()},
        "queries": np.full(len(genotypes), queries),
        "unique_queries": history.unique_queries(queries),
        "incumbent": incumbents,
        "incumbent_reward": history.reward(incumbents),
        "incumbent_report": task.reported(incumbents),
        "regret": task.regret(incumbents),
        "signal": np.full(len(genotypes), str(task.signal), object),
        "report": np.full(len(genotypes), str(task.report), object),
    }


def with_masks(infos: dict[str, Any], present: NDArray[np.bool_]) -> dict[str, Any]:
    """Gymnasium's vector form: beside each ``key`` a boolean array ``_key``, who has it."""
    result: dict[str, Any] = {}
    for key, value in infos.items():
        result[key] = with_masks(value, present) if isinstance(value, dict) else value
        result[f"_{key}"] = present
    return result


def of_first(infos: dict[str, Any]) -> dict[str, Any]:
    """The info of the first search alone, numbers as Python's own."""
    result: dict[str, Any] = {}
    for key, value in infos.items():
        if isinstance(value, dict):
            result[key] = of_first(value)
        else:
            first = value[0]
            result[key] = first.item() if isinstance(first, np.generic) else first
    return result
