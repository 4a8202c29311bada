"""TensorBoard runs of agents in the folder of a search or comparison."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas_gym.experiments.outputs import folder_name
from nas_gym.recording.tensorboard import AgentEventWriter
from nas_gym.tasks import Task


def make_event_writer(
    folder: Path, agent: str, task: Task, config: dict[str, Any], seeds: Sequence[int]
) -> AgentEventWriter:
    """Return the writer of an agent's run ``<folder>/<agent>``, which replaces an earlier run.

    Args:
        folder: Folder of the runs.
        agent: Label of the agent.
        task: Task that is searched.
        config: Content of ``config.json``.
        seeds: Seeds of the first trials that get a run of their own, ``<folder>/<agent>/seed-0``
            for seed 0.
    """
    run = folder / folder_name(agent)
    shutil.rmtree(run, ignore_errors=True)
    hyperparams = {"env": config["env"], "agent": agent, **config["agent_settings"]}
    trials = [f"seed-{seed}" for seed in seeds]
    return AgentEventWriter(run, task, config["queries"], hyperparams, trials)
