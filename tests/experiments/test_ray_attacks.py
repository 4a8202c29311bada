"""Kills of drivers, workers and whole machines of a Ray cluster, and clusters that do not exist."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="needs the package ray: pip install 'nas-gym[ray]'")

ENV = "NB201-cifar10-v0"
COMMAND = [
    sys.executable, "-m", "nas_gym", "compare", ENV, "--agents", "rea,l2nas", "--queries", "150",
    "--seeds", "12",
]  # fmt: skip

TRIALS = "ray::_run_remotely"  # title of a process that runs trials

pytestmark = [pytest.mark.long, pytest.mark.attack]


def start(folder, *options):
    environment = os.environ | {"RAY_worker_niceness": "0"}
    return subprocess.Popen(
        [*COMMAND, "--out", str(folder), *options],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def wait_for(condition, seconds=240):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def stored(folder):
    return sorted(folder.glob("*/*/seeds-*.npz"))


def descendants(pid):
    """Processes that a process started, directly or not: their numbers, by command line."""
    listed = subprocess.run(
        ["ps", "-wweo", "pid,ppid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[1:]
    parents = {int(p): (int(q), args) for p, q, args in (line.split(None, 2) for line in listed)}
    found, new = {}, {pid}
    while new:
        new = {p for p, (q, _) in parents.items() if q in new} - found.keys()
        found |= {p: parents[p][1] for p in new}
    return found


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def summary_text(folder):
    found = json.loads((folder / "summary.json").read_text())
    for agent in found["environments"][ENV]["agents"].values():
        agent.pop("agent_seconds")
    return json.dumps(found)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    process = start(folder)
    assert process.wait() == 0, process.stdout.read()
    return summary_text(folder)


def find(process, text):
    """Numbers of the processes of a command whose command lines contain a text."""
    return [pid for pid, arguments in descendants(process.pid).items() if text in arguments]


@pytest.mark.parametrize(
    ("killed", "number", "exit_codes"),
    [
        (TRIALS, signal.SIGKILL, {0}),
        ("raylet/raylet", signal.SIGKILL, None),
        (None, signal.SIGKILL, {-signal.SIGKILL}),
        (None, signal.SIGINT, {130}),
    ],
    ids=["worker", "raylet", "driver", "ctrl-c"],
)
def test_a_kill_loses_nothing_and_leaves_no_process(killed, number, exit_codes, tmp_path, expected):
    process = start(tmp_path, "--ray", "local")
    assert wait_for(lambda: stored(tmp_path) and find(process, TRIALS)), process.stdout.read()
    started = descendants(process.pid)
    kept = {file: file.read_bytes() for file in stored(tmp_path)}
    os.kill(process.pid if killed is None else find(process, killed)[0], number)
    output, _ = process.communicate(timeout=240)
    if exit_codes is None:
        assert process.returncode != 0, output
    else:
        assert process.returncode in exit_codes, output
    # two helpers of Ray wait about 60 s for the cluster before they end
    assert wait_for(lambda: not any(map(is_running, started)), 120), started
    assert all(file.read_bytes() == content for file, content in kept.items())
    again = start(tmp_path)
    assert again.wait() == 0, again.stdout.read()
    assert summary_text(tmp_path) == expected


def test_a_machine_that_fails_costs_no_trial(tmp_path, expected, monkeypatch):
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_worker_niceness", "0")  # the lowest priority by default
    small = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=small)
    try:
        machine = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
        process = start(tmp_path, "--ray", cluster.address)
        assert wait_for(lambda: stored(tmp_path)), process.stdout.read()
        cluster.remove_node(machine, allow_graceful=False)
        output, _ = process.communicate(timeout=400)
        assert process.returncode == 0, output
        assert summary_text(tmp_path) == expected
    finally:
        cluster.shutdown()


def test_there_is_no_cluster(tmp_path):
    process = start(tmp_path / "out", "--ray", "127.0.0.1:1")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "There is no Ray cluster to use at '127.0.0.1:1'" in output
    assert "Traceback" not in output


HUNGRY = """
import time
import numpy as np
from nas_gym.agents.random_search import RandomSearch

class Hungry(RandomSearch):
    def ask(self):
        if 1 in self.rng.seeds:
            held = []
            for _ in range(200):
                held.append(np.ones(4_000_000))
                time.sleep(0.1)
        return super().ask()
"""


def test_a_trial_that_exceeds_the_memory(tmp_path, monkeypatch):
    (tmp_path / "hungry.py").write_text(HUNGRY)
    lines = Path("/proc/meminfo").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1e6 for line in lines}  # GB
    limit = (sizes["MemTotal"] - sizes["MemAvailable"] + 2.5) / sizes["MemTotal"]
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{limit:.3f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    monkeypatch.chdir(tmp_path)
    command = [*COMMAND[:5], "--agents", "random,hungry:Hungry", "--queries", "5", "--seeds", "3"]
    process = subprocess.run(
        [*command, "--out", "out", "--ray", "local"], capture_output=True, text=True, timeout=500
    )
    assert process.returncode == 1, process.stderr
    agents = json.loads((tmp_path / "out" / "summary.json").read_text())["environments"][ENV]
    hungry = agents["agents"]["hungry:Hungry"]
    assert hungry["seeds"] == [0, 2]
    assert "too little memory" in hungry["failures"]["1"].splitlines()[0]
    assert agents["agents"]["random"]["seeds"] == [0, 1, 2]
