"""Run one search method on one environment: record it, survive a kill, sum it up."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import nas_gym
from nas_gym.agents import AGENTS, Agent
from nas_gym.envs.base import SearchVectorEnv
from nas_gym.experiments import records
from nas_gym.experiments.records import Curves
from nas_gym.experiments.tensorboard import EventWriter
from nas_gym.files import read_arrays, write_arrays, write_atomically, writing
from nas_gym.tables import DamagedDataError
from nas_gym.tasks import Task

BUDGETS = (50, 100, 150, 500, 1000)
"""Numbers of queries at which summaries tell how the searches stood."""

_CHUNKS = 50  # a run writes down what it has so many times


@dataclass(frozen=True)
class SearchSettings:
    """What determines a search's history.

    Attributes:
        env: the environment's ID.
        agent: a name of :data:`nas_gym.agents.AGENTS`.
        queries: architecture evaluations of each trial.
        seeds: the number of trials; trial ``i`` has seed ``first_seed + i``.
        first_seed: the seed of the first trial.
        env_arguments: further arguments of ``gym.make_vec``, such as ``report``.
        agent_settings: settings of the agent that differ from its defaults.
    """

    env: str
    agent: str
    queries: int
    seeds: int
    first_seed: int = 0
    env_arguments: dict[str, Any] = field(default_factory=dict)
    agent_settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.agent not in AGENTS:
            raise ValueError(f"There is no agent {self.agent!r}. There are: {', '.join(AGENTS)}.")
        if self.queries < 1 or self.seeds < 1 or self.first_seed < 0:
            raise ValueError("A search needs at least one query and one seed, none below 0.")
        if "seed" in self.agent_settings:
            raise ValueError("Seeds are given by first_seed (--first-seed) and seeds (--seeds).")

    @property
    def seed_list(self) -> list[int]:
        """The seeds of the trials."""
        return list(range(self.first_seed, self.first_seed + self.seeds))


def make_envs(settings: SearchSettings) -> SearchVectorEnv:
    """The vector environment of a search: one environment a trial, one episode a budget."""
    envs = gym.make_vec(settings.env, num_envs=settings.seeds, **settings.env_arguments)
    if not isinstance(envs, SearchVectorEnv):
        raise ValueError(f"{settings.env} is not an environment of nas_gym.")
    if envs.max_episode_steps is not None:
        envs.max_episode_steps = settings.queries
    return envs


class Run:
    """One search in its folder: ``history.jsonl``, ``checkpoint.npz`` and, at the end, the rest.

    The history is appended to chunk by chunk, and the checkpoint names its length at that time.
    What lies behind that length when a run is taken up again was cut off, and is written anew.
    """

    def __init__(self, settings: SearchSettings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.envs = make_envs(settings)
        agent_class: type[Agent] = AGENTS[settings.agent]
        self.agent = agent_class(self.envs, seed=settings.first_seed, **settings.agent_settings)
        self.task: Task = self.agent.task
        self.agent_seconds = 0.0
        self._written = 0  # queries in the history
        self._bytes = 0
        self._take_up()

    @property
    def history_file(self) -> Path:
        """Where the history is."""
        return self.folder / "history.jsonl"

    def config(self) -> dict[str, Any]:
        """All that determines the history: settings, task and versions."""
        return {
            **asdict(self.settings),
            "task": self.task.describe(),
            "agent_settings": {
                name: getattr(self.agent, name) for name in type(self.agent).settings
            },
            "nas_gym": nas_gym.__version__,
        }

    def _take_up(self) -> None:
        config_file, config = self.folder / "config.json", self.config()
        if config_file.exists():
            found = _read_config(config_file)
            different = [key for key in config if found.get(key) != config[key]]
            if different:
                raise ValueError(
                    f"{self.folder} holds another search (different {', '.join(different)}). "
                    "Choose another --out folder, or delete this one."
                )
        else:
            write_atomically(config_file, (json.dumps(config, indent=1) + "\n").encode())
        checkpoint = self.folder / "checkpoint.npz"
        if checkpoint.exists():
            self._restore(read_arrays(checkpoint))

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        def part(prefix: str) -> dict[str, NDArray[Any]]:
            return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

        self.envs.restore_state(part("env/"))
        self.agent.load_state_dict(part("agent/"), began=True)
        self.agent_seconds = float(state["agent_seconds"])
        self._written, self._bytes = int(state["queries"]), int(state["bytes"])
        if not self.history_file.exists() or self.history_file.stat().st_size < self._bytes:
            raise DamagedDataError(
                f"{self.history_file} is shorter than its checkpoint says. "
                "Delete the folder to search anew."
            )

    @property
    def queries(self) -> int:
        """How many queries each trial has made."""
        return min(self.envs.history.queries, self.settings.queries)

    def curves(self) -> Curves:
        """How the trials stood after each query."""
        return records.curves(self.task, self.envs.history.indices[: self.settings.queries])

    def advance(self, queries: int) -> Curves:
        """Search on, up to so many queries of each trial, and write it down."""
        started = time.perf_counter()
        while self.queries < queries:
            self.agent.query()
        self.agent_seconds += time.perf_counter() - started
        return self._save()

    def _save(self) -> Curves:
        curves = self.curves()
        text = records.lines(self.task, curves, self.settings.seed_list, self._written)
        mode = "r+b" if self.history_file.exists() else "w+b"
        with writing(self.history_file), self.history_file.open(mode) as file:
            file.truncate(self._bytes)
            file.seek(self._bytes)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        self._bytes += len(text.encode())
        self._written = len(curves.indices)
        state: dict[str, NDArray[Any]] = {
            "queries": np.array(self._written),
            "bytes": np.array(self._bytes),
            "agent_seconds": np.array(self.agent_seconds),
        }
        state |= {f"agent/{key}": value for key, value in self.agent.state_dict().items()}
        state |= {f"env/{key}": value for key, value in self.envs.clone_state().items()}
        write_arrays(self.folder / "checkpoint.npz", state)
        return curves


def _read_config(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
        return dict(found)
    except (ValueError, TypeError) as error:
        raise DamagedDataError(
            f"{file} is damaged: {error}. Delete the folder to search anew."
        ) from error


def run_search(
    settings: SearchSettings, folder: Path, *, progress_bar: bool = True
) -> dict[str, Any]:
    """Run a search, or take it up where it was cut off, and sum it up.

    Writes into ``folder``: ``config.json``, ``history.jsonl`` (see
    :func:`nas_gym.experiments.records.lines`), ``summary.json``, ``curves.png``, TensorBoard
    event files for each seed, and ``checkpoint.npz``. A run that was killed and taken up again
    ends with the same history as one that was not.

    Returns:
        the summary, as written to ``summary.json``.

    Raises:
        ValueError: the folder holds another search.
        DataError: the folder cannot be written to.
    """
    from nas_gym.experiments.plots import plot_curves

    run = Run(settings, folder)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} queries x {task.fields[seeds]} seeds"),
        TimeRemainingColumn(),
    )
    events = EventWriter(folder, run.task, settings.seed_list, settings.queries)
    with Progress(*columns, disable=not progress_bar) as progress:
        label = f"{settings.agent} on {settings.env}"
        bar = progress.add_task(
            label, total=settings.queries, completed=run.queries, seeds=settings.seeds
        )
        curves = run.curves()
        for chunk in range(1, _CHUNKS + 1):
            target = -(-settings.queries * chunk // _CHUNKS)
            if run.queries < target:
                curves = run.advance(target)
                events.write(curves)
            progress.update(bar, completed=run.queries)
    events.write(curves)
    events.close()
    summary = summarize(run, curves)
    write_atomically(folder / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    plot_curves(run.task, {settings.agent: curves}, folder / "curves.png", settings.env)
    return summary


def summarize(run: Run, curves: Curves) -> dict[str, Any]:
    """What a search came to: per budget of queries over the trials, and per trial at the end."""
    budgets = [q for q in BUDGETS if q < len(curves.regrets)] + [len(curves.regrets)]
    last = curves.incumbents[-1]
    return {
        **run.config(),
        "optimum": run.task.optimum,
        "agent_seconds": run.agent_seconds,
        "at_queries": {
            str(q): {
                "report": statistics(curves.reports[q - 1]),
                "regret": statistics(curves.regrets[q - 1]),
                "unique_queries": float(curves.unique[q - 1].mean()),
            }
            for q in budgets
        },
        "trials": [
            {"seed": seed, "index": int(index), "arch": arch, "report": float(report),
             "regret": float(regret), "unique_queries": int(unique)}
            for seed, index, arch, report, regret, unique in zip(
                run.settings.seed_list,
                last,
                run.task.space.to_text(run.task.space.decode(last)),
                curves.reports[-1],
                curves.regrets[-1],
                curves.unique[-1],
                strict=True,
            )
        ],
    }  # fmt: skip


def statistics(values: NDArray[np.float64]) -> dict[str, float]:
    """Mean, standard deviation, median and interquartile mean over trials."""
    ordered = np.sort(values)
    cut = len(ordered) // 4
    return {
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "median": float(np.median(values)),
        "iqm": float(ordered[cut : len(ordered) - cut].mean()),
    }
