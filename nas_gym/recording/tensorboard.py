"""TensorBoard event files of searches: curves, hyper-parameters and the best architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.recording.curves import Curves
from nas_gym.tasks import Task

Diagnostics = Mapping[str, NDArray[np.float64]]

_POINTS = 250  # points of a curve; more cannot be distinguished on a screen


class EventWriter:
    """Writer of one TensorBoard run per trial, which uses the logger of stable-baselines3.

    The curves ``search/incumbent_reward``, ``search/incumbent_report``, ``search/regret``,
    ``search/unique_queries``, ``search/agent_seconds`` and, if the table has training times,
    ``search/training_seconds`` are plotted against the number of queries. An agent adds curves
    ``train/...`` (:meth:`nas_gym.agents.Agent.diagnostics`). When the writer is closed, it adds the
    best architecture as a drawing and as text, and an entry of the hyper-parameters tab. For the
    first trial, it also adds the choices of the best architectures
    (:mod:`nas_gym.recording.choice_frequencies`). Existing event files in the folders are replaced.

    Args:
        folders: Folder of each run.
        task: The task that is searched.
        queries: Number of queries of the complete search. Longer curves are reduced to about 250
            evenly spaced queries and the last one.
        hyperparams: Hyper-parameters of the search; if empty, the hyper-parameters tab gets no
            entry.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        task: Task,
        queries: int,
        hyperparams: Mapping[str, Any],
    ) -> None:
        from stable_baselines3.common.logger import configure

        self._task = task
        self._queries = queries
        self._every = -(-queries // _POINTS)
        self._written = 0
        self._hyperparams = hyperparams
        self._loggers: list[Any] = []
        for folder in folders:
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
            self._loggers.append(configure(str(folder), ["tensorboard"]))

    def write(self, curves: Curves, diagnostics: Diagnostics | None = None) -> None:
        """Write the queries that have not been written yet.

        Args:
            curves: Curves of all queries so far.
            diagnostics: Curves of the agent by name, ``(queries, trials)`` float64 each; NaN values
                are omitted. Names without a slash get the prefix ``train/``.
        """
        columns = _columns(curves)
        columns |= {
            name if "/" in name else f"train/{name}": values
            for name, values in (diagnostics or {}).items()
        }
        for query in range(self._written, len(curves.rewards)):
            if query % self._every and query + 1 < self._queries:
                continue
            for trial, logger in enumerate(self._loggers):
                for name, values in columns.items():
                    if not np.isnan(values[query, trial]):
                        logger.record(name, values[query, trial])
                logger.dump(step=query + 1)
        self._written = len(curves.rewards)

    def close(self, curves: Curves, diagnostics: Diagnostics | None = None) -> None:
        """Write the remaining queries and the best architectures, and close the files.

        Args:
            curves: Curves of the complete search.
            diagnostics: See :meth:`write`.
        """
        from stable_baselines3.common.logger import Figure, HParam, Image

        from nas_gym.envs.rendering import draw_architecture
        from nas_gym.recording.choice_frequencies import plot_choice_frequencies

        self.write(curves, diagnostics)
        space = self._task.space
        best = space.decode(curves.incumbents[-1])
        for trial, logger in enumerate(self._loggers):
            text = space.to_text(best[[trial]])[0]
            caption = f"regret {float(self._task.regret(curves.incumbents[-1])[trial]):.4g}"
            drawing = draw_architecture(space, best[trial], caption)
            logger.record("best/architecture", Image(drawing, "HWC"))
            logger.record("best/arch", text)
            if trial == 0:  # only one trial, because drawing is slow
                figure = plot_choice_frequencies(self._task, curves.select_trials(slice(1)))
                logger.record("best/in_common", Figure(figure, close=True))
            if self._hyperparams:
                # TensorBoard takes the values from the curves of these names.
                metrics = {"search/incumbent_report": 0.0, "search/regret": 0.0}
                logger.record("hparams", HParam(_plain(self._hyperparams), metrics))
            logger.dump(step=len(curves.rewards))
            logger.close()


def write_events(
    folders: Sequence[Path], task: Task, curves: Curves, hyperparams: Mapping[str, Any]
) -> None:
    """Write the event files of finished searches.

    Args:
        folders: Folder of each of the first trials; the other trials are not written.
        task: The task that was searched.
        curves: Curves of all trials.
        hyperparams: See :class:`EventWriter`.
    """
    if len(curves.rewards):
        shown = curves.select_trials(slice(len(folders)))
        EventWriter(folders, task, len(shown.rewards), hyperparams).close(shown)


def write_mean_events(
    folder: Path, task: Task, curves: Curves, hyperparams: Mapping[str, Any]
) -> None:
    """Write one TensorBoard run for all trials of an agent.

    The curves are means over the trials. ``interval/<name>_low`` and ``interval/<name>_high`` are
    the bounds of the 95 % interval of the mean (1.96 standard errors), if there are at least two
    trials. The best architecture is the incumbent of the trial with the highest reward.

    Args:
        folder: Folder of the run.
        task: The task that was searched.
        curves: Curves of all trials.
        hyperparams: See :class:`EventWriter`.
    """
    if not curves.rewards.size:
        return
    columns, trials = _columns(curves), curves.rewards.shape[1]
    means = {name: values.mean(axis=1, keepdims=True) for name, values in columns.items()}
    bounds: dict[str, NDArray[np.float64]] = {}
    if trials > 1:
        for name in ("incumbent_reward", "incumbent_report", "regret"):
            mean, values = means[f"search/{name}"], columns[f"search/{name}"]
            error = 1.96 * values.std(axis=1, ddof=1, keepdims=True) / trials**0.5
            bounds |= {f"interval/{name}_low": mean - error, f"interval/{name}_high": mean + error}
    best = int(curves.incumbent_rewards[-1].argmax())
    shown = replace(
        curves.select_trials(slice(best, best + 1)),
        incumbent_rewards=means["search/incumbent_reward"],
        reports=means["search/incumbent_report"],
        regrets=means["search/regret"],
        unique=means["search/unique_queries"],
        agent_seconds=means["search/agent_seconds"],
        training_seconds=means.get("search/training_seconds"),
    )
    EventWriter([folder], task, len(shown.rewards), hyperparams).close(shown, bounds)


def _columns(curves: Curves) -> dict[str, Any]:
    """Return the curves by the names that they have in TensorBoard."""
    columns = {
        "incumbent_reward": curves.incumbent_rewards,
        "incumbent_report": curves.reports,
        "regret": curves.regrets,
        "unique_queries": curves.unique,
        "agent_seconds": curves.agent_seconds,
    }
    if curves.training_seconds is not None:
        columns["training_seconds"] = curves.training_seconds
    return {f"search/{name}": values for name, values in columns.items()}


def _plain(hyperparams: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyper-parameters as the values that TensorBoard accepts: numbers, bools and text."""
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in hyperparams.items()
    }
