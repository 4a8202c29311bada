"""Compare search methods: the same seeds and the same budget for each."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nas_gym.experiments.contenders import Contender, run_missing
from nas_gym.experiments.records import Trials
from nas_gym.experiments.settings import SearchSettings, parse_agents
from nas_gym.recording.tensorboard import write_events
from nas_gym.tasks import Task
from nas_gym.utils.files import explain_write_errors, write_atomically

_EVENTS = 10  # trials of each agent that TensorBoard shows


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        envs: environment IDs.
        agents: as on the command line, such as ``"random,rea(sample_size=5)"``; or labels ->
            names and settings.
        queries: architecture evaluations of each trial.
        seeds: the number of trials of each agent in each environment; trial ``i`` has seed
            ``first_seed + i``, whoever the agent is.
        first_seed: the seed of the first trial.
        env_arguments: further arguments of every environment, such as ``report``.
    """

    envs: Sequence[str]
    agents: str | Mapping[str, tuple[str, dict[str, Any]]]
    queries: int
    seeds: int
    first_seed: int = 0
    env_arguments: dict[str, Any] = field(default_factory=dict)


def contenders(comparison: Comparison, folder: Path) -> list[Contender]:
    """Every agent in every environment, checked.

    Raises:
        ValueError: an unknown agent, a task listed twice, or a folder that holds another
            comparison.
        TypeError: a setting that an agent does not have.
        gymnasium.error.Error: an unknown environment.
    """
    if isinstance(comparison.envs, str):
        raise TypeError(f"envs is a list of IDs, got {comparison.envs!r}.")
    agents = comparison.agents
    agents = parse_agents(agents) if isinstance(agents, str) else agents
    found = [
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
        for label, (agent, settings) in agents.items()
    ]
    _check_tasks({each.settings.env: each.task for each in found}, len(comparison.envs))
    return found


def _check_tasks(tasks: dict[str, Task], count: int) -> None:
    """Refuse a task that is listed twice: agents search in the mode that they need, anyway."""
    described: dict[str, str] = {}
    for env, task in tasks.items():
        other = described.setdefault(json.dumps(task.describe(), sort_keys=True), env)
        if other != env:
            raise ValueError(f"{other} and {env} are the same task. List one of them.")
    if len(tasks) < count:
        raise ValueError("An environment is listed twice.")


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
        ValueError: the folder holds another comparison, another one is at work in it, or a task is
            listed twice.
        DataError: the folder cannot be written to.
    """
    from nas_gym.experiments.report import write_report
    from nas_gym.experiments.statistics import summarize

    folder = Path(folder)
    with _alone_in(folder):
        found = contenders(comparison, folder)
        trials = run_missing(found, progress_bar=progress_bar)
        summary = summarize(trials)
        content = json.dumps(summary, indent=1, allow_nan=False) + "\n"
        write_atomically(folder / "summary.json", content.encode())
        write_report(trials, summary, folder, command)
        _write_events(found, trials, folder / "tensorboard")
    return summary


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other comparisons out of a folder."""
    with explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(
                f"Another comparison is at work in {folder}. Wait for it, or choose another folder."
            ) from None
    try:
        yield
    finally:
        lock.release()


def _write_events(found: Sequence[Contender], trials: Sequence[Trials], folder: Path) -> None:
    """Write TensorBoard's files, in place of those that were there."""
    shutil.rmtree(folder, ignore_errors=True)
    for each, contender in zip(trials, found, strict=True):
        runs = folder / each.env / _folder_name(each.agent)
        named = {"env": each.env, "agent": each.agent, **contender.config["agent_settings"]}
        folders = [runs / f"seed-{seed}" for seed in each.seeds[:_EVENTS]]
        write_events(folders, each.task, each.curves, named)
