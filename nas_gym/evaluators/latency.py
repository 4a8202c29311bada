"""Measured latency of networks on this machine."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas_gym.evaluators.base import Values
from nas_gym.evaluators.cost import IMAGES
from nas_gym.evaluators.network import Indices, NetworkEvaluator
from nas_gym.evaluators.results_store import ResultsStore
from nas_gym.networks.device import find_device
from nas_gym.networks.plans import NETWORKS, check_space
from nas_gym.spaces import SearchSpace
from nas_gym.spaces.registry import build_whole_space, find_space_class
from nas_gym.tables import Metric
from nas_gym.utils.cache import cache_folder

_NETWORK_SIZES: dict[str, dict[str, Any]] = {
    "NB201": {"channels": 16, "cells": 5},
    "DARTS": {"channels": 36, "layers": 20, "affine": True},
    "MnasNet": {"channels": 32},
}
_WARM_UP = 3  # forward passes before the measurement
_SECONDS = 0.2  # shortest measurement of a network


class LatencyEvaluator(NetworkEvaluator):
    """Time that a network with random weights takes for one batch, measured on this machine.

    Metrics: ``median`` and ``spread`` (interquartile range) of the measured times, in ms. The
    networks are those of the benchmarks, as in :class:`nas_gym.evaluators.cost.CostEvaluator`.
    Measurements are kept in the cache, by processor, version of PyTorch and settings. Measure on an
    idle machine.

    Args:
        space: ``"NB201"``, ``"DARTS"`` or ``"MnasNet"``.
        dataset: Data set, a key of :data:`nas_gym.evaluators.cost.IMAGES`, for the number of
            classes and the image size.
        device: ``"auto"`` or a device name of torch.
        threads: Number of threads on a CPU.
        batch: Number of images in a batch.
        size: Height and width of the images in pixels; that of the data set by default.
        folder: Folder of the measurements; in the cache by default.

    Raises:
        ValueError: If there is no such space, data set or device, or a number is below 1.
    """

    name = "latency"

    def __init__(
        self,
        space: str,
        dataset: str = "cifar10",
        device: str = "cpu",
        threads: int = 1,
        batch: int = 1,
        size: int | None = None,
        folder: Path | None = None,
    ) -> None:
        check_space(space)
        if dataset not in IMAGES:
            raise ValueError(f"dataset is one of {', '.join(IMAGES)}, got {dataset!r}.")
        num_classes, image_size = IMAGES[dataset]
        size = image_size if size is None else size
        if min(threads, batch, size) < 1:
            raise ValueError(
                "threads, batch and size are at least 1, got "
                f"threads={threads}, batch={batch}, size={size}."
            )
        self.space: SearchSpace = build_whole_space(find_space_class(space))
        self.device = find_device(device)
        self.settings: dict[str, Any] = {
            "device": str(self.device),
            "threads": threads,
            "batch": batch,
            "size": size,
            "classes": num_classes,
        }
        self._space_name = space
        described = f"on {self._processor()}, {threads} threads, batches of {batch}"
        self.metrics = {
            "median": Metric("median", "ms", False, f"median latency {described}"),
            "spread": Metric("spread", "ms", False, f"interquartile range of latency {described}"),
        }
        text = json.dumps(self.provenance(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        folder = cache_folder() / "latencies" if folder is None else folder
        self.store = ResultsStore(folder / f"{space}-{digest}.sqlite", list(self.metrics))
        self._rows: dict[int, dict[str, float]] = {}

    def _compute(self, metric: str, indices: Indices) -> Values:
        return np.array([self._row(index)[metric] for index in indices.tolist()], np.float64)

    def _row(self, index: int) -> dict[str, float]:
        if index not in self._rows:
            found = self.store.get(index)
            if found is None:
                found = self.measure(self.space.decode([index])[0])
                self.store.add(index, found)
            self._rows[index] = found
        return self._rows[index]

    def results_stores(self) -> list[ResultsStore]:
        """See :meth:`Evaluator.results_stores`."""
        return [self.store]

    def measure(self, genotype: Any) -> dict[str, float]:
        """Measure an architecture, ``(L,)``, without the cache; return its metrics."""
        from torch.utils.benchmark import Timer

        settings = self.settings
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            network = NETWORKS[self._space_name](
                num_classes=settings["classes"],
                in_channels=3,
                genotype=genotype,
                **_NETWORK_SIZES[self._space_name],
            )
        network = network.to(self.device).eval()
        shape = (settings["batch"], 3, settings["size"], settings["size"])
        images = torch.zeros(shape, device=self.device)
        timer = Timer(
            "network(images)",
            globals={"network": network, "images": images},
            num_threads=settings["threads"],
        )
        with torch.inference_mode():
            timer.timeit(_WARM_UP)
            measured = timer.blocked_autorange(min_run_time=_SECONDS)
        return {"median": 1e3 * measured.median, "spread": 1e3 * measured.iqr}

    def default_columns(self, dataset: str) -> tuple[str, str]:
        """Return the median as the signal and the report."""
        return "median", "median"

    def _processor(self) -> str:
        if self.device.type == "cuda":
            return str(torch.cuda.get_device_name(self.device))
        return _cpu_name()

    def provenance(self) -> dict[str, Any]:
        """Return the processor, the version of PyTorch and the settings."""
        found = {"processor": self._processor(), "torch": torch.__version__}
        return {self.name: {"space": self._space_name, **found, **self.settings}}


def _cpu_name() -> str:
    """Return the name of the CPU; its architecture if the name is unknown."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()
