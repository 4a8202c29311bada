"""A second opinion: how an agent that learned beforehand notices when that misleads it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_gym.agents.catch.networks import Evaluator
from nas_gym.agents.common.batched_networks import Arrays, StackedMLP
from nas_gym.agents.common.random_streams import TrialStreams

NOBODY, OWN, SECOND = range(3)
"""Whose pick a query was; nobody's: an environment's first population."""

_DOUBT = 0.5  # in standard deviations: that what was learned beforehand helps has to show


class SecondOpinion:
    """An evaluator that knows nothing but the current task, for many trials side by side.

    Args:
        sizes: inputs and hidden units.
        copies: networks, whose mean counts.
        learning_rate: Adam's.
        streams: where the first weights are drawn from.
    """

    def __init__(
        self, sizes: list[int], copies: int, learning_rate: float, streams: TrialStreams
    ) -> None:
        self._mlp = StackedMLP([*sizes, 1], learning_rate, streams, copies)
        self._evaluator = Evaluator(self._mlp, copies)
        for parameter in self._mlp.parameters:
            parameter.requires_grad_()

    def score(self, networks: Tensor) -> NDArray[np.float64]:
        """What it expects of one-hot networks ``(n, m, one_hot_size)``; ``(n, m)``."""
        with torch.no_grad():
            scores = self._evaluator.score(networks, self._no_context(networks))
        return scores.numpy().astype(np.float64)

    def learn(self, networks: Tensor, targets: Tensor, updates: int) -> None:
        """Take steps down the Huber loss of all pairs, ``(n, t, one_hot_size)`` and ``(n, t)``."""
        no_context = self._no_context(networks)
        for _ in range(updates):
            predicted = self._evaluator.predict(networks, no_context)
            expected = targets[:, None].expand_as(predicted)
            loss = torch.nn.functional.huber_loss(predicted, expected, reduction="sum")
            gradients = torch.autograd.grad(loss / targets.shape[1], self._mlp.parameters)
            for kept, gradient in zip(self._mlp.gradients, gradients, strict=True):
                kept.copy_(gradient)
            self._mlp.step()

    def _no_context(self, networks: Tensor) -> Tensor:
        return networks.new_empty(len(networks), 0)

    def arrays(self) -> Arrays:
        """Weights, and what Adam keeps, by name."""
        return self._mlp.arrays()

    def set_arrays(self, arrays: Arrays) -> None:
        """Take over what :meth:`arrays` gave."""
        self._mlp.set_arrays(arrays)


def trust(
    picks: NDArray[np.int8], rewards: NDArray[np.float64], noise: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether to follow the agent's own pick at the next query, ``(n,)``, by the success so far.

    The share of pairs in which an own pick beat one of the second opinion's, standardized
    (Mann and Whitney's statistic), plus the noise is above a half: the surer the difference, the
    more rarely the worse of the two is asked. Each is asked once, first of all.

    Args:
        picks: whose pick each query was, ``(n, t)``: :data:`OWN`, :data:`SECOND` or
            :data:`NOBODY`'s, which do not count.
        rewards: what they gave, ``(n, t)``.
        noise: standard normal, ``(n,)``.
    """
    own, second = picks == OWN, picks == SECOND
    num_own, num_second = own.sum(axis=1), second.sum(axis=1)
    counted = np.where(own | second, rewards, np.inf)  # those that do not count rank behind
    ranks = _average_ranks(counted)
    # wins beyond one half of the pairs, from the sum of ranks
    wins = np.where(own, ranks, 0).sum(axis=1) - num_own * (num_own + 1) / 2
    pairs = num_own * num_second
    spread = np.sqrt(np.maximum(pairs, 1) * (num_own + num_second + 1) / 12)
    followed = (wins - pairs / 2) / spread + noise > _DOUBT
    trusted: NDArray[np.bool_] = (num_own == 0) | ((num_second > 0) & followed)
    return trusted


def _average_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks in each row from 1, equal values sharing the mean of theirs."""
    first = values.argsort(axis=1, kind="stable").argsort(axis=1)
    last = values[:, ::-1].argsort(axis=1, kind="stable").argsort(axis=1)[:, ::-1]
    ranks: NDArray[np.float64] = (first + last) / 2 + 1
    return ranks
