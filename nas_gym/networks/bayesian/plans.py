"""Plans of meta-networks: network and settings of BASE."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from nas_gym.networks.data.class_images import FewShotData
from nas_gym.networks.few_shot.plans import (
    NETWORK_SETTINGS,
    TaskPlan,
    check_few_shot_space,
    make_task_plan,
)

RELAXATIONS = ("straight-through", "soft")
"""Ways to compute an edge with a random operation; see :class:`BASETrainingConfig`."""

SCHEDULES = ("linear", "exponential")
"""Courses of the temperature from its first to its final value."""

_MOST = 1_000_000


@dataclass(frozen=True)
class BASETrainingConfig:
    """Settings of BASE.

    Attributes:
        epochs: Epochs of the whole training. An epoch is the unit of progress and of checkpoints.
        updates: Updates of the meta-parameters per epoch.
        tasks: Tasks per update and process (C in the algorithm).
        steps: Gradient steps per task (T).
        batch_size: Images per step; 0 for all images of the task.
        inner_rate: Learning rate of the weights in these steps (eta).
        alpha_rate: Learning rate of alpha in these steps. With the learning rate of the weights,
            alpha hardly moves, because its gradient is small.
        outer_rate: Step of the meta-parameters towards the mean of the posteriors (lambda).
        variational: Whether weights have a normal distribution; otherwise, they have one value.
        deviation: Initial standard deviation of the weights.
        kl_weight: Factor of the KL terms; 1 in the ELBO, 0 in the printed algorithm. A step on the
            KL term of variational weights is stable only if inner_rate * kl_weight / (images *
            deviation^2) is below 2.
        relaxation: ``straight-through`` computes one architecture, drawn with Gumbel noise, and
            passes the gradient of a softmax to alpha. ``soft`` computes the mixture that is
            weighted by this softmax.
        temperature: Temperature of the softmax in the first epoch.
        final_temperature: Temperature in the last epoch, and in the adaptation to a target.
        schedule: Course of the temperature in between, one of :data:`SCHEDULES`.
        warmup: First epochs, in which alpha stays even and only the weights learn. Without them,
            operations that have no weights lead, because they need no training.
        valid_tasks: Validation tasks after each epoch.

    Raises:
        ValueError: If a setting is outside its range.
    """

    epochs: int = 10
    updates: int = 25
    tasks: int = 2
    steps: int = 8
    batch_size: int = 0
    inner_rate: float = 0.1
    alpha_rate: float = 10.0
    outer_rate: float = 1.0
    variational: bool = False
    deviation: float = 0.02
    kl_weight: float = 1.0
    relaxation: str = "straight-through"
    temperature: float = 1.0
    final_temperature: float = 1.0
    schedule: str = "linear"
    warmup: int = 0
    valid_tasks: int = 8

    def __post_init__(self) -> None:
        for each in fields(self):
            value, low = getattr(self, each.name), int(each.name not in ("batch_size", "warmup"))
            if each.type == "int" and not low <= value <= _MOST:
                raise ValueError(
                    f"{each.name} is at least {low} and at most {_MOST:,}, got {value}."
                )
        for name in ("inner_rate", "deviation", "temperature", "final_temperature"):
            if not 0 < getattr(self, name) < 1e6:
                raise ValueError(f"{name} is above 0 and finite, got {getattr(self, name)}.")
        for name in ("alpha_rate", "kl_weight"):
            if not 0 <= getattr(self, name) < 1e6:
                raise ValueError(f"{name} is at least 0 and finite, got {getattr(self, name)}.")
        if not 0 < self.outer_rate <= 1:
            raise ValueError(f"outer_rate is above 0 and at most 1, got {self.outer_rate}.")
        for name, choices in (("relaxation", RELAXATIONS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} is one of {', '.join(choices)}, got {getattr(self, name)!r}."
                )

    def temperature_in(self, epoch: int) -> float:
        """Return the temperature in an epoch, from 0."""
        first, last = self.temperature, self.final_temperature
        progress = min(epoch / max(self.epochs - 1, 1), 1.0)
        if self.schedule == "linear":
            return first + (last - first) * progress
        return float(first * (last / first) ** progress)


BASE_PRESETS = {
    "base": BASETrainingConfig(),
    "base-paper": BASETrainingConfig(kl_weight=0.0),
}
"""Settings by the name of the method: the objective of the derivation with its KL terms, and the
algorithm as printed, without KL terms."""


@dataclass(frozen=True)
class BASEPlan(TaskPlan[BASETrainingConfig]):
    """Everything that determines a meta-network of BASE.

    Attributes:
        dataset: Name of the few-shot data.
    """

    config_class = BASETrainingConfig
    dataset: str = ""


def base_plan(
    space: str, data: FewShotData, ways: int, shots: int, seed: int = 0, method: str = "base"
) -> BASEPlan:
    """Return the plan of the meta-network of a search space for n-way k-shot tasks.

    Args:
        space: Name of a search space with networks.
        data: Few-shot data.
        ways: Classes of a task.
        shots: Support images per class.
        seed: Seed of the initial weights and of meta-training.
        method: Key of :data:`BASE_PRESETS`.

    Raises:
        ValueError: If the search space has no networks, or there is no such method.
    """
    if method not in BASE_PRESETS:
        raise ValueError(f"The methods are {', '.join(BASE_PRESETS)}, got {method!r}.")
    training = BASE_PRESETS[method]
    plan = make_task_plan(BASEPlan, training, space, data, ways, shots, seed)
    return replace(plan, dataset=data.name)


def untrained_plan(space: str, in_channels: int, seed: int, method: str) -> BASEPlan:
    """Return the plan of a meta-network that has not learned from any task.

    Args:
        space: Name of a search space with networks.
        in_channels: Channels of the images.
        seed: Seed of the initial weights.
        method: Key of :data:`BASE_PRESETS`.

    Raises:
        ValueError: If the search space has no networks.
    """
    check_few_shot_space(space)
    network, training = dict(NETWORK_SETTINGS[space]), BASE_PRESETS[method]
    return BASEPlan(space, "", (in_channels, 1, 1), 2, 1, 1, False, network, training, seed)
