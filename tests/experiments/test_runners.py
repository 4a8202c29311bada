"""Runners: jobs in processes of their own, which see what the parent process sees."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from nas_gym.experiments.local_runner import LocalRunner, available_cores


@dataclass(frozen=True)
class Work:
    """A job that returns a text, or fails."""

    text: str
    uses_gpu = False
    modules = ()

    def run(self):
        if self.text == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.text == "exit":
            raise SystemExit(5)
        if self.text == "error":
            raise ValueError("an error")
        if self.text == "unpicklable":
            return (line for line in self.text)
        return self.text * 200_000


def test_a_crash_takes_no_other_job_with_it():
    jobs = [Work(text) for text in ("a", "crash", "b", "exit", "c", "error", "unpicklable")]
    outcomes = {}

    def ended(job, outcome):
        outcomes[job.text] = outcome
        return [Work("again")] if job.text == "exit" else []

    run_by_value(LocalRunner(), jobs, ended)
    assert {text: len(each.result) for text, each in outcomes.items() if not each.error} == {
        "a": 200_000, "b": 200_000, "c": 200_000, "again": 1_000_000,
    }  # fmt: skip
    assert outcomes["crash"].error == "Its process ended with exit code -9."
    assert outcomes["exit"].error == "Its code called exit with 5."
    assert outcomes["error"].error.startswith("ValueError: an error\n\nTraceback")
    assert outcomes["unpicklable"].error.startswith("TypeError: cannot pickle 'generator'")


def test_an_error_in_the_caller_ends_the_other_jobs(tmp_path):
    @dataclass(frozen=True)
    class Sleeper(Work):
        def run(self):
            if self.text == "sleep":
                (tmp_path / "pid").write_text(str(os.getpid()))
                time.sleep(60)

    def ended(job, outcome):
        assert wait_for(lambda: (tmp_path / "pid").exists())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_by_value(LocalRunner(workers=2), [Sleeper("sleep"), Sleeper("quick")], ended)
    assert gone(int((tmp_path / "pid").read_text()))


def run_by_value(runner, jobs, ended):
    """Run jobs of this file, which worker processes cannot import, like those of a notebook."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        runner.run(jobs, ended)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def test_workers_have_the_folder_the_path_and_the_variables_of_the_parent(tmp_path, monkeypatch):
    module = tmp_path / "modules" / "outside_module.py"
    module.parent.mkdir()
    module.write_text(
        "import os\n"
        "class Job:\n"
        "    uses_gpu, modules = False, ()\n"
        "    def run(self):\n"
        "        return os.environ['OUTSIDE_VARIABLE'], os.getcwd()\n"
    )
    LocalRunner().run([], lambda job, outcome: [])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(module.parent)
    monkeypatch.setenv("OUTSIDE_VARIABLE", "value")
    from outside_module import Job

    results = []
    LocalRunner().run([Job()], lambda job, outcome: results.append(outcome.result) or [])
    assert results == [("value", str(tmp_path))]


def test_jobs_on_a_gpu_run_one_after_the_other(tmp_path):
    @dataclass(frozen=True)
    class OnGpu(Work):
        uses_gpu = True

        def run(self):
            marker = tmp_path / "running"
            marker.touch(exist_ok=False)  # fails if another job is running
            time.sleep(0.1)
            marker.unlink()

    errors = []
    jobs = [OnGpu(name) for name in "abc"]
    run_by_value(LocalRunner(workers=3), jobs, lambda job, end: errors.append(end.error) or [])
    assert errors == ["", "", ""]


def test_no_jobs_and_at_least_one_core():
    LocalRunner().run([], lambda job, outcome: [])
    assert LocalRunner().workers == available_cores() >= 1


SLEEPERS = """
import os, sys, time
from nas_gym.experiments.local_runner import LocalRunner
class Sleeper:
    uses_gpu, modules = False, ()
    def run(self):
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(60)
if __name__ == "__main__":
    LocalRunner(workers=1).run([Sleeper()], lambda job, outcome: [])
"""


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1].startswith("Z")
    except FileNotFoundError:
        return True


def test_jobs_end_with_their_parent(tmp_path):
    script, pid_file = tmp_path / "sleepers.py", tmp_path / "pid"
    script.write_text(SLEEPERS)
    parent = subprocess.Popen([sys.executable, str(script), str(pid_file)])
    assert wait_for(lambda: pid_file.exists() and pid_file.read_text())
    parent.kill()
    parent.wait()
    pid = int(pid_file.read_text())
    assert wait_for(lambda: gone(pid))
