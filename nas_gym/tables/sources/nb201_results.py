"""The columns of NAS-Bench-201 and NATS-Bench, which keep their results in the same classes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import NB201Space
from nas_gym.tables.table import Metric, Objective, Table
from nas_gym.utils.errors import DamagedDataError

# our name of a split -> the benchmark's; "valtest" is what remains of the original test set, of
# which "valid" and "test" are the halves
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


class Collector:
    """Gathers the results of architectures one by one; :meth:`table` makes columns of them.

    The columns are ``<dataset>-<metric>-<epochs>``, the mean over the seeds that the architecture
    was trained with, and ``<dataset>-<metric>-<epochs>@<seed>``, one training. Data sets are
    ``cifar10-valid`` (trained on half of the training set), ``cifar10``, ``cifar100`` and
    ``ImageNet16-120``; metrics ``train``, ``valid``, ``test``, ``valtest`` (accuracies in %),
    ``train-time`` and ``latency`` (s), ``flops`` and ``params`` (M, no column for each seed).
    What was not trained is NaN.

    Args:
        archs: the arch strings of the file's architectures, in the order of its numbers.
        arch_results: the class ``ArchResults`` of ``nas_201_api`` or ``nats_bench``.
        path: what to call the file in messages.

    Raises:
        DamagedDataError: ``archs`` is not a list of distinct cells of NAS-Bench-201.
    """

    def __init__(self, archs: Any, arch_results: Any, path: str | Path) -> None:
        self._space = NB201Space()
        self._archs = archs
        self._rows = _rows(self._space, archs, path)
        self._arch_results = arch_results
        self._path = path
        # (dataset, metric, epochs, seed) -> one value for each cell
        self._trials: dict[tuple[str, str, int, int], NDArray[np.float64]] = {}

    def add(self, number: int, epochs: int | str, state: Any) -> None:
        """Take in the results of one architecture.

        Args:
            number: the architecture's number in the file.
            epochs: for how many it was trained, 12 or 200.
            state: the ``state_dict`` of an ``ArchResults``.

        Raises:
            DamagedDataError: the results are not as the benchmark's own class expects them.
        """
        try:
            row = self._rows[number]
            results = self._arch_results.create_from_state_dict(state)
            if results.arch_str != self._archs[number]:
                raise ValueError(f"it is of {results.arch_str}, not {self._archs[number]}")
            for dataset in results.get_dataset_names():
                for seed, trial in results.query(dataset).items():
                    for metric, value in _measurements(trial, SPLITS[dataset]):
                        self._column(dataset, metric, int(epochs), int(seed))[row] = value
        except Exception as error:  # foreign code on foreign data
            raise DamagedDataError(
                f"{self._path}: the results of architecture {number} after {epochs} epochs could "
                f"not be read ({type(error).__name__}: {error}). Get the file again from its "
                "publisher."
            ) from error

    def table(self, name: str, provenance: Mapping[str, str]) -> Table:
        """The table of what was added; cells that were not are NaN.

        Raises:
            DamagedDataError: nothing was added.
        """
        if not self._trials:
            raise DamagedDataError(
                f"{self._path} holds no results of any architecture. Get the whole file from its "
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
        """The columns of one metric: the mean, then each seed."""
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
            yield Metric(name, unit, maximize, text), _agreed(trials)
            return
        # an accuracy was paid for with the time of its training
        timed = metric in _ACCURACIES and any(
            key[:3] == (dataset, "train-time", epochs) for key in self._trials
        )
        seconds = f"{dataset}-train-time-{epochs}" if timed else ""
        yield Metric(name, unit, maximize, f"{text}, mean over seeds", seconds), _mean(trials)
        for seed, values in trials.items():
            text_of_seed = f"{text}, seed {seed}"
            # the mean where this seed's time was not noted
            own = (dataset, "train-time", epochs, seed) in self._trials
            column = f"{seconds}@{seed}" if timed and own else seconds
            yield Metric(f"{name}@{seed}", unit, maximize, text_of_seed, column), values


def _rows(space: NB201Space, archs: Any, path: str | Path) -> list[int]:
    """The index in the space of each architecture number of a file."""
    if isinstance(archs, list) and archs and re.fullmatch(r"\d+(:\d+)+", str(archs[0])):
        raise DamagedDataError(
            f"{path} is of NATS-Bench's size search space (sss), whose architectures are channel "
            f"counts such as {archs[0]}. Only the topology search space (tss, NAS-Bench-201's "
            "cells) is supported: get NATS-tss-v1_0-3ffb9-simple."
        )
    try:
        indices = space.encode(space.from_text(list(archs)))
    except Exception as error:  # archs can be anything
        raise DamagedDataError(
            f"{path} does not list the cells of NAS-Bench-201: {error}"
        ) from error
    if len(np.unique(indices)) != len(indices):
        raise DamagedDataError(f"{path} lists a cell twice, distinct cells were expected.")
    result: list[int] = indices.tolist()
    return result


def _measurements(trial: Any, splits: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Name and value of everything measured in one training (a ``ResultsCount``)."""
    train = trial.get_train()
    yield "train", train["accuracy"]
    for split, key in splits.items():
        if key in trial.get_eval_set():
            yield split, trial.get_eval(key)["accuracy"]
    if train["all_time"] is not None:
        yield "train-time", train["all_time"]
    latency = trial.get_latency()
    if latency > 0:  # -1 stands for not measured
        yield "latency", latency
    yield "flops", trial.flop
    yield "params", trial.params


def _mean(trials: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean over the seeds there are; NaN where there is none."""
    values = np.stack(list(trials.values()))
    count = (~np.isnan(values)).sum(axis=0)
    return np.where(count > 0, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan)


def _agreed(trials: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean; where seeds disagree, seed 888.

    Some trainings note wrong FLOPs and parameters; ``nats_bench`` 1.6 and later trust seed 888.
    """
    values = np.stack(list(trials.values())).round(5)
    differ = np.fmax.reduce(values) > np.fmin.reduce(values)
    trusted = trials.get(888, np.full(values.shape[1], np.nan))
    return np.where(differ & ~np.isnan(trusted), trusted, _mean(trials))


def _objectives(names: set[str], budgets: list[int]) -> dict[str, Objective]:
    """For each task that has both columns without NaN, those of the longest training."""
    return {
        task: Objective(f"{signal}-{epochs}", f"{report}-{epochs}")
        for epochs in budgets  # later ones overwrite
        for task, (signal, report) in _TASKS.items()
        if {f"{signal}-{epochs}", f"{report}-{epochs}"} <= names
    }
