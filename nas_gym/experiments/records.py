"""What searches leave behind: the trials of an agent, and histories as lines of JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from nas_gym.recording.curves import Curves
from nas_gym.tasks import Task


@dataclass(frozen=True)
class Trials:
    """The trials of one agent in one environment, as a comparison runs them.

    Attributes:
        env: the environment's ID.
        searched_env: the ID of the same task in the mode that the agent searched in.
        agent: the agent's name.
        task: what was searched.
        seeds: of the trials that finished, in the order of the curves' columns.
        curves: how these trials stood after each query.
        failures: seeds of the trials that failed, and what they failed with.
    """

    env: str
    searched_env: str
    agent: str
    task: Task
    seeds: list[int]
    curves: Curves
    failures: dict[int, str]


def lines(task: Task, curves: Curves, seeds: list[int], start: int) -> str:
    """The history as JSON lines, from query ``start`` on (counted from 0), query by query.

    Each line has ``query`` (from 1), ``seed``, ``index``, ``arch``, ``genotype``, ``reward``,
    ``unique_queries``, ``incumbent`` (an index), ``incumbent_reward``, ``incumbent_report``,
    ``regret``, ``agent_seconds`` spent so far, and ``training_seconds`` where the table knows.
    """
    genotypes = task.space.decode(curves.indices[start:].reshape(-1))
    texts = task.space.to_text(genotypes)
    columns = {
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
