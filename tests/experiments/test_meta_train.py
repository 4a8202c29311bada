"""Meta-training through its output files: complete and equal after interruptions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from nas_gym.agents.catch.agent import CATCH
from nas_gym.experiments import meta_train as module
from nas_gym.experiments.meta_train import find_task_set, meta_train
from nas_gym.experiments.outputs import locked_folder

QUICK = {"num_candidates": 32, "updates": 1, "hidden": 32}


def learn(path, epochs=3):
    tasks = find_task_set("nbgraph/cora")
    return meta_train(
        tasks, "catch", path, epochs=epochs, queries=4, settings=QUICK, progress_bar=False
    )


def content(path):
    """The saved agent, the curves of every event, and the projector's files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = path.with_suffix("")
    events = EventAccumulator(str(folder))
    events.Reload()
    curves = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if not tag.startswith("time/")
    }
    texts = {
        str(file.relative_to(folder)): file.read_text()
        for file in folder.rglob("*")
        if file.suffix in (".tsv", ".pbtxt", ".json")
    }
    return path.read_bytes(), curves, texts


class Killed(BaseException):
    """Stands for the end of the process."""


def test_a_kill_between_two_files_changes_nothing(tmp_path, monkeypatch):
    learn(tmp_path / "straight.safetensors")
    path, save, write = tmp_path / "cut.safetensors", CATCH.save, module.write_atomically
    calls = []

    def dying(function, number):
        def call(*arguments):
            calls.append(function)
            if len(calls) == number:
                raise Killed
            return function(*arguments)

        return call

    for number in range(1, 5):
        calls.clear()
        with monkeypatch.context() as patch:
            patch.setattr(CATCH, "save", dying(save, number))
            patch.setattr(module, "write_atomically", dying(write, number))
            with pytest.raises(Killed):
                learn(path)
    learn(path)
    whole = content(tmp_path / "straight.safetensors")
    assert content(path) == whole
    assert all([step for step, _ in values] == [1, 2, 3] for values in whole[1].values())
    assert whole[1]
    learn(path)  # a finished training stays as it is
    assert content(path) == whole


def test_the_projector_is_completed(tmp_path, monkeypatch):
    path = tmp_path / "agent.safetensors"
    write = module.write_atomically

    def dying(file, text):
        if file.name == "projector_config.pbtxt":
            raise Killed
        write(file, text)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_atomically", dying)
        with pytest.raises(Killed):
            learn(path, epochs=1)
    learn(path, epochs=1)
    folder = tmp_path / "agent"
    assert '"00001/z/tensors.tsv"' in (folder / "projector_config.pbtxt").read_text()
    assert len((folder / "00001/z/tensors.tsv").read_text().splitlines()) == 4
    learn(path, epochs=2)  # both epochs are in the projector
    config = (folder / "projector_config.pbtxt").read_text()
    assert [f"{epoch:05d}/z/tensors.tsv" in config for epoch in (1, 2)] == [True, True]
    assert not (folder / ".projector").exists()


def test_one_meta_training_at_a_time(tmp_path):
    path = tmp_path / "agent.safetensors"
    with (
        locked_folder(path.with_suffix("")),
        pytest.raises(ValueError, match="Another command is writing"),
    ):
        learn(path)
    assert not path.exists()


def test_damaged_curves_are_an_error(tmp_path):
    from nas_gym.tables import DamagedDataError

    path = tmp_path / "agent.safetensors"
    learn(path, epochs=1)
    (tmp_path / "agent" / "curves.json").write_text("[" * 100_000)
    with pytest.raises(DamagedDataError, match=r"curves\.json"):
        learn(path, epochs=2)


@pytest.mark.long
@pytest.mark.attack
def test_killed_meta_trainings_end_with_the_same_files(tmp_path):
    command = [sys.executable, "-m", "nas_gym", "meta-train", "nbgraph/cora", "--epochs", "12"]
    command += ["--queries", "4", *(f"--set={k}={v}" for k, v in QUICK.items()), "--out"]
    straight, killed = tmp_path / "straight.safetensors", tmp_path / "killed.safetensors"
    subprocess.run([*command, str(straight)], check=True, capture_output=True)
    curves = tmp_path / "killed" / "curves.json"
    kills = 0
    while kills < 20:
        before = curves.stat().st_mtime_ns if curves.exists() else 0
        process = subprocess.Popen([*command, str(killed)], stdout=subprocess.DEVNULL)
        while process.poll() is None:  # one kill after each epoch or so, at different moments
            if curves.exists() and curves.stat().st_mtime_ns != before:
                time.sleep(0.004 * (kills % 5))
                break
            time.sleep(0.001)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        if process.returncode == 0:  # finished: the next kills are in another folder
            assert content(killed) == content(straight)
            killed = killed.with_stem(f"killed{kills}")
            curves = killed.with_suffix("") / "curves.json"
    subprocess.run([*command, str(killed)], check=True, capture_output=True)
    assert content(killed) == content(straight)
    assert list(json.loads(curves.read_text())) == [str(epoch) for epoch in range(1, 13)]
