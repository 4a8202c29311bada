"""Search curves as TensorBoard event files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas_gym.experiments.records import Curves
from nas_gym.tasks import Task

_POINTS = 250  # of each curve; more could not be told apart on a screen


class EventWriter:
    """Writes one TensorBoard run for each seed, through stable-baselines3's logger.

    The curves are ``search/incumbent_reward``, ``search/incumbent_report``, ``search/regret``
    and ``search/unique_queries`` against queries. Event files that lie there are replaced.

    Args:
        folder: the runs are its subfolders ``seed-<seed>``.
        task: what is searched.
        seeds: of the trials.
        queries: how many there will be; long curves are thinned out evenly, their last query kept.
    """

    def __init__(self, folder: Path, task: Task, seeds: list[int], queries: int) -> None:
        from stable_baselines3.common.logger import configure

        self._task = task
        self._queries = queries
        self._every = -(-queries // _POINTS)
        self._written = 0
        self._loggers: list[Any] = []
        for seed in seeds:
            run = folder / f"seed-{seed}"
            for old in run.glob("events.out.tfevents.*"):
                old.unlink()
            self._loggers.append(configure(str(run), ["tensorboard"]))

    def write(self, curves: Curves) -> None:
        """Write the queries that were not written yet."""
        rewards = self._task.reward(curves.incumbents)
        for query in range(self._written, len(rewards)):
            if query % self._every and query + 1 < self._queries:
                continue
            for trial, logger in enumerate(self._loggers):
                logger.record("search/incumbent_reward", rewards[query, trial])
                logger.record("search/incumbent_report", curves.reports[query, trial])
                logger.record("search/regret", curves.regrets[query, trial])
                logger.record("search/unique_queries", curves.unique[query, trial])
                logger.dump(step=query + 1)
        self._written = len(rewards)

    def close(self) -> None:
        """Finish the files."""
        for logger in self._loggers:
            logger.close()
