"""Evaluation by training from scratch: what an architecture is worth, at its full price."""

from __future__ import annotations

import csv
import io
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from nas_gym.evaluators.base import Values
from nas_gym.evaluators.network import (
    Indices,
    NetworkEvaluator,
    images_metrics,
    parameters,
)
from nas_gym.evaluators.results_store import ResultsStore
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.data import ImageData
from nas_gym.networks.device import move_to_device
from nas_gym.networks.evaluation import NetworkScore, evaluate_network
from nas_gym.networks.plans import NETWORKS, NetworkPlan
from nas_gym.networks.training import Training
from nas_gym.spaces import NB201Space
from nas_gym.utils.errors import DivergedError
from nas_gym.utils.files import explain_write_errors, read_tensors, write_atomically, write_tensors

_EVALUATED = 1000  # images at a time
_SECONDS = 30.0  # between two checkpoints
_TRAINED = ("valid_accuracy", "test_accuracy", "valid_loss", "seconds")
"""The metrics that it takes a training to know."""


class TrainingEvaluator(NetworkEvaluator):
    """Accuracy of architectures that are trained from scratch, such as CATCH's 12-epoch reward.

    Metrics: ``valid_accuracy``, ``test_accuracy`` (%), ``valid_loss``, ``params`` (M) and
    ``seconds``. Every result is kept in a file of the plan, so that no architecture is trained
    twice, in whatever process; cells of NAS-Bench-201 that its authors take for the same function
    count as one (the first of them is trained), but each has its own ``params``. A training that is
    killed goes on where its last checkpoint was. One that diverges counts as guessing: 100 /
    classes %.

    Args:
        plan: how architectures are trained.
        data: the images that the plan is for.
        device: where to compute.
        folder: of results and checkpoints; that of the cache by default.

    Raises:
        ValueError: a plan for other images.
    """

    name = "training"

    def __init__(
        self, plan: NetworkPlan, data: ImageData, device: torch.device, folder: Path | None = None
    ) -> None:
        if plan.data != data.digest:
            raise ValueError(f"The plan is for other images than those of {data.name} here.")
        self.plan = plan
        self.space = plan.search_space
        self.metrics = images_metrics(f"after {plan.training.epochs} epochs")
        if folder is None:
            from nas_gym.utils.cache import cache_folder

            folder = cache_folder() / "trainings"
        name = f"{plan.space}-{data.name}-{plan.digest}"
        self.store = ResultsStore(folder / f"{name}.sqlite", _TRAINED)
        self._checkpoints = folder / name
        self._guessing = 100 / len(data.classes)
        self._splits = {
            name: DeviceImages.from_split(data, split, device)
            for name, split in data.splits.items()
        }
        self.device = device
        self._rows: dict[int, dict[str, float]] = {}
        self._params: dict[int, float] = {}

    def _compute(self, metric: str, indices: Indices) -> Values:
        if metric == "params":
            found = [self._count(index) for index in indices.tolist()]
        else:
            found = [self._row(index)[metric] for index in self._representatives(indices).tolist()]
        return np.array(found, np.float64)

    def _count(self, index: int) -> float:
        if index not in self._params:
            genotype = self.space.decode([index])[0]
            build = NETWORKS[self.plan.space]
            self._params[index] = parameters(build, self.plan.network, genotype)
        return self._params[index]

    def _representatives(self, indices: Indices) -> Indices:
        """The architecture that is trained for each."""
        if not isinstance(self.space, NB201Space):
            return indices
        return self.space.encode(self.space.canonical(self.space.decode(indices)))

    def _row(self, index: int) -> dict[str, float]:
        if index not in self._rows:
            self._rows[index] = self.store.get(index) or self._train_once(index)
        return self._rows[index]

    def _train_once(self, index: int) -> dict[str, float]:
        """Train it, unless another process does so: then wait, and take its results."""
        self.store.create()
        lock, checkpoint = self._file(index, ".lock"), self._file(index, ".safetensors")
        with explain_write_errors(lock):
            lock.parent.mkdir(exist_ok=True)
            held = FileLock(lock).acquire()
        with held:
            found = self.store.get(index)
            if found is None:
                found = self._train(index)
                self.store.add(index, found)
            for done in (checkpoint, lock):  # whoever waits, or comes later, finds the results
                done.unlink(missing_ok=True)
        return found

    def _train(self, index: int) -> dict[str, float]:
        genotype = self.space.decode([index])[0]
        network = move_to_device(self.plan.build(genotype), self.device)
        training = Training(network, self._splits["train"], self.plan.training, self.plan.seed)
        begun = time.perf_counter() - self._take_up(training, index)
        try:
            self._finish(training, index, begun)
            network.eval()
            valid, test = (
                evaluate_network(network, self._splits[name], _EVALUATED)
                for name in ("valid", "test")
            )
        except DivergedError as error:
            warnings.warn(f"{self.space.to_text([genotype])[0]}: {error}", stacklevel=2)
            valid = test = NetworkScore(self._guessing, float(np.log(100 / self._guessing)))
        return {
            "valid_accuracy": valid.accuracy,
            "test_accuracy": test.accuracy,
            "valid_loss": valid.loss,
            "seconds": time.perf_counter() - begun,
        }

    def _finish(self, training: Training, index: int, begun: float) -> None:
        """Train to the end, with a checkpoint now and then."""
        written = time.perf_counter()
        while training.epoch < self.plan.training.epochs:
            training.run_epoch()
            now = time.perf_counter()
            if now - written > _SECONDS:
                arrays = training.state_arrays() | {"seconds": np.array(now - begun)}
                write_tensors(self._file(index, ".safetensors"), arrays)
                written = now

    def _take_up(self, training: Training, index: int) -> float:
        """Go on from the checkpoint, if there is one; the seconds that were spent before."""
        path = self._file(index, ".safetensors")
        if not path.exists():
            return 0.0
        arrays = read_tensors(path)
        training.load_state_arrays(arrays)
        return float(arrays["seconds"])

    def _file(self, index: int, ending: str) -> Path:
        return self._checkpoints / f"{index}{ending}"

    def export(self, path: str | Path) -> int:
        """Write all results of this plan to a CSV file that ``nas-gym data import`` reads.

        Returns:
            how many architectures it has.
        """
        rows = self.store.rows()
        archs = self.space.to_text(self.space.decode(list(rows)))
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["arch", *_TRAINED, "params"])
        for arch, (index, row) in zip(archs, rows.items(), strict=True):
            writer.writerow([arch, *row.values(), self._count(index)])
        write_atomically(Path(path), text.getvalue().encode())
        return len(rows)

    def provenance(self) -> dict[str, Any]:
        """Return the plan of the trainings."""
        return {"training": self.plan.describe()}
