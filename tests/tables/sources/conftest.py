"""Small files in the published formats, made with the publishers' own classes."""

import os
import pickle
from pathlib import Path

import pytest

from nas_gym.spaces import NB201Space

SPLITS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}
SEEDS = {"cifar10-valid": (777, 888), "cifar10": (777, 888, 999), "cifar100": (888,)}


@pytest.fixture
def data():
    """Finds a file below the folder NAS_GYM_DATA."""

    def find(name):
        folder = os.environ.get("NAS_GYM_DATA")
        if not folder:
            pytest.skip("NAS_GYM_DATA is not set: the published files are not on this machine")
        path = Path(folder, name)
        if not path.is_file():
            pytest.skip(f"NAS_GYM_DATA has no {name}")
        return path

    return find


@pytest.fixture(scope="session")
def arch_strings():
    space = NB201Space()
    return space.to_text(space.decode(range(space.size)))


class Hostile:
    """A pickle of it asks for a program to be run that makes the file ``ran``."""

    def __init__(self, ran):
        self.command = f"touch {ran}"

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.fixture
def hostile(tmp_path):
    """An object whose pickle runs a program, and the file that would tell."""
    ran = tmp_path / "ran"
    thing = Hostile(ran)
    pickle.loads(pickle.dumps(thing))  # the threat is real
    assert ran.exists()
    ran.unlink()
    return thing, ran


def accuracy(number, epochs, dataset, split, seed):
    """A distinct made-up accuracy for everything that is measured."""
    code = hash((number, epochs, seed)) % 1000 + 1000 * len(dataset) + 100 * len(split)
    return 10 + code % 8999 / 100


def arch_results(api, number, arch, epochs, seeds=SEEDS, *, timed=True):
    """An ``ArchResults`` of either package, filled the way its publisher does."""
    import numpy as np

    results = api.ArchResults(number, arch)
    for dataset, trials in seeds.items():
        config = {"channel": 16, "num_cells": 5, "arch_str": arch, "class_num": 10}
        for seed in trials:

            def curve(split, dataset=dataset, seed=seed):
                last = accuracy(number, epochs, dataset, split, seed)
                return [last * (i + 1) / epochs for i in range(epochs)]

            train = dict(enumerate(curve("train")))
            trial = api.ResultsCount(
                dataset, None, train, train, np.float64(0.1 + number), 7.5 + number, config,
                str(seed), epochs, None,
            )  # fmt: skip
            evals = {
                f"{split}@{i}": value
                for split in SPLITS[dataset]
                for i, value in enumerate(curve(split))
            }
            if timed:
                times = dict.fromkeys(train, 0.5 + seed)
                trial.update_train_info(train, train, train, times)
                trial.update_eval(evals, evals, dict.fromkeys(evals, 0.25))
            else:
                for split in SPLITS[dataset]:
                    last = {epochs - 1: evals[f"{split}@{epochs - 1}"]}
                    trial.update_OLD_eval(split, last, last)
                trial.update_latency([0.01, 0.03])
            results.update(dataset, seed, trial)
    return results


@pytest.fixture
def make_results():
    return arch_results
