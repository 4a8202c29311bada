"""Runners of jobs: the contract, and a runner that uses the processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import cloudpickle

_FAILED = 3  # exit code of a job that raised an error; a process that could not start has 1
_CANNOT_START = """\
A worker process could not start; what it printed above says why. Worker processes import the
script that starts them, so a script does its work under

    if __name__ == "__main__":

and is a file, not standard input."""


class Job(Protocol):
    """Work for a runner. Runners send jobs to worker processes with cloudpickle."""

    @property
    def uses_gpu(self) -> bool:
        """Whether the job computes on a GPU."""
        ...

    @property
    def modules(self) -> Sequence[str]:
        """Names of the modules that the job imports; a runner may import them in advance."""
        ...

    def run(self) -> None:
        """Do the work, and write its results to files."""
        ...


JobEnded = Callable[[Any, int], Sequence[Any]]
"""Function that is called with a job and the job's exit code (0 if it ended normally), and returns
jobs to run in its place."""


class Runner(Protocol):
    """Contract of a runner, which runs the jobs of a comparison on this machine or on others.

    A job writes its results into the output folder of the comparison, so every worker needs
    access to that folder under the same path. Jobs are independent of each other.
    """

    @property
    def workers(self) -> int:
        """Number of jobs that run at the same time; work is divided into at least this number."""
        ...

    def run(self, jobs: Sequence[Any], ended: JobEnded) -> None:
        """Run jobs, and further jobs that ``ended`` returns; return when all jobs have ended.

        Args:
            jobs: Jobs to run; see :class:`Job`.
            ended: Function that is called in this process when a job has ended or failed.
        """
        ...


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class LocalRunner:
    """Runner that starts one process per job on this machine; a crash ends only one job.

    Jobs, and the classes and functions of a notebook or script that they refer to, are sent with
    cloudpickle. Workers have the environment variables, the current folder and the import path
    of this process. Jobs that use a GPU run one after another.

    Args:
        workers: Number of processes at a time; one per core by default.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = available_cores() if workers is None else workers

    def run(self, jobs: Sequence[Any], ended: JobEnded) -> None:
        """Run jobs; see :class:`Runner`.

        Raises:
            RuntimeError: If worker processes cannot start, because the script that starts them
                cannot be imported.
        """
        context = _make_context(sorted({module for job in jobs for module in job.modules}))
        waiting = list(jobs)
        running: dict[int, tuple[BaseProcess, Any]] = {}
        workers = 1 if any(job.uses_gpu for job in jobs) else self.workers
        surroundings = _Surroundings(dict(os.environ), os.getcwd(), list(sys.path))
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    job = waiting.pop(0)
                    arguments = (cloudpickle.dumps(job), surroundings)
                    process = context.Process(target=_run_job, args=arguments)
                    process.start()
                    running[process.sentinel] = process, job
                for sentinel in connection.wait(list(running)):
                    process, job = running.pop(int(sentinel))  # type: ignore[arg-type]
                    process.join()
                    if process.exitcode == 1:
                        raise RuntimeError(_CANNOT_START)
                    waiting[:0] = ended(job, process.exitcode or 0)
        finally:
            for process, _ in running.values():
                process.terminate()
                process.join()


@dataclass(frozen=True)
class _Surroundings:
    """Environment variables, current folder and import path of the process that has the jobs."""

    variables: dict[str, str]
    folder: str
    path: list[str]

    def enter(self) -> None:
        os.environ.update(self.variables)  # the fork server has the variables of its start
        os.chdir(self.folder)
        sys.path[:] = self.path


def _make_context(modules: Sequence[str]) -> Any:
    """Return a multiprocessing context that imports modules once, before it forks workers."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", *modules])
    return context


def _run_job(pickled: bytes, surroundings: _Surroundings) -> None:
    """Run a job in a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    try:
        surroundings.enter()
        cloudpickle.loads(pickled).run()
    except Exception:
        traceback.print_exc()
        sys.exit(_FAILED)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
