"""Tasks whose architectures are networks: evaluated by a supernet, or trained from scratch."""

from __future__ import annotations

import re
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas_gym import tables
from nas_gym.evaluators import Column, Mixture
from nas_gym.evaluators.table import same_rows
from nas_gym.spaces import SearchSpace
from nas_gym.tables import Metric, Table
from nas_gym.tasks import noise as noises
from nas_gym.tasks import rewards
from nas_gym.tasks.base import Indices, Task, Values, check_noise

if TYPE_CHECKING:
    from nas_gym.evaluators.network import NetworkEvaluator

_KIND = re.compile(r"(supernet|training)(?:\((\w+=\d+(?:, ?\w+=\d+)*)\))?")
_PAIR = re.compile(r"(\w+)=(\d+)")
_SETTINGS = {"supernet": ("calibration", "images"), "training": ("epochs",)}


class NetworkTask(Task):
    """A task whose signal comes from networks on images.

    Values are computed when they are first asked for. Nobody knows the optimum: regret is the
    distance from 100 %. The report may be a column of a table over the same search space instead,
    which knows it.

    Args:
        space: ``"NB201"`` or ``"DARTS"``.
        dataset: images by name, or a folder or zip file of images
            (:func:`nas_gym.networks.data.load_images`).
        evaluator: ``"supernet"``, with inherited weights, or ``"training"``, from scratch;
            ``"training(epochs=12)"`` sets for how long. ``"supernet(calibration=0,images=500)"``
            sets on how many training images batch norms are calibrated (1000 by default; 0: on
            those evaluated), and on how many validation images accuracy is measured (by default on
            all).
        supernet: the file of a supernet that ``nas-gym train-supernet`` saved; that of the cache by
            default.
        signal: ``"valid_accuracy"`` (default), ``"valid_loss"``, or another metric of the
            evaluator. (With ``"test_accuracy"``, the search would see what it is to be judged by.)
        report: ``"test_accuracy"`` (default), another metric of the evaluator, or
            ``"table:metric"`` over the same space, such as ``"nats-bench:cifar10-test"``.
        noise, reward: as of :class:`nas_gym.tasks.TableTask`; ``reward="rescaled"`` is L2NAS' Eq. 7
            with the best validation accuracy that was seen while the supernet was trained.
        device: ``"auto"`` (CUDA, MPS or the CPU), or what torch calls one.
        size: images of a folder are scaled to so many pixels in height and width.

    Raises:
        KeyError: an unknown metric or table.
        ValueError: an unknown space, evaluator, device or reward.
        MissingDataError: images, a supernet or a table that are not on this machine.
    """

    def __init__(
        self,
        space: str,
        dataset: str,
        evaluator: str = "supernet",
        supernet: str | Path | None = None,
        signal: str | None = None,
        report: str | None = None,
        noise: float = 0.0,
        reward: str = "signal",
        device: str = "auto",
        size: int | None = None,
    ) -> None:
        self.dataset = dataset
        self.evaluator = network_evaluator(space, dataset, evaluator, supernet, device, size)
        self.space = self.evaluator.space
        self.noise = check_noise(noise)
        self.reward_name = _rescaled(self.evaluator) if reward == "rescaled" else reward
        self._kind = evaluator
        self.signal = self._signal = self._own(signal or "valid_accuracy")
        self.report = self._parse(report or "test_accuracy")
        parsed = rewards.parse(self.reward_name)
        latency = [self._parse(parsed.column)] if isinstance(parsed, rewards.Latency) else []
        self.columns = list(dict.fromkeys([self.signal, self.report, *latency]))
        self._tables = {
            column: _table(self.space, column)
            for column in self.columns
            if column.table != self.evaluator.name
        }
        metric = self.metric(self.signal)
        self.direction = 1.0 if parsed is not None or metric.maximize else -1.0
        self._reward = self._accuracy_reward(parsed)
        self._latency = (parsed, latency[0]) if isinstance(parsed, rewards.Latency) else None

    def _own(self, name: str) -> Column:
        """A metric of the evaluator."""
        name = name.removeprefix(f"{self.evaluator.name}:")
        if name not in self.evaluator.metrics:
            raise KeyError(
                f"A {self.evaluator.name} has no metric {name!r}. It has: "
                f"{', '.join(self.evaluator.metrics)}."
            )
        return Column(self.evaluator.name, name)

    def _parse(self, text: str) -> Column:
        table, colon, metric = text.partition(":")
        return Column(table, metric) if colon and table != self.evaluator.name else self._own(text)

    def describe(self) -> dict[str, object]:
        """As :meth:`Task.describe`."""
        provenance = {
            column.table: dict(tables.load_table(column.table).provenance)
            for column in self._tables
        }
        return {
            "space": self.space.name,
            "dataset": self.dataset,
            "evaluator": self._kind,
            "signal": str(self.signal),
            "report": str(self.report),
            "noise": self.noise,
            "reward": self.reward_name,
            "provenance": {**provenance, **self.evaluator.describe()},
        }

    def metric(self, column: Column | Mixture) -> Metric:
        """As :meth:`Task.metric`."""
        if isinstance(column, Mixture) or column not in self.columns:
            raise KeyError(f"{column} is not a column of this task.")
        if column.table == self.evaluator.name:
            return self.evaluator.metrics[column.metric]
        return self._tables[column].metric(column.metric)

    def _values(self, column: Column, indices: Indices) -> Values:
        if column.table == self.evaluator.name:
            return self.evaluator.values(column.metric, indices)
        return self._tables[column].lookup(indices, column.metric)

    def metrics(self, indices: Indices) -> dict[str, Values]:
        """Every metric of the evaluator, and what else the task is made of."""
        others = {str(column): self._values(column, indices) for column in self._tables}
        return self.evaluator.evaluate(indices) | others

    def reward(self, indices: Indices, keys: noises.Keys | None = None) -> Values:
        """As :meth:`Task.reward`."""
        signals = self._values(self._signal, indices) * self._sign(self._signal)
        if self.noise and keys is not None:
            signals = signals + self.noise * noises.standard_normal(keys, indices)
        result = self._reward(signals)
        if self._latency is None:
            return result
        reward, column = self._latency
        return result * reward.factor(self._values(column, indices))

    def _sign(self, column: Column) -> float:
        return 1.0 if self.metric(column).maximize else -1.0

    def reported(self, indices: Indices) -> Values:
        """As :meth:`Task.reported`."""
        return self._values(self.report, indices)

    def regret(self, indices: Indices) -> Values:
        """As :meth:`Task.regret`."""
        if self.optimum is not None:
            best = self.optimum
        else:
            best = 100.0 if self.metric(self.report).unit == "%" else 0.0
        regret: Values = np.abs(best - self.reported(indices))
        return regret

    def training_seconds(self, indices: Indices) -> Values:
        """What evaluations took, seconds: all of a training, or the forward passes."""
        return self.evaluator.values("seconds", indices)

    @cached_property
    def optimum(self) -> float | None:
        """As :attr:`Task.optimum`."""
        if self.report not in self._tables:
            return None
        values = self._tables[self.report].column(self.report.metric)
        return float(values.max() if self.metric(self.report).maximize else values.min())

    @cached_property
    def ranked_regrets(self) -> Values | None:
        """As :attr:`Task.ranked_regrets`."""
        return None if self.optimum is None else np.sort(self.regret(np.arange(self.space.size)))

    @property
    def regret_unit(self) -> float:
        """The median regret where the optimum is known, else 1."""
        ranked = self.ranked_regrets
        return 1.0 if ranked is None else float(np.median(ranked)) or 1.0

    def _signal_range(self) -> tuple[float, float]:
        return 0.0, 100.0 if self.metric(self.signal).unit == "%" else np.inf


def _rescaled(evaluator: NetworkEvaluator) -> str:
    """Eq. 7 of L2NAS with what its section 3.2 takes for the best accuracy."""
    best = getattr(evaluator, "best_accuracy", None)
    if best is None:
        raise ValueError(
            "reward='rescaled' takes the best accuracy of a supernet; give one to a training: "
            "reward='rescaled(best=0.94)'."
        )
    return f"rescaled(best={best / 100!r})"


def _table(space: SearchSpace, column: Column) -> Table:
    """The table of a column, over a search space."""
    found = tables.load_table(column.table)
    found.metric(column.metric)  # which it has
    if not same_rows(found.space, space):
        raise ValueError(
            f"{column} covers {found.space.name}, but this task searches {space.name}."
        )
    return found


def is_network(text: str) -> bool:
    """Whether a text names an evaluator of networks, such as ``"training(epochs=12)"``."""
    return text.partition("(")[0] in _SETTINGS


def _parse_kind(text: str) -> tuple[str, dict[str, int]]:
    """The kind of an evaluator, and its settings.

    Raises:
        ValueError: another kind, or other settings.
    """
    match = _KIND.fullmatch(str(text))
    pairs = _PAIR.findall(match[2] or "") if match is not None else []
    if match is None or any(name not in _SETTINGS[match[1]] for name, _ in pairs):
        raise ValueError(
            "evaluator is 'supernet' or 'training', perhaps with settings, such as "
            f"'supernet(calibration=1000,images=5000)' and 'training(epochs=12)'; got {text!r}."
        )
    return match[1], {name: int(value) for name, value in pairs}


def network_evaluator(
    space: str,
    dataset: str,
    kind: str,
    supernet: str | Path | None = None,
    device: str = "auto",
    size: int | None = None,
) -> NetworkEvaluator:
    """An evaluator as the arguments of :class:`NetworkTask` say.

    There is one for all environments of a process, so that they share what it has computed.
    """
    name, settings = _parse_kind(kind)
    given = tuple(settings.items())
    if name == "supernet":
        file = None if supernet is None else Path(supernet)
        written = file.stat().st_mtime_ns if file is not None and file.exists() else 0
        return _inheriting(space, dataset, device, size, given, file, written)
    if supernet is not None:
        raise ValueError("supernet= is for evaluator='supernet'; a training needs none.")
    return _from_scratch(space, dataset, device, size, given)


_Settings = tuple[tuple[str, int], ...]


@cache
def _inheriting(
    space: str,
    dataset: str,
    device: str,
    size: int | None,
    settings: _Settings,
    file: Path | None,
    written: int,  # when, so that a supernet that was trained anew is read anew
) -> NetworkEvaluator:
    from nas_gym.evaluators.supernet import SupernetEvaluator
    from nas_gym.networks import data as image_data
    from nas_gym.networks import supernet as supernets
    from nas_gym.networks.device import find_device
    from nas_gym.networks.plans import check_space

    check_space(space)
    data, where = image_data.load_images(dataset, size), find_device(device)
    found = (
        supernets.find_supernet(space, data, where)
        if file is None
        else supernets.load_supernet(file, where)
    )
    if found.plan["space"] != space:
        raise ValueError(f"{file} is a supernet of {found.plan['space']}, not of {space}.")
    return SupernetEvaluator(found, data, **dict(settings))


@cache
def _from_scratch(
    space: str, dataset: str, device: str, size: int | None, settings: _Settings
) -> NetworkEvaluator:
    from nas_gym.evaluators.training import TrainingEvaluator
    from nas_gym.networks import data as image_data
    from nas_gym.networks.device import find_device
    from nas_gym.networks.plans import training_plan

    data = image_data.load_images(dataset, size)
    plan = training_plan(space, data, **dict(settings))
    return TrainingEvaluator(plan, data, find_device(device))
