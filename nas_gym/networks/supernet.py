"""Supernets: single-path training, files, and the cache of trained supernets."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from torch import Tensor, nn

from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.data import DATA_SETS, ImageData, load_images
from nas_gym.networks.data.imported import imported_images
from nas_gym.networks.device import move_to_device
from nas_gym.networks.evaluation import (
    CALIBRATION_IMAGES,
    EVALUATION_BATCH,
    evaluate_network,
    recalibrated_batch_norm,
    set_batch_norm_statistics,
)
from nas_gym.networks.network import Network
from nas_gym.networks.plans import NETWORKS, SMALL_DATA, NetworkPlan, supernet_plan
from nas_gym.networks.progress import EpochCallback, progress_bar
from nas_gym.networks.training import Training, tensors_with_prefix
from nas_gym.utils.errors import DamagedDataError, DataError, MissingDataError
from nas_gym.utils.files import explain_write_errors, read_tensors, write_tensors

_VALIDATED_ARCHITECTURES = 4  # number of architectures that are validated after each epoch
_VALIDATION_IMAGES = 2000
Curves = dict[str, list[float]]
"""Values of each metric of a training, one per epoch."""
TRAINED_ON_DEMAND = ("digits",)
"""Data sets whose supernets :func:`find_supernet` trains if they are missing (one or two
minutes)."""


@dataclass(frozen=True)
class Supernet:
    """Trained supernet.

    Attributes:
        network: Network with trained weights, on its device.
        plan: The :class:`NetworkPlan` of its training, as plain values.
        best_accuracy: Highest validation accuracy during training, in %, of the random
            architectures that are validated after each epoch. The reward ``rescaled`` uses it
            (L2NAS paper, Eq. 7).
    """

    network: Network
    plan: dict[str, Any]
    best_accuracy: float


# -- training -------------------------------------------------------------------------------------


def train_supernet(
    plan: NetworkPlan,
    data: ImageData,
    path: Path,
    device: torch.device,
    on_epoch: EpochCallback | None = None,
    seconds: float = 10.0,
    *,
    on_resume: Callable[[Curves | None], None] | None = None,
    wait: bool = True,
) -> Supernet:
    """Train a supernet and save it, or resume an interrupted training.

    Each batch trains the weights of one architecture, drawn uniformly (L2NAS paper, section 3.2).

    Args:
        plan: Plan of the supernet.
        data: Images that the plan was made for.
        path: File of the supernet (``.safetensors``). During training, it is a checkpoint with the
            complete state. It is replaced atomically.
        device: Device of the training.
        on_epoch: Callback that receives ``loss``, ``valid_accuracy`` and ``best_accuracy`` after
            each epoch.
        seconds: Minimum time between two checkpoints.
        on_resume: Callback that receives the curves of the epochs in the file, once, before further
            epochs are trained. The curves are empty if there is no file, and ``None`` if the file
            was written by an earlier version, which saved no curves.
        wait: Whether to wait for another process that trains the same file.

    Raises:
        ValueError: If the file holds a supernet of another plan, or the plan is for other images.
        DamagedDataError: If the file holds no supernet.
        DataError: If the file cannot be written, or if another process trains it and ``wait`` is
            false.
        TrainingError: If training diverges or memory runs out. The file keeps the latest
            checkpoint.
    """
    if data.digest != plan.data:
        raise ValueError(
            f"The plan was made for other images, not for {data.name}. Make a plan with "
            "supernet_plan(space, data)."
        )
    with training_lock(path, wait):
        # other processes that train the same file wait here, and find it finished
        return _train(plan, data, path, device, on_epoch, seconds, on_resume)


@contextmanager
def training_lock(path: Path, wait: bool) -> Iterator[None]:
    """Keep other trainings from writing the same file; make the folder of the file.

    Args:
        path: File that a training writes.
        wait: Whether to wait for another process that trains the same file.

    Raises:
        DataError: If the folder cannot be written to, or if another process trains the file and
            ``wait`` is false.
    """
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(path.with_suffix(".lock")).acquire(timeout=-1 if wait else 0)
        except Timeout:
            raise DataError(
                f"Another process trains {path}. Wait for it, or choose another file."
            ) from None
    with lock:
        yield


def _train(
    plan: NetworkPlan,
    data: ImageData,
    path: Path,
    device: torch.device,
    on_epoch: EpochCallback | None,
    seconds: float,
    on_resume: Callable[[Curves | None], None] | None,
) -> Supernet:
    network = move_to_device(plan.build(), device)
    train = DeviceImages.from_split(data, data.train, device)
    valid = DeviceImages.from_split(data, data.valid.first(_VALIDATION_IMAGES), device)
    training = Training(
        network, train, plan.training, plan.seed, lambda rng: network.space.sample(1, rng)[0]
    )
    best, curves = _resume(training, plan, path) if path.exists() else (0.0, {})
    if on_resume is not None:
        on_resume(curves)
    written = time.monotonic()
    while training.epoch < plan.training.epochs:
        loss = training.run_epoch()
        accuracy = _validate(network, train, valid, [plan.seed, training.epoch])
        best = max(best, float(accuracy.max()))
        metrics = {"loss": loss, "valid_accuracy": float(accuracy.mean()), "best_accuracy": best}
        if curves is not None:
            for name, value in metrics.items():
                curves.setdefault(name, []).append(value)
        if on_epoch is not None:
            on_epoch(training.epoch, metrics)
        if time.monotonic() - written > seconds or training.epoch == plan.training.epochs:
            _save(path, training, plan, best, curves)
            written = time.monotonic()
    network.calibrate = _calibration(data, device)
    return Supernet(network, plan.describe(), best)


def _calibration(data: ImageData, device: torch.device) -> Callable[[nn.Module], None]:
    """Return the function that recalibrates batch norm with the images of a data set."""
    return partial(
        set_batch_norm_statistics,
        train=DeviceImages.from_split(data, data.train.first(CALIBRATION_IMAGES), device),
        images=CALIBRATION_IMAGES,
        batch_size=EVALUATION_BATCH,
    )


def _validate(
    network: Network, train: DeviceImages, valid: DeviceImages, seed: list[int]
) -> NDArray[np.float64]:
    """Return validation accuracies of random architectures, with batch-norm statistics of each
    evaluation batch."""
    accuracy = []
    for genotype in network.space.sample(_VALIDATED_ARCHITECTURES, np.random.default_rng(seed)):
        forward = partial(network, genotype=genotype)
        with recalibrated_batch_norm(network, forward, train, 0, EVALUATION_BATCH):
            accuracy.append(evaluate_network(forward, valid, EVALUATION_BATCH).accuracy)
    return np.array(accuracy)


# -- files ----------------------------------------------------------------------------------------


def _save(
    path: Path, training: Training, plan: NetworkPlan, best: float, curves: Curves | None
) -> None:
    arrays = training.state_arrays()
    if training.epoch == plan.training.epochs:  # a finished run is not resumed: weights only
        arrays = {k: v for k, v in arrays.items() if k.startswith("network/") or k == "epoch"}
    arrays |= {f"curve/{name}": np.array(values) for name, values in (curves or {}).items()}
    described = np.array(json.dumps(plan.describe(), sort_keys=True))
    write_tensors(path, {**arrays, "plan": described, "best_accuracy": np.array(best)})


def _resume(training: Training, plan: NetworkPlan, path: Path) -> tuple[float, Curves | None]:
    """Restore a training run from its file; return the best accuracy and the curves so far."""
    content = _read(path)
    if content.plan != json.loads(json.dumps(plan.describe())):
        raise ValueError(
            f"{path} holds a supernet with other settings. Give another path, or delete it."
        )
    if content.epoch < plan.training.epochs:
        try:
            training.load_state_arrays(content.arrays)
        except (LookupError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise DamagedDataError(
                f"{path} cannot be resumed: {error!r:.200}. Delete it to train again."
            ) from error
    else:
        training.network.load_state_dict(tensors_with_prefix(content.arrays, "network/"))
        training.epoch = plan.training.epochs
    return content.best, content.curves


class _Content(NamedTuple):
    """Checked content of the file of a supernet.

    Attributes:
        plan: The :class:`NetworkPlan`, as plain values.
        epoch: Number of finished epochs.
        best: Best validation accuracy so far, in %.
        curves: Curves of the finished epochs; ``None`` in files of earlier versions.
        arrays: Everything in the file.
    """

    plan: dict[str, Any]
    epoch: int
    best: float
    curves: Curves | None
    arrays: dict[str, NDArray[Any]]


def _read(path: Path) -> _Content:
    """Read the file of a supernet, finished or not.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedDataError: If the file holds no supernet, lacks weights, or has weights that are not
            finite.
    """
    arrays = read_tensors(path)
    if not {"plan", "epoch", "best_accuracy"} <= arrays.keys():
        raise DamagedDataError(
            f"{path} holds no supernet. Give a file that `nas-gym train-supernet` saved."
        )
    try:
        plan, epochs, expected = _parse_plan(str(arrays["plan"]))
        epoch, best = int(arrays["epoch"]), float(arrays["best_accuracy"])
        curves = {
            name.removeprefix("curve/"): values
            for name, values in arrays.items()
            if name.startswith("curve/")
        }
        if not 0 <= epoch <= epochs or not 0 <= best <= 100:
            raise ValueError(f"epoch {epoch} of {epochs}, best accuracy {best}")
        if any(each.shape != (epoch,) or each.dtype != np.float64 for each in curves.values()):
            raise ValueError(f"the curves are not numbers of {epoch} epochs")
    except (LookupError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise DamagedDataError(f"{path} holds no plan of a supernet: {error!r:.200}.") from error
    check_weights(path, arrays, expected)
    values = {name: each.tolist() for name, each in curves.items()}
    return _Content(plan, epoch, best, values or None, arrays)


def _parse_plan(text: str) -> tuple[dict[str, Any], int, dict[str, Tensor]]:
    """Return a plan, its number of epochs, and the state dict of its network without memory."""
    plan = json.loads(text)  # RecursionError is a RuntimeError
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        network = NETWORKS[plan["space"]](**plan["network"])
    return plan, int(plan["recipe"]["epochs"]), network.state_dict()


def check_weights(path: Path, arrays: dict[str, NDArray[Any]], expected: dict[str, Tensor]) -> None:
    """Raise an error unless a file has finite weights of the expected names and shapes."""
    found = {name.removeprefix("network/"): each for name, each in arrays.items()
             if name.startswith("network/")}  # fmt: skip
    wrong = sorted(
        found.keys() ^ expected.keys()
        | {name for name in found.keys() & expected.keys()
           if found[name].shape != tuple(expected[name].shape)}
    )  # fmt: skip
    if wrong:
        raise DamagedDataError(
            f"{path} lacks weights of its network, or has weights of another shape: "
            f"{', '.join(wrong[:3])}."
        )
    for name, each in arrays.items():
        if each.dtype.kind == "f" and not np.isfinite(each).all():
            raise DamagedDataError(
                f"{path} has values in {name} that are NaN or infinite. Train the supernet again."
            )


def load_supernet(path: Path, device: torch.device, data: ImageData | None = None) -> Supernet:
    """Return a trained supernet from its file.

    Args:
        path: File that :func:`train_supernet` wrote.
        device: Device of the network.
        data: Images that the supernet was trained on, which ``network.subnet(genotype)`` needs. By
            default, ``subnet`` looks for the images among the data sets by name and imported
            images.

    Raises:
        MissingDataError: If there is no such file, or its training is not finished.
        DamagedDataError: If the file holds no supernet.
    """
    if not os.path.isfile(path):  # Path.is_file() raises an error for a name that is too long
        raise MissingDataError(f"There is no supernet {path}. `nas-gym train-supernet` makes one.")
    content = _read(path)
    plan, epochs = content.plan, content.plan["recipe"]["epochs"]
    if content.epoch < epochs:
        raise MissingDataError(
            f"{path} is trained for {content.epoch} of {epochs} epochs. Run the same "
            "`nas-gym train-supernet` again to resume it."
        )
    with torch.random.fork_rng(devices=[]):  # initial weights are overwritten below
        network = NETWORKS[plan["space"]](**plan["network"])
    network.load_state_dict(tensors_with_prefix(content.arrays, "network/"))
    network = move_to_device(network, device).eval()
    if data is None:
        network.calibrate = partial(_find_images_and_calibrate, plan["data"], device)
    else:
        network.calibrate = _calibration(data, device)
    return Supernet(network, plan, content.best)


def _find_images_and_calibrate(digest: str, device: torch.device, network: nn.Module) -> None:
    """Recalibrate batch norm with the data set that has a digest, one of :data:`DATA_SETS` or
    imported images."""
    for name in (*imported_images(), *DATA_SETS):
        with suppress(DataError):
            data = load_images(name)
            if data.digest == digest:
                _calibration(data, device)(network)
                return
    raise MissingDataError(
        "subnet() recalibrates batch norm with training images, but the images of this supernet "
        "are unknown. Load it with load_supernet(path, device, data=load_images(folder, size))."
    )


# -- cache ----------------------------------------------------------------------------------------


def _folder() -> Path:
    from nas_gym.utils.cache import cache_folder

    return cache_folder() / "supernets"


def supernet_path(plan: NetworkPlan, dataset: str) -> Path:
    """Return the path in the cache of the supernet of a plan on a data set."""
    return _folder() / f"{plan.space}-{dataset}-{plan.digest}.safetensors"


def is_supernet_cached(space: str, dataset: str) -> bool:
    """Return whether the cache holds the trained supernet of a search space on a data set."""
    if not any(_folder().glob(f"{space}-{dataset}-*.safetensors")):
        return False  # avoids reading the images
    try:
        plan = supernet_plan(space, load_images(dataset))
        load_supernet(supernet_path(plan, dataset), torch.device("cpu"))
    except DataError:
        return False
    return True


def find_supernet(space: str, data: ImageData, device: torch.device) -> Supernet:
    """Return the supernet of a search space on a data set, from the cache.

    If the data set is one of :data:`TRAINED_ON_DEMAND`, a missing supernet is trained with a
    progress bar.

    Raises:
        MissingDataError: If the supernet is missing and takes long to train.
        DamagedDataError: If the file of the supernet is damaged.
        DataError: If the cache cannot be written.
    """
    plan = supernet_plan(space, data)
    path = supernet_path(plan, data.name)
    if data.name not in TRAINED_ON_DEMAND:
        if not path.exists():
            hours = " (hours on a GPU)" * (len(data.train) >= SMALL_DATA)
            raise MissingDataError(
                f"The supernet of {space} on {data.name} is not trained yet. Run `nas-gym "
                f"train-supernet {space} {data.name}`{hours}, or give your own file "
                "with supernet=."
            )
        return load_supernet(path, device, data)
    with suppress(MissingDataError):  # try without a lock first: the folder may be read-only
        return load_supernet(path, device, data)
    with progress_bar(f"supernet of {space} on {data.name}", plan.training.epochs) as on_epoch:
        train_supernet(plan, data, path, device, on_epoch)
    return load_supernet(path, device, data)
