"""Training of the network of one architecture, such as the best of a search."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nas_gym
from nas_gym.evaluators.network import parameter_count
from nas_gym.experiments.found_architecture import FoundArchitecture, find_architecture
from nas_gym.experiments.outputs import locked_folder
from nas_gym.experiments.settings import use_torch_threads
from nas_gym.experiments.training_events import TrainingEvents
from nas_gym.experiments.training_figures import write_training_figures
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.data import ImageData, Split, load_images
from nas_gym.networks.device import find_device, move_to_device
from nas_gym.networks.evaluation import EVALUATION_BATCH, evaluate_network
from nas_gym.networks.network import Network
from nas_gym.networks.onnx_export import check_onnx_is_installed, export_onnx
from nas_gym.networks.plans import NETWORKS, NetworkPlan, training_plan
from nas_gym.networks.progress import progress_bar
from nas_gym.networks.supernet import Curves, find_supernet, load_supernet
from nas_gym.networks.trained import (
    DESCRIPTION,
    TrainedNetwork,
    build_trained_network,
    describe_network,
    load_network,
    read_description,
    read_weights,
    save_description,
    save_weights,
)
from nas_gym.networks.training import Training
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import read_tensors, write_tensors

EPOCHS = {"NB201": 200}
"""Default number of epochs by search space; others have the default of :func:`training_plan`."""

_CHECKPOINT = "checkpoint.safetensors"
_CHECKPOINT_SECONDS = 10.0
_FINE_TUNING = 0.1  # factor of the learning rate
_COMPARED_IMAGES = 200  # test images on which ONNX Runtime is compared with PyTorch


def train_network(
    source: str | Path,
    task: str | None = None,
    *,
    out: str | Path,
    epochs: int | None = None,
    fine_tune: bool = False,
    supernet: str | Path | None = None,
    validate: bool = False,
    onnx: bool = False,
    seed: int = 0,
    device: str = "auto",
    threads: int = 1,
    show_progress: bool = True,
    **settings: Any,
) -> TrainedNetwork:
    """Train the best architecture of a search, or a given one, like the command ``nas-gym train``.

    If the call is repeated, an interrupted training continues from its last checkpoint and ends
    with the same weights; a finished training is not repeated. The folder ``out`` receives:

    * ``model.safetensors``: the weights;
    * ``model.json``: architecture, classes, preprocessing, metrics, provenance and versions;
    * ``curves.png``, ``confusion.png`` (confusion matrix on test images), ``architecture.png``;
    * ``tensorboard/``: event files;
    * ``model.onnx``, if ``onnx`` is true;
    * ``checkpoint.safetensors``, until the training is finished.

    Training uses the training and validation images together, as in the DARTS paper. Test images
    are used once, after the last epoch.

    Args:
        source: Folder of ``nas-gym search``, or an architecture as text.
        task: Environment ID, also without ``-v0``; by default, that of the search.
        out: Output folder.
        epochs: Passes over the training images; by default 200 for NB201 (as in NAS-Bench-201),
            1,000 for DARTS (as in the L2NAS paper) and 100 for MnasNet; 5 for DARTS and MnasNet on
            digits.
        fine_tune: Whether to start from the weights of a supernet, with its number of channels and
            cells and a tenth of the learning rate.
        supernet: File of this supernet; by default, the one of the search, or the cached one.
        validate: Whether to keep the validation images out of the training, and to measure their
            accuracy after each epoch.
        onnx: Whether to write an ONNX file, whose outputs are compared with those of PyTorch.
        seed: Seed of the initial weights and of the training.
        device: Device to compute on.
        threads: Number of threads on a CPU. More than one is slow if another program is running.
        show_progress: Whether to show a progress bar on the terminal.
        **settings: Values that differ from :func:`nas_gym.networks.plans.training_plan`, such as
            ``channels=8``, ``cutout=16`` or ``drop_path=0.1``.

    Returns:
        The trained network, as :func:`nas_gym.load_network` loads it.

    Raises:
        ValueError: If the source, the task, the device, the number of threads or a setting cannot
            be used, or the folder holds another training.
        DataError: If images, the supernet or a package are missing, or a file cannot be read or
            written.
        TrainingError: If the training diverges, there is too little memory, or the outputs of ONNX
            Runtime differ.
        gymnasium.error.Error: If there is no such environment.
    """
    use_torch_threads(threads)
    if supernet is not None and not fine_tune:
        raise ValueError(
            "supernet= is for a training that starts from it: add --fine-tune (fine_tune=True)."
        )
    if onnx:
        check_onnx_is_installed()
    where, folder = find_device(device), Path(out)
    found = find_architecture(str(source), task)
    data = load_images(found.dataset, found.size)
    supernet = found.supernet if supernet is None else supernet
    network, plan, start = _prepare(found, data, where, fine_tune, supernet, seed)
    plan = plan.with_settings(**({} if epochs is None else {"epochs": epochs}), **settings)
    if network is None:
        network = move_to_device(plan.build(found.genotype), where)
    described = {
        "task": found.task,
        "genotype": list(found.genotype),
        "start": start,
        "images": "train" if validate else "train, valid",
        "plan": plan.describe(),
    }
    with locked_folder(folder):
        run = _Run(folder, network, plan, data, where, json.loads(json.dumps(described)), validate)
        if not run.is_finished():
            run.train(show_progress)
            run.finish(found)
        trained = load_network(folder)
        if onnx and not (folder / "model.onnx").exists():
            export_onnx(trained, folder / "model.onnx", data.test.images[:_COMPARED_IMAGES])
    return trained


def _prepare(
    found: FoundArchitecture,
    data: ImageData,
    device: torch.device,
    fine_tune: bool,
    supernet: str | Path | None,
    seed: int,
) -> tuple[Network | None, NetworkPlan, str]:
    """Return a network with inherited weights or ``None``, the plan, and how the training starts.

    Raises:
        DataError: If the supernet is missing or damaged.
        ValueError: If the supernet has another search space or other images.
    """
    plan = training_plan(found.space, data, EPOCHS.get(found.space), seed)
    if not fine_tune:
        return None, plan, "initial weights"
    if supernet is None:
        trained = find_supernet(found.space, data, device)
    else:
        trained = load_supernet(Path(supernet), device, data)
    if (trained.plan["space"], trained.plan["data"]) != (found.space, data.digest):
        raise ValueError(
            f"{supernet} was not trained for {found.space} on these images. Name another supernet."
        )
    rate = _FINE_TUNING * plan.training.learning_rate
    training = replace(plan.training, learning_rate=rate)
    plan = replace(plan, network=dict(trained.network.settings), training=training)
    return trained.network.subnet(found.genotype), plan, f"supernet {_digest(trained.plan)}"


def _digest(plan: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:12]


class _Run:
    """A training and its folder, which no other command writes to.

    Args:
        folder: Output folder.
        network: Network with its first weights, on its device.
        plan: Plan of the training.
        data: Images.
        device: Device of the training.
        described: Everything that determines the result.
        validate: Whether validation images are kept out of the training.

    Raises:
        ValueError: If the folder holds another training.
    """

    def __init__(
        self,
        folder: Path,
        network: Network,
        plan: NetworkPlan,
        data: ImageData,
        device: torch.device,
        described: dict[str, Any],
        validate: bool,
    ) -> None:
        self.folder, self.network, self.plan, self.data = folder, network, plan, data
        self.described = described
        images = data.train if validate else _join(data.train, data.valid)
        train = DeviceImages.from_split(data, images, device)
        self.valid = DeviceImages.from_split(data, data.valid, device) if validate else None
        self.training = Training(network, train, plan.training, plan.seed)
        self.curves: Curves = {}
        self.seconds = 0.0  # of the training, in all processes

    def is_finished(self) -> bool:
        """Return whether the folder holds the finished training.

        Raises:
            ValueError: If it holds another one.
        """
        if not (self.folder / DESCRIPTION).exists():
            return False
        self._check(read_description(self.folder).get("training"))
        return True

    def _check(self, found: Any) -> None:
        if found != self.described:
            both = found if isinstance(found, dict) else {}
            different = [name for name in self.described if both.get(name) != self.described[name]]
            raise ValueError(
                f"{self.folder} holds another training (different {', '.join(different)}). Choose "
                "another --out folder (out=), or delete this one."
            )

    def train(self, show_progress: bool) -> None:
        """Train to the last epoch, and write checkpoints."""
        self._resume()
        events = TrainingEvents(self.folder / "tensorboard", "train")
        events.begin(self.curves)
        epochs = self.plan.training.epochs
        label = f"{self.plan.space} on {self.data.name}"
        begun, written = time.monotonic() - self.seconds, time.monotonic()
        with progress_bar(label, epochs, visible=show_progress) as show:
            while self.training.epoch < epochs:
                metrics = self._run_epoch()
                for name, value in metrics.items():
                    self.curves.setdefault(name, []).append(value)
                show(self.training.epoch, metrics)
                events.write(self.training.epoch, metrics)
                now = time.monotonic()
                self.seconds = now - begun
                if now - written > _CHECKPOINT_SECONDS or self.training.epoch == epochs:
                    self._write_checkpoint()
                    written = time.monotonic()
        events.close()

    def _run_epoch(self) -> dict[str, float]:
        metrics = {"loss": self.training.run_epoch(), "rate": self.training.learning_rate}
        if self.valid is not None:
            self.network.eval()
            found = evaluate_network(self.network, self.valid, EVALUATION_BATCH)
            metrics["valid_accuracy"] = found.accuracy
        return metrics

    def _write_checkpoint(self) -> None:
        arrays = self.training.state_arrays()
        arrays |= {f"curve/{name}": np.array(values) for name, values in self.curves.items()}
        arrays["training"] = np.array(json.dumps(self.described))
        arrays["seconds"] = np.array(self.seconds)
        write_tensors(self.folder / _CHECKPOINT, arrays)

    def _resume(self) -> None:
        """Restore the checkpoint, if there is one."""
        path = self.folder / _CHECKPOINT
        if not path.exists():
            return
        arrays = read_tensors(path)
        try:
            described = json.loads(str(arrays["training"]))
        except (LookupError, ValueError) as error:
            raise _damaged(path, error) from error
        self._check(described)
        try:
            self.training.load_state_arrays(arrays)
            self.seconds = float(arrays["seconds"])
            self.curves = {
                name.removeprefix("curve/"): each.tolist()
                for name, each in arrays.items()
                if name.startswith("curve/")
            }
            if any(len(each) != self.training.epoch for each in self.curves.values()):
                raise LookupError("the curves have another number of epochs")
        except (LookupError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise _damaged(path, error) from error

    def finish(self, found: FoundArchitecture) -> None:
        """Evaluate the network on test images, and write its files; ``model.json`` is the last."""
        save_weights(self.folder, self.network)
        description = describe_network(self.network, self.data)
        # the network as it is loaded later, so that its accuracy is the same
        trained = build_trained_network(description, read_weights(self.folder))
        metrics = measure_network(trained, self.data)
        metrics["params"] = parameter_count(
            NETWORKS[self.plan.space], self.plan.network, found.genotype
        )
        write_training_figures(
            self.folder, trained.network, self.curves, metrics, self.data.classes
        )
        description |= {
            "metrics": metrics | {"training_seconds": self.seconds},
            "curves": self.curves,
            "training": self.described,
            "provenance": {**found.origin, "dataset": found.dataset, "data": self.data.digest},
            "versions": {
                "nas_gym": nas_gym.__version__,
                "python": platform.python_version(),
                **{package: version(package) for package in ("torch", "numpy", "pillow")},
            },
        }
        save_description(self.folder, description)
        (self.folder / _CHECKPOINT).unlink(missing_ok=True)


def measure_network(network: TrainedNetwork, data: ImageData) -> dict[str, Any]:
    """Return the metrics of a network on the test images of a data set.

    Returns:
        ``test_accuracy`` in %, ``test_loss`` (cross entropy), ``images`` (number of images of each
        split), and ``confusion``, the number of test images of each class (row) that are classified
        as each class (column).
    """
    logits = torch.from_numpy(network.logits(data.test.images))
    labels = torch.from_numpy(data.test.labels)
    classes = len(data.classes)
    pairs = labels * classes + logits.argmax(dim=1)
    confusion = torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return {
        "test_accuracy": 100 * int(confusion.trace()) / len(labels),
        "test_loss": float(torch.nn.functional.cross_entropy(logits, labels)),
        "images": {name: len(split) for name, split in data.splits.items()},
        "confusion": confusion.tolist(),
    }


def _damaged(path: Path, error: Exception) -> DamagedDataError:
    return DamagedDataError(f"{path} cannot be resumed: {error!r:.200}. Delete it to train again.")


def _join(first: Split, second: Split) -> Split:
    return Split(
        np.concatenate([first.images, second.images]), np.concatenate([first.labels, second.labels])
    )
