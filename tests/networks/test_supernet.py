"""Supernets: training, resuming, files and the cache."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from networks.small import small_supernet
from safetensors.numpy import save

from nas_gym.networks import data, supernet
from nas_gym.networks.supernet import load_supernet, train_supernet
from nas_gym.utils.errors import DamagedDataError, DivergedError, MissingDataError
from nas_gym.utils.files import read_tensors, write_tensors

CPU = torch.device("cpu")
DIGITS = data.load_images("digits")


class KilledError(Exception):
    pass


def killer(epoch):
    def on_epoch(number, _):
        if number == epoch:
            raise KilledError

    return on_epoch


def weights(found):
    return found.network.state_dict()


def test_saved_and_loaded(supernet_files):
    before = torch.get_rng_state()
    found = load_supernet(supernet_files["NB201"], CPU)
    found.network.subnet([0, 1, 2, 3, 4, 0])
    assert torch.equal(torch.get_rng_state(), before)  # PyTorch's global generator is unchanged
    assert found.plan == read_plan(small_supernet("NB201", 20))
    assert 30 < found.best_accuracy <= 100
    arrays = read_tensors(supernet_files["NB201"])
    kinds = {name.split("/")[0] for name in arrays}
    assert kinds == {"network", "epoch", "plan", "best_accuracy", "curve"}


def read_plan(plan):
    return json.loads(json.dumps(plan.describe()))


@pytest.mark.parametrize("space", ["NB201", "DARTS"])
def test_resumed_training_is_identical(space, tmp_path):
    plan = small_supernet(space, 2)
    reported = []
    straight = train_supernet(
        plan,
        DIGITS,
        tmp_path / "a.safetensors",
        CPU,
        lambda n, values: reported.append((n, values)),
    )
    assert [number for number, _ in reported] == [1, 2]
    assert reported[-1][1].keys() == {"loss", "valid_accuracy", "best_accuracy"}
    path = tmp_path / "b.safetensors"
    with pytest.raises(KilledError):
        train_supernet(plan, DIGITS, path, CPU, killer(2), seconds=-1.0)
    with pytest.raises(MissingDataError, match=r"for 1 of 2 epochs\. Run the same"):
        load_supernet(path, CPU)
    resumed = train_supernet(plan, DIGITS, path, CPU, seconds=-1.0)
    found = weights(resumed)
    for name, value in weights(straight).items():
        assert torch.equal(value, found[name]), name
    assert resumed.best_accuracy == straight.best_accuracy == load_supernet(path, CPU).best_accuracy
    # a finished training is not repeated
    again = train_supernet(plan, DIGITS, path, CPU, killer(2))
    assert again.best_accuracy == straight.best_accuracy
    assert (tmp_path / "a.safetensors").read_bytes() == path.read_bytes()


def test_divergence_keeps_the_checkpoint(tmp_path):
    path = tmp_path / "x.safetensors"
    plan = small_supernet("NB201", 4).with_settings(learning_rate=1e20, clip=1e20)
    with pytest.raises(DivergedError):
        train_supernet(plan, DIGITS, path, CPU, seconds=-1.0)
    assert list(tmp_path.glob("*.safetensors")) in ([], [path])


def test_concurrent_trainings_of_one_file_train_once(tmp_path):
    plan, path, reported = small_supernet("NB201", 3), tmp_path / "a.safetensors", []

    def train(_):
        return train_supernet(
            plan, DIGITS, path, CPU, lambda n, _: reported.append(n), seconds=-1.0
        )

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(train, range(2))
    assert reported == [1, 2, 3]
    found = weights(second)
    for name, value in weights(first).items():
        assert torch.equal(value, found[name]), name


def test_invalid_files(tmp_path, supernet_files):
    path = tmp_path / "x.safetensors"
    with pytest.raises(MissingDataError, match="nas-gym train-supernet"):
        load_supernet(path, CPU)
    path.write_bytes(supernet_files["NB201"].read_bytes()[:1000])
    with pytest.raises(DamagedDataError, match="not a safetensors file, or is truncated"):
        load_supernet(path, CPU)
    write_tensors(path, {"x": np.zeros(3)})
    with pytest.raises(DamagedDataError, match="holds no supernet"):
        load_supernet(path, CPU)
    arrays = read_tensors(supernet_files["NB201"])
    for wrong in ("{}", "no plan", '{"recipe": {"epochs": 1}, "space": "X", "network": {}}'):
        write_tensors(path, arrays | {"plan": np.array(wrong)})
        with pytest.raises(DamagedDataError, match="holds no plan"):
            load_supernet(path, CPU)
    write_tensors(path, {k: v for k, v in arrays.items() if "head" not in k})
    with pytest.raises(DamagedDataError, match="lacks weights"):
        load_supernet(path, CPU)
    with pytest.raises(ValueError, match="with other settings"):
        train_supernet(small_supernet("NB201", 9), DIGITS, supernet_files["NB201"], CPU)


def test_files_of_earlier_versions(tmp_path, supernet_files):
    """They have neither curves nor a checksum."""
    arrays = read_tensors(supernet_files["NB201"])
    tensors = {k: v for k, v in arrays.items() if v.dtype.kind != "U" and "curve" not in k}
    path = tmp_path / "old.safetensors"
    path.write_bytes(save(tensors, {"texts": json.dumps({"plan": str(arrays["plan"])})}))
    assert torch.equal(
        load_supernet(path, CPU).network.head.weight,
        load_supernet(supernet_files["NB201"], CPU).network.head.weight,
    )
    received = []
    plan = small_supernet("NB201", 20)
    train_supernet(plan, DIGITS, path, CPU, killer(1), on_resume=received.append)
    assert received == [None]


def test_other_images_are_refused(tmp_path):
    plan = small_supernet("NB201")
    others = data.ImageData("x", DIGITS.classes, DIGITS.valid, DIGITS.train, DIGITS.test)
    with pytest.raises(ValueError, match="other images"):
        train_supernet(plan, others, tmp_path / "x.safetensors", CPU)


def test_cached_supernets(cache, monkeypatch, capsys):
    monkeypatch.setattr(supernet, "supernet_plan", lambda space, _: small_supernet(space, 2))
    assert not supernet.is_supernet_cached("NB201", "digits")
    first = supernet.find_supernet("NB201", DIGITS, CPU)
    assert "supernet of NB201 on digits" in capsys.readouterr().err.replace("\n", "")
    assert supernet.is_supernet_cached("NB201", "digits")
    second = supernet.find_supernet("NB201", DIGITS, CPU)
    assert capsys.readouterr().err == ""  # not trained again
    assert torch.equal(first.network.head.weight, second.network.head.weight)
    monkeypatch.setattr(supernet, "FileLock", pytest.fail)  # a trained supernet needs no lock
    supernet.find_supernet("NB201", DIGITS, CPU)
    file = next((cache / "supernets").glob("*.safetensors"))
    assert file.stat().st_mode & 0o777 == 0o666 & ~umask()
    file.rename(file.with_name("NB201-digits-abc.safetensors"))  # other settings
    assert not supernet.is_supernet_cached("NB201", "digits")
    slow = data.ImageData("slow", DIGITS.classes, DIGITS.train, DIGITS.valid, DIGITS.test)
    with pytest.raises(MissingDataError, match="nas-gym train-supernet NB201 slow"):
        supernet.find_supernet("NB201", slow, CPU)


def umask():
    found = os.umask(0)
    os.umask(found)
    return found
