"""Evaluation of architectures by adaptation to few-shot tasks."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas_gym.evaluators.base import Genotypes, Values
from nas_gym.evaluators.network import Indices, NetworkEvaluator, parameter_count
from nas_gym.evaluators.results_store import ResultsStore
from nas_gym.networks.data.class_images import FewShotData
from nas_gym.networks.data.few_shot import FewShotBatch
from nas_gym.networks.few_shot.adaptation import adaptation_accuracies
from nas_gym.networks.few_shot.meta_supernet import MetaSupernet
from nas_gym.networks.few_shot.plans import FewShotPlan, task_sampler
from nas_gym.tables import Metric
from nas_gym.utils.errors import DivergedError

VALID_TASKS = 20
"""Meta-validation tasks that determine the search signal, by default."""
TEST_TASKS = 600
"""Meta-test tasks of the reported metric, by default, as in the literature."""
_SEEDS = {"valid": 1, "test": 2}
_TASKS_AT_ONCE = 20  # limits the memory of images
_NORMAL_QUANTILE = 1.96


class FewShotEvaluator(NetworkEvaluator):
    """Accuracy on few-shot tasks after SGD steps from meta-learned weights (AT-NAS, Eq. 4).

    Each task starts from the weights that the architecture inherits from the meta-supernet. The
    network takes SGD steps on the support set, and the accuracy is measured on the query set. All
    architectures get the same tasks. If an adaptation diverges, the accuracy is that of random
    guessing, 100 / ways %.

    Metrics: ``valid_accuracy`` and ``test_accuracy`` (%), means over meta-validation and meta-test
    tasks; ``valid_interval`` and ``test_interval`` (%), half-widths of their 95 % intervals over
    tasks; ``params`` (M) and ``seconds``. Meta-test classes are used only if ``test_accuracy`` or
    ``test_interval`` is requested. All processes share the results in files of the cache.

    Args:
        supernet: Meta-supernet.
        data: Images that the meta-supernet was trained on.
        tasks: Number of meta-validation tasks.
        test_tasks: Number of meta-test tasks. A data set with fixed runs replaces these tasks.
        folder: Folder of the results; in the cache by default.

    Raises:
        ValueError: If the meta-supernet was trained on other classes or has too many architectures,
            if a number of tasks is below 2, or if the data has too few classes or images for the
            tasks.
    """

    name = "few-shot"

    def __init__(
        self,
        supernet: MetaSupernet,
        data: FewShotData,
        tasks: int = VALID_TASKS,
        test_tasks: int = TEST_TASKS,
        folder: Path | None = None,
    ) -> None:
        self.plan = supernet.plan
        if self.plan.data != data.digest:
            raise ValueError(
                f"This meta-supernet was trained on other classes than those of {data.name}. Name "
                "its images with --dataset and --size (dataset= and size= in Python), or train a "
                "meta-supernet on these classes with `nas-gym train-supernet`."
            )
        if min(tasks, test_tasks) < 2:
            raise ValueError(f"tasks and test_tasks are at least 2, got {tasks} and {test_tasks}.")
        if data.runs is not None:
            _check_runs(self.plan, data)
        self.supernet, self.data = supernet, data
        self.space = supernet.network.space
        if self.space.size > np.iinfo(np.int64).max:
            raise ValueError(
                f"The meta-supernet has {self.space.size:.1e} architectures, too many to number "
                "with 64 bits. Train one whose cells share architectures: own_cells=False, or "
                "layers=2."
            )
        self.population: Genotypes = supernet.population
        """Population that was evolved with the meta-supernet, ``(members, num_decisions)``."""
        self.device = next(supernet.network.parameters()).device
        self.metrics = _few_shot_metrics(self.plan)
        self._counts = {"valid": tasks, "test": test_tasks}
        self._samplers = {
            split: task_sampler(self.plan, data, split, self.device) for split in _SEEDS
        }
        self._folder = folder
        self._rows: dict[tuple[str, int], dict[str, float]] = {}

    def all_values(self, genotypes: Genotypes) -> dict[str, Values]:
        """Return the metrics that need no meta-test tasks, which take long."""
        names = [name for name in self.metrics if not name.startswith("test_")]
        return {name: self.values(name, genotypes) for name in names}

    def _compute(self, metric: str, indices: Indices) -> Values:
        if metric == "params":
            found = [self._count(index) for index in indices.tolist()]
        else:
            split = "test" if metric.startswith("test_") else "valid"
            found = [self._row(split, index)[metric] for index in indices.tolist()]
        return np.array(found, np.float64)

    def _without_results(self, metric: str, indices: Indices) -> Indices:
        if metric == "params":
            return indices[:0]
        store = self._stores["test" if metric.startswith("test_") else "valid"]
        missing = [i for i in np.unique(indices).tolist() if store.get(i) is None]
        return np.array(missing, np.int64)

    def results_stores(self) -> list[ResultsStore]:
        """See :meth:`Evaluator.results_stores`."""
        return list(self._stores.values())

    def _count(self, index: int) -> float:
        network = self.supernet.network
        return parameter_count(type(network), network.settings, self.space.decode([index])[0])

    def _row(self, split: str, index: int) -> dict[str, float]:
        key = split, index
        if key not in self._rows:
            store = self._stores[split]
            row = store.get(index)
            if row is None:
                row = self._evaluate_tasks(split, index)
                store.add(index, row)
            self._rows[key] = row
        return self._rows[key]

    def _evaluate_tasks(self, split: str, index: int) -> dict[str, float]:
        genotype = self.space.decode([index])[0]
        started = time.perf_counter()
        found = [self._adapt(genotype, batch) for batch in self._batches(split)]
        accuracy = torch.cat(found).double()
        half = _NORMAL_QUANTILE * accuracy.std().item() / len(accuracy) ** 0.5
        seconds = {} if split == "test" else {"seconds": time.perf_counter() - started}
        return {f"{split}_accuracy": accuracy.mean().item(), f"{split}_interval": half, **seconds}

    def _adapt(self, genotype: Any, batch: FewShotBatch) -> Tensor:
        training = self.plan.training
        try:
            return adaptation_accuracies(
                self.supernet.network, genotype, batch, training.steps, training.inner_rate
            )
        except DivergedError as error:
            warnings.warn(f"{self.space.to_text([genotype])[0]}: {error}", stacklevel=2)
            return torch.full((len(batch),), 100 / self.plan.ways)

    def _batches(self, split: str) -> Iterator[FewShotBatch]:
        """Yield the tasks of a split, which are the same for all architectures."""
        sampler, count = self._samplers[split], self._counts[split]
        if split == "test" and self.data.runs is not None:
            runs = self.data.runs
            support, query = sampler.normalized(runs.support), sampler.normalized(runs.query)
            own = torch.arange(support.shape[1], device=self.device).expand(len(support), -1)
            labels = torch.from_numpy(runs.labels).to(self.device)
            yield FewShotBatch(support, own, query, labels)
            return
        for start in range(0, count, _TASKS_AT_ONCE):
            yield sampler.draw(min(_TASKS_AT_ONCE, count - start), [_SEEDS[split], start])

    @cached_property
    def _stores(self) -> dict[str, ResultsStore]:
        """Files of the results, by split; their names identify the weights and the tasks."""
        from nas_gym.utils.cache import cache_folder

        folder = cache_folder() / "few-shot" if self._folder is None else self._folder
        stores = {}
        for split, classes in (("valid", self.data.valid), ("test", self.data.test)):
            runs = self.data.runs if split == "test" else None
            known = [self._weights, self.plan.describe(), classes.digest, self._counts[split],
                     None if runs is None else runs.digest]  # fmt: skip
            digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:12]
            name = f"{self.plan.space}-{self.data.name}-{digest}-{split}.sqlite"
            columns = [f"{split}_accuracy", f"{split}_interval"]
            stores[split] = ResultsStore(
                folder / name, columns if split == "test" else [*columns, "seconds"]
            )
        return stores

    @cached_property
    def _weights(self) -> str:
        """Hexadecimal sha256 of the weights of the meta-supernet."""
        digest = hashlib.sha256()
        for name, each in self.supernet.network.state_dict().items():
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(each.cpu().numpy()).data)
        return digest.hexdigest()

    def provenance(self) -> dict[str, Any]:
        """Return the plan and the weights of the meta-supernet, and the settings of the tasks."""
        return {
            "supernet": self.plan.describe(),
            "weights": self._weights,
            "tasks": self._counts["valid"],
            "test_tasks": self._counts["test"],
            "test_classes": self.data.test.digest,
        }


def _check_runs(plan: FewShotPlan, data: FewShotData) -> None:
    """Raise an error if the fixed runs of a data set have other ways or shots than the plan."""
    assert data.runs is not None
    ways = data.runs.support.shape[1]
    if (plan.ways, plan.shots) != (ways, 1):
        raise ValueError(
            f"The runs of {data.name} are {ways}-way 1-shot tasks, and the meta-supernet is for "
            f"{plan.ways}-way {plan.shots}-shot tasks. Use few-shot(ways={ways},shots=1)."
        )


def _few_shot_metrics(plan: FewShotPlan) -> dict[str, Metric]:
    tasks = f"{plan.ways}-way {plan.shots}-shot tasks"
    after = f"after {plan.training.steps} steps on the support set"
    interval = "half-width of the 95 % interval over tasks"
    metrics = (
        Metric("valid_accuracy", "%", True, f"on meta-validation {tasks}, {after}", "seconds"),
        Metric("test_accuracy", "%", True, f"on meta-test {tasks}, {after}", "seconds"),
        Metric("valid_interval", "%", False, f"{interval} of valid_accuracy", "seconds"),
        Metric("test_interval", "%", False, f"{interval} of test_accuracy", "seconds"),
        Metric("params", "M", False, "parameters of the network"),
        Metric("seconds", "s", False, "spent on the meta-validation tasks"),
    )
    return {metric.name: metric for metric in metrics}
