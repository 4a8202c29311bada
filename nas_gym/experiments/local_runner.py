"""Runner that uses the processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import cloudpickle

from nas_gym.experiments.runners import JobEnded, Outcome, run_and_pickle

_CANNOT_START = """\
A worker process could not start; what it printed above says why. Worker processes import the
script that starts them, so a script does its work under

    if __name__ == "__main__":

and is a file, not standard input."""


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
        running: dict[Any, _Worker] = {}  # by sentinel of the process
        workers = 1 if any(job.uses_gpu for job in jobs) else self.workers
        surroundings = _Surroundings(dict(os.environ), os.getcwd(), list(sys.path))
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    worker = _Worker(context, waiting.pop(0), surroundings)
                    running[worker.process.sentinel] = worker
                ready = connection.wait([*running, *(each.results for each in running.values())])
                for sentinel, worker in list(running.items()):
                    if sentinel in ready or worker.results in ready:
                        del running[sentinel]
                        waiting[:0] = ended(worker.job, worker.outcome())
        finally:
            for worker in running.values():
                worker.process.terminate()
                worker.process.join()


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


class _Worker:
    """A worker process with one job.

    Args:
        context: Multiprocessing context.
        job: Job of the process.
        surroundings: Surroundings of the job.
    """

    def __init__(self, context: Any, job: Any, surroundings: _Surroundings) -> None:
        self.job = job
        self.results: Connection
        self.results, sender = context.Pipe(duplex=False)
        arguments = (cloudpickle.dumps(job), surroundings, sender)
        self.process: BaseProcess = context.Process(target=_work, args=arguments)
        self.process.start()
        sender.close()  # so that the pipe ends with the process

    def outcome(self) -> Outcome:
        """Return the outcome of the job, after the process has sent it or has ended.

        Raises:
            RuntimeError: If the process could not start.
        """
        try:
            received = self.results.recv_bytes() if self.results.poll() else b""
        except (EOFError, OSError):  # the process ended before it had sent everything
            received = b""
        self.results.close()
        self.process.join()
        if received:
            outcome: Outcome = cloudpickle.loads(received)
            return outcome
        if self.process.exitcode == 1:
            raise RuntimeError(_CANNOT_START)
        return Outcome(error=f"Its process ended with exit code {self.process.exitcode}.")


def _work(job: bytes, surroundings: _Surroundings, results: Connection) -> None:
    """Run a job in a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    surroundings.enter()
    results.send_bytes(run_and_pickle(lambda: (cloudpickle.loads(job), {})))


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
