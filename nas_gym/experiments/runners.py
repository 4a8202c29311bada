"""Contract of runners, which run the jobs of a search or comparison."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cloudpickle


class Job(Protocol):
    """Work for a runner: a pure function of the job's attributes, which writes no results.

    Runners send jobs to worker processes with cloudpickle.
    """

    @property
    def uses_gpu(self) -> bool:
        """Whether the job computes on a GPU of this machine."""
        ...

    @property
    def modules(self) -> Sequence[str]:
        """Names of the modules that the job imports; a runner may import them in advance."""
        ...

    @property
    def files(self) -> Mapping[str, Path]:
        """Files and folders that the job reads; keys are paths in the folder of :meth:`moved_to`.

        A runner on other machines copies them there. A runner on this machine needs none of them.
        """
        ...

    def moved_to(self, folder: Path) -> Job:
        """Return the job for another machine, where a folder holds copies of :attr:`files`."""
        ...

    def run(self) -> Any:
        """Do the work, and return its results, which must be picklable."""
        ...


@dataclass(frozen=True)
class Outcome:
    """The end of a job.

    Attributes:
        result: Result of :meth:`Job.run`; ``None`` after an error.
        error: Message of the error in the first line, and its traceback; empty without an error.
    """

    result: Any = None
    error: str = ""


JobEnded = Callable[[Any, Outcome], Sequence[Any]]
"""Function that is called with a job and its outcome, and returns further jobs to run."""


class Runner(Protocol):
    """Contract of a runner, which runs jobs on this machine or on others.

    Jobs are independent of each other, and a result does not depend on where its job runs. All
    files are written by the process that calls :meth:`run`, so workers need no shared disk.
    """

    @property
    def workers(self) -> int:
        """Number of jobs that run at the same time; work is divided into at least this number."""
        ...

    def run(self, jobs: Sequence[Any], ended: JobEnded) -> None:
        """Run jobs, and further jobs that ``ended`` returns; return when all jobs have ended.

        If ``ended`` raises an error, or the user presses Ctrl-C, the running jobs are cancelled.

        Args:
            jobs: Jobs to run; see :class:`Job`.
            ended: Function that is called in this process as soon as a job has ended or failed.
        """
        ...


def run_job(job: Job) -> Outcome:
    """Run a job in this process, and return its outcome."""
    try:
        return Outcome(job.run())
    except Exception as error:
        return _failure(error)
    except SystemExit as error:
        return Outcome(error=f"Its code called exit with {error.code!r}.")


def run_and_pickle(load: Callable[[], tuple[Job, Mapping[str, str]]]) -> bytes:
    """Run a job in a worker process, and return its pickled :class:`Outcome`.

    Args:
        load: Function that returns the job, and the original paths of copied files by the paths of
            the copies; errors name the original paths. Errors of the function become part of the
            outcome.
    """
    try:
        job, copied = load()
        outcome = run_job(job)
        for copy, original in copied.items():
            outcome = Outcome(outcome.result, outcome.error.replace(copy, original))
        return bytes(cloudpickle.dumps(outcome))
    except Exception as error:
        return bytes(cloudpickle.dumps(_failure(error)))


def _failure(error: Exception) -> Outcome:
    """Return the outcome of an error, with the same text whichever runner ran the job."""
    message = " ".join(f"{type(error).__name__}: {error}".split())
    assert error.__traceback__ is not None
    frames = traceback.format_exception(type(error), error, error.__traceback__.tb_next)
    return Outcome(error=f"{message}\n\n{''.join(frames)}")
