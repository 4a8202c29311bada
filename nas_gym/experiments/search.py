"""Run one search method on one environment: record it, survive a kill, sum it up."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from nas_gym.agents.registry import find_agent
from nas_gym.experiments import records
from nas_gym.experiments.contenders import Contender, run_missing
from nas_gym.experiments.records import Trials
from nas_gym.experiments.settings import SearchSettings
from nas_gym.experiments.statistics import at_queries
from nas_gym.experiments.trials import describe, make_envs, take_config, use_one_thread
from nas_gym.recording import RecordVectorSearch
from nas_gym.recording.choice_frequencies import plot_choice_frequencies
from nas_gym.recording.curves import Curves, compute_curves
from nas_gym.recording.tensorboard import EventWriter, write_events
from nas_gym.tasks import Task
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import explain_write_errors, read_arrays, write_arrays, write_atomically

_CHUNKS = 50  # a run writes down what it has so many times


class Run:
    """One search in its folder: ``history.jsonl``, ``checkpoint.npz`` and, at the end, the rest.

    The history is appended to chunk by chunk, and the checkpoint names its length at that time.
    What lies behind that length when a run is taken up again was cut off, and is written anew.
    """

    def __init__(self, settings: SearchSettings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.envs = make_envs(settings)
        self.task: Task = self.envs.task
        registered = find_agent(settings.agent)
        if not (folder / "config.json").exists():
            # what it refuses, it refuses before anything is written
            registered.make_agent(self.envs, settings.agent_settings, seed=settings.first_seed)
        take_config(folder, self.config())
        checkpoint = folder / "checkpoint.npz"
        state = read_arrays(checkpoint) if checkpoint.exists() else {}
        if state:
            self.envs.restore_state(_part(state, "env/"))
        self.recorder = RecordVectorSearch(self.envs)
        self.agent = registered.make_agent(
            self.recorder, settings.agent_settings, seed=settings.first_seed
        )
        self._seconds = np.empty((0, settings.seeds))  # of the agent, before this process
        self._written = 0  # queries in the history
        self._bytes = 0
        if state:
            self._restore(state)

    @property
    def history_file(self) -> Path:
        """Where the history is."""
        return self.folder / "history.jsonl"

    def config(self) -> dict[str, Any]:
        """All that determines the history: settings, task and versions."""
        return {
            **describe(self.settings, self.task),
            "seeds": self.settings.seeds,
            "first_seed": self.settings.first_seed,
        }

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        self.agent.load_state_dict(_part(state, "agent/"), began=True)
        self._seconds = state["agent_seconds"]
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
        spent = self.recorder.agent_seconds
        before = self._seconds[-1] if len(self._seconds) else 0.0
        seconds = np.concatenate([self._seconds, before + spent]) if len(spent) else self._seconds
        history = self.envs.history
        rewards = self.task.reward(history.indices, history.keys)
        found = compute_curves(self.task, history.indices, rewards, seconds)
        return found.first_queries(self.settings.queries)

    def advance(self, queries: int) -> Curves:
        """Search on, up to so many queries of each trial, and write it down."""
        while self.queries < queries:
            self.agent.query()
        with self.recorder.paused():
            return self._save()

    def _save(self) -> Curves:
        curves = self.curves()
        text = records.lines(self.task, curves, self.settings.seed_list, self._written)
        mode = "r+b" if self.history_file.exists() else "w+b"
        with explain_write_errors(self.history_file), self.history_file.open(mode) as file:
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
            "agent_seconds": curves.agent_seconds,
        }
        state |= {f"agent/{key}": value for key, value in self.agent.state_dict().items()}
        state |= {f"env/{key}": value for key, value in self.envs.clone_state().items()}
        write_arrays(self.folder / "checkpoint.npz", state)
        return curves


def _part(state: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def run_search(
    settings: SearchSettings, folder: Path, *, progress_bar: bool = True
) -> dict[str, Any]:
    """Run a search, or take it up where it was cut off, and sum it up.

    Writes into ``folder``: ``config.json``, ``history.jsonl`` (see
    :func:`nas_gym.experiments.records.lines`), ``summary.json``, ``curves.png``, ``in_common.png``
    (of the first trial: :mod:`nas_gym.recording.choice_frequencies`), ``agent.safetensors``
    (:meth:`nas_gym.agents.Agent.save`; not of stable-baselines3's), TensorBoard event files for
    each seed, and what it needs to go on where it was cut off. A run that was
    killed and taken up again ends with the same history as one that was not, seconds aside.

    Returns:
        the summary, as written to ``summary.json``.

    Raises:
        ValueError: the folder holds another search, or a trial failed.
        DataError: the folder cannot be written to.
    """
    from nas_gym.experiments.figures import curves_figure, png, styles

    run = _search_in_lockstep if settings.runs_in_lockstep else _search_trial_by_trial
    trials = run(settings, folder, progress_bar)
    summary = summarize(settings, trials, json.loads((folder / "config.json").read_text()))
    write_atomically(folder / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    figure = curves_figure([trials], styles([trials.agent]))
    write_atomically(folder / "curves.png", png(figure))
    write_atomically(
        folder / "in_common.png", png(plot_choice_frequencies(trials.task, trials.curves, 0))
    )
    return summary


def _search_in_lockstep(settings: SearchSettings, folder: Path, progress_bar: bool) -> Trials:
    use_one_thread(settings)
    run = Run(settings, folder)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} queries x {task.fields[seeds]} seeds"),
        TimeRemainingColumn(),
    )
    folders = _run_folders(settings, folder)
    named = {"env": settings.env, "agent": settings.agent, **run.config()["agent_settings"]}
    events = EventWriter(folders, run.task, settings.queries, named)
    with Progress(*columns, disable=not progress_bar) as progress:
        label = f"{settings.agent} on {settings.env}"
        bar = progress.add_task(
            label, total=settings.queries, completed=run.queries, seeds=settings.seeds
        )
        found = run.curves()
        for chunk in range(1, _CHUNKS + 1):
            target = -(-settings.queries * chunk // _CHUNKS)
            if run.queries < target:
                found = run.advance(target)
                with run.recorder.paused():
                    events.write(found, run.agent.diagnostics())
            progress.update(bar, completed=run.queries)
    events.close(found, run.agent.diagnostics())
    run.agent.save(folder / "agent")
    env = settings.env
    return Trials(env, env, settings.agent, run.task, settings.seed_list, found, {})


def _search_trial_by_trial(settings: SearchSettings, folder: Path, progress_bar: bool) -> Trials:
    contender = Contender(settings.agent, settings, folder)
    (trials,) = run_missing([contender], progress_bar=progress_bar)
    if trials.failures:
        seed, error = next(iter(trials.failures.items()))
        raise ValueError(
            f"{len(trials.failures)} of {settings.seeds} trials failed; that of seed {seed} with "
            f"{error.splitlines()[0]} ({folder / f'failed-{seed}.txt'} has all of it.)"
        )
    text = records.lines(trials.task, trials.curves, trials.seeds, 0)
    write_atomically(folder / "history.jsonl", text.encode())
    folders = _run_folders(settings, folder)
    named = {"env": settings.env, "agent": settings.agent, **contender.config["agent_settings"]}
    write_events(folders, trials.task, trials.curves, named)
    return trials


def _run_folders(settings: SearchSettings, folder: Path) -> list[Path]:
    return [folder / f"seed-{seed}" for seed in settings.seed_list]


def summarize(settings: SearchSettings, trials: Trials, config: dict[str, Any]) -> dict[str, Any]:
    """What a search came to: per budget of queries over the trials, and per trial at the end."""
    found, task = trials.curves, trials.task
    last = found.incumbents[-1]
    return {
        **config,
        "seeds": settings.seeds,
        "first_seed": settings.first_seed,
        "optimum": task.optimum,
        "agent_seconds": float(found.agent_seconds[-1].sum()),
        "at_queries": at_queries(found),
        "trials": [
            {"seed": seed, "index": int(index), "arch": arch, "report": float(report),
             "regret": float(regret), "unique_queries": int(unique)}
            for seed, index, arch, report, regret, unique in zip(
                trials.seeds,
                last,
                task.space.to_text(task.space.decode(last)),
                found.reports[-1],
                found.regrets[-1],
                found.unique[-1],
                strict=True,
            )
        ],
    }  # fmt: skip
