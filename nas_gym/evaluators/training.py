"""Evaluation of architectures by training each from scratch."""

from __future__ import annotations

import csv
import io
import time
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from filelock import FileLock

from nas_gym.evaluators.base import Values
from nas_gym.evaluators.network import (
    Indices,
    NetworkEvaluator,
    image_metrics,
    parameter_count,
)
from nas_gym.evaluators.results_store import ResultsStore
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.data import ImageData
from nas_gym.networks.device import move_to_device
from nas_gym.networks.evaluation import EVALUATION_BATCH, NetworkScore, evaluate_network
from nas_gym.networks.plans import NETWORKS, NetworkPlan
from nas_gym.networks.training import Training
from nas_gym.spaces import NB201Space
from nas_gym.utils.errors import DamagedDataError, DivergedError
from nas_gym.utils.files import explain_write_errors, read_tensors, write_atomically, write_tensors

_TRAINED_METRICS = ("valid_accuracy", "test_accuracy", "valid_loss", "seconds")
"""Metrics that need a training."""


class TrainingEvaluator(NetworkEvaluator):
    """Accuracy of architectures that are trained from scratch, such as CATCH's 12-epoch reward.

    Metrics: ``valid_accuracy``, ``test_accuracy`` (%), ``valid_loss``, ``params`` (M) and
    ``seconds``. All processes share the results of a plan in one file, so no architecture is
    trained twice. Cells of NAS-Bench-201 that compute the same function share one training, but
    each has its own ``params``. An interrupted training resumes at its latest checkpoint. If a
    training diverges, the accuracy is that of random guessing, 100 / classes %.

    Args:
        plan: Plan of the trainings.
        data: Images that the plan was made for.
        device: Device of the trainings.
        folder: Folder of results and checkpoints; in the cache by default.

    Raises:
        ValueError: If the plan was made for other images.
    """

    name = "training"
    checkpoint_seconds: ClassVar[float] = 30.0
    """Minimum time between two checkpoints of a training."""

    def __init__(
        self, plan: NetworkPlan, data: ImageData, device: torch.device, folder: Path | None = None
    ) -> None:
        if plan.data != data.digest:
            raise ValueError(
                f"The plan was made for other images than these of {data.name}. Make a plan with "
                "training_plan(space, data)."
            )
        self.plan = plan
        self.space = plan.search_space
        self.metrics = image_metrics(f"after {plan.training.epochs} epochs")
        if folder is None:
            from nas_gym.utils.cache import cache_folder

            folder = cache_folder() / "trainings"
        name = f"{plan.space}-{data.name}-{plan.digest}"
        self.store = ResultsStore(folder / f"{name}.sqlite", _TRAINED_METRICS)
        self._checkpoints = folder / name
        self._guessing_accuracy = 100 / len(data.classes)
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

    def _without_results(self, metric: str, indices: Indices) -> Indices:
        if metric == "params":
            return indices[:0]
        different = np.unique(self._representatives(indices)).tolist()
        missing = [i for i in different if i not in self._rows and self.store.get(i) is None]
        return np.array(missing, np.int64)

    def results_stores(self) -> list[ResultsStore]:
        """See :meth:`Evaluator.results_stores`."""
        return [self.store]

    def _count(self, index: int) -> float:
        if index not in self._params:
            genotype = self.space.decode([index])[0]
            build = NETWORKS[self.plan.space]
            self._params[index] = parameter_count(build, self.plan.network, genotype)
        return self._params[index]

    def _representatives(self, indices: Indices) -> Indices:
        """Return the architecture that is trained in place of each."""
        if not isinstance(self.space, NB201Space):
            return indices
        return self.space.encode(self.space.canonical(self.space.decode(indices)))

    def _row(self, index: int) -> dict[str, float]:
        if index not in self._rows:
            self._rows[index] = self.store.get(index) or self._train_once(index)
        return self._rows[index]

    def _train_once(self, index: int) -> dict[str, float]:
        """Train an architecture, or wait for the process that trains it; return the results."""
        self.store.create()
        lock, checkpoint = self._file(index, ".lock"), self._file(index, ".safetensors")
        with explain_write_errors(lock):
            lock.parent.mkdir(exist_ok=True)
            acquired = FileLock(lock).acquire()
        with acquired:
            found = self.store.get(index)
            if found is None:
                found = self._train(index)
                self.store.add(index, found)
            for file in (checkpoint, lock):  # later and waiting processes find the results
                file.unlink(missing_ok=True)
        return found

    def _train(self, index: int) -> dict[str, float]:
        genotype = self.space.decode([index])[0]
        network = move_to_device(self.plan.build(genotype), self.device)
        training = Training(network, self._splits["train"], self.plan.training, self.plan.seed)
        started = time.perf_counter() - self._resume(training, index)
        try:
            self._run_epochs(training, index, started)
            network.eval()
            valid, test = (
                evaluate_network(network, self._splits[name], EVALUATION_BATCH)
                for name in ("valid", "test")
            )
        except DivergedError as error:
            warnings.warn(f"{self.space.to_text([genotype])[0]}: {error}", stacklevel=2)
            accuracy = self._guessing_accuracy
            valid = test = NetworkScore(accuracy, float(np.log(100 / accuracy)))
        return {
            "valid_accuracy": valid.accuracy,
            "test_accuracy": test.accuracy,
            "valid_loss": valid.loss,
            "seconds": time.perf_counter() - started,
        }

    def _run_epochs(self, training: Training, index: int, started: float) -> None:
        """Train to the last epoch, and save checkpoints."""
        written = time.perf_counter()
        while training.epoch < self.plan.training.epochs:
            training.run_epoch()
            now = time.perf_counter()
            if now - written > self.checkpoint_seconds:
                arrays = training.state_arrays() | {"seconds": np.array(now - started)}
                write_tensors(self._file(index, ".safetensors"), arrays)
                written = now

    def _resume(self, training: Training, index: int) -> float:
        """Restore the checkpoint, if there is one; return the seconds spent before it."""
        path = self._file(index, ".safetensors")
        if not path.exists():
            return 0.0
        arrays = read_tensors(path)
        try:
            training.load_state_arrays(arrays)
            if not 0 <= training.epoch <= self.plan.training.epochs:
                raise ValueError(f"epoch {training.epoch}")
            return float(arrays["seconds"])
        except (LookupError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise DamagedDataError(
                f"{path} cannot be resumed: {error!r:.200}. Delete it to train again."
            ) from error

    def _file(self, index: int, ending: str) -> Path:
        return self._checkpoints / f"{index}{ending}"

    def export(self, path: str | Path) -> int:
        """Write all results of this plan to a CSV file that ``nas-gym data import`` reads.

        Returns:
            Number of architectures in the file.
        """
        rows = self.store.rows()
        archs = self.space.to_text(self.space.decode(list(rows)))
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["arch", *_TRAINED_METRICS, "params"])
        for arch, (index, row) in zip(archs, rows.items(), strict=True):
            writer.writerow([arch, *row.values(), self._count(index)])
        write_atomically(Path(path), text.getvalue().encode())
        return len(rows)

    def provenance(self) -> dict[str, Any]:
        """Return the plan of the trainings."""
        return {"training": self.plan.describe()}
