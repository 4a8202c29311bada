"""Settings of predictors and of their meta-training, without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ALGORITHMS = {"maml": "", "anil": "head.", "boil": "body."}
"""Prefix of the parameters that the inner loop changes, by algorithm.

MAML changes all parameters (Finn et al., ICML 2017), ANIL the last layer (Raghu et al., ICLR 2020),
BOIL all layers but the last (Oh et al., ICLR 2021)."""

MIXTURE = "mixture"
"""Algorithm without an inner loop: labels weight earlier tasks (predictors/mixture.py)."""


@dataclass(frozen=True)
class PredictorConfig:
    """Settings of a predictor and of its adaptation to a task.

    Attributes:
        width: Features per node in each layer; 600 in the MP-NAS paper (Table 9).
        layers: Number of graph convolutions.
        dropout: Dropout rate during meta-training; 0.2 in the MP-NAS paper.
        algorithm: Key of :data:`ALGORITHMS`, which determines the parameters that are adapted, or
            :data:`MIXTURE`.
        inner_rate: Learning rate of the inner loop; fine-tuning uses half of this value.

    Raises:
        ValueError: If a setting is outside its range.
    """

    width: int = 64
    layers: int = 4
    dropout: float = 0.0
    algorithm: str = "boil"
    inner_rate: float = 0.03

    def __post_init__(self) -> None:
        algorithms = (*ALGORITHMS, MIXTURE)
        if self.algorithm not in algorithms:
            raise ValueError(
                f"algorithm is one of {', '.join(algorithms)}, got {self.algorithm!r}."
            )
        for name in ("width", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, got {getattr(self, name)}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is at least 0 and below 1, got {self.dropout}.")
        if not 0 < self.inner_rate < np.inf:
            raise ValueError(f"inner_rate is above 0 and finite, got {self.inner_rate}.")


@dataclass(frozen=True)
class MetaTrainingConfig:
    """Settings of the meta-training of a predictor.

    Attributes:
        epochs: Number of epochs.
        steps: Gradient steps per epoch.
        joint: Fraction of the epochs that are joint pre-training, 0 to 1.
        outer_rate: Maximum learning rate of AdamW. In each of the two phases, the learning rate
            rises linearly from 0 and falls back to 0.
        tasks: Tasks per gradient step.
        shots: Architectures in the support set of a task; 5 in the MP-NAS paper.
        validation: Architectures in the query set of a task, and architectures per task in joint
            pre-training.
        inner_steps: SGD steps of the inner loop.
        first_order: Whether the outer loop treats the inner loop's gradients as constants.

    Raises:
        ValueError: If a setting is outside its range.
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
            raise ValueError(f"joint is a fraction from 0 to 1, got {self.joint}.")
        if not 0 < self.outer_rate < np.inf:
            raise ValueError(f"outer_rate is above 0 and finite, got {self.outer_rate}.")

    @property
    def joint_epochs(self) -> int:
        """Number of epochs of joint pre-training."""
        return round(self.joint * self.epochs)
