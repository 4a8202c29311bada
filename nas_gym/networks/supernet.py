"""Supernets: trained by single-path uniform sampling, kept in files, found in the cache."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from nas_gym.networks import data as images
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.data import ImageData
from nas_gym.networks.device import move_to_device
from nas_gym.networks.evaluation import evaluate_network, recalibrated_batch_norm
from nas_gym.networks.network import Network
from nas_gym.networks.plans import NETWORKS, NetworkPlan, supernet_plan
from nas_gym.networks.progress import Report, progress_bar
from nas_gym.networks.training import Training, tensors
from nas_gym.utils.errors import DamagedDataError, DataError, MissingDataError
from nas_gym.utils.files import read_tensors, write_tensors, writing

_PROBES = 4  # architectures whose validation accuracy is looked at after an epoch,
_PROBED = 2000  # and on how many images
_EVALUATED = 1000  # images at a time
TRAINED_ON_DEMAND = ("digits",)
"""The data sets that a supernet is trained on whenever one is missing: it takes a minute or two."""


@dataclass(frozen=True)
class Supernet:
    """A trained supernet.

    Attributes:
        network: with its weights, on the device it was loaded to.
        plan: what it is, and how it was trained.
        best_accuracy: the highest validation accuracy that was seen while it was trained, in %, of
            random architectures after each epoch: what rewards can be scaled with (L2NAS, Eq. 7).
    """

    network: Network
    plan: dict[str, Any]
    best_accuracy: float


def train_supernet(
    plan: NetworkPlan,
    data: ImageData,
    path: Path,
    device: torch.device,
    report: Report | None = None,
    seconds: float = 10.0,
) -> Supernet:
    """Train a supernet, or go on where that was cut off.

    Each batch trains the weights of one architecture, drawn uniformly (L2NAS, section 3.2).

    Args:
        plan: what, and how.
        data: the images that the plan is for.
        path: where it is kept, a safetensors file, always whole: while it is trained, with all
            that the next epochs depend on.
        device: where to compute.
        report: is told of each epoch: ``loss``, ``valid_accuracy`` and ``best_accuracy``.
        seconds: after so many it is written at the end of an epoch.

    Raises:
        ValueError: the file is of another plan.
        DamagedDataError: the file is no supernet.
        DataError: it cannot be written.
        TrainingError: it diverged, or memory does not do; the file has the epochs before.
    """
    if data.digest != plan.data:
        raise ValueError("The plan is for other images than these.")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock")).acquire()
    with lock:  # others that train the same file wait, and find it done
        return _train(plan, data, path, device, report, seconds)


def _train(
    plan: NetworkPlan,
    data: ImageData,
    path: Path,
    device: torch.device,
    report: Report | None,
    seconds: float,
) -> Supernet:
    network = move_to_device(plan.build(), device)
    split = DeviceImages.from_split(data, data.train, device)
    valid = DeviceImages.from_split(data, data.valid.first(_PROBED), device)
    training = Training(
        network, split, plan.training, plan.seed, lambda rng: network.space.sample(1, rng)[0]
    )
    best = _go_on(training, plan, path) if path.exists() else 0.0
    written = time.monotonic()
    while training.epoch < plan.training.epochs:
        loss = training.run_epoch()
        accuracy = _probe(network, split, valid, [plan.seed, training.epoch])
        best = max(best, float(accuracy.max()))
        if report is not None:
            values = {"loss": loss, "valid_accuracy": float(accuracy.mean())}
            report(training.epoch, {**values, "best_accuracy": best})
        if time.monotonic() - written > seconds or training.epoch == plan.training.epochs:
            _write(path, training, plan, best)
            written = time.monotonic()
    return Supernet(network, plan.describe(), best)


def _probe(
    network: Network, split: DeviceImages, valid: DeviceImages, seed: list[int]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Validation accuracy of some architectures, each with the statistics of its batches."""
    accuracy = []
    for genotype in network.space.sample(_PROBES, np.random.default_rng(seed)):
        forward = partial(network, genotype=genotype)
        with recalibrated_batch_norm(network, forward, split, 0, _EVALUATED):
            accuracy.append(evaluate_network(forward, valid, _EVALUATED).accuracy)
    return np.array(accuracy)


def _write(path: Path, training: Training, plan: NetworkPlan, best: float) -> None:
    arrays = training.state_arrays()
    if training.epoch == plan.training.epochs:  # done: the weights are all that is of use
        arrays = {k: v for k, v in arrays.items() if k.startswith("network/") or k == "epoch"}
    described = np.array(json.dumps(plan.describe(), sort_keys=True))
    write_tensors(path, {**arrays, "plan": described, "best_accuracy": np.array(best)})


def _go_on(training: Training, plan: NetworkPlan, path: Path) -> float:
    arrays = _read(path)
    if json.loads(str(arrays["plan"])) != json.loads(json.dumps(plan.describe())):
        raise ValueError(
            f"{path} holds a supernet with other settings. Give another path, or delete it."
        )
    if int(arrays["epoch"]) < plan.training.epochs:
        training.load_state_arrays(arrays)
    else:
        training.network.load_state_dict(tensors(arrays, "network/"))
        training.epoch = plan.training.epochs
    return float(arrays["best_accuracy"])


def _read(path: Path) -> dict[str, Any]:
    arrays = read_tensors(path)
    if not {"plan", "epoch", "best_accuracy"} <= arrays.keys():
        raise DamagedDataError(
            f"{path} is no supernet: one that `nas-gym train-supernet` saved was expected."
        )
    return arrays


def load_supernet(path: Path, device: torch.device) -> Supernet:
    """A trained supernet from its file.

    Raises:
        MissingDataError: there is no such file, or its training is not over.
        DamagedDataError: it is no supernet.
    """
    try:
        arrays = _read(path)
    except FileNotFoundError:
        raise MissingDataError(
            f"There is no supernet {path}. `nas-gym train-supernet` makes one."
        ) from None
    try:
        plan, best = json.loads(str(arrays["plan"])), float(arrays["best_accuracy"])
        epochs = plan["recipe"]["epochs"]
        with torch.random.fork_rng(devices=[]):  # fresh weights, of which none stays
            network = NETWORKS[plan["space"]](**plan["network"])
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedDataError(f"{path} holds no plan of a supernet: {error!r}.") from error
    if int(arrays["epoch"]) < epochs:
        raise MissingDataError(
            f"{path} is trained for {int(arrays['epoch'])} of {epochs} epochs. Run the same "
            "`nas-gym train-supernet` again; it goes on."
        )
    try:
        network.load_state_dict(tensors(arrays, "network/"))
    except RuntimeError as error:
        raise DamagedDataError(f"{path} lacks weights of its network: {error}") from error
    return Supernet(move_to_device(network, device).eval(), plan, best)


def supernet_path(plan: NetworkPlan, name: str) -> Path:
    """Where the supernet of a plan on a data set of that name is cached."""
    return _folder() / f"{plan.space}-{name}-{plan.digest}.safetensors"


def is_supernet_cached(space: str, name: str) -> bool:
    """Return whether the cache holds the trained supernet of a search space on a data set."""
    if not any(_folder().glob(f"{space}-{name}-*.safetensors")):
        return False  # images need not be read
    try:
        load_supernet(
            supernet_path(supernet_plan(space, images.load_images(name)), name), torch.device("cpu")
        )
    except DataError:
        return False
    return True


def _folder() -> Path:
    from nas_gym.utils.cache import cache_folder

    return cache_folder() / "supernets"


def find_supernet(space: str, data: ImageData, device: torch.device) -> Supernet:
    """The supernet of a search space on a data set, from the cache.

    The supernets of :data:`TRAINED_ON_DEMAND` data sets are trained at the first call, with a
    progress bar.

    Raises:
        MissingDataError: it is not there, and training takes long.
        DamagedDataError: it is there, and cannot be read.
        DataError: it cannot be kept.
    """
    plan = supernet_plan(space, data)
    path = supernet_path(plan, data.name)
    if data.name not in TRAINED_ON_DEMAND:
        if not path.exists():
            raise MissingDataError(
                f"The supernet of {space} on {data.name} is not trained yet. Run `nas-gym "
                f"train-supernet {space} {data.name}` (hours on a GPU), or give a file of your own "
                "with supernet=."
            )
        return load_supernet(path, device)
    with suppress(MissingDataError):  # where it is there, the folder may be read-only
        return load_supernet(path, device)
    with progress_bar(f"supernet of {space} on {data.name}", plan.training.epochs) as report:
        train_supernet(plan, data, path, device, report)
    return load_supernet(path, device)
