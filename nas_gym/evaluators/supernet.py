"""Evaluation of architectures with the weights of a supernet."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.evaluators.base import Values
from nas_gym.evaluators.kept_results import KeptResults
from nas_gym.evaluators.network import (
    Indices,
    NetworkEvaluator,
    image_metrics,
    parameter_count,
)
from nas_gym.evaluators.results_store import ResultsStore
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.data import ImageData
from nas_gym.networks.evaluation import (
    CALIBRATION_IMAGES,
    EVALUATION_BATCH,
    NetworkScore,
    evaluate_network,
    recalibrated_batch_norm,
    set_batch_norm_statistics,
)
from nas_gym.networks.supernet import Supernet
from nas_gym.spaces import SearchSpace

_SCORES = ("accuracy", "loss", "seconds")


class SupernetEvaluator(NetworkEvaluator):
    """Accuracy of architectures with weights inherited from a supernet (L2NAS paper, section 3.2).

    ``supernet.network.subnet(genotype)`` has the same accuracy on the same images: it is
    recalibrated with the settings of this evaluator.

    Metrics: ``valid_accuracy``, ``test_accuracy`` (%), ``valid_loss``, ``params`` (M) and
    ``seconds``.

    Args:
        supernet: Trained supernet.
        data: Images that the supernet was trained on.
        calibration: Training images used to recalibrate batch norm for each architecture; 0 uses
            the statistics of each evaluation batch.
        images: Number of validation images; all of them by default.

    Raises:
        ValueError: If the supernet was trained on other images, or if ``images`` is below 1.
    """

    name = "supernet"

    def __init__(
        self,
        supernet: Supernet,
        data: ImageData,
        calibration: int = CALIBRATION_IMAGES,
        images: int | None = None,
    ) -> None:
        if supernet.plan["data"] != data.digest:
            raise ValueError(
                f"This supernet was trained on other images than these of {data.name}. Name its "
                "images with --dataset and --size (dataset= and size= in Python), or train a "
                "supernet on these images with `nas-gym train-supernet`."
            )
        if images is not None and images < 1:
            raise ValueError(f"images is at least 1, got {images}.")
        self.supernet = supernet
        self.space = supernet.network.space
        self.best_accuracy = supernet.best_accuracy
        self.metrics = image_metrics("with weights of the supernet")
        self._settings = {"calibration": calibration, "images": images}
        self._calibration = calibration
        self.device = next(supernet.network.parameters()).device
        valid = data.valid if images is None else data.valid.first(images)
        train = data.train.first(max(calibration, 1))
        splits = {"train": train, "valid": valid, "test": data.test}
        self._splits = {
            name: DeviceImages.from_split(data, split, self.device)
            for name, split in splits.items()
        }
        supernet.network.calibrate = partial(
            set_batch_norm_statistics,
            train=self._splits["train"],
            images=calibration,
            batch_size=EVALUATION_BATCH,
        )
        self._scores: dict[tuple[str, int], tuple[NetworkScore, float]] = {}
        self._kept: dict[str, KeptResults] = {}
        self._params: dict[int, float] = {}

    def _compute(self, metric: str, indices: Indices) -> Values:
        found = {index: self._value(metric, index) for index in np.unique(indices).tolist()}
        return np.array([found[index] for index in indices.tolist()], np.float64)

    def _value(self, metric: str, index: int) -> float:
        if metric == "params":
            return self._count(index)
        score, seconds = self._score("test" if metric == "test_accuracy" else "valid", index)
        if metric == "seconds":
            return seconds
        return score.loss if metric == "valid_loss" else score.accuracy

    def _score(self, split: str, index: int) -> tuple[NetworkScore, float]:
        """Return the score of an architecture on a split, and the seconds of its evaluation."""
        key = (split, index)
        if key not in self._scores:
            genotypes = self.space.decode([index])
            kept = self._kept.get(split)
            (found,) = kept.get(genotypes) if kept is not None else [None]
            if found is None:
                found = self._evaluate_split(split, genotypes[0])
                if kept is not None:
                    kept.add(genotypes, [found])
            self._scores[key] = NetworkScore(found["accuracy"], found["loss"]), found["seconds"]
        return self._scores[key]

    def _evaluate_split(self, split: str, genotype: NDArray[np.int64]) -> dict[str, float]:
        started = time.perf_counter()
        network = self.supernet.network
        forward = partial(network, genotype=genotype)
        with recalibrated_batch_norm(
            network, forward, self._splits["train"], self._calibration, EVALUATION_BATCH
        ):
            score = evaluate_network(forward, self._splits[split], EVALUATION_BATCH)
        seconds = time.perf_counter() - started
        return {"accuracy": score.accuracy, "loss": score.loss, "seconds": seconds}

    def keep_results(self, folder: Path, space: SearchSpace) -> None:
        """Keep the scores on each split in a folder; see :meth:`Evaluator.keep_results`."""
        described = {**self.identity(), **self.provenance()}
        self._kept = {
            split: KeptResults(
                folder, f"{self.name}-{split}", space, _SCORES, described | {"split": split}
            )
            for split in self._splits
        }

    def _without_results(self, metric: str, indices: Indices) -> Indices:
        kept = self._kept.get("test" if metric == "test_accuracy" else "valid")
        if metric == "params" or kept is None:
            return indices[:0]
        different = np.unique(indices)
        found = kept.get(self.space.decode(different))
        return different[[row is None for row in found]]

    def results_stores(self) -> list[ResultsStore]:
        """See :meth:`Evaluator.results_stores`."""
        return [kept.store for kept in self._kept.values()]

    def _count(self, index: int) -> float:
        if index not in self._params:
            network = self.supernet.network
            genotype = self.space.decode([index])[0]
            self._params[index] = parameter_count(type(network), network.settings, genotype)
        return self._params[index]

    def provenance(self) -> dict[str, Any]:
        """Return the plan of the supernet's training, and the settings of the evaluation."""
        return {"supernet": self.supernet.plan, **self._settings}
