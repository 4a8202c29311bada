"""Files of meta-supernets: meta-training with checkpoints, and loading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nas_gym.networks.data.class_images import FewShotData
from nas_gym.networks.device import move_to_device
from nas_gym.networks.few_shot.checkpoints import (
    Arrays,
    CheckpointFormat,
    TrainingOptions,
    read_finished,
    run_meta_training,
)
from nas_gym.networks.few_shot.flops import flops_limit
from nas_gym.networks.few_shot.meta_training import FewShotTraining
from nas_gym.networks.few_shot.plans import FewShotPlan, task_sampler
from nas_gym.networks.few_shot.processes import Processes
from nas_gym.networks.network import Network
from nas_gym.networks.progress import EpochCallback
from nas_gym.networks.supernet import Curves
from nas_gym.networks.training import tensors_with_prefix


@dataclass(frozen=True)
class MetaSupernet:
    """Meta-trained supernet and its population: the result of Algorithm 1 of the AT-NAS paper.

    Attributes:
        network: Network with meta-learned weights, on its device.
        plan: Plan of the training.
        population: Members of the population, fittest first, ``(K, L)`` int64.
        fitness: Fitness of the members in %, ``(K,)`` float64.
    """

    network: Network
    plan: FewShotPlan
    population: NDArray[np.int64]
    fitness: NDArray[np.float64]

    def subnet(self, genotype: Any) -> Network:
        """Return the stand-alone network of an architecture, with copies of the weights.

        Args:
            genotype: Architecture, ``(num_decisions,)``.
        """
        return self.plan.build_with(genotype, self.network.state_dict())


def train_meta_supernet(
    plan: FewShotPlan,
    data: FewShotData,
    path: Path,
    device: torch.device,
    on_epoch: EpochCallback | None = None,
    seconds: float = 10.0,
    *,
    on_resume: Callable[[Curves], None] | None = None,
    wait: bool = True,
    processes: Processes | None = None,
) -> MetaSupernet:
    """Meta-train a supernet with its population and save it, or resume an interrupted training.

    Args:
        plan: Plan of the meta-supernet.
        data: Few-shot data that the plan was made for.
        path: File of the meta-supernet (``.safetensors``). During training, it is a checkpoint with
            the complete state. It is replaced atomically.
        device: Device of the training.
        on_epoch: Callback that receives the metrics of :meth:`FewShotTraining.run_epoch` after each
            epoch. The accuracies of the last epoch are those of the final population.
        seconds: Minimum time between two checkpoints.
        on_resume: Callback that receives the curves of the epochs in the file, once, before further
            epochs are trained.
        wait: Whether to wait for another process that trains the same file.
        processes: Processes of a distributed training, which all call this function. The first one
            writes the file.

    Raises:
        ValueError: If the file holds a meta-supernet of another plan, or the plan is for other
            data.
        DamagedDataError: If the file holds no meta-supernet.
        DataError: If the file cannot be written, or if another process trains it and ``wait`` is
            false.
        TrainingError: If training diverges, or another process of a distributed training ended. The
            file keeps the latest checkpoint.
    """
    options = TrainingOptions(on_epoch, seconds, on_resume, wait, processes)
    make_training = partial(_make_training, plan, data, device)
    training = run_meta_training(_FORMAT, make_training, plan, data, path, device, options)
    return _as_meta_supernet(training.network, plan, training.genotypes, training.fitness)


def _make_training(
    plan: FewShotPlan, data: FewShotData, device: torch.device, processes: Processes
) -> FewShotTraining:
    network = move_to_device(plan.build(), device)
    train, valid = (task_sampler(plan, data, split, device) for split in ("train", "valid"))
    limit = plan.training.max_flops
    accept = flops_limit(plan.build, plan.shape, limit) if limit else None
    return FewShotTraining(
        network, train, valid, plan.training, plan.seed, network.space, accept, processes
    )


def _as_meta_supernet(
    network: torch.nn.Module,
    plan: FewShotPlan,
    population: NDArray[np.int64],
    fitness: NDArray[np.float64],
) -> MetaSupernet:
    assert isinstance(network, Network)
    order = np.argsort(-fitness, kind="stable")
    return MetaSupernet(network.eval(), plan, population[order], fitness[order])


def _check_population(plan: FewShotPlan, network: Network, arrays: Arrays) -> None:
    members = (plan.training.population, network.space.num_decisions)
    if arrays["population"].shape != members or arrays["fitness"].shape != members[:1]:
        raise ValueError("the population has another size")
    network.space.check(arrays["population"])


_FORMAT = CheckpointFormat(
    "meta-supernet",
    FewShotPlan,
    "few_shot_plan",
    frozenset({"population", "fitness"}),
    _check_population,
    may_be_nan=frozenset({"fitness"}),  # NaN for members that were not evaluated
)


def load_meta_supernet(path: Path, device: torch.device) -> MetaSupernet:
    """Return a meta-supernet from its file.

    Args:
        path: File that :func:`train_meta_supernet` wrote.
        device: Device of the network.

    Raises:
        MissingDataError: If there is no such file, or its training is not finished.
        DamagedDataError: If the file holds no meta-supernet.
    """
    content = read_finished(_FORMAT, path)
    plan: FewShotPlan = content.plan
    network = plan.build()
    network.load_state_dict(tensors_with_prefix(content.arrays, "network/"))
    return _as_meta_supernet(
        move_to_device(network, device),
        plan,
        content.arrays["population"],
        content.arrays["fitness"],
    )
