"""Settings of CATCH."""

from __future__ import annotations

from dataclasses import dataclass

from nas_gym.agents.common.config import setting
from nas_gym.agents.common.meta_agent import MetaAgentConfig


@dataclass(frozen=True)
class CATCHConfig(MetaAgentConfig):
    """Settings of :class:`CATCH`; values in parentheses are the CATCH paper's (section 4.1)."""

    variant: str = setting(
        "meta",
        "Variant of the algorithm: meta; sfs, which searches from scratch and cannot meta-learn; "
        "zero or random, the ablations in section 5 of the CATCH paper, in which z is 0 or drawn "
        "from the prior.",
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
        "Units per hidden layer; each network has two.",
        low=32,
        multiple_of=32,
        high=4096,
    )
    num_candidates: int = setting(
        128,
        "Number of architectures that the controller samples per query; M in the CATCH paper.",
        low=16,
        multiple_of=16,
        high=16_384,
    )
    updates: int = setting(5, "Number of updates after each query.", low=1, high=10_000)
    learning_rate: float = setting(1e-3, "Learning rate of Adam.", above=0, high=100.0)
    max_norm: float = setting(1.0, "Maximum norm of a trial's gradient.", above=0, high=1e6)
    clip: float = setting(
        0.2,
        "PPO's clipping parameter: how far the probability ratio may move from 1 before it is "
        "clipped.",
        above=0,
        high=1e6,
    )
    entropy_weight: float = setting(
        0.3,
        "Weight of PPO's entropy bonus; the initial weight if adapt_entropy is true.",
        low=0,
        high=1e6,
    )
    kl_weight: float = setting(
        0.1,
        "Weight of the KL divergence, which is averaged over the dimensions of z; beta in the "
        "CATCH paper (0.1).",
        low=0,
        high=1e6,
    )
    batch_share: float = setting(
        0.8, "Fraction of the search history in the evaluator's batch (0.8).", low=0, high=1
    )
    epsilon: float = setting(
        0.3, "Probability of a random pick at the start of a task.", low=0, high=1
    )
    epsilon_decay: float = setting(
        10.0,
        "Number of queries in which epsilon falls to 1/e of its initial value.",
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
        "Number of candidates that are sampled at temperature 1 and train the controller. In the "
        "CATCH paper, these are all candidates.",
        low=16,
        multiple_of=16,
        high=16_384,
    )
    temperature: float = setting(
        5.0,
        "Sampling temperature of the last candidate. Temperatures rise evenly from the first to "
        "the last candidate that is not on-policy. With 1, all candidates have temperature 1.",
        above=0,
        high=1e6,
    )
    adapt_entropy: bool = setting(
        True,
        "Whether the weight of the entropy bonus is adapted to keep the policy's entropy constant; "
        "if false, the weight is constant.",
    )
    entropy: float = setting(
        0.8,
        "Target of the policy's entropy if adapt_entropy is true, as a fraction of the maximum "
        "entropy.",
        low=0,
        high=1,
    )
    candidate_credit: bool = setting(
        True,
        "Whether all on-policy candidates train the controller, with the evaluator's scores in "
        "place of missing rewards; if false, only queried candidates do.",
    )
    revisits: bool = setting(False, "Whether an architecture may be queried more than once.")
    explore_adapted: bool = setting(
        False,
        "Whether a meta-learned agent begins a search with random architectures and random picks, "
        "as in meta-training.",
    )
    second_opinion: bool = setting(
        True,
        "Whether a second evaluator, which learns from the current task alone, chooses some of the "
        "queries of a meta-learned agent.",
    )
    rehearsal: bool = setting(
        True, "Whether, in meta-training, encoder and evaluator also learn from earlier tasks."
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
"""The algorithm of the CATCH paper (Chen et al., ECCV 2020), without additions.

The paper gives ``latent``, ``kl_weight`` and ``batch_share``. Other values are in an appendix that
is not available. These settings keep their defaults, except for ``entropy_weight``, which has the
value that is usual with PPO.
"""
