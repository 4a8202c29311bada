"""Training of supernets with a progress bar, TensorBoard event files and checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas_gym.experiments.training_events import TrainingEvents
from nas_gym.networks import data as images
from nas_gym.networks.bayesian.meta_network import MetaNetwork, train_meta_network
from nas_gym.networks.bayesian.plans import BASE_PRESETS, base_plan
from nas_gym.networks.data.few_shot import load_few_shot
from nas_gym.networks.device import find_device
from nas_gym.networks.few_shot.cached import check_task_counts, meta_supernet_path
from nas_gym.networks.few_shot.meta_supernet import MetaSupernet, train_meta_supernet
from nas_gym.networks.few_shot.plans import TaskPlan, few_shot_plan
from nas_gym.networks.few_shot.processes import joined_processes
from nas_gym.networks.plans import supernet_plan
from nas_gym.networks.progress import EpochCallback, progress_bar
from nas_gym.networks.supernet import Curves, Supernet, supernet_path, train_supernet
from nas_gym.utils.files import check_writable, explain_write_errors

META_METHODS = ("atnas", *BASE_PRESETS)
"""Methods of meta-training on few-shot tasks."""


def run_supernet_training(
    space: str,
    dataset: str,
    out: Path | None = None,
    *,
    size: int | None = None,
    device: str = "auto",
    seed: int = 0,
    **settings: Any,
) -> tuple[Path, Supernet]:
    """Train the supernet of a search space on a data set; resume from the last saved epoch.

    Args:
        space: ``"NB201"``, ``"DARTS"`` or ``"MnasNet"``.
        dataset: Name of images, or a folder or zip file of images.
        out: File of the supernet, ``.safetensors``; by default the cached one, which environments
            find. A folder of the same name, without the suffix, receives TensorBoard event files.
        size: Height and width in pixels that images of a folder are scaled to.
        device: Device to compute on.
        seed: Seed of the initial weights and of the training.
        **settings: Values that differ from :func:`nas_gym.networks.plans.supernet_plan`, such as
            ``epochs`` and ``channels``.

    Returns:
        The file, and the supernet in it.

    Raises:
        ValueError: If the space, the device or a setting is unknown, or the file was trained with
            other settings.
        DataError: If images are missing, a file cannot be read or written, or another process
            trains the same file.
        TrainingError: If the training diverges, or there is too little memory.
    """
    if out is not None:
        _check_output(_with_suffix(out))
    where = find_device(device)
    data = images.load_images(dataset, size)
    plan = supernet_plan(space, data, seed).with_settings(**settings)
    path = supernet_path(plan, data.name) if out is None else _with_suffix(out)
    _check_output(path)
    with _recorded(f"{space} on {data.name}", plan.training.epochs, path) as (on_epoch, begin):
        found = train_supernet(plan, data, path, where, on_epoch, on_resume=begin, wait=False)
    return path, found


def run_meta_supernet_training(
    space: str,
    dataset: str,
    out: Path | None = None,
    *,
    ways: int = 5,
    shots: int = 1,
    method: str = "atnas",
    size: int | None = None,
    device: str = "auto",
    seed: int = 0,
    **settings: Any,
) -> tuple[Path, MetaSupernet | MetaNetwork]:
    """Meta-train a network of a search space on few-shot tasks; resume from the last epoch.

    Processes that ``torchrun`` started train it together; the first one shows and records the
    progress.

    Args:
        space: ``"NB201"`` or ``"DARTS"``.
        dataset: Name of few-shot data, or a folder or zip file of images.
        out: File of the meta-supernet; see :func:`run_supernet_training`.
        ways: Classes of a task.
        shots: Support images per class.
        method: One of :data:`META_METHODS`; ``"base"`` and ``"base-paper"`` train a meta-network
            for the agent of this name.
        size: Height and width in pixels that images are scaled to.
        device: Device to compute on.
        seed: Seed of the initial weights and of the training.
        **settings: Values that differ from
            :func:`nas_gym.networks.few_shot.plans.few_shot_plan` or
            :func:`nas_gym.networks.bayesian.plans.base_plan`, such as ``epochs``.

    Returns:
        The file, and the meta-supernet or meta-network in it.

    Raises:
        ValueError: If the space, the device or a setting is unknown, the data has too few classes
            or images for the tasks, or the file was trained with other settings.
        DataError: If images are missing, a file cannot be read or written, or another process
            trains the same file.
        TrainingError: If the training diverges, or another process ended.
    """
    if out is not None:
        _check_output(_with_suffix(out))
    where = find_device(device)
    data = load_few_shot(dataset, size)
    if method not in META_METHODS:
        raise ValueError(f"method is one of {', '.join(META_METHODS)}, got {method!r}.")
    plan: TaskPlan[Any]
    if method == "atnas":
        plan = few_shot_plan(space, data, ways, shots, seed)
    else:
        plan = base_plan(space, data, ways, shots, seed, method)
    train: Any = train_meta_supernet if method == "atnas" else train_meta_network
    plan = plan.with_settings(**settings)
    check_task_counts(plan, data)
    path = meta_supernet_path(plan, data.name) if out is None else _with_suffix(out)
    _check_output(path)
    label = f"{space} on {data.name}, {ways}-way {shots}-shot"
    with joined_processes(where) as processes:
        if processes.rank:
            return path, train(plan, data, path, where, processes=processes)
        with _recorded(label, plan.training.epochs, path) as (on_epoch, begin):
            found = train(
                plan,
                data,
                path,
                where,
                on_epoch,
                on_resume=begin,
                wait=False,
                processes=processes,
            )
    return path, found


@contextmanager
def _recorded(
    label: str, epochs: int, path: Path
) -> Iterator[tuple[EpochCallback, Callable[[Curves | None], None]]]:
    """Show a progress bar and write an event file; yield ``on_epoch`` and ``on_resume``."""
    events = TrainingEvents(path.with_suffix(""), "supernet")
    with progress_bar(label, epochs) as show:

        def on_epoch(epoch: int, values: dict[str, float]) -> None:
            show(epoch, values)
            events.write(epoch, values)

        yield on_epoch, events.begin
    events.close()


def _check_output(path: Path) -> None:
    """Raise an error unless the file and the folder of the event file can be written."""
    check_writable(path)
    with explain_write_errors(path.with_suffix("")):
        path.with_suffix("").mkdir(exist_ok=True)


def _with_suffix(out: Path) -> Path:
    """Return a path with the suffix ``.safetensors``; names such as ``lr0.05`` keep their dots.

    Raises:
        ValueError: If the path does not end with the name of a file.
    """
    if out.name in ("", ".."):
        raise ValueError(f"{str(out)!r} is not the name of a file. Name one with --out FILE.")
    return out if out.suffix == ".safetensors" else out.with_name(f"{out.name}.safetensors")
