"""Speed of the Ray runner on one machine, for docs/cluster.md."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cloudpickle
import numpy as np

from nas_gym.experiments.compare import Comparison, run_comparison
from nas_gym.experiments.local_runner import LocalRunner
from nas_gym.experiments.ray_runner import RayRunner
from nas_gym.experiments.records import RECORDED, Record
from nas_gym.experiments.runners import Outcome, Runner
from nas_gym.utils.files import write_arrays
from reproduction.pages import Page, markdown_table
from reproduction.studies import FIRST_SEED, Study

QUERIES = 500
"""Queries of a trial in the long comparison and in the result of a trivial job."""

ENV = "NB201-cifar10-v0"
AGENTS = ["l2nas", "ppo", "reinforce", "rea"]
LONG = Comparison([ENV], AGENTS, QUERIES, 20, FIRST_SEED)
SHORT = Comparison([ENV], ["random"], 10, 10_000, FIRST_SEED)

CORES = 1000
"""Cores of the cluster in the calculation; the runner submits two jobs for each core."""

TRIALS_PER_JOB = 50
"""Largest number of trials in a job of a comparison."""


@dataclass(frozen=True)
class TrivialJob:
    """A job that returns the record of a trial without a search."""

    seed: int
    uses_gpu: ClassVar[bool] = False
    modules: ClassVar[Sequence[str]] = ()
    files: ClassVar[Mapping[str, Path]] = {}

    def moved_to(self, folder: Path) -> TrivialJob:
        """Return the job itself: it reads no file."""
        return self

    def run(self) -> Record:
        """Return a record with random numbers."""
        rng = np.random.default_rng(self.seed)
        return {
            name: (1000 * rng.random((QUERIES, 1))).astype(dtype)
            for name, dtype in RECORDED.items()
        }


@dataclass(frozen=True)
class RayOnThisMachine(Study):
    """Speed of comparisons and of many trivial jobs, without Ray and with a Ray that it starts."""

    def run(self, runner: Runner | None = None) -> None:
        """Measure, and save the result; skip the measurement if a cluster runs the studies."""
        if runner is None:
            self.save_result(measure())
        else:
            print(f"{self.name} is measured without --ray.")


def measure() -> dict[str, Any]:
    """Return the times of comparisons, of the start of Ray and of many trivial jobs."""
    load = os.getloadavg()[0]
    started = time.perf_counter()
    with RayRunner("local") as runner:
        start_up = time.perf_counter() - started
        workers = runner.workers
        jobs = [measure_jobs(runner, count) for count in (1_000, 10_000)]
        queued = measure_jobs(RayRunner("local", workers=2 * CORES), 10_000)
        short = measure_comparison(SHORT, runner)
        on_ray = [measure_comparison(LONG, runner)]
    local = [measure_comparison(LONG, LocalRunner()) for _ in range(2)]
    with RayRunner("local") as runner:
        on_ray.append(measure_comparison(LONG, runner))
    return {
        "workers": workers,
        "load_before": load,
        "start_up_seconds": start_up,
        "trials": len(AGENTS) * LONG.seeds,
        "local_seconds": local,
        "ray_seconds": on_ray,
        "short_trials_per_second": SHORT.seeds / short,
        "jobs": jobs,
        "queued_jobs": queued,
        "bytes_per_trial": len(cloudpickle.dumps(Outcome(TrivialJob(0).run()))),
    }


def measure_comparison(comparison: Comparison, runner: Runner) -> float:
    """Return the seconds of a comparison in an empty folder, including its report."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run_comparison(comparison, Path(folder), progress_bar=False, runner=runner)
        return time.perf_counter() - started


def measure_jobs(runner: Runner, count: int) -> dict[str, float]:
    """Run trivial jobs and write each result to a file; return the rate and the driver's memory.

    Args:
        runner: Runner of the jobs.
        count: Number of jobs.
    """
    with tempfile.TemporaryDirectory() as folder:

        def write(job: TrivialJob, outcome: Outcome) -> list[TrivialJob]:
            write_arrays(Path(folder) / f"{job.seed}.npz", outcome.result)
            return []

        started = time.perf_counter()
        runner.run([TrivialJob(seed) for seed in range(count)], write)
        seconds = time.perf_counter() - started
    return {"count": count, "per_second": count / seconds, "megabytes": memory_megabytes()}


def memory_megabytes() -> float:
    """Return the resident memory of this process in MB, as Linux reports it; NaN elsewhere."""
    if not sys.platform.startswith("linux"):
        return float("nan")
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def blocks() -> dict[str, str]:
    """Return the tables of the page."""
    return {"measurements": measurements(STUDY.result), "calculation": calculation(STUDY.result)}


def measurements(found: Mapping[str, Any]) -> str:
    """Return the table of measurements."""
    local, ray = (np.mean(found[f"{name}_seconds"]) for name in ("local", "ray"))
    few, many = found["jobs"]
    queued = found["queued_jobs"]
    rows = [
        ("workers", f"{found['workers']}"),
        ("load of the machine before the measurements", f"{found['load_before']:.1f}"),
        ("start of Ray on one machine", f"{found['start_up_seconds']:.1f} s"),
        (f"comparison of {found['trials']} trials, without Ray", _mean_and_all(found, "local")),
        ("the same comparison, Ray", _mean_and_all(found, "ray")),
        ("ratio of the means, without the start of Ray", f"{ray / local:.2f}"),
        (
            f"comparison of {SHORT.seeds:,} trials of random search with {SHORT.queries} queries",
            f"{found['short_trials_per_second']:.0f} trials a second, with the report",
        ),
        (
            f"{many['count']:,} jobs without a search, a result file each",
            f"{many['per_second']:.0f} jobs a second",
        ),
        (
            f"the same jobs, {2 * CORES:,} of them submitted at a time",
            f"{queued['per_second']:.0f} jobs a second",
        ),
        (
            f"memory of the driver after {few['count']:,} and {many['count']:,} such jobs",
            f"{few['megabytes']:.0f} MB and {many['megabytes']:.0f} MB",
        ),
        (
            f"its memory after {queued['count']:,} jobs, {2 * CORES:,} submitted at a time",
            f"{queued['megabytes']:.0f} MB",
        ),
        (f"result of a trial of {QUERIES} queries", f"{found['bytes_per_trial'] / 1000:.0f} kB"),
    ]
    return markdown_table(["measurement", "result"], rows)


def _mean_and_all(found: Mapping[str, Any], runner: str) -> str:
    seconds = found[f"{runner}_seconds"]
    return f"{np.mean(seconds):.1f} s (mean of {', '.join(f'{each:.1f}' for each in seconds)})"


def calculation(found: Mapping[str, Any]) -> str:
    """Return what a cluster with many cores would be limited by."""
    rate, size = found["queued_jobs"]["per_second"], found["bytes_per_trial"]
    one, full = (8 * rate * size * trials / 1e6 for trials in (1, TRIALS_PER_JOB))
    return (
        f"The driver handles {rate:.0f} jobs a second. On {CORES:,} cores, cores wait for the "
        f"driver if jobs take less than {CORES / rate:.1f} seconds on average. At this rate, jobs "
        f"of one trial with {QUERIES} queries send {one:.0f} Mbit a second, so the driver "
        f"saturates first. Jobs of {TRIALS_PER_JOB} such trials would send {full:,.0f} Mbit a "
        "second. A network with 1,000 Mbit a second then saturates before the driver, if jobs take "
        f"less than {CORES * 8 * size * TRIALS_PER_JOB / 1e9:.1f} seconds."
    )


STUDY = RayOnThisMachine("cluster")
PAGE = Page("cluster.md", [STUDY], blocks)
