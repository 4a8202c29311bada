"""The ceiling of a task: the regret that remains if every signal of the space is known."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from nas_gym.evaluators.table import TableEvaluator
from nas_gym.tables.training_noise import TrainingNoise, column_noise, expected_values
from nas_gym.tasks.task import Task

_SEARCHES = 100  # searches over which the noise of a signal is averaged

_computed: WeakKeyDictionary[Task, Ceiling | None] = WeakKeyDictionary()


@dataclass(frozen=True)
class Ceiling:
    """The regret of an agent that has queried the whole space, if its choice is trained again.

    Attributes:
        regret: Expected regret of the architecture with the highest reward.
        noise: Standard deviation of one value of the reported metric near the best, in its unit;
            ``None`` if it is unknown and taken as zero.
    """

    regret: float
    noise: float | None


def compute_ceiling(task: Task) -> Ceiling | None:
    """Return the ceiling of a task.

    An agent that knows every signal chooses ``i* = argmax_i reward(i)``. Its reported value
    ``y(i*)`` is one training (or a mean of a few), and is high partly by luck. With ``best`` the
    optimum from which the task measures regrets, and ``E[y(i*)]`` the mean of infinitely many
    trainings as :func:`nas_gym.tables.training_noise.expected_values` estimates it,

        ceiling = abs(best - E[y(i*)])

    A regret below the ceiling is luck: it would not last if the architecture were trained again.
    With ``noise`` in the task, the ceiling is the mean over 100 searches, each with its own noise.
    If the noise of the report is unknown, ``E[y]`` is ``y``; the ceiling then shows only what the
    signal does not tell about the report.

    Returns:
        The ceiling; ``None`` if the space cannot be enumerated, or regrets refer to several
        metrics, of objectives or of a combined reward.
    """
    if task not in _computed:
        _computed[task] = _compute(task)
    return _computed[task]


def _compute(task: Task) -> Ceiling | None:
    if task.objectives or task.rewards is None or task.ranked_regrets is None:
        return None
    if task.report_metric != task.metric(task.report):
        return None
    found = _expected_report(task)
    if found is None:
        return None
    noise, expected = found
    optimum = task.optimum
    assert optimum is not None
    regret = np.abs(optimum - expected[_choices(task)]).mean()
    return Ceiling(float(regret), None if noise is None else noise.near_best)


def _choices(task: Task) -> NDArray[np.int64]:
    """Return the architecture of highest reward, in each of several searches if there is noise."""
    everything = np.arange(task.space.size)
    if not task.noise:
        return np.array([task.reward(everything).argmax()])
    keys = task.noise_keys(range(_SEARCHES))
    return np.array([task.reward(everything, key).argmax() for key in keys])


def _expected_report(task: Task) -> tuple[TrainingNoise | None, NDArray[np.float64]] | None:
    """Return the noise of the report, and the expected report of every architecture."""
    source = task.source(task.report)
    values = source.column(task.report.metric)
    if values is None:
        return None
    if not isinstance(source, TableEvaluator):
        return None, task.reported(np.arange(task.space.size))
    noise = column_noise(source.table, task.report.metric)
    if noise is None:
        return None, task.reported(np.arange(task.space.size))
    classes = task.space.isomorphism_classes()
    maximize = task.report_metric.maximize
    return noise, expected_values(values, classes, noise.near_best, maximize)
