"""Attacks on supernets: damaged files, settings out of range, two writers, and kills."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from filelock import FileLock
from networks.small import small_supernet
from safetensors.numpy import save

from nas_gym.experiments import train_supernet as experiment
from nas_gym.experiments.train_supernet import run_supernet_training
from nas_gym.networks import data
from nas_gym.networks.darts_network import DARTSNetwork
from nas_gym.networks.plans import supernet_plan
from nas_gym.networks.supernet import load_supernet, train_supernet
from nas_gym.utils.errors import DamagedDataError, DataError
from nas_gym.utils.files import read_tensors, write_tensors

CPU = torch.device("cpu")
DIGITS = data.load_images("digits")
BRACKETS = "[" * 100_000 + "]" * 100_000


@pytest.fixture
def altered(tmp_path, supernet_files):
    """Returns the path of a finished supernet with other entries."""

    def write(**entries):
        path = tmp_path / "altered.safetensors"
        found = {name.replace("__", "/"): each for name, each in entries.items()}
        write_tensors(path, read_tensors(supernet_files["NB201"]) | found)
        return path

    return write


# -- damaged files ---------------------------------------------------------------------------------


def test_flipped_bits_are_found(tmp_path, supernet_files):
    whole = supernet_files["NB201"].read_bytes()
    weights = load_supernet(supernet_files["NB201"], CPU).network.state_dict()
    path = tmp_path / "x.safetensors"
    rng, refused = np.random.default_rng(0), 0
    for position in rng.integers(0, 8 * len(whole), 150).tolist():
        content = bytearray(whole)
        content[position // 8] ^= 1 << position % 8
        path.write_bytes(content)
        try:
            found = load_supernet(path, CPU).network.state_dict()
        except DamagedDataError:
            refused += 1
            continue
        assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert refused > 140


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(value, altered):
    weight = load_supernet(altered(), CPU).network.head.weight.detach().numpy().copy()
    weight[0, 0] = value
    path = altered(**{"network__head.weight": weight})
    with pytest.raises(DamagedDataError, match=r"values in network/head\.weight that are NaN or"):
        load_supernet(path, CPU)
    with pytest.raises(DamagedDataError, match="NaN or infinite"):
        train_supernet(small_supernet("NB201", 20), DIGITS, path, CPU)


def test_nested_brackets(tmp_path, altered):
    with pytest.raises(DamagedDataError, match="holds no plan"):
        load_supernet(altered(plan=np.array(BRACKETS)), CPU)
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({"a": np.zeros(2)}, {"texts": BRACKETS}))
    with pytest.raises(DamagedDataError, match="nested too deeply"):
        load_supernet(path, CPU)


@pytest.mark.parametrize(
    "settings",
    [
        {"channels": 1_000_000},
        {"channels": 4096, "cells": 100},
        {"channels": 8.5},
        {"cells": 10**30},
        {"width": 3},
    ],
)
def test_a_plan_of_a_larger_network_needs_no_memory(settings, altered):
    plan = small_supernet("NB201", 20).describe()
    plan["network"] |= settings
    with pytest.raises(DamagedDataError, match=r"holds no plan|lacks weights"):
        load_supernet(altered(plan=np.array(json.dumps(plan))), CPU)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epoch", np.array(-1)),
        ("epoch", np.array(10**9)),
        ("epoch", np.zeros(0, np.int64)),
        ("epoch", np.array("one")),
        ("best_accuracy", np.array(np.nan)),
        ("best_accuracy", np.array(101.0)),
        ("curve/loss", np.zeros(7)),
        ("curve/loss", np.zeros((20, 2, 2))),
        ("network/head.bias", np.zeros(3, np.float32)),
    ],
)
def test_entries_out_of_range(name, value, altered):
    with pytest.raises(DamagedDataError):
        load_supernet(altered(**{name: value}), CPU)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An unfinished training of two epochs."""
    path = tmp_path_factory.mktemp("checkpoint") / "x.safetensors"

    def stop(epoch, _):
        if epoch == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train_supernet(small_supernet("NB201", 3), DIGITS, path, CPU, stop, seconds=-1.0)
    return path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("momentum/head.bias", np.zeros(3, np.float32)),
        ("momentum/head.bias", np.zeros(10, np.float64)),
        ("momentum/head.bias", np.full(10, np.nan, np.float32)),
        ("torch_generator", np.zeros(5056, np.uint8)),
        ("torch_generator", np.full(5056, 255, np.uint8)),
        ("torch_generator", np.zeros(3, np.uint8)),
        ("torch_generator", np.zeros(5056)),
        ("numpy_generator", np.array("{}")),
        ("numpy_generator", np.array(BRACKETS)),
        ("numpy_generator", np.array('{"bit_generator": "PCG64", "state": {"state": -1}}')),
    ],
)
def test_checkpoints_out_of_range(name, value, checkpoint, tmp_path):
    path = tmp_path / "x.safetensors"
    write_tensors(path, read_tensors(checkpoint) | {name: value})
    with pytest.raises(DamagedDataError):
        train_supernet(small_supernet("NB201", 3), DIGITS, path, CPU)


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 1_000_000}, "channels is at least 1 and at most 4,096, got 1000000"),
        ({"channels": 4096, "cells": 100}, "at most 500,000,000 parameters"),
        ({"cells": 10**30}, "cells is at least 1 and at most 100"),
        ({"epochs": 10**30}, "epochs and batch_size of 1 to 1,000,000"),
        ({"batch_size": 10**30}, "epochs and batch_size of 1 to 1,000,000"),
        ({"final_rate": float("inf")}, "at least 0 and finite"),
    ],
)
def test_settings_have_bounds(settings, message):
    with pytest.raises(ValueError, match=message):
        supernet_plan("NB201", DIGITS).with_settings(**settings)


def test_counts_and_seeds_have_bounds():
    with pytest.raises(ValueError, match="layers is at least 1 and at most 200, got 1000"):
        DARTSNetwork(10, layers=1000)
    for seed in (-1, 2**63):
        with pytest.raises(ValueError, match=r"seed is 0 to 2\^63 - 1"):
            supernet_plan("NB201", DIGITS, seed)


# -- outputs ---------------------------------------------------------------------------------------


@pytest.fixture
def no_images(monkeypatch):
    """Fails if images are read, which comes after the check of the output."""
    monkeypatch.setattr(experiment.images, "load_images", pytest.fail)


@pytest.mark.parametrize(
    "out", ["file/x", "folder.safetensors", "x" * 300, "x" * 250, "/proc/x", "/dev/null/x", "file"]
)
def test_outputs_that_cannot_be_made_are_refused_first(out, tmp_path, no_images):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(DataError, match="Could not write"):
        run_supernet_training("NB201", "digits", tmp_path / out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.safetensors"]


@pytest.mark.parametrize("out", ["", "/", ".."])
def test_outputs_without_a_name(out, no_images):
    from pathlib import Path

    with pytest.raises(ValueError, match="is not the name of a file"):
        run_supernet_training("NB201", "digits", Path(out))


def test_one_process_trains_a_file(tmp_path):
    with (
        FileLock(tmp_path / "x.lock"),
        pytest.raises(DataError, match=r"Another process trains .*x\.safetensors"),
    ):
        run_supernet_training("NB201", "digits", tmp_path / "x", epochs=1, channels=2)
    assert list(tmp_path.glob("x/*")) == []  # no event file of the second process


# -- curves ----------------------------------------------------------------------------------------


def curves(folder):
    """Return the curves in the event files of a folder: steps and values by name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return {
        name: [(event.step, event.value) for event in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }


def test_curves_of_an_interrupted_training_are_complete(tmp_path, monkeypatch):
    settings = {"epochs": 3, "channels": 2, "cells": 1}
    run_supernet_training("NB201", "digits", tmp_path / "straight", **settings)
    expected = curves(tmp_path / "straight")
    assert [step for step, _ in expected["supernet/loss"]] == [1, 2, 3]
    write = experiment.TrainingEvents.write

    def stop(events, epoch, values):
        write(events, epoch, values)
        if epoch == 2:
            raise InterruptedError  # after the event, before the checkpoint of its epoch

    def train(*arguments, **options):
        return train_supernet(*arguments, **options, seconds=-1.0)

    monkeypatch.setattr(experiment, "train_supernet", train)
    monkeypatch.setattr(experiment.TrainingEvents, "write", stop)
    with pytest.raises(InterruptedError):
        run_supernet_training("NB201", "digits", tmp_path / "resumed", **settings)
    monkeypatch.setattr(experiment.TrainingEvents, "write", write)
    for _ in range(2):  # a finished training is not repeated, and its curves stay
        run_supernet_training("NB201", "digits", tmp_path / "resumed", **settings)
        assert curves(tmp_path / "resumed") == expected
    straight, resumed = (tmp_path / f"{name}.safetensors" for name in ("straight", "resumed"))
    assert straight.read_bytes() == resumed.read_bytes()


# trains in processes that are killed at a random file operation or after a random time, three times
# each, and then to the end
CAMPAIGN = """
import os, random, signal, sys, threading, time
from pathlib import Path
from nas_gym.experiments import train_supernet as experiment
from nas_gym.networks.supernet import train_supernet

folder, kills = Path(sys.argv[1]), int(sys.argv[2])
experiment.train_supernet = lambda *a, **o: train_supernet(*a, **o, seconds=-1.0)
left = None

def count(function):
    def counted(*arguments, **options):
        global left
        if left is not None:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return counted

for name in ("open", "mkdir", "rename", "replace", "unlink", "chmod", "fsync", "stat"):
    setattr(os, name, count(getattr(os, name)))
Path.unlink = count(Path.unlink)

def run(out, calls=None, seconds=None):
    global left
    child = os.fork()
    if child == 0:
        left = calls
        if seconds is not None:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            experiment.run_supernet_training(
                "NB201", "digits", out, device="cpu", epochs=4, channels=2, cells=1, batch_size=256
            )
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, out
    return os.WIFSIGNALED(status)

started = time.monotonic()
run(folder / "straight")
duration = time.monotonic() - started
rng, killed, number = random.Random(0), 0, 0
while killed < kills:
    for _ in range(3):
        if rng.random() < 0.5:
            killed += run(folder / str(number), calls=rng.randrange(60))
        else:
            killed += run(folder / str(number), seconds=rng.uniform(0.01, duration))
    run(folder / str(number))
    number += 1
print(f"{killed} kills", flush=True)
"""


@pytest.mark.long
@pytest.mark.attack
def test_killed_trainings_end_with_the_same_supernet_and_curves(tmp_path):
    command = [sys.executable, "-c", CAMPAIGN, str(tmp_path), "24"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    expected = curves(tmp_path / "straight")
    assert [step for step, _ in expected["supernet/loss"]] == [1, 2, 3, 4]
    whole = (tmp_path / "straight.safetensors").read_bytes()
    trained = sorted(tmp_path.glob("*.safetensors"))
    assert len(trained) >= 9
    for path in trained:
        assert path.read_bytes() == whole
        assert curves(path.with_suffix("")) == expected
    names = {path.suffix for path in tmp_path.iterdir()}
    assert names == {"", ".lock", ".safetensors"}  # no temporary files
