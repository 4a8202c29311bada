"""Run of one search method in one environment, recorded and resumable."""

from __future__ import annotations

import hashlib
import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from nas_gym.experiments.environments import check_env_id
from nas_gym.experiments.events import make_event_writer
from nas_gym.experiments.methods import AgentWithSettings, parse_agents
from nas_gym.experiments.outputs import folder_name, locked_folder, make_progress
from nas_gym.experiments.records import TrialResults, history_lines
from nas_gym.experiments.remote_evaluation import evaluating_on
from nas_gym.experiments.runners import Runner
from nas_gym.experiments.settings import SearchSettings, use_one_torch_thread
from nas_gym.experiments.statistics import at_queries, describe_incumbents, describe_report
from nas_gym.experiments.stored_search import StoredSearch, run_missing
from nas_gym.experiments.trial_store import check_config, write_config
from nas_gym.recording import RecordVectorSearch
from nas_gym.recording.choice_frequencies import plot_choice_frequencies
from nas_gym.recording.curves import Curves, compute_curves
from nas_gym.tasks import Task
from nas_gym.utils.errors import DamagedDataError, DataError, EvaluationError, TrainingError
from nas_gym.utils.files import explain_write_errors, read_arrays, write_arrays, write_atomically

_CHECKPOINTS = 50  # number of checkpoints in a search
_EXTENSIBLE = ("queries", "seeds")


def search(
    env: str,
    agent: AgentWithSettings,
    *,
    queries: int = 500,
    seeds: int = 10,
    first_seed: int = 0,
    out: str | Path | None = None,
    progress_bar: bool = True,
    runner: Runner | None = None,
    tensorboard_trials: int = 0,
    **env_arguments: Any,
) -> dict[str, Any]:
    """Search with one agent, like the command ``nas-gym search``.

    If the call is repeated, an interrupted search continues and ends with the same history, except
    for measured seconds. A search with more queries or seeds than the folder holds extends the
    stored search: trials of an :class:`nas_gym.Agent` continue if only the number of queries is
    higher; other trials with another number of queries are run again, with the results of
    evaluations that the folder holds.

    The folder ``out`` receives:

    * ``summary.json``: the returned summary;
    * ``config.json``: everything that determines the history;
    * ``history.jsonl``: every query, see :func:`nas_gym.experiments.records.history_lines`;
    * ``curves.png``: the incumbents over the queries;
    * ``in_common.png``: the choices that the best architectures have in common;
    * ``tensorboard/``: one TensorBoard run, with means over the trials;
    * ``agent.safetensors``: the saved agent, if the agent is an :class:`nas_gym.Agent`;
    * ``evaluations/``: results of slow evaluators
      (:meth:`nas_gym.evaluators.Evaluator.keep_results`), so that none is computed again;
    * ``checkpoint.npz`` or ``seeds-*.npz``: the state from which an interrupted search continues.

    Trials of stable-baselines3 algorithms and plain functions run in separate processes; a script
    with such an agent must call this function under ``if __name__ == "__main__":``.

    Args:
        env: Environment ID.
        agent: Name as on the command line, such as ``"rea(sample_size=5)"`` or
            ``"my_file:MyAgent"``; an agent class; a plain function ``search(task, queries, rng)``;
            or a pair of one of these and a dictionary of its settings.
        queries: Architecture evaluations per trial.
        seeds: Number of trials.
        first_seed: Seed of the first trial; trial ``i`` has seed ``first_seed + i``.
        out: Output folder; ``runs/<env>/<agent>`` by default.
        progress_bar: Whether to show a progress bar on the terminal.
        runner: Runner of trials that run in separate processes, and of slow evaluations; by
            default one process per core of this machine, and this process. See
            :class:`nas_gym.experiments.runners.Runner`.
        tensorboard_trials: Number of trials that get a TensorBoard run of their own.
        **env_arguments: Arguments of the environment, such as ``report="analog_accuracy"``,
            ``noise=0.3`` or ``evaluator=my_evaluator``.

    Returns:
        The summary, as written to ``summary.json``; see :func:`summarize_search`.

    Raises:
        ValueError: If there is no such agent, it cannot search the environment, a trial failed,
            or the folder holds another search or is in use.
        TypeError: If the agent has no such setting.
        gymnasium.error.Error: If the environment ID is unknown.
        DataError: If data is missing, or the folder cannot be written to.

    Example:
        >>> import tempfile
        >>> import nas_gym
        >>> summary = nas_gym.search(
        ...     "NB201-cifar10-v0", "rea(sample_size=5)",
        ...     queries=20, seeds=2, out=tempfile.mkdtemp(), progress_bar=False,
        ... )
        >>> [trial["seed"] for trial in summary["trials"]]
        [0, 1]
    """
    (label, (found, settings)), *others = parse_agents([agent]).items()
    if others:
        raise ValueError("search runs one agent; nas_gym.compare runs several.")
    folder = Path("runs") / env / folder_name(label) if out is None else Path(out)
    wanted = SearchSettings(env, found, queries, seeds, first_seed, env_arguments, settings)
    return run_search(
        wanted,
        folder,
        progress_bar=progress_bar,
        runner=runner,
        tensorboard_trials=tensorboard_trials,
    )


class LockstepSearch:
    """A search whose trials run in lockstep in this process, and its folder.

    The folder holds ``history.jsonl`` and ``checkpoint.npz``. The history grows with each
    checkpoint, which stores the history's current length. A resumed search overwrites everything
    after that length, because an interrupted process wrote it.

    A search that has fewer queries in the folder goes on, and has the history that it would have
    had with all queries from the start. If it has fewer seeds, all its trials are run again: the
    state of an agent belongs to all its trials. No slow evaluation is repeated.

    Args:
        settings: Settings of the search; its method must run in lockstep.
        folder: Output folder.

    Raises:
        ValueError: If the folder holds another search, or the agent cannot search the environment.
        DamagedDataError: If the history is not the one that its checkpoint describes.
    """

    def __init__(self, settings: SearchSettings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.envs = settings.make_envs()
        self.task: Task = self.envs.task
        method: Any = settings.method
        extended = check_config(folder, self.config(), _EXTENSIBLE)
        if not (folder / "config.json").exists():
            method.check_environment(settings.env, settings.env_arguments)
        checkpoint = folder / "checkpoint.npz"
        if "seeds" in extended:
            gym.logger.warn(
                f"{folder} holds this search with {extended['seeds']} seeds. All trials are run "
                f"again with {settings.seeds} seeds; trials of earlier seeds will be the same. "
                "Results of slow evaluations are reused."
            )
            checkpoint.unlink(missing_ok=True)
        write_config(folder, self.config(), _EXTENSIBLE)
        self.task.keep_results(self.evaluations)
        state = read_arrays(checkpoint) if checkpoint.exists() else {}
        if state:
            if self.envs.max_episode_steps is not None and int(state["queries"]) < settings.queries:
                # the episode is the budget: if that has grown, the episode has not ended
                state |= {"env/ended": np.array(False), "agent/reset_is_due": np.array(False)}
            self.envs.restore_state(_entries_after(state, "env/"))
        self.recorder = RecordVectorSearch(self.envs)
        self.agent = method.make_agent(self.recorder, settings.first_seed)
        self._earlier_seconds = np.empty((0, settings.seeds))  # agent's time in other processes
        self._written = 0  # number of queries in the history
        self._bytes = 0  # length of the history
        self._digest = hashlib.sha256()  # of the history
        if state:
            self._restore(state)

    @property
    def evaluations(self) -> Path:
        """Folder of the results of slow evaluators."""
        return self.folder / "evaluations"

    @property
    def history_file(self) -> Path:
        """Path of the history."""
        return self.folder / "history.jsonl"

    def config(self) -> dict[str, Any]:
        """Return everything that determines the history: settings, task and versions."""
        return {
            **self.settings.describe(self.task),
            "seeds": self.settings.seeds,
            "first_seed": self.settings.first_seed,
        }

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        checkpoint = self.folder / "checkpoint.npz"
        self.agent.restore(_entries_after(state, "agent/"), checkpoint, env_restored=True)
        seconds, more = state["agent_seconds"], self.envs.history.queries
        # a generation may have exceeded an earlier budget
        padding = ((0, max(0, more - len(seconds))), (0, 0))
        self._earlier_seconds = np.pad(seconds, padding, mode="edge")
        self._written, self._bytes = int(state["queries"]), int(state["bytes"])
        if not self.history_file.exists() or self.history_file.stat().st_size < self._bytes:
            raise DamagedDataError(
                f"{self.history_file} is shorter than its checkpoint says. "
                "Delete the folder to search again."
            )
        with self.history_file.open("rb") as file:
            self._digest.update(file.read(self._bytes))
        if "sha256" in state and str(state["sha256"]) != self._digest.hexdigest():
            raise DamagedDataError(
                f"{self.history_file} was changed after the search wrote it. Delete the folder to "
                "search again."
            )

    @property
    def queries(self) -> int:
        """Number of queries that each trial has made."""
        return min(self.envs.history.queries, self.settings.queries)

    def curves(self) -> Curves:
        """Return the state of the trials after each query."""
        spent, earlier = self.recorder.agent_seconds, self._earlier_seconds
        before = earlier[-1] if len(earlier) else 0.0
        seconds = np.concatenate([earlier, before + spent]) if len(spent) else earlier
        history = self.envs.history
        rewards = self.task.reward(history.indices, history.keys)
        found = compute_curves(self.task, history.indices, rewards, seconds)
        return found.first_queries(self.settings.queries)

    def advance(self, queries: int) -> Curves:
        """Search until each trial has made a number of queries, and write a checkpoint."""
        while self.queries < queries:
            self.agent.query()
        with self.recorder.paused():
            return self.write_checkpoint()

    def write_checkpoint(self) -> Curves:
        """Append new queries to the history, and write the state of agent and environments."""
        curves = self.curves()
        text = history_lines(self.task, curves, self.settings.seed_list, self._written)
        mode = "r+b" if self.history_file.exists() else "w+b"
        with explain_write_errors(self.history_file), self.history_file.open(mode) as file:
            file.truncate(self._bytes)
            file.seek(self._bytes)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        self._bytes += len(text.encode())
        self._digest.update(text.encode())
        self._written = len(curves.indices)
        state: dict[str, NDArray[Any]] = {
            "queries": np.array(self._written),
            "bytes": np.array(self._bytes),
            "sha256": np.array(self._digest.hexdigest()),
            "agent_seconds": curves.agent_seconds,
        }
        state |= {f"agent/{key}": value for key, value in self.agent.state_dict().items()}
        state |= {f"env/{key}": value for key, value in self.envs.clone_state().items()}
        write_arrays(self.folder / "checkpoint.npz", state)
        return curves


def _entries_after(state: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    """Return the entries whose keys start with a prefix, without the prefix."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def run_search(
    settings: SearchSettings,
    folder: Path,
    *,
    progress_bar: bool = True,
    runner: Runner | None = None,
    tensorboard_trials: int = 0,
) -> dict[str, Any]:
    """Run a search, or the rest of an interrupted one, and write its results; see :func:`search`.

    Args:
        settings: Settings of the search.
        folder: Output folder.
        progress_bar: Whether to show a progress bar on the terminal.
        runner: Runner of trials in separate processes, and of slow evaluations.
        tensorboard_trials: Number of trials that get a TensorBoard run of their own.

    Returns:
        The summary, as written to ``summary.json``.

    Raises:
        ValueError: If the folder holds another search or is in use, the agent cannot search the
            environment, or a trial failed.
        DataError: If data is missing, or the folder cannot be written to.
    """
    check_env_id(settings.env)  # before a folder is made
    with locked_folder(folder):
        return _run_locked(settings, folder, progress_bar, runner, tensorboard_trials)


def _run_locked(
    settings: SearchSettings,
    folder: Path,
    progress_bar: bool,
    runner: Runner | None,
    tensorboard_trials: int,
) -> dict[str, Any]:
    """Run a search in a folder that no other command writes to; see :func:`run_search`."""
    from nas_gym.experiments.figures import FEWEST_TRIALS, curves_figure, styles, to_png

    run: Callable[[SearchSettings, Path, bool, Runner | None, list[int]], TrialResults]
    run = _search_in_lockstep if settings.method.runs_in_lockstep else _search_trial_by_trial
    results = run(settings, folder, progress_bar, runner, settings.seed_list[:tensorboard_trials])
    summary = summarize_search(settings, results, json.loads((folder / "config.json").read_text()))
    write_atomically(folder / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    seeds, band = len(results.seeds), "mean and its 95 % interval"
    title = f"{results.agent} on {results.searched_env}, {seeds} seed{'s' if seeds > 1 else ''}"
    title += f": {band if seeds >= FEWEST_TRIALS else 'mean' if seeds > 1 else 'one trial'}"
    figure = curves_figure([results], styles([results.agent]), title=title)
    write_atomically(folder / "curves.png", to_png(figure))
    figure = plot_choice_frequencies(results.task, results.curves)
    write_atomically(folder / "in_common.png", to_png(figure))
    return summary


def _search_in_lockstep(
    settings: SearchSettings,
    folder: Path,
    progress_bar: bool,
    runner: Runner | None,
    shown_seeds: list[int],
) -> TrialResults:
    """Search with an agent whose trials run in lockstep, with a checkpoint after each chunk."""
    run = LockstepSearch(settings, folder)
    description = run.config()["task"]
    with evaluating_on(runner, settings, run.task, description, run.evaluations):
        return _advance_to_the_end(run, progress_bar, shown_seeds)


def _advance_to_the_end(
    run: LockstepSearch, progress_bar: bool, shown_seeds: list[int]
) -> TrialResults:
    settings, folder = run.settings, run.folder
    if settings.uses_torch(run.task):
        use_one_torch_thread()
    name, config = settings.method.name, run.config()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} queries x {task.fields[seeds]} seeds"),
        TimeRemainingColumn(),
    )
    events = make_event_writer(folder / "tensorboard", name, run.task, config, shown_seeds)
    with make_progress(*columns, wanted=progress_bar) as progress:
        bar = progress.add_task(
            f"{name} on {settings.env}",
            total=settings.queries,
            completed=run.queries,
            seeds=settings.seeds,
        )
        found = run.curves()
        for checkpoint in range(1, _CHECKPOINTS + 1):
            target = -(-settings.queries * checkpoint // _CHECKPOINTS)
            if run.queries < target:
                found = _advance_or_explain(run, target)
                with run.recorder.paused():
                    events.write(found, run.agent.diagnostics())
            progress.update(bar, completed=run.queries)
    events.close(found, run.agent.diagnostics())
    run.agent.save(folder / "agent")
    env = config["searched_env"]
    return TrialResults(settings.env, env, name, run.task, settings.seed_list, found, {})


def _advance_or_explain(run: LockstepSearch, queries: int) -> Curves:
    """Continue a search; if code of the agent fails, raise an error that names the agent."""
    try:
        return run.advance(queries)
    except (DataError, TrainingError, EvaluationError):
        raise
    except Exception as error:
        file = run.folder / "failed.txt"
        write_atomically(file, traceback.format_exc().encode())
        raise ValueError(
            f"{run.settings.method.name} failed at query {run.agent.num_queries + 1}: "
            f"{type(error).__name__}: {error} ({file} has the traceback.)"
        ) from error


def _search_trial_by_trial(
    settings: SearchSettings,
    folder: Path,
    progress_bar: bool,
    runner: Runner | None,
    shown_seeds: list[int],
) -> TrialResults:
    """Search with a method whose trials run one by one, each in a separate process."""
    search = StoredSearch(settings.method.name, settings, folder)
    search.check()
    (results,) = run_missing([search], runner=runner, progress_bar=progress_bar)
    if results.failures:
        seed, error = next(iter(results.failures.items()))
        raise ValueError(
            f"{error.splitlines()[0]} ({len(results.failures)} of {settings.seeds} trials of "
            f"{results.agent} failed; {folder / f'failed-{seed}.txt'} has the traceback.)"
        )
    text = history_lines(results.task, results.curves, results.seeds, 0)
    write_atomically(folder / "history.jsonl", text.encode())
    runs, config = folder / "tensorboard", search.config
    writer = make_event_writer(runs, results.agent, results.task, config, shown_seeds)
    writer.close(results.curves)
    return results


def summarize_search(
    settings: SearchSettings, results: TrialResults, config: dict[str, Any]
) -> dict[str, Any]:
    """Return the summary of a search.

    The summary has the entries of ``config.json`` (``env``, ``agent``, ``queries``,
    ``env_arguments``, ``agent_settings``, ``searched_env``, ``task``, ``versions``), ``seeds``,
    ``first_seed``, and the following entries:

    * ``metric``: ``name``, ``unit`` and ``maximize`` of the reported metric, and ``optimum``, the
      best value over the search space, ``null`` if unknown;
    * ``agent_seconds``: time that the agent spent on proposing and learning, over all trials;
    * ``at_queries``: statistics over the trials at several numbers of queries, see
      :func:`nas_gym.experiments.statistics.at_queries`;
    * ``incumbent_metrics`` and ``incumbent_feasible``, if the reward combines several metrics or
      the task has constraints: see :func:`nas_gym.experiments.statistics.describe_incumbents`;
    * ``trials``: for each trial its ``seed``, the ``index`` and ``arch`` (text) of its last
      incumbent, with ``report`` and ``regret``, and the number of ``unique_queries``.

    Args:
        settings: Settings of the search.
        results: Finished trials.
        config: Content of ``config.json``.
    """
    found, task = results.curves, results.task
    last = found.incumbents[-1]
    columns = {
        "seed": results.seeds,
        "index": last.tolist(),
        "arch": task.space.to_text(task.space.decode(last)),
        "report": found.reports[-1].tolist(),
        "regret": found.regrets[-1].tolist(),
        "unique_queries": found.unique[-1].tolist(),
    }
    return {
        **config,
        "seeds": settings.seeds,
        "first_seed": settings.first_seed,
        "metric": describe_report(task),
        "optimum": task.optimum,
        "agent_seconds": float(found.agent_seconds[-1].sum()),
        "at_queries": at_queries(found),
        **{f"incumbent_{name}": v for name, v in describe_incumbents(task, found).items()},
        "trials": [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ],
    }
