"""REINFORCE."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.config import AgentConfig, setting
from nas_gym.agents.common.saved import refuse_infinite

_INITIAL_SCALE = 1e-3  # standard deviation of the initial logits
_FIRST_DECAY, _SECOND_DECAY, _EPSILON = 0.9, 0.999, 1e-8  # Adam's defaults


@dataclass(frozen=True)
class ReinforceConfig(AgentConfig):
    """Settings of :class:`Reinforce`.

    The defaults are from NATS-Bench's published command lines. The first script of NAS-Bench-201
    has a learning rate of 0.001.
    """

    learning_rate: float = setting(0.01, "Learning rate of Adam.", above=0, high=100.0)
    momentum: float = setting(
        0.9,
        "Momentum of the moving average of rewards; the bias of the average's initial value 0 is "
        "corrected.",
        low=0,
        below=1,
    )


class Reinforce(Agent):
    """REINFORCE over a table of logits (Williams, 1992), a baseline of NAS-Bench-201 and NATS-Bench
    (Dong and Yang, ICLR 2020; Dong et al., TPAMI 2021).

    The policy has one softmax per decision. Each query samples one architecture. The advantage is
    the architecture's reward minus a moving average of all rewards so far, including this reward.
    Adam takes one step along the gradient of the advantage times the architecture's log
    probability.

    In a restricted search space, the softmax of a decision covers the choices that are valid after
    the previous decisions. The first generation of a population environment is treated as if it
    had been sampled from the policy, which is nearly uniform at that time.

    Attributes:
        logits: Logits of each trial, decision and choice, ``(n, L, max_choices)``.
    """

    config_class = ReinforceConfig
    config: ReinforceConfig
    state_attributes = ("logits", "first_moment", "second_moment", "reward_sum", "steps")
    checks_state = True

    def setup(self) -> None:
        """Draw the initial logits; see :meth:`Agent.setup`."""
        shape = (self.num_trials, self.space.num_decisions, self.space.max_choices)
        count = int(np.prod(shape[1:]))
        self.logits = _INITIAL_SCALE * self.rng.normal((self.num_trials, count)).reshape(shape)
        self.first_moment = np.zeros(shape)
        self.second_moment = np.zeros(shape)
        self.reward_sum = np.zeros(self.num_trials)  # weighted by powers of the momentum
        self.steps = np.zeros((), np.int64)

    def ask(self) -> NDArray[np.int64]:
        """Sample architectures from the policy; see :meth:`Agent.ask`."""
        genotypes = np.empty((self.num_trials, self.space.num_decisions), np.int64)
        draws = self.rng.random(genotypes.shape)
        nodes = np.zeros(self.num_trials, np.int64)
        for decision in range(self.space.num_decisions):
            masks = self.space.prefix_masks(decision, nodes)
            bounds = _softmax(self.logits[:, decision], masks).cumsum(axis=1)
            # the bound of an invalid choice equals the previous bound, so it is never drawn
            draw = draws[:, decision] * bounds[:, -1]
            genotypes[:, decision] = (bounds > draw[:, None]).argmax(axis=1)
            nodes = self.space.extend(decision, nodes, genotypes[:, decision])
        return genotypes

    def tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        """Take one step of REINFORCE; see :meth:`Agent.tell`."""
        momentum = self.config.momentum
        self.steps += 1
        self.reward_sum = momentum * self.reward_sum + (1 - momentum) * fitness
        baseline = self.reward_sum / (1 - momentum**self.steps)
        advantage = fitness - baseline
        self._ascend(advantage[:, None, None] * self.score(genotypes))

    def check_state(self) -> None:
        """Raise an error if logits or moments are damaged; see :meth:`Agent.check_state`."""
        super().check_state()
        names = ("logits", "first_moment", "second_moment", "reward_sum")
        refuse_infinite({name: getattr(self, name) for name in names})
        if self.steps < 0 or self.second_moment.min() < 0:
            raise ValueError("the state of Adam is negative")

    def score(self, genotypes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the gradient of each genotype's log probability with respect to the logits.

        Args:
            genotypes: One genotype per trial, ``(n, L)``.

        Returns:
            Gradients, ``(n, L, max_choices)``.
        """
        masks = np.empty(self.logits.shape, bool)
        nodes = np.zeros(len(genotypes), np.int64)
        for decision, choices in enumerate(genotypes.T):
            masks[:, decision] = self.space.prefix_masks(decision, nodes)
            nodes = self.space.extend(decision, nodes, choices)
        chosen = genotypes[:, :, None] == np.arange(self.space.max_choices)
        score: NDArray[np.float64] = chosen - _softmax(self.logits, masks)
        return score

    def _ascend(self, gradient: NDArray[np.float64]) -> None:
        """Take one ascent step of Adam (Kingma and Ba, ICLR 2015, Algorithm 1)."""
        self.first_moment += (1 - _FIRST_DECAY) * (gradient - self.first_moment)
        self.second_moment += (1 - _SECOND_DECAY) * (gradient**2 - self.second_moment)
        first = self.first_moment / (1 - _FIRST_DECAY**self.steps)
        second = self.second_moment / (1 - _SECOND_DECAY**self.steps)
        self.logits += self.config.learning_rate * first / (np.sqrt(second) + _EPSILON)


def _softmax(logits: NDArray[np.float64], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the softmax over the last axis; choices outside the masks have probability 0."""
    logits = np.where(masks, logits, -np.inf)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float64] = weights / weights.sum(axis=-1, keepdims=True)
    return probabilities
