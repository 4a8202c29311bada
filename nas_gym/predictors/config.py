"""How a predictor is built, adapts, and is meta-trained: numbers, without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ALGORITHMS = {"maml": "", "anil": "head.", "boil": "body."}
"""What the inner loop changes: parameters whose names begin so. MAML: all (Finn et al., ICML 2017);
ANIL: the last layer (Raghu et al., ICLR 2020); BOIL: all but it (Oh et al., ICLR 2021)."""


@dataclass(frozen=True)
class PredictorConfig:
    """How a predictor is built, and how it adapts.

    Attributes:
        width: features of a node in each of the layers; MP-NAS has 600 (Table 9).
        layers: graph convolutions.
        dropout: share of features dropped while it is meta-trained; MP-NAS has 0.2.
        algorithm: of :data:`ALGORITHMS`: what adapts.
        inner_rate: learning rate of the inner loop, and of fine-tuning.

    Raises:
        ValueError: naming the setting and what it can be.
    """

    width: int = 64
    layers: int = 4
    dropout: float = 0.0
    algorithm: str = "boil"
    inner_rate: float = 0.03

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise ValueError(
                f"algorithm is one of {', '.join(ALGORITHMS)}, got {self.algorithm!r}."
            )
        for name in ("width", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, got {getattr(self, name)}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is a share from 0 to below 1, got {self.dropout}.")
        if not 0 < self.inner_rate < np.inf:
            raise ValueError(f"inner_rate is above 0, and finite; got {self.inner_rate}.")


@dataclass(frozen=True)
class MetaTrainingConfig:
    """How long and in what portions a predictor is meta-trained.

    Attributes:
        epochs: of :attr:`steps` gradient steps each.
        steps: of an epoch.
        joint: the share of epochs that are joint pre-training; 1 for nothing else.
        outer_rate: highest learning rate of AdamW; it rises from 0 and falls back to it, once in
            each of the two phases.
        tasks: in a step.
        shots: of a task in the inner loop; MP-NAS adapts to 5.
        validation: architectures of a task that are then predicted; as many are of a task in joint
            pre-training.
        inner_steps: of the inner loop.
        first_order: whether gradients of the inner loop are taken for constants.

    Raises:
        ValueError: naming the setting and what it can be.
    """

    epochs: int = 30
    steps: int = 100
    joint: float = 0.5
    outer_rate: float = 2e-3
    tasks: int = 6
    shots: int = 5
    validation: int = 64
    inner_steps: int = 3
    first_order: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "tasks", "inner_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, got {getattr(self, name)}.")
        for name in ("shots", "validation"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} is at least 2, got {getattr(self, name)}.")
        if not 0 <= self.joint <= 1:
            raise ValueError(f"joint is a share, 0 to 1, got {self.joint}.")
        if not 0 < self.outer_rate < np.inf:
            raise ValueError(f"outer_rate is above 0, and finite; got {self.outer_rate}.")

    @property
    def joint_epochs(self) -> int:
        """Those of joint pre-training."""
        return round(self.joint * self.epochs)
