"""Searches whose trials are stored in folders, and the jobs that run their missing trials."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gymnasium.envs.registration import EnvSpec
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from nas_gym.experiments.environments import (
    environment_specs,
    networks_device,
    register_specs,
)
from nas_gym.experiments.outputs import make_progress
from nas_gym.experiments.records import TrialResults
from nas_gym.experiments.runners import LocalRunner, Runner
from nas_gym.experiments.settings import SearchSettings, use_one_torch_thread
from nas_gym.experiments.trial_store import TrialStore
from nas_gym.recording.curves import compute_curves

_MAX_LOCKSTEP_TRIALS = 50  # trials in one process


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
        if self.store.missing_seeds(self.settings):
            self.method.check_environment(self.settings.env, self.settings.env_arguments)

    @property
    def uses_gpu(self) -> bool:
        """Whether the agent or the environment computes neural networks on a GPU."""
        device = networks_device(self.task)
        return self.method.uses_gpu() or (device is not None and device.type != "cpu")

    def jobs(self, workers: int) -> list[TrialJob]:
        """Return jobs that run the missing trials, in blocks of neighbouring seeds.

        Args:
            workers: Number of processes that the trials are divided among.
        """
        missing = self.store.missing_seeds(self.settings)
        uses_gpu, specs = self.uses_gpu, environment_specs(self.settings.env)
        # the results do not depend on the division
        share = -(-len(missing) // (1 if uses_gpu else workers))
        size = min(share, _MAX_LOCKSTEP_TRIALS) if self.method.runs_in_lockstep else 1
        blocks: list[list[int]] = []
        for seed in missing:
            if blocks and blocks[-1][-1] + 1 == seed and len(blocks[-1]) < size:
                blocks[-1].append(seed)
            else:
                blocks.append([seed])
        return [
            TrialJob(
                replace(self.settings, first_seed=block[0], seeds=len(block)),
                self.store,
                self.evaluations,
                specs,
                uses_gpu,
                self.settings.uses_torch(self.task),
            )
            for block in blocks
        ]

    def results(self) -> TrialResults:
        """Return the finished trials, and the errors of the failed ones."""
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


@dataclass(frozen=True)
class TrialJob:
    """Some trials of one agent in one environment, to be run in one process.

    Attributes:
        settings: Settings of the search, with the seeds of these trials.
        store: Store that the trials are written to.
        evaluations: Folder of the results of slow evaluators.
        specs: Registrations of the environment.
        uses_gpu: Whether neural networks are computed on a GPU.
        uses_torch: Whether the trials compute with PyTorch.
    """

    settings: SearchSettings
    store: TrialStore
    evaluations: Path
    specs: Sequence[EnvSpec]
    uses_gpu: bool
    uses_torch: bool

    @property
    def modules(self) -> list[str]:
        """Modules that the job imports."""
        return [__name__, *(["torch"] if self.uses_torch else []), *self.settings.method.modules]

    def run(self) -> None:
        """Run the trials and store them; the error of a single failed trial is stored."""
        register_specs(self.specs)
        settings = self.settings
        try:
            if self.uses_torch:
                use_one_torch_thread()
            settings.make_task().keep_results(self.evaluations)
            record = settings.method.run_trials(
                settings.env, settings.queries, settings.seed_list, settings.env_arguments
            )
            self.store.add(settings, record)
        except Exception as error:
            if settings.seeds > 1:
                raise SystemExit(3) from None
            message = " ".join(f"{type(error).__name__}: {error}".split())
            text = f"{message}\n\n{traceback.format_exc()}"
            self.store.add_failure(settings.first_seed, text)

    def split(self) -> list[TrialJob]:
        """Return one job per trial."""
        return [
            replace(self, settings=replace(self.settings, first_seed=seed, seeds=1))
            for seed in self.settings.seed_list
        ]


def run_missing(
    searches: Sequence[StoredSearch], *, runner: Runner | None = None, progress_bar: bool = True
) -> list[TrialResults]:
    """Run the trials that are not stored yet, and return the results of all searches.

    If jobs of several trials fail, their trials are run again one by one, so that only the
    failing trials are lost.

    Args:
        searches: Searches that have passed :meth:`StoredSearch.check`.
        runner: Runner of the jobs; :class:`LocalRunner` by default.
        progress_bar: Whether to show a progress bar on the terminal.
    """
    runner = LocalRunner() if runner is None else runner
    for search in searches:
        search.store.write_config()
        search.store.delete_failures()
    jobs = [job for search in searches for job in search.jobs(runner.workers)]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with make_progress(*columns, TimeElapsedColumn(), wanted=progress_bar) as progress:
        total = sum(search.settings.seeds for search in searches)
        missing = sum(job.settings.seeds for job in jobs)
        bar = progress.add_task("trials", total=total, completed=total - missing)

        def handle_end(job: TrialJob, exit_code: int) -> list[TrialJob]:
            seed, failed = job.settings.first_seed, not job.store.holds(job.settings)
            if failed and job.settings.seeds > 1:
                return job.split()
            if failed and not job.store.has_failed(seed):
                job.store.add_failure(seed, f"Its process ended with exit code {exit_code}.")
            progress.advance(bar, job.settings.seeds)
            return []

        if jobs:
            runner.run(jobs, handle_end)
    return [search.results() for search in searches]
