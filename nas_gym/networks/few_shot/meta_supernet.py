"""Files of meta-supernets: meta-training with checkpoints, and loading."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from nas_gym.networks.data.class_images import FewShotData
from nas_gym.networks.data.few_shot import TaskSampler
from nas_gym.networks.device import move_to_device
from nas_gym.networks.few_shot.flops import flops_limit
from nas_gym.networks.few_shot.meta_training import FewShotTraining
from nas_gym.networks.few_shot.plans import FewShotPlan
from nas_gym.networks.few_shot.processes import Processes
from nas_gym.networks.network import Network
from nas_gym.networks.progress import EpochCallback
from nas_gym.networks.supernet import Curves, check_weights, training_lock
from nas_gym.networks.training import tensors_with_prefix
from nas_gym.utils.errors import DamagedDataError, MissingDataError
from nas_gym.utils.files import explain_write_errors, read_tensors, write_tensors

_DAMAGES = (LookupError, TypeError, ValueError, RuntimeError, OverflowError)


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
        own = self.network.state_dict()
        network = self.plan.build(genotype)
        network.load_state_dict({name: own[name] for name in network.state_dict()})
        return move_to_device(network, next(self.network.parameters()).device)


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
            epoch.
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
    if (plan.data, plan.shape) != (data.digest, data.shape):
        raise ValueError(
            f"The plan was made for other images or classes, not for those of {data.name}. Make a "
            "plan with few_shot_plan(space, data, ways, shots)."
        )
    processes = Processes() if processes is None else processes
    # only the first process writes the file
    with training_lock(path, wait) if processes.rank == 0 else nullcontext():
        training = _make_training(plan, data, device, processes)
        curves = _resume(training, plan, path) if os.path.isfile(path) else {}
        processes.average([torch.zeros(1, device=device)])  # all have read the file
        if on_resume is not None:
            on_resume(curves)
        written = time.monotonic()
        while training.epoch < plan.training.epochs:
            metrics = training.run_epoch()
            finished = training.epoch == plan.training.epochs
            if finished:
                training.evaluate_population()
            for name, value in metrics.items():
                curves.setdefault(name, []).append(value)
            if on_epoch is not None:
                on_epoch(training.epoch, metrics)
            if processes.rank == 0 and (finished or time.monotonic() - written > seconds):
                _save(path, training, plan, curves)
                written = time.monotonic()
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


def task_sampler(
    plan: FewShotPlan, data: FewShotData, split: str, device: torch.device
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


def _as_meta_supernet(
    network: torch.nn.Module,
    plan: FewShotPlan,
    population: NDArray[np.int64],
    fitness: NDArray[np.float64],
) -> MetaSupernet:
    assert isinstance(network, Network)
    order = np.argsort(-fitness, kind="stable")
    return MetaSupernet(network.eval(), plan, population[order], fitness[order])


# -- files ----------------------------------------------------------------------------------------


class _Content(NamedTuple):
    """Checked content of the file of a meta-supernet."""

    plan: FewShotPlan
    epoch: int
    curves: Curves
    arrays: dict[str, NDArray[Any]]


def _save(path: Path, training: FewShotTraining, plan: FewShotPlan, curves: Curves) -> None:
    arrays = training.state_arrays()
    if training.epoch == plan.training.epochs:  # a finished run is not resumed
        arrays = {name: each for name, each in arrays.items() if not name.startswith("adam/")}
    arrays |= {f"curve/{name}": np.array(values) for name, values in curves.items()}
    described = np.array(json.dumps(plan.describe(), sort_keys=True))
    with explain_write_errors(path):
        write_tensors(path, {**arrays, "few_shot_plan": described})


def _resume(training: FewShotTraining, plan: FewShotPlan, path: Path) -> Curves:
    content = _read(path)
    if content.plan.data != plan.data:
        raise ValueError(
            f"{path} holds a meta-supernet of other images or another split of their classes. Give "
            "another path, or delete it."
        )
    if content.plan != plan:
        raise ValueError(
            f"{path} holds a meta-supernet with other settings. Give another path, or delete it."
        )
    try:
        training.load_state_arrays(content.arrays)
    except _DAMAGES as error:
        raise DamagedDataError(
            f"{path} cannot be resumed: {error!r:.200}. Delete it to train again."
        ) from error
    return content.curves


def _read(path: Path) -> _Content:
    """Read the file of a meta-supernet, finished or not.

    Raises:
        DamagedDataError: If the file holds no meta-supernet, lacks weights, or has weights that are
            not finite.
    """
    arrays = read_tensors(path)
    if not {"few_shot_plan", "epoch", "population", "fitness"} <= arrays.keys():
        raise DamagedDataError(
            f"{path} holds no meta-supernet. Give a file that `nas-gym train-supernet` saved for "
            "few-shot tasks."
        )
    try:
        plan = FewShotPlan.from_description(json.loads(str(arrays["few_shot_plan"])))
        epoch = int(arrays["epoch"])
        with torch.device("meta"):
            network = plan.build()
        curves = {
            name.removeprefix("curve/"): values.tolist()
            for name, values in arrays.items()
            if name.startswith("curve/")
        }
        if not 0 <= epoch <= plan.training.epochs:
            raise ValueError(f"epoch {epoch} of {plan.training.epochs}")
        if any(len(values) != epoch for values in curves.values()):
            raise ValueError(f"the curves are not of {epoch} epochs")
        members = (plan.training.population, network.space.num_decisions)
        if arrays["population"].shape != members or arrays["fitness"].shape != members[:1]:
            raise ValueError("the population has another size")
        network.space.check(arrays["population"])
    except _DAMAGES as error:
        raise DamagedDataError(
            f"{path} holds no plan of a meta-supernet: {error!r:.200}."
        ) from error
    fitness = {"fitness"}  # NaN for members that were not evaluated
    finite = {name: each for name, each in arrays.items() if name not in fitness}
    check_weights(path, finite, network.state_dict())
    return _Content(plan, epoch, curves, arrays)


def load_meta_supernet(path: Path, device: torch.device) -> MetaSupernet:
    """Return a meta-supernet from its file.

    Args:
        path: File that :func:`train_meta_supernet` wrote.
        device: Device of the network.

    Raises:
        MissingDataError: If there is no such file, or its training is not finished.
        DamagedDataError: If the file holds no meta-supernet.
    """
    if not os.path.isfile(path):
        raise MissingDataError(
            f"There is no meta-supernet {path}. `nas-gym train-supernet` makes one."
        )
    content = _read(path)
    plan = content.plan
    if content.epoch < plan.training.epochs:
        raise MissingDataError(
            f"{path} is trained for {content.epoch} of {plan.training.epochs} epochs. Run the same "
            "`nas-gym train-supernet` again to resume it."
        )
    network = plan.build()
    network.load_state_dict(tensors_with_prefix(content.arrays, "network/"))
    return _as_meta_supernet(
        move_to_device(network, device),
        plan,
        content.arrays["population"],
        content.arrays["fitness"],
    )
