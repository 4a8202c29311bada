"""Task-local evaluator, and the rule for when to trust it over the meta-learned agent.

This is an addition to CATCH. It limits the damage if the earlier tasks mislead the agent.
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
"""Choosers of a query: a population environment, the meta-learned agent, the task evaluator."""

_HANDICAP = 0.5  # standard deviations by which the agent has to be better to be trusted


class TaskEvaluator:
    """Evaluators that learn from the current task only, without a latent context.

    Args:
        sizes: Number of inputs, then the number of units of each hidden layer.
        copies: Number of networks per trial; a trial's score is the mean over its networks.
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
        """Return the predicted rewards ``(n, m)`` of architectures ``(n, m, one_hot_size)``.

        ``n`` is the number of trials, ``m`` the number of architectures per trial.
        """
        with torch.no_grad():
            scores = self._evaluator.score(architectures, _no_context(architectures))
        return scores.numpy().astype(np.float64)

    def learn(self, architectures: Tensor, targets: Tensor, updates: int) -> None:
        """Train on the Huber loss of all architecture-reward pairs of the task.

        Args:
            architectures: One-hot architectures, ``(n, t, one_hot_size)``.
            targets: Normalised rewards, ``(n, t)``.
            updates: Number of gradient steps.
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
    """Decide, for each trial, whether the next query is the agent's pick or the task evaluator's.

    The decision depends on the success of both so far. The statistic is a standardized
    Mann–Whitney U: the number of pairs in which the agent's pick beat the task evaluator's, in
    standard deviations from half of all pairs. The agent is trusted if the statistic plus the noise
    exceeds 0.5; the offset favours the task evaluator. The clearer the difference, the less often
    the weaker one is asked. At the start of a task, the agent and the task evaluator are asked once
    each.

    Args:
        picks: Chooser of each query, ``(n, t)``, for ``n`` trials: :data:`AGENT`,
            :data:`TASK_EVALUATOR` or :data:`FIRST_GENERATION` (chosen by a population environment;
            ignored).
        rewards: Rewards of the queries, ``(n, t)``.
        noise: Standard normal numbers, ``(n,)``.

    Returns:
        True for trials whose next query is the agent's pick, ``(n,)`` bool.
    """
    by_agent, by_evaluator = picks == AGENT, picks == TASK_EVALUATOR
    num_agent, num_evaluator = by_agent.sum(axis=1), by_evaluator.sum(axis=1)
    counted = np.where(by_agent | by_evaluator, rewards, np.inf)  # ignored queries rank last
    ranks = _average_ranks(counted)
    # number of pairs in which the agent's pick was better, from the sum of ranks
    wins = np.where(by_agent, ranks, 0).sum(axis=1) - num_agent * (num_agent + 1) / 2
    pairs = num_agent * num_evaluator
    spread = np.sqrt(np.maximum(pairs, 1) * (num_agent + num_evaluator + 1) / 12)
    is_better = (wins - pairs / 2) / spread + noise > _HANDICAP
    trusted: NDArray[np.bool_] = (num_agent == 0) | ((num_evaluator > 0) & is_better)
    return trusted


def _average_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each value's rank in its row, from 1; equal values get the mean of their ranks."""
    first = values.argsort(axis=1, kind="stable").argsort(axis=1)
    last = values[:, ::-1].argsort(axis=1, kind="stable").argsort(axis=1)[:, ::-1]
    ranks: NDArray[np.float64] = (first + last) / 2 + 1
    return ranks
