"""Trials of one agent in one environment: run them, keep them in files, read them again."""

from __future__ import annotations

import errno
import json
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

import nas_gym
from nas_gym.agents.common.saved import pretrained_file
from nas_gym.agents.registry import find_agent
from nas_gym.agents.sb3.models import (
    check_hyperparams,
    find_algorithm,
    read_hyperparams,
    run_sb3_search,
)
from nas_gym.envs.base import SearchVectorEnv
from nas_gym.experiments.settings import SearchSettings
from nas_gym.recording import RecordVectorSearch
from nas_gym.registration import in_mode
from nas_gym.tasks import Task
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import read_arrays, sha256, write_arrays, write_atomically

Record = dict[str, NDArray[Any]]

RECORDED: dict[str, type] = {
    "indices": np.int64,
    "rewards": np.float64,
    "agent_seconds": np.float64,
}
"""What is kept of trials, of which all their curves are made."""


def make_envs(settings: SearchSettings) -> SearchVectorEnv:
    """The vector environment of a search: one environment a trial, one episode a budget."""
    envs = gym.make_vec(settings.env, num_envs=settings.seeds, **settings.env_arguments)
    if not isinstance(envs, SearchVectorEnv):
        raise ValueError(f"{settings.env} is not an environment of nas_gym.")
    if envs.max_episode_steps is not None:
        envs.max_episode_steps = settings.queries
    return envs


def make_task(settings: SearchSettings) -> Task:
    """What a search searches."""
    return make_envs(replace(settings, seeds=1)).task


def describe(settings: SearchSettings, task: Task) -> dict[str, Any]:
    """All that determines the history of a trial but its seed, defaults filled in.

    Raises:
        TypeError: a setting that the agent does not have.
        FileNotFoundError: there is no such pre-trained agent.
    """
    if settings.runs_in_lockstep:
        known = asdict(find_agent(settings.agent).make_config(settings.agent_settings))
        env = settings.env
    else:
        check_hyperparams(settings.agent, settings.agent_settings)
        known = read_hyperparams(settings.agent, task.space.name)
        env = in_mode(settings.env, find_algorithm(settings.agent).mode)
    config = asdict(settings)
    del config["seeds"], config["first_seed"]
    described: dict[str, Any] = {
        **config,
        "searched_env": env,
        "task": task.describe(),
        "agent_settings": known | settings.agent_settings,
        "versions": {"nas_gym": nas_gym.__version__} | _engines(settings),
    }
    if described["agent_settings"].get("pretrained"):
        path = pretrained_file(described["agent_settings"]["pretrained"])
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        described["pretrained_sha256"] = sha256(path)
    # as it comes back from a file, where tuples are lists
    return dict(json.loads(json.dumps(described, default=str)))


def _engines(settings: SearchSettings) -> dict[str, str]:
    """The versions of the libraries that an agent's proposals come from."""
    names = ["numpy"]
    if uses_torch(settings):
        names += ["torch"]
    if not settings.runs_in_lockstep:
        names += ["stable_baselines3", "sb3_contrib"]
    elif settings.agent == "tpe":
        names += ["optuna"]
    return {name: version(name) for name in names}


def uses_torch(settings: SearchSettings) -> bool:
    """Whether a search imports PyTorch, for its agent or for the networks of its environment."""
    networks = "space" in gym.spec(settings.env).kwargs
    if networks or not settings.runs_in_lockstep:
        return True
    return find_agent(settings.agent).agent_class.uses_torch


def use_one_thread(settings: SearchSettings) -> None:
    """Let PyTorch use one core: networks this small gain nothing from more."""
    if uses_torch(settings):
        import torch

        torch.set_num_threads(1)


def run_trials(settings: SearchSettings) -> Record:
    """Run the trials of some seeds: the arrays of :data:`RECORDED`, ``(queries, n)`` each."""
    use_one_thread(settings)
    if settings.runs_in_lockstep:
        return _run_in_lockstep(settings)
    found = [
        run_sb3_search(
            settings.agent,
            settings.env,
            settings.queries,
            seed,
            settings.env_arguments,
            **settings.agent_settings,
        )
        for seed in settings.seed_list
    ]
    return {
        name: np.concatenate([getattr(one, name) for one in found], axis=1) for name in RECORDED
    }


def _run_in_lockstep(settings: SearchSettings) -> Record:
    envs = RecordVectorSearch(make_envs(settings))
    agent = find_agent(settings.agent).make_agent(
        envs, settings.agent_settings, seed=settings.first_seed
    )
    while agent.num_queries < settings.queries:
        agent.query()
    found = envs.curves().first_queries(settings.queries)
    return {name: getattr(found, name) for name in RECORDED}


@dataclass(frozen=True)
class Kept:
    """Trials out of files: their seeds in order, and arrays ``(queries, trials)``."""

    seeds: list[int]
    record: Record


class TrialStore:
    """The finished trials of one search in a folder, files of a few seeds each.

    Args:
        folder: made where it is not there.
        config: what :func:`describe` gives; noted in ``config.json``.

    Raises:
        ValueError: the folder holds trials of another search, or of an unknown one.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        if self._files() and not (folder / "config.json").exists():
            raise ValueError(
                f"{folder} holds trials without the config.json that says what they are of. "
                "Choose another --out folder, or delete this one."
            )
        take_config(folder, config)

    def missing(self, settings: SearchSettings) -> list[int]:
        """The seeds of trials that are not here yet. Damaged files are deleted."""
        good = [file for file in self._files() if not self._delete_damaged(file, settings)]
        done = {seed for file in good for seed in _seeds(file)}
        return [seed for seed in settings.seed_list if seed not in done]

    def _delete_damaged(self, file: Path, settings: SearchSettings) -> bool:
        try:
            self._read(file, settings)
        except DamagedDataError as error:
            gym.logger.warn(f"{error} Its trials are run again.")
            file.unlink(missing_ok=True)
            return True
        return False

    def has(self, settings: SearchSettings) -> bool:
        """Whether the trials of the settings' seeds, and they alone, were added as one record."""
        return self._file(settings).exists()

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("seeds-*.npz"))

    def _file(self, settings: SearchSettings) -> Path:
        last = settings.first_seed + settings.seeds - 1
        return self.folder / f"seeds-{settings.first_seed}-{last}.npz"

    def _read(self, file: Path, settings: SearchSettings) -> Record:
        record, shape = read_arrays(file), (settings.queries, len(_seeds(file)))
        if RECORDED.keys() - record.keys() or any(
            array.shape != shape for array in record.values()
        ):
            raise DamagedDataError(f"{file} is damaged: arrays of shape {shape} were expected.")
        return record

    def add(self, settings: SearchSettings, record: Record) -> None:
        """Keep the trials of the settings' seeds, whole or not at all.

        Raises:
            ValueError: a record of fewer or more queries or trials.
        """
        shape = (settings.queries, settings.seeds)
        for name, array in record.items():
            if array.shape != shape:
                raise ValueError(f"{name} of a search has shape {shape}, got {array.shape}.")
        write_arrays(self._file(settings), record)

    def fail(self, seed: int, error: str) -> None:
        """Note that a trial failed, and why."""
        write_atomically(self.folder / f"failed-{seed}.txt", error.encode())

    def failed(self, seed: int) -> bool:
        """Whether it is noted that a trial failed."""
        return (self.folder / f"failed-{seed}.txt").exists()

    def forget_failures(self) -> None:
        """Let trials that failed be run again."""
        for file in self.folder.glob("failed-*.txt"):
            file.unlink(missing_ok=True)

    def read(self, settings: SearchSettings) -> tuple[Kept, dict[int, str]]:
        """The trials of the settings' seeds that are here, and the errors of those that failed."""
        columns: dict[int, Record] = {}
        for file in self._files():
            record = self._read(file, settings)
            for i, seed in enumerate(_seeds(file)):
                columns[seed] = {name: array[:, i] for name, array in record.items()}
        seeds = [seed for seed in settings.seed_list if seed in columns]
        record = {
            name: np.stack([columns[seed][name] for seed in seeds], axis=1)
            if seeds
            else np.empty((settings.queries, 0), dtype)
            for name, dtype in RECORDED.items()
        }
        files = {seed: self.folder / f"failed-{seed}.txt" for seed in settings.seed_list}
        failures = {seed: file.read_text() for seed, file in files.items() if file.exists()}
        return Kept(seeds, record), failures


def _seeds(file: Path) -> list[int]:
    first, last = map(int, file.stem.removeprefix("seeds-").split("-"))
    return list(range(first, last + 1))


def take_config(folder: Path, config: dict[str, Any]) -> None:
    """Note a search's config in its folder, or compare it with the one that is there.

    Raises:
        ValueError: the folder holds another search.
        DamagedDataError: its config cannot be read.
    """
    file = folder / "config.json"
    if not file.exists():
        write_atomically(file, (json.dumps(config, indent=1) + "\n").encode())
        return
    try:
        found = dict(json.loads(file.read_text()))
    except (ValueError, TypeError) as error:
        raise DamagedDataError(
            f"{file} is damaged: {error}. Delete the folder to search anew."
        ) from error
    different = [key for key in config if found.get(key) != config[key]]
    if different:
        raise ValueError(
            f"{folder} holds another search (different {', '.join(different)}). "
            "Choose another --out folder, or delete this one."
        )
