"""Rank architectures of a task by what a few of them and a meta-learned predictor say."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents import MPNAS
from nas_gym.agents.common.saved import pretrained_file
from nas_gym.envs.sequential import SequentialVectorEnv
from nas_gym.spaces.graphs import to_graphs
from nas_gym.tasks import Task
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import read_tensors

if TYPE_CHECKING:
    from nas_gym.predictors.predictor import Predictor

MOST = 100_000
"""Architectures that are ranked; of larger spaces, as many are drawn at random."""


@dataclass(frozen=True)
class Ranking:
    """Architectures of a task by predicted reward.

    Attributes:
        predictor: fitted to the shots.
        shots: indices of the architectures whose rewards were looked at, ``(k,)``.
        indices: of all that are ranked, from the best on, ``(n,)``.
        scores: theirs, falling, ``(n,)``.
    """

    predictor: Predictor
    shots: NDArray[np.int64]
    indices: NDArray[np.int64]
    scores: NDArray[np.float64]


def rank(task: Task, pretrained: str | Path, shots: int, seed: int = 0) -> Ranking:
    """Rank the architectures of a task.

    Args:
        task: whose rewards are predicted.
        pretrained: a file of a meta-learned MP-NAS agent; the network of trial ``seed``, counted
            around, begins.
        shots: architectures, drawn at random, whose rewards are looked at; 0 for none.
        seed: of what is drawn.

    Raises:
        ValueError: shots below 0 or more than there are architectures; the file holds another kind
            of agent; or a search space that its predictor cannot read.
    """
    if not 0 <= shots <= task.space.size:
        raise ValueError(f"shots are 0 to {task.space.size:,} architectures, got {shots}.")
    predictor = _start(task, pretrained, seed)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(task.space.size, shots, replace=False)
    if shots:
        rewards = task.reward(drawn, task.noise_keys([seed]))
        graphs = to_graphs(task.space, task.space.decode(drawn))
        predictor = predictor.fit(graphs, task.direction * rewards)
    ranked = np.arange(task.space.size)
    if len(ranked) > MOST:
        ranked = rng.choice(task.space.size, MOST, replace=False)
    scores = task.direction * predictor.predict(to_graphs(task.space, task.space.decode(ranked)))
    order = np.argsort(-scores, kind="stable")
    return Ranking(predictor, drawn, ranked[order], scores[order])


def _start(task: Task, pretrained: str | Path, seed: int) -> Predictor:
    """The network that fine-tuning begins from."""
    state = read_tensors(pretrained_file(pretrained))
    if str(state.get("agent")) != MPNAS.__name__:
        raise ValueError(f"{pretrained} holds no MP-NAS agent. `nas-gym meta-train` makes one.")
    try:
        learned = json.loads(str(state["settings"]))
    except (KeyError, ValueError) as error:
        raise DamagedDataError(f"{pretrained} is not a whole saved agent.") from error
    from nas_gym.predictors.config import PredictorConfig

    recipe = {each.name: learned[each.name] for each in fields(PredictorConfig)}
    envs = SequentialVectorEnv(1, task=task)
    return MPNAS(envs, seed=seed, pretrained=str(pretrained), **recipe).start[0]
