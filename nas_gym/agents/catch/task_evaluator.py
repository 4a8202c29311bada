"""Task-local evaluator, and the rule for when to trust it over the meta-learned agent.

This is an addition to CATCH. It limits the loss where the earlier tasks mislead.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_gym.agents.catch.networks import CATCHEvaluator
from nas_gym.agents.common.batched_networks import Arrays, BatchedMLP
from nas_gym.agents.common.random_streams import RandomStreams

FIRST_GENERATION, AGENT, TASK_EVALUATOR = range(3)
"""Who chose a query: a population environment, the meta-learned agent, or the task evaluator."""

_HANDICAP = 0.5  # of the agent, in standard deviations: the benefit of meta-learning has to show


class TaskEvaluator:
    """Evaluators that learn from the present task only, without a latent context.

    Args:
        sizes: Numbers of inputs and of units in each hidden layer.
        copies: Number of networks of each trial; their scores are averaged.
        learning_rate: Learning rate of Adam.
        rng: Source of the initial weights.
    """

    def __init__(
        self, sizes: list[int], copies: int, learning_rate: float, rng: RandomStreams
    ) -> None:
        self._mlp = BatchedMLP([*sizes, 1], learning_rate, rng, copies)
        self._evaluator = CATCHEvaluator(self._mlp, copies)
        for parameter in self._mlp.parameters:
            parameter.requires_grad_()

    def score(self, architectures: Tensor) -> NDArray[np.float64]:
        """Return predicted rewards ``(n, m)`` of architectures ``(n, m, one_hot_size)``."""
        with torch.no_grad():
            scores = self._evaluator.score(architectures, _no_context(architectures))
        return scores.numpy().astype(np.float64)

    def learn(self, architectures: Tensor, targets: Tensor, updates: int) -> None:
        """Take steps down the Huber loss of all pairs.

        Args:
            architectures: One-hot architectures, ``(n, t, one_hot_size)``.
            targets: Normalised rewards, ``(n, t)``.
            updates: Number of steps.
        """
        context = _no_context(architectures)
        for _ in range(updates):
            predicted = self._evaluator.predict(architectures, context)
            expected = targets[:, None].expand_as(predicted)
            loss = torch.nn.functional.huber_loss(predicted, expected, reduction="sum")
            gradients = torch.autograd.grad(loss / targets.shape[1], self._mlp.parameters)
            for target, gradient in zip(self._mlp.gradients, gradients, strict=True):
                target.copy_(gradient)
            self._mlp.step()

    def arrays(self) -> Arrays:
        """Return weights and Adam's moments by name."""
        return self._mlp.arrays()

    def set_arrays(self, arrays: Arrays) -> None:
        """Restore a result of :meth:`arrays`."""
        self._mlp.set_arrays(arrays)


def _no_context(architectures: Tensor) -> Tensor:
    return architectures.new_empty(len(architectures), 0)


def trust_agent(
    picks: NDArray[np.int8], rewards: NDArray[np.float64], noise: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return whether each trial's next query is the agent's pick, given their success so far.

    The statistic is Mann and Whitney's: the share of pairs in which a pick of the agent beat one
    of the task evaluator, standardized. The agent is trusted if statistic plus noise exceeds 0.5.
    The clearer the difference, the more rarely the worse of the two chooses. Each chooses once at
    the start.

    Args:
        picks: Who chose each query, ``(n, t)``: :data:`AGENT`, :data:`TASK_EVALUATOR` or
            :data:`FIRST_GENERATION`, which does not count.
        rewards: Rewards of the queries, ``(n, t)``.
        noise: Standard normal numbers, ``(n,)``.
    """
    by_agent, by_evaluator = picks == AGENT, picks == TASK_EVALUATOR
    num_agent, num_evaluator = by_agent.sum(axis=1), by_evaluator.sum(axis=1)
    counted = np.where(by_agent | by_evaluator, rewards, np.inf)  # the others rank last
    ranks = _average_ranks(counted)
    # number of pairs that the agent has won, from the sum of ranks
    wins = np.where(by_agent, ranks, 0).sum(axis=1) - num_agent * (num_agent + 1) / 2
    pairs = num_agent * num_evaluator
    spread = np.sqrt(np.maximum(pairs, 1) * (num_agent + num_evaluator + 1) / 12)
    is_better = (wins - pairs / 2) / spread + noise > _HANDICAP
    trusted: NDArray[np.bool_] = (num_agent == 0) | ((num_evaluator > 0) & is_better)
    return trusted


def _average_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks in each row from 1; equal values share the mean of their ranks."""
    first = values.argsort(axis=1, kind="stable").argsort(axis=1)
    last = values[:, ::-1].argsort(axis=1, kind="stable").argsort(axis=1)[:, ::-1]
    ranks: NDArray[np.float64] = (first + last) / 2 + 1
    return ranks
