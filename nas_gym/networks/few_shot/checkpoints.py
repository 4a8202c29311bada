"""Meta-training with checkpoints: locked, resumable, and saved as safetensors."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from nas_gym.networks.data.class_images import FewShotData
from nas_gym.networks.few_shot.plans import TaskPlan
from nas_gym.networks.few_shot.processes import Processes
from nas_gym.networks.few_shot.task_training import TaskTraining
from nas_gym.networks.network import Network
from nas_gym.networks.progress import EpochCallback
from nas_gym.networks.supernet import Curves, check_weights, training_lock
from nas_gym.utils.errors import DamagedDataError, MissingDataError
from nas_gym.utils.files import explain_write_errors, read_tensors, write_tensors

Arrays = dict[str, NDArray[Any]]

_DAMAGES = (LookupError, TypeError, ValueError, RuntimeError, OverflowError)
_Plan = TypeVar("_Plan", bound=TaskPlan[Any])
_Training = TypeVar("_Training", bound=TaskTraining)


@dataclass(frozen=True)
class CheckpointFormat(Generic[_Plan]):
    """Description of the files of one kind of meta-training.

    Attributes:
        kind: What the file holds, for messages, such as ``"meta-supernet"``.
        plan_class: Class of the plan.
        plan_name: Name under which the plan is stored.
        required: Names of further arrays that every file has.
        check: Function that raises ``ValueError`` if the arrays do not fit the plan; it also gets
            the network without memory.
        may_be_nan: Names of arrays that may have values that are not finite.
    """

    kind: str
    plan_class: type[_Plan]
    plan_name: str
    required: frozenset[str]
    check: Callable[[_Plan, Network, Arrays], None]
    may_be_nan: frozenset[str] = field(default_factory=frozenset)


class Checkpoint(NamedTuple):
    """Checked content of the file of a meta-training.

    Attributes:
        plan: Plan of the training.
        epoch: Number of finished epochs.
        curves: Metrics of the finished epochs.
        arrays: Everything in the file.
    """

    plan: Any
    epoch: int
    curves: Curves
    arrays: Arrays


class TrainingOptions(NamedTuple):
    """Callbacks and processes of a meta-training.

    Attributes:
        on_epoch: Callback that receives the metrics of :meth:`TaskTraining.run_epoch` after each
            epoch.
        seconds: Minimum time between two checkpoints.
        on_resume: Callback that receives the curves of the epochs in the file, once, before further
            epochs are trained.
        wait: Whether to wait for another process that trains the same file.
        processes: Processes of a distributed training, which all train. The first one writes the
            file.
    """

    on_epoch: EpochCallback | None = None
    seconds: float = 10.0
    on_resume: Callable[[Curves], None] | None = None
    wait: bool = True
    processes: Processes | None = None


def run_meta_training(
    form: CheckpointFormat[_Plan],
    make_training: Callable[[Processes], _Training],
    plan: _Plan,
    data: FewShotData,
    path: Path,
    device: torch.device,
    options: TrainingOptions,
) -> _Training:
    """Run a meta-training and save it, or resume an interrupted one.

    Args:
        form: Format of the file.
        make_training: Function that returns the training before its first epoch.
        plan: Plan of the training.
        data: Few-shot data that the plan was made for.
        path: File of the training (``.safetensors``). During training, it is a checkpoint with the
            complete state. It is replaced atomically.
        device: Device of the training.
        options: Callbacks and processes.

    Returns:
        The finished training.

    Raises:
        ValueError: If the file holds a training of another plan, or the plan is for other data.
        DamagedDataError: If the file holds something else.
        DataError: If the file cannot be written, or if another process trains it and ``wait`` is
            false.
        TrainingError: If training diverges, or another process of a distributed training ended. The
            file keeps the latest checkpoint.
    """
    if (plan.data, plan.shape) != (data.digest, data.shape):
        raise ValueError(
            f"The plan was made for other images or classes, not for those of {data.name}. Make a "
            "plan for these images."
        )
    processes = Processes() if options.processes is None else options.processes
    # only the first process writes the file
    with training_lock(path, options.wait) if processes.rank == 0 else nullcontext():
        training = make_training(processes)
        curves = _resume(form, training, plan, path) if os.path.isfile(path) else {}
        processes.average([torch.zeros(1, device=device)])  # all have read the file
        if options.on_resume is not None:
            options.on_resume(curves)
        written = time.monotonic()
        while training.epoch < plan.training.epochs:
            metrics = training.run_epoch()
            finished = training.epoch == plan.training.epochs
            if finished:
                metrics |= training.finish()
            for name, value in metrics.items():
                curves.setdefault(name, []).append(value)
            if options.on_epoch is not None:
                options.on_epoch(training.epoch, metrics)
            is_due = finished or time.monotonic() - written > options.seconds
            if processes.rank == 0 and is_due:
                _save(form, path, training, plan, curves)
                written = time.monotonic()
        return training


def _save(
    form: CheckpointFormat[_Plan], path: Path, training: TaskTraining, plan: _Plan, curves: Curves
) -> None:
    arrays = training.state_arrays()
    if training.epoch == plan.training.epochs:  # a finished run is not resumed
        arrays = {name: each for name, each in arrays.items() if not name.startswith("adam/")}
    arrays |= {f"curve/{name}": np.array(values) for name, values in curves.items()}
    described = np.array(json.dumps(plan.describe(), sort_keys=True))
    with explain_write_errors(path):
        write_tensors(path, {**arrays, form.plan_name: described})


def _resume(
    form: CheckpointFormat[_Plan], training: TaskTraining, plan: _Plan, path: Path
) -> Curves:
    content = _read_checkpoint(form, path)
    if content.plan.data != plan.data:
        raise ValueError(
            f"{path} holds a {form.kind} of other images or another split of their classes. Give "
            "another path, or delete it."
        )
    if content.plan != plan:
        raise ValueError(
            f"{path} holds a {form.kind} with other settings. Give another path, or delete it."
        )
    try:
        training.load_state_arrays(content.arrays)
    except _DAMAGES as error:
        raise DamagedDataError(
            f"{path} cannot be resumed: {error!r:.200}. Delete it to train again."
        ) from error
    return content.curves


def _read_checkpoint(form: CheckpointFormat[_Plan], path: Path) -> Checkpoint:
    """Read the file of a meta-training, finished or not.

    Raises:
        DamagedDataError: If the file holds something else, lacks weights, or has weights that are
            not finite.
    """
    arrays = read_tensors(path)
    if not {form.plan_name, "epoch", *form.required} <= arrays.keys():
        raise DamagedDataError(
            f"{path} holds no {form.kind}. Give a file that `nas-gym train-supernet` saved for "
            "few-shot tasks."
        )
    try:
        plan = form.plan_class.from_description(json.loads(str(arrays[form.plan_name])))
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
        form.check(plan, network, arrays)
    except _DAMAGES as error:
        raise DamagedDataError(f"{path} holds no plan of a {form.kind}: {error!r:.200}.") from error
    finite = {name: each for name, each in arrays.items() if name not in form.may_be_nan}
    check_weights(path, finite, network.state_dict())
    return Checkpoint(plan, epoch, curves, arrays)


def read_finished(form: CheckpointFormat[_Plan], path: Path) -> Checkpoint:
    """Return the content of the file of a finished meta-training.

    Args:
        form: Format of the file.
        path: File that :func:`run_meta_training` wrote.

    Raises:
        MissingDataError: If there is no such file, or its training is not finished.
        DamagedDataError: If the file holds something else, or is damaged.
    """
    if not os.path.isfile(path):
        raise MissingDataError(
            f"There is no {form.kind} {path}. `nas-gym train-supernet` makes one."
        )
    content = _read_checkpoint(form, path)
    epochs = content.plan.training.epochs
    if content.epoch < epochs:
        raise MissingDataError(
            f"{path} is trained for {content.epoch} of {epochs} epochs. Run the same "
            "`nas-gym train-supernet` again to resume it."
        )
    return content
