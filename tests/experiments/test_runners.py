"""Runners: jobs in processes of their own, which see what the parent process sees."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from nas_gym.experiments.runners import LocalRunner, available_cores


@dataclass(frozen=True)
class Writer:
    """A job that writes a text to a file, or fails."""

    path: str
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
        Path(self.path).write_text(self.text)


def test_a_crash_takes_no_other_job_with_it(tmp_path):
    texts = ["a", "crash", "b", "exit", "c", "error"]
    jobs = [Writer(str(tmp_path / str(i)), text) for i, text in enumerate(texts)]
    codes = {}

    def ended(job, code):
        codes[job.text] = code
        return [Writer(job.path, "again")] if job.text == "exit" else []

    run_by_value(LocalRunner(), jobs, ended)
    assert codes == {
        "a": 0, "b": 0, "c": 0, "crash": -signal.SIGKILL, "exit": 5, "again": 0,
        "error": 3,
    }  # fmt: skip
    assert (tmp_path / "3").read_text() == "again"
    assert not (tmp_path / "1").exists()


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
        "        open('found', 'w').write(os.environ['OUTSIDE_VARIABLE'])\n"
    )
    LocalRunner().run([], lambda job, code: [])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(module.parent)
    monkeypatch.setenv("OUTSIDE_VARIABLE", "value")
    from outside_module import Job

    codes = []
    LocalRunner().run([Job()], lambda job, code: codes.append(code) or [])
    assert codes == [0]
    assert (tmp_path / "found").read_text() == "value"


def test_jobs_on_a_gpu_run_one_after_the_other(tmp_path):
    @dataclass(frozen=True)
    class OnGpu(Writer):
        uses_gpu = True

        def run(self):
            marker = Path(self.path).parent / "running"
            marker.touch(exist_ok=False)  # fails if another job is running
            time.sleep(0.1)
            marker.unlink()

    codes = []
    jobs = [OnGpu(str(tmp_path / name), name) for name in "abc"]
    run_by_value(LocalRunner(workers=3), jobs, lambda job, code: codes.append(code) or [])
    assert codes == [0, 0, 0]


def test_no_jobs_and_at_least_one_core():
    LocalRunner().run([], lambda job, code: [])
    assert LocalRunner().workers == available_cores() >= 1


SLEEPERS = """
import os, sys, time
from nas_gym.experiments.runners import LocalRunner
class Sleeper:
    uses_gpu, modules = False, ()
    def run(self):
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(60)
if __name__ == "__main__":
    LocalRunner(workers=1).run([Sleeper()], lambda job, code: [])
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
