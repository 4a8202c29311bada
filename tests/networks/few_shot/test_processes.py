"""Distributed meta-training with real processes: equal to one process, and a clear end."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from networks.few_shot.distributed_steps import run_steps
from networks.few_shot.small_tasks import make_data, make_plan

from nas_gym.networks.few_shot.meta_supernet import load_meta_supernet, train_meta_supernet
from nas_gym.networks.few_shot.processes import Processes

TESTS = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "distributed_steps.py"


def start(command, *arguments, **variables):
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, *command, str(PROGRAM), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"} | variables,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_torchrun(*arguments):
    """Start the program in two processes that torchrun joins."""
    return start(["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"], *arguments)


@pytest.mark.long
def test_two_processes_equal_one_with_twice_the_tasks(tmp_path):
    process = start_torchrun("steps", tmp_path / "two.npz")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    expected = run_steps(Processes(), tasks=2)
    with np.load(tmp_path / "two.npz") as found:
        assert set(found) == expected.keys()
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, atol=1e-5)


@pytest.mark.long
def test_the_end_of_a_process_ends_the_run_and_leaves_a_checkpoint(tmp_path):
    path = tmp_path / "meta.safetensors"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    processes = [  # with the variables that torchrun sets, but without its supervision
        start([], "end", path, MASTER_ADDR="127.0.0.1", MASTER_PORT=port, WORLD_SIZE="2", RANK=rank)
        for rank in "01"
    ]
    errors = [each.communicate(timeout=300)[1] for each in processes]
    assert all(each.returncode for each in processes)
    assert "Process 0 of 2 lost another process" in errors[0]
    data, finished = make_data(), []

    def on_resume(curves):
        finished.append(len(curves["loss"]))

    plan = make_plan(data, epochs=4)
    train_meta_supernet(plan, data, path, torch.device("cpu"), on_resume=on_resume)
    assert finished == [2]
    assert load_meta_supernet(path, torch.device("cpu")).fitness.shape == (4,)


def test_one_process_averages_nothing():
    processes = Processes()
    assert processes.part(3) == (0, 3)
    processes.average([])
