"""TensorBoard event files of searches: curves, hyper-parameters and the best architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.recording.curves import Curves
from nas_gym.tasks import Task

Columns = Mapping[str, NDArray[Any]]
"""Curves of one run by name, ``(queries,)`` each."""

Diagnostics = Mapping[str, NDArray[np.float64]]

_POINTS = 250  # points of a curve; more cannot be distinguished on a screen


class EventWriter:
    """Writer of one TensorBoard run, which uses the logger of stable-baselines3.

    Curves are plotted against the number of queries. When the writer is closed, it adds the best
    architecture as a drawing and as text, and an entry of the hyper-parameters tab. Existing event
    files in the folder are replaced.

    Args:
        folder: Folder of the run.
        task: The task that is searched.
        queries: Number of queries of the complete search. Longer curves are reduced to about 250
            evenly spaced queries and the last one.
        hyperparams: Hyper-parameters of the search; if empty, the hyper-parameters tab gets no
            entry.
    """

    def __init__(
        self, folder: Path, task: Task, queries: int, hyperparams: Mapping[str, Any]
    ) -> None:
        from stable_baselines3.common.logger import configure

        self._task = task
        self._queries = queries
        self._every = -(-queries // _POINTS)
        self._written = 0
        self._hyperparams = hyperparams
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._logger: Any = configure(str(folder), ["tensorboard"])

    def write(self, columns: Columns) -> None:
        """Write the queries that have not been written yet.

        Args:
            columns: Curves of all queries so far by name, ``(queries,)`` each; NaN values are
                omitted.
        """
        total = max(map(len, columns.values()))
        for query in range(self._written, total):
            if query % self._every and query + 1 < self._queries:
                continue
            for name, values in columns.items():
                if not np.isnan(values[query]):
                    self._logger.record(name, values[query])
            self._logger.dump(step=query + 1)
        self._written = total

    def close(self, columns: Columns, curves: Curves, *, draw_choices: bool = True) -> None:
        """Write the remaining queries and the best architecture, and close the file.

        Args:
            columns: Curves of the complete search, see :meth:`write`.
            curves: Curves of the trials that the run shows.
            draw_choices: Whether to draw the choices of the best architectures
                (:mod:`nas_gym.recording.choice_frequencies`), which takes long.
        """
        from stable_baselines3.common.logger import Figure, HParam, Image

        from nas_gym.envs.rendering import draw_architecture
        from nas_gym.recording.choice_frequencies import plot_choice_frequencies

        self.write(columns)
        space = self._task.space
        best = curves.incumbents[-1, [curves.incumbent_rewards[-1].argmax()]]
        genotypes = space.decode(best)
        caption = f"regret {float(self._task.regret(best)[0]):.4g}"
        drawing = draw_architecture(space, genotypes[0], caption)
        self._logger.record("best/architecture", Image(drawing, "HWC"))
        self._logger.record("best/arch", space.to_text(genotypes)[0])
        if draw_choices:
            figure = plot_choice_frequencies(self._task, curves)
            self._logger.record("best/in_common", Figure(figure, close=True))
        if self._hyperparams:
            # TensorBoard takes the values from the curves of these names.
            metrics = {"search/incumbent_report": 0.0, "search/regret": 0.0}
            self._logger.record("hparams", HParam(_plain(self._hyperparams), metrics))
        self._logger.dump(step=self._written)
        self._logger.close()


class AgentEventWriter:
    """Writer of one TensorBoard run for all trials of an agent, and of runs of single trials.

    The curves ``search/incumbent_reward``, ``search/incumbent_report``, ``search/regret``,
    ``search/log_rank`` (``log10(1 + rank)`` of the incumbent; 0 is the best architecture),
    ``search/unique_queries``, ``search/agent_seconds`` and, if the table has training times,
    ``search/training_seconds`` are means over the trials. An agent adds curves ``train/...``
    (:meth:`nas_gym.agents.Agent.diagnostics`). ``interval/<name>_low`` and ``interval/<name>_high``
    are the bounds of the 95 % interval of the mean (1.96 standard errors), if there are at least
    two trials. The best architecture is the incumbent of the trial with the highest reward.

    Args:
        folder: Folder of the run.
        task: The task that is searched.
        queries: Number of queries of the complete search.
        hyperparams: See :class:`EventWriter`.
        trials: Names of the first trials. Each gets a run of its own, in a subfolder of this name.
    """

    def __init__(
        self,
        folder: Path,
        task: Task,
        queries: int,
        hyperparams: Mapping[str, Any],
        trials: Sequence[str] = (),
    ) -> None:
        self._mean = EventWriter(folder, task, queries, hyperparams)
        self._trials = [EventWriter(folder / name, task, queries, hyperparams) for name in trials]

    def write(self, curves: Curves, diagnostics: Diagnostics | None = None) -> None:
        """Write the queries that have not been written yet.

        Args:
            curves: Curves of all queries so far.
            diagnostics: Curves of the agent by name, ``(queries, trials)`` float64 each; NaN values
                are omitted. Names without a slash get the prefix ``train/``.
        """
        columns = _columns(curves, diagnostics)
        self._mean.write(_means(columns))
        for trial, writer in enumerate(self._trials):
            writer.write(_column(columns, trial))

    def close(self, curves: Curves, diagnostics: Diagnostics | None = None) -> None:
        """Write the remaining queries and the best architectures, and close the files.

        Args:
            curves: Curves of the complete search.
            diagnostics: See :meth:`write`.
        """
        columns = _columns(curves, diagnostics)
        self._mean.close(_means(columns), curves)
        for trial, writer in enumerate(self._trials):
            shown = curves.select_trials(slice(trial, trial + 1))
            writer.close(_column(columns, trial), shown, draw_choices=False)


def write_events(folders: Sequence[Path], task: Task, curves: Curves) -> None:
    """Write the event files of finished trials, one TensorBoard run each.

    Args:
        folders: Folder of each trial.
        task: The task that was searched.
        curves: Curves of all trials.
    """
    if not len(curves.rewards):
        return
    columns = _columns(curves)
    for trial, folder in enumerate(folders):
        writer = EventWriter(folder, task, len(curves.rewards), {})
        shown = curves.select_trials(slice(trial, trial + 1))
        writer.close(_column(columns, trial), shown, draw_choices=trial == 0)


def _columns(curves: Curves, diagnostics: Diagnostics | None = None) -> dict[str, Any]:
    """Return the curves, ``(queries, trials)``, by the names that they have in TensorBoard."""
    columns = {
        "search/incumbent_reward": curves.incumbent_rewards,
        "search/incumbent_report": curves.reports,
        "search/regret": curves.regrets,
        "search/unique_queries": curves.unique,
        "search/agent_seconds": curves.agent_seconds,
    }
    if curves.log_ranks is not None:
        columns["search/log_rank"] = curves.log_ranks
    if curves.training_seconds is not None:
        columns["search/training_seconds"] = curves.training_seconds
    if curves.fronts is not None:
        distances = curves.fronts.distances  # infinite before the first feasible architecture
        columns["search/igd_plus"] = np.where(np.isfinite(distances), distances, np.nan)
        columns["search/front_share"] = curves.fronts.shares
    queries = len(curves.rewards)  # an agent may have made more, in its last generation
    for name, values in (diagnostics or {}).items():
        columns[name if "/" in name else f"train/{name}"] = values[:queries]
    return columns


def _column(columns: Mapping[str, Any], trial: int) -> Columns:
    """Return the curves of one trial."""
    return {name: values[:, trial] for name, values in columns.items()}


def _means(columns: Mapping[str, Any]) -> Columns:
    """Return the mean of each curve over the trials that have a value, and intervals of some."""
    means: dict[str, NDArray[np.float64]] = {
        name: np.ma.masked_invalid(values).mean(axis=1).filled(np.nan)
        for name, values in columns.items()
    }
    trials = columns["search/regret"].shape[1]
    if trials > 1:
        for name in ("incumbent_reward", "incumbent_report", "regret"):
            mean, values = means[f"search/{name}"], columns[f"search/{name}"]
            error = 1.96 * values.std(axis=1, ddof=1) / trials**0.5
            means |= {f"interval/{name}_low": mean - error, f"interval/{name}_high": mean + error}
    return means


def _plain(hyperparams: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyper-parameters as the values that TensorBoard accepts: numbers, bools and text."""
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in hyperparams.items()
    }
