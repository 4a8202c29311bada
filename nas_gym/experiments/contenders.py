"""Run what is missing of some searches, over all cores; each keeps its trials as they finish."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nas_gym.experiments.jobs import cores, run_jobs
from nas_gym.experiments.records import Trials
from nas_gym.experiments.settings import SearchSettings
from nas_gym.experiments.trials import TrialStore, describe, make_task, run_trials, uses_torch
from nas_gym.recording.curves import compute_curves
from nas_gym.registration import register_all

_BLOCK = 50  # trials that run in lockstep in one process


class Contender:
    """One agent in one environment, and where its trials are kept.

    Args:
        label: what to call the agent.
        settings: of its search.
        folder: for its trials.

    Raises:
        ValueError: the folder holds another search.
        gymnasium.error.Error: an unknown environment.
    """

    def __init__(self, label: str, settings: SearchSettings, folder: Path) -> None:
        self.label = label
        self.settings = settings
        self.task = make_task(settings)
        self.config = describe(settings, self.task)
        self.store = TrialStore(folder, self.config)

    def jobs(self) -> list[Job]:
        """What is missing, in blocks of neighbouring seeds."""
        missing = self.store.missing(self.settings)
        # results do not depend on how trials are put together
        share = -(-len(missing) // (1 if self.on_gpu else cores()))
        size = min(share, _BLOCK) if self.settings.runs_in_lockstep else 1
        blocks: list[list[int]] = []
        for seed in missing:
            if blocks and blocks[-1][-1] + 1 == seed and len(blocks[-1]) < size:
                blocks[-1].append(seed)
            else:
                blocks.append([seed])
        return [
            Job(replace(self.settings, first_seed=block[0], seeds=len(block)), self.store)
            for block in blocks
        ]

    @property
    def on_gpu(self) -> bool:
        """Whether it trains or evaluates networks on a GPU."""
        from nas_gym.agents.registry import ONE_SHOT

        device = getattr(getattr(self.task, "evaluator", None), "device", None)
        if self.settings.agent in ONE_SHOT:
            from nas_gym.networks.device import find_device

            device = find_device(self.settings.agent_settings.get("device", "auto"))
        return device is not None and device.type != "cpu"

    def trials(self) -> Trials:
        """The trials that are finished."""
        found, failures = self.store.read(self.settings)
        made = compute_curves(self.task, **found.record)
        env, searched = self.settings.env, self.config["searched_env"]
        return Trials(env, searched, self.label, self.task, found.seeds, made, failures)


@dataclass(frozen=True)
class Job:
    """Some trials of one agent in one environment, to be run in one process."""

    settings: SearchSettings
    store: TrialStore

    def run(self) -> None:
        """Run them and keep them; a failure of a single trial is noted."""
        register_all()  # what was imported since processes are forked
        try:
            self.store.add(self.settings, run_trials(self.settings))
        except Exception as error:
            if self.settings.seeds > 1:
                raise SystemExit(3) from None
            summary = f"{type(error).__name__}: {error}"
            self.store.fail(self.settings.first_seed, f"{summary}\n\n{traceback.format_exc()}")

    def split(self) -> list[Job]:
        """The same trials, each in a process of its own."""
        return [
            replace(self, settings=replace(self.settings, first_seed=seed, seeds=1))
            for seed in self.settings.seed_list
        ]


def run_missing(found: Sequence[Contender], *, progress_bar: bool = True) -> list[Trials]:
    """Run the trials that are not there yet, over all cores, and read all of them.

    Where networks are computed on a GPU, one process has it to itself.
    """
    for contender in found:
        contender.store.forget_failures()
    jobs = [job for contender in found for job in contender.jobs()]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), disable=not progress_bar) as progress:
        total = sum(contender.settings.seeds for contender in found)
        missing = sum(job.settings.seeds for job in jobs)
        bar = progress.add_task("trials", total=total, completed=total - missing)

        def ended(job: Job, exit_code: int) -> list[Job]:
            seed, failed = job.settings.first_seed, not job.store.has(job.settings)
            if failed and job.settings.seeds > 1:
                return job.split()  # so that only the trial at fault is lost
            if failed and not job.store.failed(seed):
                job.store.fail(seed, f"Its process ended with exit code {exit_code}.")
            progress.advance(bar, job.settings.seeds)
            return []

        workers = 1 if any(contender.on_gpu for contender in found) else cores()
        run_jobs(jobs, Job.run, ended, _preload(jobs), workers)
    return [contender.trials() for contender in found]


def _preload(jobs: Sequence[Job]) -> list[str]:
    """What the processes of jobs would each import."""
    modules = [__name__]
    if any(uses_torch(job.settings) for job in jobs):
        modules.append("torch")
    if not all(job.settings.runs_in_lockstep for job in jobs):
        modules += ["stable_baselines3", "sb3_contrib", "nas_gym.agents.sb3.vec_env"]
    return modules
