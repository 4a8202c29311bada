"""Searches as TensorBoard event files: curves on shared axes, hyper-parameters, the best cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.recording.curves import Curves
from nas_gym.tasks import Task

Diagnostics = Mapping[str, NDArray[np.float64]]

_POINTS = 250  # of each curve; more could not be told apart on a screen


class EventWriter:
    """Writes one TensorBoard run for each trial, through stable-baselines3's logger.

    The curves are ``search/incumbent_reward``, ``search/incumbent_report``, ``search/regret``,
    ``search/unique_queries`` and ``search/agent_seconds`` (and ``search/training_seconds`` where
    the table knows) against queries, and ``train/...`` for what an agent tells of its learning
    (:meth:`nas_gym.agents.Agent.diagnostics`). At the end come the best architecture, as a drawing
    and as text, what the best ones of the first run have in common beside the truth
    (:mod:`nas_gym.recording.choice_frequencies`), and an entry of the hyper-parameters tab.
    Event files that lie there are replaced.

    Args:
        folders: of the runs.
        task: what is searched.
        queries: how many there will be; long curves are thinned out evenly, their last query kept.
        hyperparams: of the search, for the hyper-parameters tab; no entry where empty.
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
        """Write the queries that were not written yet."""
        columns = _columns(curves)
        columns |= {f"train/{name}": values for name, values in (diagnostics or {}).items()}
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
        """Write what is left of the curves and the best architectures, and finish the files."""
        from stable_baselines3.common.logger import Figure, HParam, Image

        from nas_gym.envs.render import as_image
        from nas_gym.recording.choice_frequencies import plot_choice_frequencies

        self.write(curves, diagnostics)
        space = self._task.space
        best = space.decode(curves.incumbents[-1])
        for trial, logger in enumerate(self._loggers):
            text = space.to_text(best[[trial]])[0]
            drawing = as_image(space, best[trial], f"regret {curves.regrets[-1, trial]:.4g}")
            logger.record("best/architecture", Image(drawing, "HWC"))
            logger.record("best/arch", text)
            if trial == 0:  # it takes a while to draw
                figure = plot_choice_frequencies(self._task, curves, trial)
                logger.record("best/in_common", Figure(figure, close=True))
            if self._hyperparams:
                # the metrics' values are those of the curves of the same names
                metrics = {"search/incumbent_report": 0.0, "search/regret": 0.0}
                logger.record("hparams", HParam(_plain(self._hyperparams), metrics))
            logger.dump(step=len(curves.rewards))
            logger.close()


def write_events(
    folders: Sequence[Path], task: Task, curves: Curves, hyperparams: Mapping[str, Any]
) -> None:
    """Write searches that are finished, one folder for each of the first trials of the curves."""
    if len(curves.rewards):
        shown = curves.select_trials(slice(len(folders)))
        EventWriter(folders, task, len(shown.rewards), hyperparams).close(shown)


def _columns(curves: Curves) -> dict[str, Any]:
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
    """Values as the hyper-parameters tab takes them: numbers, truth values and text."""
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in hyperparams.items()
    }
