"""Ranking of a task's architectures by a meta-learned predictor and a few evaluations."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.saved import (
    explain_damage,
    pretrained_file,
    read_agent,
    saved_class_name,
)
from nas_gym.agents.mpnas import MPNAS
from nas_gym.envs.sequential import SequentialVectorEnv
from nas_gym.experiments.settings import check_seeds
from nas_gym.spaces.graphs import to_graphs
from nas_gym.tasks import Task

if TYPE_CHECKING:
    from nas_gym.predictors.predictor import Predictor

MAX_RANKED = 100_000
"""Highest number of architectures that are ranked; larger spaces are sampled."""


@dataclass(frozen=True)
class Ranking:
    """Architectures of a task by predicted reward.

    Attributes:
        predictor: Predictor that was fine-tuned on the shots.
        shots: Indices of the architectures that were evaluated, ``(k,)`` int64.
        indices: Indices of the ranked architectures, best first, ``(n,)`` int64.
        scores: Their predicted rewards, descending, ``(n,)`` float64.
    """

    predictor: Predictor
    shots: NDArray[np.int64]
    indices: NDArray[np.int64]
    scores: NDArray[np.float64]


def rank_architectures(task: Task, pretrained: str | Path, shots: int, seed: int = 0) -> Ranking:
    """Rank the architectures of a task by predicted reward.

    Args:
        task: Task whose rewards are predicted.
        pretrained: File of a meta-learned MP-NAS agent. Fine-tuning starts from the predictor of
            its trial ``seed`` modulo the number of its trials.
        shots: Number of random architectures to evaluate, at least 0.
        seed: Seed of the random architectures.

    Raises:
        ValueError: If ``shots`` is negative or larger than the space, the seed is negative,
            the file holds another kind of agent, or its predictor cannot read architectures of the
            search space.
    """
    check_seeds(seed)
    if not 0 <= shots <= task.space.size:
        raise ValueError(f"shots must be 0 to {task.space.size:,}, got {shots}.")
    predictor = _start(task, pretrained, seed)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(task.space.size, shots, replace=False)
    if shots:
        rewards = task.reward(drawn, task.noise_keys([seed]))
        graphs = to_graphs(task.space, task.space.decode(drawn))
        predictor = predictor.fit(graphs, task.direction * rewards)
    ranked = np.arange(task.space.size)
    if len(ranked) > MAX_RANKED:
        ranked = rng.choice(task.space.size, MAX_RANKED, replace=False)
    scores = task.direction * predictor.predict(to_graphs(task.space, task.space.decode(ranked)))
    order = np.argsort(-scores, kind="stable")
    return Ranking(predictor, drawn, ranked[order], scores[order])


def _start(task: Task, pretrained: str | Path, seed: int) -> Predictor:
    """Return the predictor that fine-tuning starts from."""
    state = read_agent(pretrained_file(pretrained))
    if saved_class_name(state) != MPNAS.__name__:
        raise ValueError(f"{pretrained} holds no MP-NAS agent. `nas-gym meta-train` makes one.")
    with explain_damage(pretrained):
        saved: Any = MPNAS.saved_config(state)
        config = asdict(saved.predictor)
    envs = SequentialVectorEnv(1, task=task)
    return MPNAS(envs, seed=seed, pretrained=str(pretrained), **config).start[0]
