"""Lookup of network evaluators by a string such as ``training(epochs=12)``, once per process."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from nas_gym.utils.cache import cache_folder
from nas_gym.utils.expressions import Call, parse_call

if TYPE_CHECKING:
    from nas_gym.evaluators.network import NetworkEvaluator

_SETTINGS = {
    "supernet": ("calibration", "images"),
    "training": ("epochs",),
    "few-shot": ("ways", "shots", "tasks", "test_tasks"),
    "latency": ("threads", "batch"),
    "zero-cost": ("images",),
}

_Settings = tuple[tuple[str, int], ...]


def is_network_evaluator(text: str) -> bool:
    """Return whether a string names an evaluator of networks, such as ``"training(epochs=12)"``."""
    return text.partition("(")[0] in _SETTINGS


def network_evaluator(
    space: str,
    dataset: str,
    text: str,
    supernet: str | Path | None = None,
    device: str = "auto",
    size: int | None = None,
) -> NetworkEvaluator:
    """Return the evaluator that a string names.

    All environments of a process share the evaluator and its results.

    Args:
        space: ``"NB201"``, ``"DARTS"`` or ``"MnasNet"``.
        dataset: Images by name, or a folder or zip file of images.
        text: ``"supernet"``, ``"training"``, ``"few-shot"``, ``"latency"`` or ``"zero-cost"``, with
            settings in parentheses.
        supernet: File of a supernet or meta-supernet; by default, the one in the cache.
        device: ``"auto"`` or a device name of torch.
        size: Height and width in pixels that the images of a folder are scaled to.

    Raises:
        ValueError: If there is no such evaluator, setting, space or device.
        MissingDataError: If the images or the supernet are not on this machine.
    """
    call = _parse(text)
    given = tuple(call.arguments.items())
    if call.name in ("supernet", "few-shot"):
        file = None if supernet is None else Path(supernet)
        written = file.stat().st_mtime_ns if file is not None and os.path.isfile(file) else 0
        make = _supernet_evaluator if call.name == "supernet" else _few_shot_evaluator
        found = make(space, dataset, device, size, given, file, written, cache_folder())
    elif supernet is not None:
        raise ValueError(
            f"supernet= is for evaluator='supernet'; evaluator={call.name!r} needs none."
        )
    elif call.name == "latency":
        found = _latency_evaluator(space, dataset, device, size, given, cache_folder())
    elif call.name == "zero-cost":
        found = _zero_cost_evaluator(space, dataset, device, size, given)
    else:
        found = _training_evaluator(space, dataset, device, size, given, cache_folder())
    found.text = str(call)
    return found


def _parse(text: str) -> Call:
    try:
        call = parse_call(str(text))
        known = _SETTINGS[call.name]
        if all(name in known and type(v) is int and v >= 0 for name, v in call.arguments.items()):
            return call
    except (KeyError, ValueError):
        pass
    raise ValueError(
        "evaluator is 'supernet', 'training', 'few-shot', 'latency' or 'zero-cost', with optional "
        "settings such as 'supernet(calibration=1000,images=5000)', 'training(epochs=12)', "
        "'few-shot(ways=5,shots=1,tasks=20)', 'latency(threads=1,batch=1)' and "
        f"'zero-cost(images=64)'; got {text!r}."
    )


@cache
def _supernet_evaluator(
    space: str,
    dataset: str,
    device: str,
    size: int | None,
    settings: _Settings,
    file: Path | None,
    written: int,  # modification time; a supernet that was trained again is read again
    folder: Path,  # cache folder, which holds supernets by default
) -> NetworkEvaluator:
    from nas_gym.evaluators.supernet import SupernetEvaluator
    from nas_gym.networks.data import load_images
    from nas_gym.networks.device import find_device
    from nas_gym.networks.plans import check_space, supernet_plan
    from nas_gym.networks.supernet import find_supernet, load_supernet, supernet_path

    check_space(space)
    data, where = load_images(dataset, size), find_device(device)
    found = find_supernet(space, data, where) if file is None else load_supernet(file, where, data)
    if found.plan["space"] != space:
        raise ValueError(f"{file} is a supernet of {found.plan['space']}, not of {space}.")
    evaluator = SupernetEvaluator(found, data, **dict(settings))
    if file is None:
        evaluator.files = [supernet_path(supernet_plan(space, data), data.name)]
    return evaluator


@cache
def _few_shot_evaluator(
    space: str,
    dataset: str,
    device: str,
    size: int | None,
    settings: _Settings,
    file: Path | None,
    written: int,  # as above
    folder: Path,  # cache folder, which holds meta-supernets and results
) -> NetworkEvaluator:
    from nas_gym.evaluators.few_shot import FewShotEvaluator
    from nas_gym.networks.data.few_shot import load_few_shot
    from nas_gym.networks.device import find_device
    from nas_gym.networks.few_shot.cached import find_meta_supernet, meta_supernet_path
    from nas_gym.networks.few_shot.meta_supernet import load_meta_supernet
    from nas_gym.networks.plans import check_space

    check_space(space)
    counts = dict(settings)
    ways, shots = counts.pop("ways", 5), counts.pop("shots", 1)
    data, where = load_few_shot(dataset, size), find_device(device)
    if file is None:
        found = find_meta_supernet(space, data, ways, shots, where)
    else:
        found = load_meta_supernet(file, where)
        trained = found.plan.space, found.plan.ways, found.plan.shots
        if trained != (space, ways, shots):
            raise ValueError(
                f"{file} is a meta-supernet of {trained[0]} for {trained[1]}-way {trained[2]}-shot "
                f"tasks, not of {space} for {ways}-way {shots}-shot tasks."
            )
    evaluator = FewShotEvaluator(found, data, **counts, folder=folder / "few-shot")
    if file is None:
        evaluator.files = [meta_supernet_path(found.plan, data.name)]
    return evaluator


@cache
def _training_evaluator(
    space: str,
    dataset: str,
    device: str,
    size: int | None,
    settings: _Settings,
    folder: Path,  # cache folder, which holds the results
) -> NetworkEvaluator:
    from nas_gym.evaluators.training import TrainingEvaluator
    from nas_gym.networks.data import load_images
    from nas_gym.networks.device import find_device
    from nas_gym.networks.plans import training_plan

    data = load_images(dataset, size)
    plan = training_plan(space, data, **dict(settings))
    return TrainingEvaluator(plan, data, find_device(device), folder / "trainings")


@cache
def _latency_evaluator(
    space: str,
    dataset: str,
    device: str,
    size: int | None,
    settings: _Settings,
    folder: Path,  # cache folder, which holds the measurements
) -> NetworkEvaluator:
    from nas_gym.evaluators.latency import LatencyEvaluator

    where = "cpu" if device == "auto" else device
    return LatencyEvaluator(
        space, dataset, where, size=size, folder=folder / "latencies", **dict(settings)
    )


@cache
def _zero_cost_evaluator(
    space: str, dataset: str, device: str, size: int | None, settings: _Settings
) -> NetworkEvaluator:
    from nas_gym.evaluators.zero_cost import ZeroCostEvaluator
    from nas_gym.networks.data import load_images
    from nas_gym.networks.device import find_device
    from nas_gym.networks.plans import training_plan

    data = load_images(dataset, size)
    return ZeroCostEvaluator(
        training_plan(space, data), data, find_device(device), **dict(settings)
    )
