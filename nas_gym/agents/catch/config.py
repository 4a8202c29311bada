"""Settings of CATCH."""

from __future__ import annotations

from dataclasses import dataclass

from nas_gym.agents.common.config import setting
from nas_gym.agents.common.meta_agent import MetaAgentConfig


@dataclass(frozen=True)
class CATCHConfig(MetaAgentConfig):
    """Settings of :class:`CATCH`; values of the paper (section 4.1) in parentheses."""

    variant: str = setting(
        "meta",
        "meta; sfs, which searches from scratch and cannot meta-learn; zero or random, the "
        "ablations of section 5, in which z is 0 or drawn from the prior.",
        choices=("meta", "sfs", "zero", "random"),
    )
    num_evaluators: int = setting(
        3,
        "Number of evaluators; the mean of their scores is used (1).",
        low=1,
        high=64,
    )
    latent: int = setting(10, "Number of dimensions of z (10).", low=1, high=1024)
    hidden: int = setting(
        64,
        "Units of each of two hidden layers, in each network.",
        low=32,
        multiple_of=32,
        high=4096,
    )
    num_candidates: int = setting(
        128,
        "Number of architectures that the controller samples for each query, M.",
        low=16,
        multiple_of=16,
        high=16_384,
    )
    updates: int = setting(5, "Number of updates after each query.", low=1, high=10_000)
    learning_rate: float = setting(1e-3, "Learning rate of Adam.", above=0, high=100.0)
    max_norm: float = setting(1.0, "Maximum norm of a trial's gradient.", above=0, high=1e6)
    clip: float = setting(0.2, "Clipping parameter of PPO.", above=0, high=1e6)
    entropy_weight: float = setting(
        0.3,
        "Weight of the entropy bonus of PPO, at the start if it is adapted.",
        low=0,
        high=1e6,
    )
    kl_weight: float = setting(
        0.1,
        "Weight of the KL divergence, a mean over the dimensions of z, beta (0.1).",
        low=0,
        high=1e6,
    )
    batch_share: float = setting(
        0.8, "Share of the search history in the evaluator's batch (0.8).", low=0, high=1
    )
    epsilon: float = setting(
        0.3, "Share of random picks among the candidates, at the start of a task.", low=0, high=1
    )
    epsilon_decay: float = setting(
        10.0,
        "Number of queries after which epsilon has fallen to 1/e of its start.",
        above=0,
        high=1e9,
    )
    num_random: int = setting(
        5,
        "Number of random architectures that initialize the search history (line 3).",
        low=0,
        high=10**9,
    )

    # -- additions to the paper -------------------------------------------------------------------
    on_policy: int = setting(
        16,
        "Number of candidates that are sampled at temperature 1 and train the controller; the "
        "paper has all of them.",
        low=16,
        multiple_of=16,
        high=16_384,
    )
    temperature: float = setting(
        5.0,
        "Temperature of the last candidate. It rises evenly over those that are not on-policy; 1 "
        "turns this off.",
        above=0,
        high=1e6,
    )
    adapt_entropy: bool = setting(
        True,
        "Whether the weight of the entropy bonus is adapted, to hold the entropy of the policy; "
        "false: the weight is constant.",
    )
    entropy: float = setting(
        0.8, "Share of its maximum at which the entropy of the policy is held.", low=0, high=1
    )
    candidate_credit: bool = setting(
        True,
        "Whether all on-policy candidates train the controller, with the evaluator's scores of "
        "those that were not queried; false: only queried candidates do.",
    )
    revisits: bool = setting(False, "Whether an architecture may be queried more than once.")
    explore_adapted: bool = setting(
        False,
        "Whether a meta-learned agent begins a search with random architectures and picks, as in "
        "meta-training.",
    )
    second_opinion: bool = setting(
        True,
        "Whether an evaluator that learns from the present task only competes with a meta-learned "
        "agent for the queries.",
    )
    rehearsal: bool = setting(
        True, "Whether encoder and evaluator also learn from earlier tasks in meta-training."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on_policy > self.num_candidates:
            raise ValueError(
                f"on_policy must be at most num_candidates, got {self.on_policy} and "
                f"{self.num_candidates}."
            )


PAPER = CATCHConfig(
    num_evaluators=1,
    on_policy=128,
    temperature=1.0,
    entropy_weight=0.01,
    adapt_entropy=False,
    candidate_credit=False,
    revisits=True,
    explore_adapted=True,
    second_opinion=False,
    rehearsal=False,
)
"""The paper's own algorithm.

The paper gives ``latent``, ``kl_weight`` and ``batch_share``. The other numbers are in an appendix
that is not available. They keep their defaults, except for ``entropy_weight``, which has the usual
value of PPO.
"""
