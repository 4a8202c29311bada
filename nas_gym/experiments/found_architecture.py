"""Architectures to train: the best of a search, or a given one."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np

from nas_gym.experiments.environments import check_env_id
from nas_gym.networks.plans import check_space
from nas_gym.spaces import SearchSpace
from nas_gym.spaces.registry import build_whole_space, find_space_class
from nas_gym.tables import load_table
from nas_gym.tasks import task_arguments
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import read_json


@dataclass(frozen=True)
class FoundArchitecture:
    """An architecture, and the images of its task.

    Attributes:
        task: ID of the environment of the task.
        space: Name of the search space, ``"NB201"``, ``"DARTS"`` or ``"MnasNet"``.
        genotype: The architecture.
        dataset: Images, see :func:`nas_gym.networks.data.load_images`.
        size: Height and width that the images of a folder are scaled to.
        supernet: File of the supernet that the search used; ``None`` for the cached one.
        origin: Source of the architecture: its text, or folder, seed and reward of the search.
    """

    task: str
    space: str
    genotype: tuple[int, ...]
    dataset: str
    size: int | None
    supernet: str | None
    origin: dict[str, Any]


def find_architecture(source: str, task: str | None = None) -> FoundArchitecture:
    """Return the best architecture of a search, or the architecture that a text describes.

    Args:
        source: Folder of a search, or an architecture as text. The best architecture of a search is
            its incumbent with the best reward; the reported metric is not used.
        task: Environment ID, also without ``-v0``; by default, that of the search.

    Raises:
        ValueError: If the folder holds no finished search for one objective, the task has no
            networks, the text is not an architecture, or an architecture is given without a task.
        DamagedDataError: If a file of the search is damaged.
        gymnasium.error.Error: If there is no such environment.
    """
    if os.path.isdir(source):
        return _best_of_search(Path(source), task)
    if task is None:
        raise ValueError(
            f"There is no folder {source!r:.200}. To train a given architecture, also name the "
            "images: --task NB201-digits (task= in Python)."
        )
    env_id = _env_id(task)
    arguments = dict(task_arguments(env_id))
    space = _space_name(arguments)
    genotype = _whole_space(space).from_text([source])[0]
    return _found(env_id, space, genotype.tolist(), arguments, {"arch": source})


def _env_id(task: str) -> str:
    env_id = f"{task}-v0" if f"{task}-v0" in gym.registry else task
    check_env_id(env_id)
    return env_id


def _space_name(arguments: dict[str, Any]) -> str:
    """Return the search space of a task that has networks."""
    space = arguments.get("space")
    if space is None and "table" in arguments:
        space = load_table(arguments["table"]).space.name
    if not isinstance(space, str):
        raise ValueError("This task has no image networks. Name another one with --task.")
    check_space(space)
    return space


def _whole_space(name: str) -> SearchSpace:
    return build_whole_space(find_space_class(name))


def _found(
    env_id: str, space: str, genotype: list[int], arguments: dict[str, Any], origin: dict[str, Any]
) -> FoundArchitecture:
    return FoundArchitecture(
        env_id,
        space,
        tuple(genotype),
        arguments["dataset"],
        arguments.get("size"),
        arguments.get("supernet"),
        origin,
    )


def _best_of_search(folder: Path, task: str | None) -> FoundArchitecture:
    files = {name: folder / name for name in ("config.json", "summary.json", "history.jsonl")}
    if not all(file.is_file() for file in files.values()):
        raise ValueError(
            f"{folder} holds no finished search. Name the folder of `nas-gym search`, run the "
            "search to its end, or give an architecture as text."
        )
    config = read_json(files["config.json"])
    own = {**dict(task_arguments(_env_id(config["env"]))), **config["env_arguments"]}
    searched = _space_name(own)
    if own.get("objectives"):
        raise ValueError(
            f"{folder} has several objectives, so no architecture is the best. Choose one of the "
            "architectures in its history.jsonl, and give it as text."
        )
    record = _best_record(files["history.jsonl"])
    index = int(record["incumbent"])
    genotype = _whole_space(searched).decode([index])[0].tolist()
    origin = {"run": str(folder), "seed": record["seed"], "reward": record["incumbent_reward"]}
    if task is None:
        return _found(_env_id(config["env"]), searched, genotype, own, origin)
    env_id = _env_id(task)
    arguments = dict(task_arguments(env_id))
    if _space_name(arguments) != searched:
        raise ValueError(
            f"{folder} searched in {searched}, but {env_id} has architectures of "
            f"{_space_name(arguments)}. Name a task of {searched}, or leave out --task (task=)."
        )
    if env_id.partition("-v")[0] == config["env"].partition("-v")[0]:
        arguments = own  # with the options of the search
    return _found(env_id, searched, genotype, arguments, origin)


def _best_record(history: Path) -> dict[str, Any]:
    """Return the last record of the trial with the best incumbent."""
    try:
        last = {}
        for line in history.read_text().splitlines():
            record = json.loads(line)
            last[record["seed"]] = record
        return cast(
            dict[str, Any],
            max(
                last.values(),
                key=lambda each: (
                    each.get("incumbent_feasible", True),
                    float(np.nan_to_num(each["incumbent_reward"], nan=-np.inf)),
                ),
            ),
        )
    except (LookupError, TypeError, ValueError) as error:
        raise DamagedDataError(f"{history} is damaged: {error!r:.200}.") from error
