"""Searches whose trials are stored in folders, and the jobs that run their missing trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from nas_gym.experiments.local_runner import LocalRunner
from nas_gym.experiments.outputs import make_progress
from nas_gym.experiments.records import Record, TrialResults
from nas_gym.experiments.remote_evaluation import evaluating_on
from nas_gym.experiments.results_exchange import ResultsExchange, StoredResults
from nas_gym.experiments.runners import Outcome, Runner
from nas_gym.experiments.settings import SearchSettings
from nas_gym.experiments.task_job import TaskJob, make_context, uses_gpu
from nas_gym.experiments.trial_store import TrialStore
from nas_gym.recording.curves import compute_curves

_MAX_LOCKSTEP_TRIALS = 50  # trials in one process
_JOBS_PER_WORKER = 4


class StoredSearch:
    """One agent in one environment, and the folder that its trials are stored in.

    Args:
        label: Label of the agent in tables and figures.
        settings: Settings of its search.
        folder: Folder of its trials; nothing is written yet.
        evaluations: Folder of the results of slow evaluators; ``<folder>/evaluations`` by default.

    Raises:
        ValueError: If the folder holds another search, or there is no such agent.
        TypeError: If the agent has no such setting.
        gymnasium.error.Error: If the environment ID is unknown.
    """

    def __init__(
        self,
        label: str,
        settings: SearchSettings,
        folder: Path,
        evaluations: Path | None = None,
    ) -> None:
        self.label = label
        self.settings = settings
        self.method = settings.method
        self.evaluations = folder / "evaluations" if evaluations is None else evaluations
        self.task = settings.make_task()
        self.task.keep_results(self.evaluations)
        self.config = settings.describe(self.task)
        self.store = TrialStore(folder, self.config)

    def check(self) -> None:
        """Raise an error if trials are missing and the agent cannot search the environment."""
        if self.missing_seeds():
            self.method.check_environment(self.settings.env, self.settings.env_arguments)

    def missing_seeds(self) -> list[int]:
        """Return the seeds of trials that are not stored."""
        return self.store.missing_seeds(self.settings)

    def jobs(self, missing: Sequence[int], size: int) -> list[TrialJob]:
        """Return jobs that run missing trials, in blocks of neighbouring seeds.

        Args:
            missing: Seeds of the trials.
            size: Highest number of trials in a job; methods whose trials do not run in lockstep
                have one trial in a job. The results do not depend on it.
        """
        if not missing:
            return []
        largest = size if self.method.runs_in_lockstep else 1
        blocks: list[list[int]] = []
        for seed in missing:
            if blocks and blocks[-1][-1] + 1 == seed and len(blocks[-1]) < largest:
                blocks[-1].append(seed)
            else:
                blocks.append([seed])
        one = TrialJob(
            self.settings,
            make_context(self.settings, self.task, self.config["task"], self.evaluations),
            self.store,
        )
        return [one.with_seeds(block[0], len(block)) for block in blocks]

    def results(self, runner: Runner | None = None) -> TrialResults:
        """Return the finished trials, and the errors of the failed ones.

        Args:
            runner: Runner of evaluations of the reported metric; by default, this process
                evaluates.
        """
        with evaluating_on(runner, self.settings, self.task, self.config["task"], self.evaluations):
            return self._read_results()

    def _read_results(self) -> TrialResults:
        seeds, record, failures = self.store.read(self.settings)
        return TrialResults(
            env=self.settings.env,
            searched_env=self.config["searched_env"],
            agent=self.label,
            task=self.task,
            seeds=seeds,
            curves=compute_curves(self.task, **record),
            failures=failures,
        )


TrialResult = tuple[Record, StoredResults]
"""Recorded trials, and the results of slow evaluators that they used."""


@dataclass(frozen=True)
class TrialJob(TaskJob):
    """Some trials of one agent in one environment, to be run in one process.

    The seeds of these trials are in the settings.

    Attributes:
        store: Store that the process with the runner writes the trials to.
    """

    store: TrialStore

    def with_seeds(self, first_seed: int, seeds: int) -> TrialJob:
        """Return the job of other trials."""
        return replace(self, settings=replace(self.settings, first_seed=first_seed, seeds=seeds))

    def run(self) -> TrialResult:
        """Run the trials."""
        settings = self.settings
        with self.open_task() as (_, results):
            record = settings.method.run_trials(
                settings.env, settings.queries, settings.seed_list, settings.env_arguments
            )
        return record, results

    def split(self) -> list[TrialJob]:
        """Return one job per trial."""
        return [self.with_seeds(seed, 1) for seed in self.settings.seed_list]


def run_missing(
    searches: Sequence[StoredSearch], *, runner: Runner | None = None, progress_bar: bool = True
) -> list[TrialResults]:
    """Run the trials that are not stored yet, store them, and return the results of all searches.

    If jobs of several trials fail, their trials are run again one by one, so that only the
    failing trials are lost.

    Args:
        searches: Searches that have passed :meth:`StoredSearch.check`.
        runner: Runner of the jobs; :class:`LocalRunner` by default.
        progress_bar: Whether to show a progress bar on the terminal.
    """
    given, runner = runner, LocalRunner() if runner is None else runner
    for search in searches:
        search.store.write_config()
        search.store.delete_failures()
    jobs = _divide(searches, runner.workers)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with make_progress(*columns, TimeElapsedColumn(), wanted=progress_bar) as progress:
        total = sum(search.settings.seeds for search in searches)
        missing = sum(job.settings.seeds for job in jobs)
        bar = progress.add_task("trials", total=total, completed=total - missing)

        def handle_end(job: TrialJob, outcome: Outcome) -> list[TrialJob]:
            if outcome.error and job.settings.seeds > 1:
                return job.split()
            if outcome.error:
                job.store.add_failure(job.settings.first_seed, outcome.error)
            else:
                record, results = outcome.result
                job.store.add(job.settings, record)
                ResultsExchange(job.context.evaluations).add(results)
            progress.advance(bar, job.settings.seeds)
            return []

        if jobs:
            runner.run(jobs, handle_end)
    return [search.results(given) for search in searches]


def _divide(searches: Sequence[StoredSearch], workers: int) -> list[TrialJob]:
    """Return the jobs of the missing trials.

    The trials of each search are divided among the workers. With many searches, jobs are larger,
    because trials in lockstep are quicker together, but there are several jobs for each worker.
    """
    missing = [search.missing_seeds() for search in searches]
    of_all = -(-sum(map(len, missing)) // (_JOBS_PER_WORKER * workers))
    jobs = []
    for search, seeds in zip(searches, missing, strict=True):
        of_search = -(-len(seeds) // (1 if uses_gpu(search.settings, search.task) else workers))
        jobs += search.jobs(seeds, min(max(of_search, of_all), _MAX_LOCKSTEP_TRIALS))
    return jobs
