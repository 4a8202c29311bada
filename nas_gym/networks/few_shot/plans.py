"""Plans of meta-supernets: network, meta-training and evolution."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor
from typing_extensions import Self

from nas_gym.networks.data.class_images import FewShotData
from nas_gym.networks.data.few_shot import TaskSampler
from nas_gym.networks.device import move_to_device
from nas_gym.networks.evaluation import use_batch_statistics
from nas_gym.networks.network import Network
from nas_gym.networks.plans import NETWORKS, check_space
from nas_gym.predictors.code_predictors import CODE_PREDICTORS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ORDERS = ("first", "second", "reptile")
"""Meta-gradients: of first order (AT-NAS paper, Eq. 5), of second order (MAML), and Reptile's."""

_MOST = 1_000_000
NETWORK_SETTINGS: dict[str, dict[str, Any]] = {
    "NB201": {"channels": 8, "cells": 1},
    "DARTS": {"channels": 16, "layers": 2, "own_cells": False},
}
"""Default arguments of the network class for few-shot tasks, by search space."""

Config = TypeVar("Config", bound="DataclassInstance")
Plan = TypeVar("Plan", bound="TaskPlan[Any]")


@dataclass(frozen=True)
class FewShotTrainingConfig:
    """Settings of :class:`~nas_gym.networks.few_shot.meta_training.FewShotTraining`.

    The AT-NAS paper contradicts itself in places. The defaults follow section 4.2:

    - Algorithm 1 evolves the population after every task; section 4.2 evolves it after every 4
      meta-updates. Set ``tasks=1`` and ``updates_per_generation=1`` for Algorithm 1.
    - Section 3.3 mutates with "a tiny probability"; section 4.2 draws each node anew with
      probability 0.5. Set ``mutation`` to a small value for section 3.3.

    Attributes:
        epochs: Epochs of the whole training. An epoch is the unit of progress and of checkpoints.
        updates: Meta-updates per epoch.
        warmup: First epochs, in which each meta-update trains random architectures.
        architectures: Architectures per meta-update (B_arch in Eq. 6).
        tasks: Tasks per meta-update and process.
        steps: SGD steps per task (M).
        inner_rate: Learning rate of these steps.
        meta_rate: Learning rate of Adam, which updates the supernet.
        cosine: Whether this learning rate decreases to 0 by the last epoch, following a cosine.
        order: Meta-gradient, one of :data:`ORDERS`.
        population: Members of the population after the warm-up (K in Algorithm 2); 0 trains random
            architectures throughout.
        updates_per_generation: Meta-updates between two generations (k in section 5.2).
        fitness_tasks: Validation tasks that determine the fitness of a member.
        parents: Fraction of the population that survives as parents.
        crossover: Probability that crossover exchanges a node.
        mutation: Probability that mutation draws a node anew.
        predictor: Regression that predicts the fitness of members, one of ``none``, ``forest``,
            ``gp`` and ``rbf``; see :mod:`nas_gym.predictors.code_predictors`.
        predictor_samples: Members of each generation that are evaluated to fit the predictor.
        max_flops: Largest number of multiply-adds of a member per image, in millions; 0 for no
            limit.

    Raises:
        ValueError: If a setting is outside its range.
    """

    epochs: int = 20
    updates: int = 50
    warmup: int = 5
    architectures: int = 1
    tasks: int = 4
    steps: int = 5
    inner_rate: float = 0.1
    meta_rate: float = 0.001
    cosine: bool = False
    order: str = "first"
    population: int = 128
    updates_per_generation: int = 4
    fitness_tasks: int = 4
    parents: float = 0.25
    crossover: float = 0.5
    mutation: float = 0.5
    predictor: str = "none"
    predictor_samples: int = 50
    max_flops: float = 0.0

    def __post_init__(self) -> None:
        lowest = {"warmup": 0, "population": 0}
        for each in fields(self):
            value, low = getattr(self, each.name), lowest.get(each.name, 1)
            if each.type == "int" and not low <= value <= _MOST:
                raise ValueError(
                    f"{each.name} is at least {low} and at most {_MOST:,}, got {value}."
                )
        if not all(0 < rate < 1e6 for rate in (self.inner_rate, self.meta_rate)):
            raise ValueError(
                "inner_rate and meta_rate are above 0 and finite, got "
                f"{self.inner_rate} and {self.meta_rate}."
            )
        if self.order not in ORDERS:
            raise ValueError(f"order is one of {', '.join(ORDERS)}, got {self.order!r}.")
        if self.predictor not in ("none", *CODE_PREDICTORS):
            raise ValueError(
                f"predictor is one of none, {', '.join(CODE_PREDICTORS)}, got {self.predictor!r}."
            )
        if self.predictor_samples < 2:
            raise ValueError(f"predictor_samples is at least 2, got {self.predictor_samples}.")
        shares = (self.parents, self.crossover, self.mutation)
        if not all(0 <= share <= 1 for share in shares) or not 0 <= self.max_flops < 1e12:
            raise ValueError(
                "parents, crossover and mutation are 0 to 1, and max_flops is at least 0; got "
                f"{', '.join(map(str, shares))} and {self.max_flops}."
            )


@dataclass(frozen=True)
class TaskPlan(Generic[Config]):
    """Everything that determines what a meta-training on few-shot tasks learns.

    Attributes:
        space: Name of a search space, a key of :data:`nas_gym.networks.plans.NETWORKS`.
        data: Digest of the few-shot data.
        shape: Shape of the images, ``(channels, height, width)``.
        ways: Classes of a task.
        shots: Support images per class.
        queries: Query images per class.
        rotations: Whether rotated classes are classes of their own.
        network: Arguments of the network class, except those that the tasks determine.
        training: Settings of meta-training.
        seed: Seed of the initial weights and of meta-training.

    Raises:
        ValueError: If the seed is not 0 to 2^63 - 1.
    """

    space: str
    data: str
    shape: tuple[int, int, int]
    ways: int
    shots: int
    queries: int
    rotations: bool
    network: dict[str, Any]
    training: Config
    seed: int = 0

    config_class: ClassVar[type[Any]]
    """Class of the settings of meta-training."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is 0 to 2^63 - 1, got {self.seed}.")

    def describe(self) -> dict[str, Any]:
        """Return the plan as plain values, as it is stored in the file of the training."""
        return asdict(self) | {"shape": list(self.shape)}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        """Return the plan that :meth:`describe` described.

        Raises:
            TypeError: If a field is missing or unknown.
            ValueError: If a setting is outside its range.
        """
        training = cls.config_class(**description["training"])
        return cls(**{**description, "shape": tuple(description["shape"]), "training": training})

    @property
    def digest(self) -> str:
        """Identifier of the plan: twelve hexadecimal digits."""
        text = json.dumps(self.describe(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def build(self, genotype: Any = None) -> Network:
        """Return a network with initial weights drawn from the seed.

        Its batch norms use the statistics of each batch.

        Args:
            genotype: Architecture, ``(num_decisions,)``; ``None`` builds a supernet.
        """
        arguments = {**self.network, "num_classes": self.ways, "in_channels": self.shape[0]}
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would also seed every GPU
            torch.default_generator.manual_seed(self.seed)
            network = NETWORKS[self.space](**arguments, genotype=genotype)
        use_batch_statistics(network)
        return network

    def build_with(self, genotype: Any, weights: Mapping[str, Tensor]) -> Network:
        """Return the stand-alone network of an architecture, with copies of a supernet's weights.

        Args:
            genotype: Architecture, ``(num_decisions,)``.
            weights: Weights of the supernet, by name.
        """
        network = self.build(genotype)
        network.load_state_dict({name: weights[name] for name in network.state_dict()})
        return move_to_device(network, next(iter(weights.values())).device)

    def with_settings(self, **changes: Any) -> Self:
        """Return a copy with other settings of the tasks, the training or the network.

        Args:
            changes: New values by name, such as ``epochs=50``, ``channels=8`` or ``queries=5``.

        Raises:
            ValueError: If there is no such setting, or if a value has the wrong type or is outside
                its range.
        """
        own = {"queries": self.queries, "rotations": self.rotations}
        known = asdict(self.training) | self.network | own
        for name, value in changes.items():
            if name not in known:
                raise ValueError(
                    f"There is no setting {name!r} of meta-supernets of {self.space}. Choose from: "
                    f"{', '.join(known)}."
                )
            kinds = (int, float) if type(known[name]) is float else (type(known[name]),)
            if type(value) not in kinds:
                raise ValueError(f"{name} is of type {kinds[-1].__name__}, got {value!r:.100}.")
        network = {k: v for k, v in changes.items() if k in self.network}
        tasks = {k: v for k, v in changes.items() if k in own}
        training = {k: v for k, v in changes.items() if k not in network and k not in tasks}
        plan = replace(
            self,
            **tasks,
            network={**self.network, **network},
            training=replace(self.training, **training),
        )
        with torch.device("meta"):  # checks the settings of the network
            plan.build()
        return plan


@dataclass(frozen=True)
class FewShotPlan(TaskPlan[FewShotTrainingConfig]):
    """Everything that determines a meta-supernet."""

    config_class = FewShotTrainingConfig


def few_shot_plan(
    space: str, data: FewShotData, ways: int, shots: int, seed: int = 0
) -> FewShotPlan:
    """Return the plan of the meta-supernet of a search space for n-way k-shot tasks.

    - DARTS has two cells, a normal and a reduction cell, and 16 channels ("small" in the AT-NAS
      paper, section 4.2). Set ``layers=8`` for the large network, and
      ``own_cells=True`` to give each cell an architecture of its own, as the paper does.
    - NB201 has one cell per stage and 8 channels.

    The paper trains for 20 epochs of 5,000 tasks with a population of 128. The plans are for one
    CPU core: on 28x28 images and 5-way 1-shot tasks, NB201 takes about 2 minutes and DARTS about
    an hour.

    Args:
        space: Name of a search space with networks.
        data: Few-shot data.
        ways: Classes of a task.
        shots: Support images per class.
        seed: Seed of the initial weights and of meta-training.

    Raises:
        ValueError: If the search space has no networks.
    """
    check_few_shot_space(space)
    training = {
        "NB201": FewShotTrainingConfig(
            epochs=10,
            updates=25,
            warmup=8,
            steps=3,
            meta_rate=0.003,
            population=16,
            updates_per_generation=10,
        ),
        "DARTS": FewShotTrainingConfig(
            steps=3, meta_rate=0.003, population=32, updates_per_generation=25
        ),
    }[space]
    return make_task_plan(FewShotPlan, training, space, data, ways, shots, seed)


def make_task_plan(
    plan_class: type[Plan],
    training: Any,
    space: str,
    data: FewShotData,
    ways: int,
    shots: int,
    seed: int,
) -> Plan:
    """Return a plan with the default network of a search space, and 5 query images per class.

    Args:
        plan_class: Class of the plan.
        training: Settings of meta-training.
        space, data, ways, shots, seed: See :func:`few_shot_plan`.

    Raises:
        ValueError: If the search space has no networks.
    """
    check_few_shot_space(space)
    return plan_class(
        space,
        data.digest,
        data.shape,
        ways,
        shots,
        queries=5,
        rotations=data.rotations,
        network=dict(NETWORK_SETTINGS[space]),
        training=training,
        seed=seed,
    )


def check_few_shot_space(space: str) -> None:
    """Raise an error if a search space has no networks for few-shot tasks.

    Raises:
        ValueError: If ``space`` is not a key of :data:`NETWORK_SETTINGS`.
    """
    check_space(space)
    if space not in NETWORK_SETTINGS:
        known = " and ".join(NETWORK_SETTINGS)
        raise ValueError(f"There are few-shot networks of {known}, not of {space!r}.")


def task_sampler(
    plan: TaskPlan[Any], data: FewShotData, split: str, device: torch.device
) -> TaskSampler:
    """Return the sampler of a plan's tasks.

    Args:
        plan: Plan that determines ways, shots, queries and rotations.
        data: Few-shot data.
        split: Classes of the tasks: ``train``, ``valid`` or ``test``.
        device: Device of the tasks.

    Raises:
        ValueError: If there are fewer classes than ways, or fewer images than shots and queries.
    """
    return TaskSampler(data, split, plan.ways, plan.shots, plan.queries, plan.rotations, device)
