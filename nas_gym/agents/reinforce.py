"""REINFORCE."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent

_INITIAL_SCALE = 1e-3
_FIRST_DECAY, _SECOND_DECAY, _EPSILON = 0.9, 0.999, 1e-8  # Adam's own defaults


class Reinforce(Agent):
    """REINFORCE over a table of logits (Williams, 1992), as in NAS-Bench-201's and NATS-Bench's
    baselines (Dong and Yang, ICLR 2020; Dong et al., TPAMI 2021).

    Each decision has a softmax of its own. Each query samples one architecture, whose advantage
    is its reward less a moving average of the rewards so far, its own included; Adam takes one
    step along the gradient of the advantage times the architecture's log probability.

    Where the search space is restricted, a decision's softmax is taken over the choices that are
    valid after the decisions before. The first generation of a population environment is learned
    from as if the policy had sampled it, which at that time is nearly uniform.

    Settings (defaults of NATS-Bench's published command lines; NAS-Bench-201's first script has a
    learning rate of 0.001):
        learning_rate: 0.01.
        momentum: 0.9; of the moving average, which is corrected for its start at 0 as Adam's are.
    """

    settings: ClassVar[dict[str, Any]] = {"learning_rate": 0.01, "momentum": 0.9}
    learning_rate: float
    momentum: float
    _STATE = ("logits", "first_moment", "second_moment", "reward_sum", "steps")

    def _setup(self) -> None:
        if not self.learning_rate > 0 or not 0 <= self.momentum < 1:
            raise ValueError("learning_rate is above 0, momentum at least 0 and below 1.")
        shape = (self.num_trials, self.space.num_decisions, self.space.max_choices)
        count = int(np.prod(shape[1:]))
        self._logits = _INITIAL_SCALE * self.streams.normal((self.num_trials, count)).reshape(shape)
        self._first_moment = np.zeros(shape)
        self._second_moment = np.zeros(shape)
        self._reward_sum = np.zeros(self.num_trials)  # weighted by powers of the momentum
        self._steps = np.zeros((), np.int64)

    def _ask(self) -> NDArray[np.int64]:
        genotypes = np.empty((self.num_trials, self.space.num_decisions), np.int64)
        draws = self.streams.random(genotypes.shape)
        nodes = np.zeros(self.num_trials, np.int64)
        for decision in range(self.space.num_decisions):
            masks = self.space.prefix_masks(decision, nodes)
            bounds = _softmax(self._logits[:, decision], masks).cumsum(axis=1)
            # bounds of invalid choices equal those before, so that no draw falls to them
            draw = draws[:, decision] * bounds[:, -1]
            genotypes[:, decision] = (bounds > draw[:, None]).argmax(axis=1)
            nodes = self.space.extend(decision, nodes, genotypes[:, decision])
        return genotypes

    def _tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        self._steps += 1
        self._reward_sum = self.momentum * self._reward_sum + (1 - self.momentum) * fitness
        baseline = self._reward_sum / (1 - self.momentum**self._steps)
        advantage = fitness - baseline
        self._climb(advantage[:, None, None] * self._score(genotypes))

    def _score(self, genotypes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Gradients of genotypes' log probabilities with respect to the logits."""
        masks = np.empty(self._logits.shape, bool)
        nodes = np.zeros(len(genotypes), np.int64)
        for decision, choices in enumerate(genotypes.T):
            masks[:, decision] = self.space.prefix_masks(decision, nodes)
            nodes = self.space.extend(decision, nodes, choices)
        chosen = genotypes[:, :, None] == np.arange(self.space.max_choices)
        score: NDArray[np.float64] = chosen - _softmax(self._logits, masks)
        return score

    def _climb(self, gradient: NDArray[np.float64]) -> None:
        """One step of Adam (Kingma and Ba, ICLR 2015, algorithm 1), upwards."""
        self._first_moment += (1 - _FIRST_DECAY) * (gradient - self._first_moment)
        self._second_moment += (1 - _SECOND_DECAY) * (gradient**2 - self._second_moment)
        first = self._first_moment / (1 - _FIRST_DECAY**self._steps)
        second = self._second_moment / (1 - _SECOND_DECAY**self._steps)
        self._logits += self.learning_rate * first / (np.sqrt(second) + _EPSILON)


def _softmax(logits: NDArray[np.float64], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The softmax over the last axis among the choices of masks; 0 for the others."""
    logits = np.where(masks, logits, -np.inf)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    chances: NDArray[np.float64] = weights / weights.sum(axis=-1, keepdims=True)
    return chances
