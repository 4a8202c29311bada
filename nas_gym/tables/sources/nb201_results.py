"""Conversion of the results of NAS-Bench-201 and NATS-Bench, which use the same classes."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import NB201Space
from nas_gym.tables.table import Metric, Objective, Table
from nas_gym.utils.errors import DamagedDataError

# name of a split in a column -> name in the benchmark; "valtest" is the original test set, and
# "valid" and "test" are its halves
_HALVES = {"valid": "x-valid", "test": "x-test", "valtest": "ori-test"}
SPLITS: Mapping[str, Mapping[str, str]] = {
    "cifar10-valid": {"valid": "x-valid", "test": "ori-test"},
    "cifar10": {"test": "ori-test"},
    "cifar100": _HALVES,
    "ImageNet16-120": _HALVES,
}
_TRAINED_ON = {
    "cifar10-valid": "trained on half of CIFAR-10's training set",
    "cifar10": "trained on CIFAR-10's whole training set",
    "cifar100": "trained on CIFAR-100",
    "ImageNet16-120": "trained on ImageNet16-120",
}
_METRICS = {
    "train": ("%", True, "training accuracy"),
    "valid": ("%", True, "validation accuracy"),
    "test": ("%", True, "test accuracy"),
    "valtest": ("%", True, "accuracy on validation and test set together"),
    "train-time": ("s", False, "time of training"),
    "latency": ("s", False, "latency of a batch of 256"),
    "flops": ("M", False, "floating-point operations"),
    "params": ("M", False, "parameters"),
}
_ACCURACIES = ("train", "valid", "test", "valtest")
_SAME_FOR_ALL_SEEDS = ("flops", "params")
_TASKS = {
    "cifar10": ("cifar10-valid-valid", "cifar10-test"),
    "cifar100": ("cifar100-valid", "cifar100-test"),
    "ImageNet16-120": ("ImageNet16-120-valid", "ImageNet16-120-test"),
}


class ResultsCollector:
    """A collector of the results of architectures, which builds a table.

    There are two kinds of columns: ``<dataset>-<metric>-<epochs>`` is the mean over an
    architecture's training seeds, and ``<dataset>-<metric>-<epochs>@<seed>`` is the value of one
    seed. The data sets are ``cifar10-valid`` (trained on half of the training set), ``cifar10``,
    ``cifar100`` and ``ImageNet16-120``. The metrics are ``train``, ``valid``, ``test`` and
    ``valtest`` (accuracies in %), ``train-time`` and ``latency`` (s), ``flops`` and ``params`` (M;
    without columns for single seeds). Values of seeds that were not trained are NaN.

    Args:
        archs: Arch strings of the file, in the order of its architecture numbers.
        arch_results: Class ``ArchResults`` of ``nas_201_api`` or ``nats_bench``.
        path: Name of the file for messages.

    Raises:
        DamagedDataError: If ``archs`` is not a list of distinct cells of NAS-Bench-201.
    """

    def __init__(self, archs: Any, arch_results: Any, path: str | Path) -> None:
        self._space = NB201Space()
        self._archs = archs
        self._rows = _rows(self._space, archs, path)
        self._arch_results = arch_results
        self._path = path
        # (dataset, metric, epochs, seed) -> one value per cell
        self._trials: dict[tuple[str, str, int, int], NDArray[np.float64]] = {}

    def add(self, number: int, epochs: int | str, state: Any) -> None:
        """Add the results of one architecture.

        Args:
            number: Number of the architecture in the file.
            epochs: Number of training epochs, 12 or 200.
            state: ``state_dict`` of an ``ArchResults``.

        Raises:
            DamagedDataError: If the benchmark's own class cannot read the results.
        """
        try:
            row = self._rows[number]
            results = self._arch_results.create_from_state_dict(state)
            if results.arch_str != self._archs[number]:
                raise ValueError(
                    f"it has the cell {reprlib.repr(results.arch_str)}, {self._archs[number]} was "
                    "expected"
                )
            for dataset in results.get_dataset_names():
                for seed, trial in results.query(dataset).items():
                    for metric, value in _measurements(trial, SPLITS[dataset]):
                        self._column(dataset, metric, int(epochs), int(seed))[row] = float(value)
        except Exception as error:  # foreign code on foreign data
            raise DamagedDataError(
                f"{self._path}: the results of architecture {number} after {epochs} epochs could "
                f"not be read ({type(error).__name__}: {error}). Get the file again from its "
                "publisher."
            ) from error

    def table(self, name: str, provenance: Mapping[str, str]) -> Table:
        """Return the table of all added results; cells without results are NaN.

        Raises:
            DamagedDataError: If no results were added.
        """
        if not self._trials:
            raise DamagedDataError(
                f"{self._path} has no results of any architecture. Get the complete file from its "
                "publisher."
            )
        columns = dict(self._columns())
        metrics = tuple(columns)
        whole = {metric.name for metric, values in columns.items() if not np.isnan(values).any()}
        return Table(
            name=name,
            space=self._space,
            metrics=metrics,
            values=np.stack([columns[metric] for metric in metrics], axis=1),
            objectives=_objectives(whole, self._budgets()),
            provenance=provenance,
        )

    def _column(self, dataset: str, metric: str, epochs: int, seed: int) -> NDArray[np.float64]:
        key = (dataset, metric, epochs, seed)
        if key not in self._trials:
            self._trials[key] = np.full(self._space.size, np.nan)
        return self._trials[key]

    def _budgets(self) -> list[int]:
        return sorted({epochs for _, _, epochs, _ in self._trials})

    def _columns(self) -> Iterator[tuple[Metric, NDArray[np.float64]]]:
        for epochs in self._budgets():
            for dataset in SPLITS:
                for metric in _METRICS:
                    yield from self._group(dataset, metric, epochs)

    def _group(
        self, dataset: str, metric: str, epochs: int
    ) -> Iterator[tuple[Metric, NDArray[np.float64]]]:
        """Yield the columns of one metric: the mean, then each seed."""
        trials = {
            key[3]: self._trials[key]
            for key in sorted(self._trials)
            if key[:3] == (dataset, metric, epochs)
        }
        if not trials:
            return
        unit, maximize, description = _METRICS[metric]
        name = f"{dataset}-{metric}-{epochs}"
        text = f"{description}, {_TRAINED_ON[dataset]} for {epochs} epochs"
        if metric in _SAME_FOR_ALL_SEEDS:
            yield Metric(name, unit, maximize, text), _consensus(trials)
            return
        # the cost of an accuracy is the time of its training
        timed = metric in _ACCURACIES and any(
            key[:3] == (dataset, "train-time", epochs) for key in self._trials
        )
        seconds = f"{dataset}-train-time-{epochs}" if timed else ""
        yield Metric(name, unit, maximize, f"{text}, mean over seeds", seconds), _mean(trials)
        for seed, values in trials.items():
            text_of_seed = f"{text}, seed {seed}"
            # the mean, if the time of this seed was not recorded
            own = (dataset, "train-time", epochs, seed) in self._trials
            column = f"{seconds}@{seed}" if timed and own else seconds
            yield Metric(f"{name}@{seed}", unit, maximize, text_of_seed, column), values


def _rows(space: NB201Space, archs: Any, path: str | Path) -> list[int]:
    """Return the index in the search space of each architecture number of a file."""
    first = archs[0] if isinstance(archs, list) and archs else None
    if isinstance(first, str) and re.fullmatch(r"\d+(:\d+)+", first):
        raise DamagedDataError(
            f"{path} belongs to NATS-Bench's size search space (sss), whose architectures are "
            f"channel counts such as {first}. Only the topology search space (tss, the cells of "
            "NAS-Bench-201) is supported: get NATS-tss-v1_0-3ffb9-simple."
        )
    try:
        if not set(map(type, archs)) <= {str, np.str_}:
            raise TypeError("a list of texts was expected")
        indices = space.encode(space.from_text(list(archs)))
    except Exception as error:  # archs can have any type
        raise DamagedDataError(
            f"{path} does not list the cells of NAS-Bench-201: {error}"
        ) from error
    if len(np.unique(indices)) != len(indices):
        raise DamagedDataError(f"{path} lists a cell twice; distinct cells were expected.")
    result: list[int] = indices.tolist()
    return result


def _measurements(trial: Any, splits: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Yield the name and value of each measurement of a training (a ``ResultsCount``)."""
    train = trial.get_train()
    yield "train", train["accuracy"]
    for split, key in splits.items():
        if key in trial.get_eval_set():
            yield split, trial.get_eval(key)["accuracy"]
    if train["all_time"] is not None:
        yield "train-time", train["all_time"]
    latency = trial.get_latency()
    if latency > 0:  # -1 means not measured
        yield "latency", latency
    yield "flops", trial.flop
    yield "params", trial.params


def _mean(trials: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean over the available seeds; NaN if there is none."""
    values = np.stack(list(trials.values()))
    count = (~np.isnan(values)).sum(axis=0)
    return np.where(count > 0, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan)


def _consensus(trials: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean over seeds, or the value of seed 888 if the seeds differ.

    Some trainings recorded wrong FLOPs and parameters; ``nats_bench`` 1.6 and later use seed 888.
    """
    values = np.stack(list(trials.values())).round(5)
    differ = np.fmax.reduce(values) > np.fmin.reduce(values)
    trusted = trials.get(888, np.full(values.shape[1], np.nan))
    return np.where(differ & ~np.isnan(trusted), trusted, _mean(trials))


def _objectives(names: set[str], budgets: list[int]) -> dict[str, Objective]:
    """Return the signal and report columns of each task, from the longest training for which
    `names` has both columns."""
    return {
        task: Objective(f"{signal}-{epochs}", f"{report}-{epochs}")
        for epochs in budgets  # longer trainings overwrite shorter ones
        for task, (signal, report) in _TASKS.items()
        if {f"{signal}-{epochs}", f"{report}-{epochs}"} <= names
    }
