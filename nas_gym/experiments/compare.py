"""Compare search methods: the same seeds and the same budget for each."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas_gym.experiments.contenders import Contender, run_missing
from nas_gym.experiments.settings import SearchSettings
from nas_gym.files import write_atomically
from nas_gym.tensorboard import write_events

_EVENTS = 10  # trials of each agent that TensorBoard shows


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        envs: environment IDs.
        agents: their labels -> names and settings (see :func:`settings.parse_agents`).
        queries: architecture evaluations of each trial.
        seeds: the number of trials of each agent in each environment; trial ``i`` has seed
            ``first_seed + i``, whoever the agent is.
        first_seed: the seed of the first trial.
        env_arguments: further arguments of every environment, such as ``report``.
    """

    envs: Sequence[str]
    agents: dict[str, tuple[str, dict[str, Any]]]
    queries: int
    seeds: int
    first_seed: int = 0
    env_arguments: dict[str, Any] = field(default_factory=dict)


def contenders(comparison: Comparison, folder: Path) -> list[Contender]:
    """Every agent in every environment, checked.

    Raises:
        ValueError: an unknown agent, an environment listed twice, or a folder that holds another
            comparison.
        TypeError: a setting that an agent does not have.
        gymnasium.error.Error: an unknown environment.
    """
    if len(set(comparison.envs)) < len(comparison.envs):
        raise ValueError(f"An environment is listed twice: {', '.join(comparison.envs)}.")
    return [
        Contender(
            label,
            SearchSettings(
                env,
                agent,
                comparison.queries,
                comparison.seeds,
                comparison.first_seed,
                comparison.env_arguments,
                settings,
            ),
            folder / env / _folder_name(label),
        )
        for env in comparison.envs
        for label, (agent, settings) in comparison.agents.items()
    ]


def _folder_name(label: str) -> str:
    return re.sub(r"[^\w.=,()-]", "_", label)


def compare(
    comparison: Comparison, folder: Path, *, command: str = "", progress_bar: bool = True
) -> dict[str, Any]:
    """Run a comparison, or what is missing of it, and sum it up.

    Writes into ``folder``: the trials, ``summary.json`` (see
    :func:`nas_gym.experiments.statistics.summarize`), ``report.html`` with its figures as PNG, and
    ``tensorboard/`` with the first ten trials of each agent. A comparison that was killed and
    taken up again ends with the same summary as one that was not, agent seconds aside; agents and
    seeds can be added to one that is finished.

    Args:
        comparison: what is compared.
        folder: where to.
        command: the command line that asked for it, to be shown in the report.
        progress_bar: show one on the terminal.

    Returns:
        the summary, as written to ``summary.json``.

    Raises:
        ValueError: the folder holds another comparison, or an environment is listed twice.
        DataError: the folder cannot be written to.
    """
    from nas_gym.experiments.report import write_report
    from nas_gym.experiments.statistics import summarize

    found = contenders(comparison, folder)
    trials = run_missing(found, progress_bar=progress_bar)
    summary = summarize(trials)
    content = json.dumps(summary, indent=1, allow_nan=False) + "\n"
    write_atomically(folder / "summary.json", content.encode())
    write_report(trials, summary, folder, command)
    for each, contender in zip(trials, found, strict=True):
        runs = folder / "tensorboard" / each.env / _folder_name(each.agent)
        named = {"env": each.env, "agent": each.agent, **contender.config["agent_settings"]}
        folders = [runs / f"seed-{seed}" for seed in each.seeds[:_EVENTS]]
        write_events(folders, each.task, each.curves, named)
    return summary
