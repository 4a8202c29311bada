"""Progress reporting of an agent's search: TensorBoard curves, messages and a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from nas_gym.agents.common.base import Agent


def track(items: Sequence[int], label: str, *, enabled: bool | None) -> Iterable[int]:
    """Return an iterable of the items, which shows a progress bar on standard error if enabled.

    Args:
        items: Items.
        label: Text before the bar.
        enabled: Whether to show the bar; ``None`` shows it if standard error is a terminal.
    """
    if not (sys.stderr.isatty() if enabled is None else enabled):
        return items
    from rich.console import Console
    from rich.progress import track as rich_track

    return rich_track(items, description=label, console=Console(stderr=True))


class SearchLog:
    """Logger of the incumbents of an agent's trials; uses the logger of stable-baselines3.

    The curves are means over the trials, plotted against the number of queries. For curves of
    single trials, also against unique queries and seconds, use
    :class:`nas_gym.recording.RecordVectorSearch`.

    Args:
        agent: Agent to log; its arguments ``tensorboard_log`` and ``verbose`` determine the output.
    """

    def __init__(self, agent: Agent) -> None:
        from stable_baselines3.common.utils import configure_logger

        self._agent = agent
        folder = str(agent.tensorboard_log) if agent.tensorboard_log else None
        self._logger: Any = configure_logger(0, folder, type(agent).__name__)
        self._best = float("-inf")

    def write(self) -> None:
        """Log the state after the latest query."""
        agent = self._agent
        incumbents = agent.space.encode(agent.best_genotypes)
        if not agent.task.objectives:
            self._logger.record("search/incumbent_reward", float(agent.best_fitness.mean()))
        self._logger.record(
            "search/incumbent_report", float(agent.task.reported(incumbents).mean())
        )
        self._logger.record("search/regret", float(agent.task.regret(incumbents).mean()))
        for name, values in agent.diagnostics().items():
            if not np.isnan(values[-1]).any():
                self._logger.record(f"train/{name}", float(values[-1].mean()))
        self._logger.dump(step=agent.num_queries)
        best = float(np.mean(agent.best_fitness[0]))  # rises whenever a vector is dominated
        if agent.verbose and best > self._best:
            self._best = best
            arch = agent.space.to_text(agent.best_genotypes[:1])[0]
            print(f"query {agent.num_queries}: {self._best:.4f} {arch}")
