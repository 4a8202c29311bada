"""What every task offers, whatever evaluates its architectures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from nas_gym.evaluators import Column, Mixture
from nas_gym.spaces import SearchSpace
from nas_gym.tables import Metric
from nas_gym.tasks import noise as noises
from nas_gym.tasks import rewards

Indices = NDArray[np.int64]
Values = NDArray[np.float64]


class Task(ABC):
    """One search space, what evaluates its architectures, the search signal and what is reported.

    The reward of an architecture is its signal, with the sign turned where less is better, so
    that agents always maximize; or what ``reward`` makes of it. Nothing that an agent is given
    depends on the reported metric; it serves evaluation alone.

    Attributes:
        space: what is searched.
        dataset: the data set's name.
        signal: what rewards are made of.
        report: what histories and comparisons report.
        noise: standard deviation of Gaussian noise on the signal, in its unit.
        reward_name: what is made of the signal.
        direction: -1 where rewards are the signal with its sign turned, else 1.
        columns: all that rewards and reports are made of.
        optimum: the best value of the reported metric over the whole space, in its own unit;
            ``None`` where nobody knows it.
    """

    space: SearchSpace
    dataset: str
    signal: Column | Mixture
    report: Column
    noise: float
    reward_name: str
    direction: float
    columns: list[Column]

    # -- what a kind of task adds -----------------------------------------------------------------

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """What names this task exactly, for histories: columns and provenance."""

    @abstractmethod
    def metric(self, column: Column | Mixture) -> Metric:
        """The description of a column; of a mixture, its first part's with the mixture's name."""

    @abstractmethod
    def metrics(self, indices: Indices) -> dict[str, Values]:
        """Every metric of architectures; ``(n,)`` indices -> arrays of shape ``(n,)``."""

    @abstractmethod
    def reward(self, indices: Indices, keys: noises.Keys | None = None) -> Values:
        """Rewards of architectures, shape of ``indices``, float64.

        Args:
            indices: of architectures.
            keys: of the searches that ask (``SearchHistory.keys``), which their noise depends on,
                a shape that broadcasts to that of ``indices``; without them, there is no noise.
        """

    @abstractmethod
    def reported(self, indices: Indices) -> Values:
        """The reported metric of architectures, in its own unit, shape of ``indices``."""

    @abstractmethod
    def regret(self, indices: Indices) -> Values:
        """How far the reported metric lies from the optimum, >= 0, in the metric's unit; from the
        best value that is possible where nobody knows the optimum."""

    @abstractmethod
    def training_seconds(self, indices: Indices) -> Values | None:
        """How long the training took that gave the search signal, shape of ``indices``, seconds.

        ``None`` where nobody knows.
        """

    @property
    @abstractmethod
    def optimum(self) -> float | None:
        """As said above."""

    @property
    @abstractmethod
    def ranked_regrets(self) -> Values | None:
        """The regret of every architecture of the space, ascending; ``None`` where nobody knows."""

    @property
    @abstractmethod
    def regret_unit(self) -> float:
        """What regrets are divided by where several tasks are looked at together."""

    # -- what all kinds share ---------------------------------------------------------------------

    def __repr__(self) -> str:
        columns = f"signal {self.signal}, report {self.report}"
        return f"<{type(self).__name__} {self.space.name} on {self.dataset}: {columns}>"

    def noise_keys(self, seeds: Sequence[int | None]) -> noises.Keys:
        """What the noise of searches with these seeds depends on, one number each."""
        if not self.noise:
            return np.zeros(len(seeds), np.uint64)
        return noises.keys(seeds)

    def reward_function(self, name: str) -> rewards.Reward:
        """What makes rewards of this task's signals, in their own unit.

        Args:
            name: as the argument ``reward``.

        Raises:
            ValueError: an unknown name, or one that takes an accuracy where the signal is none.
        """
        parsed = rewards.parse(name)
        if isinstance(parsed, rewards.Latency):
            raise ValueError(f"{name!r} needs to know architectures: give it to the environment.")
        return self._accuracy_reward(parsed)

    def _accuracy_reward(self, parsed: float | rewards.Latency | None) -> rewards.Reward:
        if parsed is None:
            return np.positive  # as it is
        metric = self.metric(self.signal)
        whole = 100.0 if metric.unit == "%" else 1.0
        lowest, highest = self._signal_range()
        if not metric.maximize:
            fault = "is better where it is less"
        elif lowest < 0 or highest > whole:
            fault = f"goes from {lowest:.4g} to {highest:.4g} {metric.unit}".rstrip()
        elif isinstance(parsed, rewards.Latency):
            return np.positive
        else:
            return partial(rewards.exponential, best=parsed * whole)
        raise ValueError(
            f"This reward takes an accuracy, in % or as a fraction, but {self.signal} {fault}. "
            "Choose another signal, or reward='signal'."
        )

    @abstractmethod
    def _signal_range(self) -> tuple[float, float]:
        """The lowest and the highest signal that there may be, in its own unit."""


def check_noise(noise: float) -> float:
    """A standard deviation.

    Raises:
        ValueError: below 0, infinite or NaN.
    """
    if not 0 <= noise < np.inf:
        raise ValueError(f"noise is a standard deviation, 0 or above, got {noise}.")
    return float(noise)
