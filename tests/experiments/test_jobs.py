"""Jobs in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from nas_gym.experiments.jobs import cores, run_jobs


def work(job):
    path, what = job
    if what == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "exit":
        raise SystemExit(5)
    if what == "error":
        raise ValueError("an error")
    Path(path).write_text(what)


def test_a_crash_takes_no_other_job_with_it(tmp_path):
    whats = ["a", "crash", "b", "exit", "c", "error"]
    jobs = [(str(tmp_path / str(i)), what) for i, what in enumerate(whats)]
    codes = {}

    def ended(job, code):
        codes[job[1]] = code
        return [(job[0], "again")] if job[1] == "exit" else []

    run_jobs(jobs, work, ended)
    assert codes == {
        "a": 0, "b": 0, "c": 0, "crash": -signal.SIGKILL, "exit": 5, "again": 0,
        "error": 3,
    }  # fmt: skip
    assert (tmp_path / "3").read_text() == "again"
    assert not (tmp_path / "1").exists()


def test_no_jobs_and_at_least_one_core():
    run_jobs([], work, lambda job, code: [])
    assert cores() >= 1


SLEEPERS = """
import os, sys, time
from nas_gym.experiments.jobs import run_jobs
def work(path):
    open(path, "w").write(str(os.getpid()))
    time.sleep(60)
if __name__ == "__main__":
    run_jobs([sys.argv[1]], work, lambda job, code: [], workers=1)
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
