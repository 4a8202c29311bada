"""Supernets in files: trained, cut off, taken up, found in the cache, damaged."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from networks.small import small_supernet

from nas_gym.networks import data, supernet
from nas_gym.networks.plans import supernet_plan, training_plan
from nas_gym.networks.supernet import load_supernet, train_supernet
from nas_gym.utils.errors import DamagedDataError, DivergedError, MissingDataError
from nas_gym.utils.files import read_tensors, write_tensors

CPU = torch.device("cpu")
DIGITS = data.load_images("digits")


class KilledError(Exception):
    pass


def killer(epoch):
    def report(number, _):
        if number == epoch:
            raise KilledError

    return report


def weights(found):
    return found.network.state_dict()


def test_trained_and_read_again(supernet_files):
    before = torch.get_rng_state()
    found = load_supernet(supernet_files["NB201"], CPU)
    found.network.subnet([0, 1, 2, 3, 4, 0])
    assert torch.equal(torch.get_rng_state(), before)  # torch's own stream is left alone
    assert found.plan == read_plan(small_supernet("NB201", 20))
    assert 30 < found.best_accuracy <= 100
    arrays = read_tensors(supernet_files["NB201"])
    assert {name.split("/")[0] for name in arrays} == {"network", "epoch", "plan", "best_accuracy"}


def read_plan(plan):
    import json

    return json.loads(json.dumps(plan.describe()))


@pytest.mark.parametrize("space", ["NB201", "DARTS"])
def test_cut_off_and_taken_up_is_the_same(space, tmp_path):
    plan = small_supernet(space, 2)
    told = []
    straight = train_supernet(
        plan, DIGITS, tmp_path / "a.safetensors", CPU, lambda n, values: told.append((n, values))
    )
    assert [number for number, _ in told] == [1, 2]
    assert told[-1][1].keys() == {"loss", "valid_accuracy", "best_accuracy"}
    path = tmp_path / "b.safetensors"
    with pytest.raises(KilledError):
        train_supernet(plan, DIGITS, path, CPU, killer(2), seconds=-1.0)
    with pytest.raises(MissingDataError, match=r"for 1 of 2 epochs\. Run the same"):
        load_supernet(path, CPU)
    gone_on = train_supernet(plan, DIGITS, path, CPU, seconds=-1.0)
    found = weights(gone_on)
    for name, value in weights(straight).items():
        assert torch.equal(value, found[name]), name
    assert gone_on.best_accuracy == straight.best_accuracy == load_supernet(path, CPU).best_accuracy
    # what is done is not done again
    again = train_supernet(plan, DIGITS, path, CPU, killer(2))
    assert again.best_accuracy == straight.best_accuracy
    assert (tmp_path / "a.safetensors").read_bytes() == path.read_bytes()


def test_divergence_keeps_what_was_written(tmp_path):
    path = tmp_path / "x.safetensors"
    plan = small_supernet("NB201", 4).with_settings(learning_rate=1e20, clip=1e20)
    with pytest.raises(DivergedError):
        train_supernet(plan, DIGITS, path, CPU, seconds=-1.0)
    assert list(tmp_path.glob("*.safetensors")) in ([], [path])


def test_trained_twice_at_a_time_is_trained_once(tmp_path):
    """What one run has finished, another does not overwrite with a part."""
    plan, path, told = small_supernet("NB201", 3), tmp_path / "a.safetensors", []

    def train(_):
        return train_supernet(plan, DIGITS, path, CPU, lambda n, _: told.append(n), seconds=-1.0)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(train, range(2))
    assert told == [1, 2, 3]
    found = weights(second)
    for name, value in weights(first).items():
        assert torch.equal(value, found[name]), name


def test_files_that_are_something_else(tmp_path, supernet_files):
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


def test_other_images_are_refused(tmp_path):
    plan = small_supernet("NB201")
    others = data.ImageData("x", DIGITS.classes, DIGITS.valid, DIGITS.train, DIGITS.test)
    with pytest.raises(ValueError, match="other images"):
        train_supernet(plan, others, tmp_path / "x.safetensors", CPU)


def test_of_the_cache(cache, monkeypatch, capsys):
    monkeypatch.setattr(supernet, "supernet_plan", lambda space, _: small_supernet(space, 2))
    assert not supernet.is_supernet_cached("NB201", "digits")
    first = supernet.find_supernet("NB201", DIGITS, CPU)
    assert "supernet of NB201 on digits" in capsys.readouterr().err.replace("\n", "")
    assert supernet.is_supernet_cached("NB201", "digits")
    second = supernet.find_supernet("NB201", DIGITS, CPU)
    assert capsys.readouterr().err == ""  # not trained again
    assert torch.equal(first.network.head.weight, second.network.head.weight)
    monkeypatch.setattr(supernet, "FileLock", pytest.fail)  # it needs none, once it is trained
    supernet.find_supernet("NB201", DIGITS, CPU)
    file = next((cache / "supernets").glob("*.safetensors"))
    assert file.stat().st_mode & 0o777 == 0o666 & ~umask()
    file.rename(file.with_name("NB201-digits-abc.safetensors"))  # of other settings
    assert not supernet.is_supernet_cached("NB201", "digits")
    slow = data.ImageData("slow", DIGITS.classes, DIGITS.train, DIGITS.valid, DIGITS.test)
    with pytest.raises(MissingDataError, match="nas-gym train-supernet NB201 slow"):
        supernet.find_supernet("NB201", slow, CPU)


def umask():
    found = os.umask(0)
    os.umask(found)
    return found


def test_plans_are_told_apart():
    plans = [
        supernet_plan("NB201", DIGITS),
        supernet_plan("NB201", DIGITS, seed=1),
        supernet_plan("DARTS", DIGITS),
        supernet_plan("NB201", DIGITS).with_settings(epochs=7),
        training_plan("NB201", DIGITS),
        training_plan("NB201", DIGITS, epochs=12),
    ]
    assert len({plan.digest for plan in plans}) == len(plans)
    assert plans[0].digest == supernet_plan("NB201", DIGITS).with_settings().digest
    same = [supernet_plan("NB201", DIGITS).build() for _ in range(2)]
    assert torch.equal(*(each.head.weight for each in same))
    narrow = plans[0].with_settings(channels=3, learning_rate=1)
    assert (narrow.build().settings["channels"], narrow.training.learning_rate) == (3, 1)
    with pytest.raises(ValueError, match=r"no setting 'width' of NB201 .*epochs.*channels, cells"):
        plans[0].with_settings(width=3)
    with pytest.raises(ValueError, match=r"epochs is of type int, got 1\.5"):
        plans[0].with_settings(epochs=1.5)
    with pytest.raises(ValueError, match="no setting 'num_classes'"):
        plans[0].with_settings(num_classes=3)
    with pytest.raises(ValueError, match="networks of NB201 and DARTS, not of 'OFA'"):
        supernet_plan("OFA", DIGITS)


def test_plans_of_the_papers():
    cifar = data.ImageData(
        "cifar10", tuple("abcdefghij"), *[
            data.Split(np.zeros((10, 3, 32, 32), np.uint8), np.arange(10))
        ] * 3
    )  # fmt: skip
    plan = supernet_plan("DARTS", cifar)
    assert plan.network == {
        "channels": 16, "layers": 8, "partial": 4, "num_classes": 10, "in_channels": 3
    }  # fmt: skip
    assert (plan.training.batch_size, plan.training.learning_rate) == (250, 0.025)
    assert plan.training.augmentation.cutout == 16
    plan = training_plan("DARTS", cifar)
    assert (plan.network["channels"], plan.network["layers"]) == (36, 20)
    assert (plan.training.epochs, plan.training.batch_size) == (1000, 96)
    plan = training_plan("NB201", cifar)
    assert (plan.training.epochs, plan.training.batch_size, plan.training.learning_rate) == (
        12,
        256,
        0.1,
    )
