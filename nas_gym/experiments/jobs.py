"""Jobs in processes of their own, so many at a time: one that crashes takes no other with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any

_FAILED = 3  # the exit code of an error; 1 is that of a process that did not come to its work
_CANNOT_BEGIN = """\
A process could not be begun; what it printed above says why. Processes import the script that
starts them, so a script does its work under

    if __name__ == "__main__":

and is a file, not standard input."""


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_jobs(
    jobs: Sequence[Any],
    work: Callable[[Any], None],
    ended: Callable[[Any, int], Sequence[Any]],
    preload: Sequence[str] = (),
    workers: int | None = None,
) -> None:
    """Run jobs, each in a fresh process, as many at a time as there are cores.

    Args:
        jobs: picklable.
        work: called with a job in its process; a function of a module.
        ended: called here with each job and its process's exit code (0 where all went well); gives
            jobs to run in its place.
        preload: modules to import once, before processes are forked.
        workers: processes at a time; one for each core by default.

    Raises:
        RuntimeError: processes cannot begin, as the script that starts them cannot be imported.
    """
    context = _context(preload)
    waiting = list(jobs)
    running: dict[int, tuple[BaseProcess, Any]] = {}
    workers = cores() if workers is None else workers
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop(0)
                process = context.Process(target=_run, args=(work, job, dict(os.environ)))
                process.start()
                running[process.sentinel] = process, job
            for sentinel in connection.wait(list(running)):
                process, job = running.pop(int(sentinel))  # type: ignore[arg-type]
                process.join()
                if process.exitcode == 1:
                    raise RuntimeError(_CANNOT_BEGIN)
                waiting[:0] = ended(job, process.exitcode or 0)
    finally:
        for process, _ in running.values():
            process.terminate()
            process.join()


def _context(preload: Sequence[str]) -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", *preload])
    return context


def _run(work: Callable[[Any], None], job: Any, environment: dict[str, str]) -> None:
    os.environ.update(environment)  # that of the fork server is as old as itself
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(job)
    except Exception:
        traceback.print_exc()
        sys.exit(_FAILED)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
