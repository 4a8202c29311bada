"""Evaluations of slow evaluators as jobs of a runner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.evaluators import Evaluator
from nas_gym.evaluators.elsewhere import evaluating_elsewhere
from nas_gym.experiments.results_exchange import ResultsExchange, StoredResults
from nas_gym.experiments.runners import Outcome, Runner
from nas_gym.experiments.settings import SearchSettings
from nas_gym.experiments.task_job import TaskJob, make_context
from nas_gym.tasks import Task
from nas_gym.utils.errors import EvaluationError


@dataclass(frozen=True)
class EvaluationJob(TaskJob):
    """Evaluation of one architecture.

    Attributes:
        source: Number of the evaluator in :attr:`nas_gym.tasks.Task.sources`.
        metric: Name of a metric of the evaluator.
        genotype: Architecture.
    """

    source: int
    metric: str
    genotype: tuple[int, ...]

    def run(self) -> StoredResults:
        """Return the results that the evaluator stores."""
        with self.open_task() as (task, results):
            task.sources[self.source].values(self.metric, np.array([self.genotype]))
        return results


@contextmanager
def evaluating_on(
    runner: Runner | None,
    settings: SearchSettings,
    task: Task,
    description: Mapping[str, Any],
    evaluations: Path,
) -> Iterator[None]:
    """Let a runner evaluate the architectures without stored results while the block runs.

    This process stores the results, each when its job has ended. Architectures that are queried
    at the same time are evaluated in parallel.

    Args:
        runner: Runner of the evaluations; if it is ``None``, this process evaluates.
        settings: Settings of the search.
        task: Task of the search.
        description: Description of the task in ``config.json``.
        evaluations: Folder of the results of slow evaluators.
    """
    if runner is None:
        yield
        return
    context = replace(make_context(settings, task, description, evaluations), known={})
    exchange = ResultsExchange(evaluations)

    def evaluate(evaluator: Evaluator, metric: str, genotypes: NDArray[np.int64]) -> None:
        number = [each is evaluator for each in task.sources].index(True)
        jobs = [
            EvaluationJob(settings, context, number, metric, tuple(row))
            for row in genotypes.tolist()
        ]
        _run(jobs, runner, exchange)

    with evaluating_elsewhere(evaluate):
        yield


def _run(jobs: Sequence[EvaluationJob], runner: Runner, exchange: ResultsExchange) -> None:
    """Run evaluations and store their results.

    Raises:
        EvaluationError: If an evaluation failed; the results of the others are stored.
    """
    errors: list[str] = []

    def handle_end(job: EvaluationJob, outcome: Outcome) -> list[EvaluationJob]:
        if outcome.error:
            errors.append(f"genotype {list(job.genotype)}: {outcome.error}")
        else:
            exchange.add(outcome.result)
        return []

    runner.run(jobs, handle_end)
    if errors:
        raise EvaluationError(
            f"{len(errors)} of {len(jobs)} evaluations failed. The first one: {errors[0]}"
        )
