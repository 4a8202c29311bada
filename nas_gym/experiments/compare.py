"""Comparison of search methods with the same seeds and the same number of queries."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas_gym.experiments.environments import check_env_id
from nas_gym.experiments.events import make_event_writer
from nas_gym.experiments.methods import AgentWithSettings, parse_agents
from nas_gym.experiments.outputs import folder_name, locked_folder
from nas_gym.experiments.records import TrialResults
from nas_gym.experiments.runners import Runner
from nas_gym.experiments.settings import SearchSettings
from nas_gym.experiments.stored_search import StoredSearch, run_missing
from nas_gym.tasks import Task
from nas_gym.utils.files import write_atomically

Agents = str | Iterable[AgentWithSettings] | Mapping[str, AgentWithSettings]


@dataclass(frozen=True)
class Comparison:
    """Settings of a comparison.

    Attributes:
        envs: Environment IDs.
        agents: Agents, see :func:`nas_gym.experiments.methods.parse_agents`.
        queries: Architecture evaluations per trial.
        seeds: Number of trials of each agent in each environment; trial ``i`` of every agent has
            seed ``first_seed + i``.
        first_seed: Seed of the first trial.
        env_arguments: Further arguments of every environment, such as ``report``.
    """

    envs: Sequence[str]
    agents: Agents
    queries: int
    seeds: int
    first_seed: int = 0
    env_arguments: dict[str, Any] = field(default_factory=dict)


def compare(
    envs: str | Sequence[str],
    agents: Agents,
    *,
    queries: int = 500,
    seeds: int = 20,
    first_seed: int = 0,
    out: str | Path = "runs/compare",
    progress_bar: bool = True,
    runner: Runner | None = None,
    tensorboard_trials: int = 0,
    **env_arguments: Any,
) -> dict[str, Any]:
    """Compare agents on equal budgets and seeds, like the command ``nas-gym compare``.

    Unknown agents and settings, and agents that cannot search an environment, raise an error before
    the first trial. If a trial fails, the results of all other trials are kept, and the error is
    in the summary and the report. If the call is repeated, an interrupted comparison continues and
    ends with the same results; agents and seeds can be added to a finished comparison. If
    ``queries`` is higher than in the folder, the trials are run again, with the results of
    evaluations that the folder holds.

    Trials run in separate processes, so a script must call this function under
    ``if __name__ == "__main__":``. A notebook does not need this line.

    The folder ``out`` receives:

    * ``summary.json``: the returned summary;
    * ``report.html``: tables and figures in one file;
    * PNG files of the figures;
    * ``tensorboard/``: one TensorBoard run per agent, with means over the trials of the agent;
    * ``<env>/evaluations/``: results of slow evaluators
      (:meth:`nas_gym.evaluators.Evaluator.keep_results`), so that none is computed again;
    * ``<env>/<agent>/``: the trials (``seeds-*.npz``), the settings and versions that determine
      them (``config.json``), and the error of each failed trial (``failed-<seed>.txt``).

    Args:
        envs: Environment ID, or several.
        agents: String as on the command line, such as ``"random,rea(sample_size=5),my_file:Mine"``;
            or a sequence of such strings, agent classes, plain functions
            ``search(task, queries, rng)``, and pairs of one of these and a dictionary of its
            settings; or a mapping from labels to these.
        queries: Architecture evaluations per trial.
        seeds: Number of trials of each agent in each environment.
        first_seed: Seed of the first trial; trial ``i`` has seed ``first_seed + i``.
        out: Output folder.
        progress_bar: Whether to show a progress bar on the terminal.
        runner: Runner of the trials, see :class:`nas_gym.experiments.runners.Runner`; by default
            one process per core of this machine.
        tensorboard_trials: Number of trials of each agent that get a TensorBoard run of their own.
        **env_arguments: Arguments of every environment, such as ``report="analog_accuracy"``,
            ``noise=0.3`` or ``evaluator=my_evaluator``.

    Returns:
        The summary, as written to ``summary.json``; see
        :func:`nas_gym.experiments.statistics.summarize_comparison`.

    Raises:
        ValueError: If there is no such agent, an agent cannot search an environment, a task or an
            agent is listed twice, or the folder holds another comparison or is in use.
        TypeError: If an agent has no such setting.
        gymnasium.error.Error: If an environment ID is unknown.
        DataError: If data is missing, or the folder cannot be written to.

    Example:
        >>> import tempfile
        >>> import nas_gym
        >>> folder = tempfile.mkdtemp()
        >>> summary = nas_gym.compare(
        ...     "NB201-cifar10-v0", ["random", ("rea", {"sample_size": 5})],
        ...     queries=20, seeds=2, out=folder, progress_bar=False,
        ... )
        >>> list(summary["environments"]["NB201-cifar10-v0"]["agents"])
        ['random', 'rea(sample_size=5)']
    """
    envs = [envs] if isinstance(envs, str) else list(envs)
    comparison = Comparison(envs, agents, queries, seeds, first_seed, env_arguments)
    return run_comparison(
        comparison,
        Path(out),
        progress_bar=progress_bar,
        runner=runner,
        tensorboard_trials=tensorboard_trials,
    )


def run_comparison(
    comparison: Comparison,
    folder: Path,
    *,
    command: str = "",
    progress_bar: bool = True,
    runner: Runner | None = None,
    tensorboard_trials: int = 0,
) -> dict[str, Any]:
    """Run a comparison, or its missing trials, and write its results; see :func:`compare`.

    Args:
        comparison: Settings of the comparison.
        folder: Output folder.
        command: Command line that the report shows; none if empty.
        progress_bar: Whether to show a progress bar on the terminal.
        runner: Runner of the trials; by default one process per core of this machine.
        tensorboard_trials: Number of trials of each agent that get a TensorBoard run of their own.

    Returns:
        The summary, as written to ``summary.json``.
    """
    from nas_gym.experiments.report import write_report
    from nas_gym.experiments.statistics import summarize_comparison

    if isinstance(comparison.envs, str):
        raise TypeError(f"envs must be a list of IDs, got {comparison.envs!r}.")
    folder = Path(folder)
    for env in comparison.envs:
        check_env_id(env)  # before a folder is made
    with locked_folder(folder):
        searches = find_searches(comparison, folder)
        for search in searches:
            search.check()
        results = run_missing(searches, runner=runner, progress_bar=progress_bar)
        summary = summarize_comparison(results)
        content = json.dumps(summary, indent=1, allow_nan=False) + "\n"
        write_atomically(folder / "summary.json", content.encode())
        write_report(results, summary, folder, command)
        _write_events(searches, results, folder / "tensorboard", tensorboard_trials)
    return summary


def find_searches(comparison: Comparison, folder: Path) -> list[StoredSearch]:
    """Return the search of every agent in every environment; nothing is written.

    Raises:
        ValueError: If there is no such agent, a task or an agent is listed twice, or the folder
            holds another comparison.
        TypeError: If an agent has no such setting.
        gymnasium.error.Error: If an environment ID is unknown.
    """
    if isinstance(comparison.envs, str):
        raise TypeError(f"envs must be a list of IDs, got {comparison.envs!r}.")
    searches = [
        StoredSearch(
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
            folder / env / folder_name(label),
            folder / env / "evaluations",
        )
        for env in comparison.envs
        for label, (agent, settings) in parse_agents(comparison.agents).items()
    ]
    if not searches:
        raise ValueError("A comparison needs at least one environment and one agent.")
    _check_tasks({each.settings.env: each.task for each in searches}, len(comparison.envs))
    return searches


def _check_tasks(tasks: dict[str, Task], count: int) -> None:
    """Raise an error if a task is listed twice, under one ID or under the IDs of two modes."""
    described: dict[str, str] = {}
    for env, task in tasks.items():
        other = described.setdefault(json.dumps(task.describe(), sort_keys=True, default=str), env)
        if other != env:
            raise ValueError(
                f"{other} and {env} are the same task. List only one: every agent searches in "
                "the mode that it needs."
            )
    if len(tasks) < count:
        raise ValueError("An environment is listed twice.")


def _write_events(
    searches: Sequence[StoredSearch], results: Sequence[TrialResults], folder: Path, trials: int
) -> None:
    """Replace the TensorBoard event files: one run for each agent, and some of its trials."""
    shutil.rmtree(folder, ignore_errors=True)
    for result, search in zip(results, searches, strict=True):
        if result.seeds:
            runs, shown = folder / result.env, result.seeds[:trials]
            writer = make_event_writer(runs, result.agent, result.task, search.config, shown)
            writer.close(result.curves)
