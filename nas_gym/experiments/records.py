"""Search histories as records: one line of JSON for each query of each trial."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
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
        reports: the reported metric of the incumbents.
        regrets: its distance from the optimum of the space.
    """

    indices: NDArray[np.int64]
    rewards: NDArray[np.float64]
    unique: NDArray[np.int64]
    incumbents: NDArray[np.int64]
    reports: NDArray[np.float64]
    regrets: NDArray[np.float64]


def curves(task: Task, indices: NDArray[np.int64]) -> Curves:
    """The curves of queried architectures, ``(queries, trials)`` indices."""
    rewards = task.reward(indices)
    best = np.maximum.accumulate(rewards, axis=0)
    # the row in which the best so far was first reached
    reached = np.ones(rewards.shape, bool)
    reached[1:] = rewards[1:] > best[:-1]
    rows = np.maximum.accumulate(np.where(reached, np.arange(len(rewards))[:, None], 0), axis=0)
    incumbents = np.take_along_axis(indices, rows, axis=0)
    return Curves(
        indices,
        rewards,
        np.cumsum(first_occurrences(indices), axis=0),
        incumbents,
        task.reported(incumbents),
        task.regret(incumbents),
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


def lines(task: Task, curves: Curves, seeds: list[int], start: int) -> str:
    """The history as JSON lines, from query ``start`` on (counted from 0), query by query.

    Each line has ``query`` (from 1), ``seed``, ``index``, ``arch``, ``genotype``, ``reward``,
    ``unique_queries``, ``incumbent`` (an index), ``incumbent_report`` and ``regret``.
    """
    genotypes = task.space.decode(curves.indices[start:].reshape(-1))
    texts = task.space.to_text(genotypes)
    columns = {
        "index": curves.indices,
        "reward": curves.rewards,
        "unique_queries": curves.unique,
        "incumbent": curves.incumbents,
        "incumbent_report": curves.reports,
        "regret": curves.regrets,
    }
    flat: dict[str, list[Any]] = {
        name: values[start:].reshape(-1).tolist() for name, values in columns.items()
    }
    flat["arch"], flat["genotype"] = texts, genotypes.tolist()
    result = []
    for row in range(len(texts)):
        query, trial = divmod(row, len(seeds))
        record: dict[str, Any] = {"query": start + query + 1, "seed": seeds[trial]}
        record |= {name: values[row] for name, values in flat.items()}
        result.append(json.dumps(record) + "\n")
    return "".join(result)


def read(path: Path) -> tuple[NDArray[np.int64], list[int]]:
    """The architecture indices ``(queries, trials)`` and the seeds of a ``history.jsonl``."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    indices = np.array([row["index"] for row in rows], np.int64)
    return indices.reshape(-1, len(seeds)), seeds
