"""The cache of trained meta-supernets."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from nas_gym.networks.data.class_images import FewShotData
from nas_gym.networks.data.few_shot import FEW_SHOT_SETS, load_few_shot
from nas_gym.networks.few_shot.meta_supernet import (
    MetaSupernet,
    load_meta_supernet,
    train_meta_supernet,
)
from nas_gym.networks.few_shot.plans import TaskPlan, few_shot_plan, task_sampler
from nas_gym.networks.progress import progress_bar
from nas_gym.utils.errors import DataError, MissingDataError

TRAINED_ON_DEMAND = (("NB201", 5, 1), ("NB201", 5, 5))
"""Search space, ways and shots for which :func:`find_meta_supernet` trains a missing meta-supernet
on Omniglot (two or three minutes)."""


def check_task_counts(plan: TaskPlan[Any], data: FewShotData) -> None:
    """Raise an error if data has too few classes or images for the tasks of a plan.

    All sets of classes are checked, also the test classes, which only a later evaluation uses.

    Raises:
        ValueError: If there are fewer classes than ways, or fewer images than shots and queries.
    """
    for split in data.splits:
        task_sampler(plan, data, split, torch.device("cpu"))


def meta_supernet_path(plan: TaskPlan[Any], dataset: str) -> Path:
    """Return the path in the cache of the meta-supernet of a plan on a data set."""
    from nas_gym.utils.cache import cache_folder

    name = f"{plan.space}-{dataset}-{plan.ways}way{plan.shots}shot-{plan.digest}.safetensors"
    return cache_folder() / "meta-supernets" / name


def is_meta_supernet_cached(space: str, dataset: str, ways: int, shots: int) -> bool:
    """Return whether the cache holds the trained meta-supernet of a search space on a data set.

    Raises:
        MissingDataError: If the images are not on this machine.
    """
    data = load_few_shot(dataset)
    path = meta_supernet_path(few_shot_plan(space, data, ways, shots), data.name)
    try:
        load_meta_supernet(path, torch.device("cpu"))
    except DataError:
        return False
    return True


def find_meta_supernet(
    space: str, data: FewShotData, ways: int, shots: int, device: torch.device
) -> MetaSupernet:
    """Return the meta-supernet of a search space on a data set, from the cache.

    A missing meta-supernet on Omniglot is trained with a progress bar if it is small, one of
    :data:`TRAINED_ON_DEMAND`.

    Raises:
        ValueError: If the data has too few classes or images for the tasks.
        MissingDataError: If the meta-supernet is missing and takes long to train.
        DamagedDataError: If the file of the meta-supernet is damaged.
        DataError: If the cache cannot be written.
    """
    plan = few_shot_plan(space, data, ways, shots)
    check_task_counts(plan, data)
    path = meta_supernet_path(plan, data.name)
    with suppress(MissingDataError):  # try without a lock first: the folder may be read-only
        return load_meta_supernet(path, device)
    if (space, ways, shots) not in TRAINED_ON_DEMAND or data.name != "omniglot":
        images = data.name if data.name in FEW_SHOT_SETS else "FOLDER"
        raise MissingDataError(
            f"The meta-supernet of {space} for {ways}-way {shots}-shot tasks on {data.name} is not "
            f"trained yet. Run `nas-gym train-supernet {space} {images} --ways {ways} --shots "
            f"{shots}` (minutes for NB201, an hour or more for DARTS), or give your own file "
            "with supernet=."
        )
    label = f"meta-supernet of {space} on {data.name}, {ways}-way {shots}-shot"
    with progress_bar(label, plan.training.epochs) as on_epoch:
        train_meta_supernet(plan, data, path, device, on_epoch)
    return load_meta_supernet(path, device)
