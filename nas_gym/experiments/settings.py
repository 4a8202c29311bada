"""Settings of a search: everything that determines its history."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nas_gym
from nas_gym.envs.base import SearchVectorEnv
from nas_gym.experiments.environments import make_search_envs, networks_device
from nas_gym.experiments.methods import (
    AgentLike,
    SearchMethod,
    find_method,
    import_path,
)
from nas_gym.tasks import Task
from nas_gym.utils.source_code import source_identity

MAX_QUERIES = 10_000_000
"""Highest number of queries of a trial."""

MAX_TRIALS = 100_000
"""Highest number of trials of a search."""

MAX_SEED = 2**32 - 1
"""Highest seed; stable-baselines3 accepts no higher one."""


def check_seeds(first_seed: int, seeds: int = 1) -> None:
    """Raise an error if a range of seeds cannot be used.

    Args:
        first_seed: Lowest seed.
        seeds: Number of seeds.

    Raises:
        ValueError: If a number is outside its range.
    """
    if not 1 <= seeds <= MAX_TRIALS:
        raise ValueError(f"seeds must be at least 1 and at most {MAX_TRIALS:,}, got {seeds}.")
    if first_seed < 0 or first_seed + seeds - 1 > MAX_SEED:
        raise ValueError(
            f"Seeds must be at least 0 and at most {MAX_SEED}, got "
            f"{first_seed if seeds == 1 else f'{first_seed} to {first_seed + seeds - 1}'}."
        )


@dataclass(frozen=True)
class SearchSettings:
    """Everything that determines the history of a search.

    Attributes:
        env: Environment ID.
        agent: Name, ``"module:Class"``, ``"module:function"``, agent class, or plain function; see
            :func:`nas_gym.experiments.methods.find_method`.
        queries: Architecture evaluations per trial, 1 to :data:`MAX_QUERIES`.
        seeds: Number of trials, 1 to :data:`MAX_TRIALS`; trial ``i`` has seed ``first_seed + i``.
        first_seed: Seed of the first trial; no seed is above :data:`MAX_SEED`.
        env_arguments: Further arguments of ``gym.make_vec``, such as ``report``.
        agent_settings: Settings of the agent that differ from its defaults.

    Raises:
        ValueError: If there is no such agent, or a number or a setting is outside its range.
        TypeError: If the agent has no such setting, or it has another type.
    """

    env: str
    agent: AgentLike
    queries: int
    seeds: int
    first_seed: int = 0
    env_arguments: dict[str, Any] = field(default_factory=dict)
    agent_settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("queries", "seeds", "first_seed"):
            if type(getattr(self, name)) is not int:
                raise TypeError(f"{name} must be an integer, got {getattr(self, name)!r}.")
        if not 1 <= self.queries <= MAX_QUERIES:
            raise ValueError(
                f"queries must be at least 1 and at most {MAX_QUERIES:,}, got {self.queries}."
            )
        check_seeds(self.first_seed, self.seeds)
        if "seed" in self.agent_settings:
            raise ValueError(
                "seed is no setting of an agent: give first_seed (--first-seed) and seeds "
                "(--seeds)."
            )
        _ = self.method  # raises an error for unknown agents and settings

    @cached_property
    def method(self) -> SearchMethod:
        """The search method that ``agent`` and ``agent_settings`` stand for."""
        return find_method(self.agent, self.agent_settings)

    @property
    def seed_list(self) -> list[int]:
        """Seeds of the trials."""
        return list(range(self.first_seed, self.first_seed + self.seeds))

    def make_envs(self) -> SearchVectorEnv:
        """Return the vector environment of the search, with one environment per trial."""
        return make_search_envs(self.env, self.seeds, self.queries, self.env_arguments)

    def make_task(self) -> Task:
        """Return the task that is searched."""
        return replace(self, seeds=1).make_envs().task

    def describe(self, task: Task) -> dict[str, Any]:
        """Return everything that determines the history of a trial, except its seed, for JSON.

        Args:
            task: Task that is searched.

        Raises:
            FileNotFoundError: If the file of a pretrained agent does not exist.
        """
        method = self.method
        packages = ["numpy", *(["torch"] if self.uses_torch(task) else []), *method.packages]
        described: dict[str, Any] = {
            "env": self.env,
            "agent": method.name,
            "queries": self.queries,
            "env_arguments": {
                name: _describe_argument(value) for name, value in self.env_arguments.items()
            },
            "agent_settings": method.all_settings(self.env, task),
            "searched_env": method.searched_env(self.env),
            "task": task.describe(),
            "versions": {
                "nas_gym": nas_gym.__version__,
                **{package: version(package) for package in dict.fromkeys(packages)},
            },
            **method.identity(),
        }
        # the same types as after reading config.json, where tuples are lists
        return dict(json.loads(json.dumps(described, default=str)))

    def uses_torch(self, task: Task) -> bool:
        """Return whether the agent or the environment computes with PyTorch."""
        return "torch" in self.method.packages or networks_device(task) is not None


def use_one_torch_thread() -> None:
    """Let PyTorch use one core in this process: small neural networks gain nothing from more."""
    use_torch_threads(1)


def use_torch_threads(threads: int) -> None:
    """Let PyTorch use a number of cores in this process.

    If another program needs one of the cores, a step of several threads takes many times as long as
    a step of one thread, because threads wait for each other.

    Raises:
        ValueError: If the number is not 1 to 1,024.
    """
    import torch

    if not 1 <= threads <= 1024:
        raise ValueError(f"threads is 1 to 1,024, got {threads}.")
    torch.set_num_threads(threads)


def _describe_argument(value: Any) -> Any:
    """Return an argument for JSON: an object by its class; its task describes the rest."""
    if value is None or isinstance(value, bool | int | float | str | list | dict):
        return value
    if isinstance(value, Path):
        return str(value)
    return {"class": import_path(type(value)), **source_identity(type(value))}
