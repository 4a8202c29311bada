"""Environments of searches, also in worker processes and on other machines."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from nas_gym.envs.base import SearchVectorEnv
from nas_gym.registration import Mode, in_mode, register_all
from nas_gym.tasks import Task


def check_env_id(env: str) -> None:
    """Raise an error that suggests IDs if an environment ID is not complete or unknown.

    Raises:
        gymnasium.error.Error: If there is no such ID. Gymnasium itself would accept an ID without
            a version, whose meaning changes when a new version is registered.
    """
    module, colon, _ = env.partition(":")
    if colon:
        _import_registering_module(module, env)  # Gymnasium itself would show a traceback
        return
    if env in gym.registry:
        return
    close = [f"{env}-v0"] if f"{env}-v0" in gym.registry else get_close_matches(env, gym.registry)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise gym.error.NameNotFound(
        f"There is no environment {env!r:.200}.{hint} `nas-gym envs` lists the "
        "environments of nas_gym. For an environment that a module of yours registers, write "
        "module:ID."
    )


def _import_registering_module(module: str, env: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:  # a module of somebody else may raise anything
        raise gym.error.Error(
            f"Cannot import {module!r}, the module before the colon of {env!r}: "
            f"{type(error).__name__}: {error}"
        ) from error


def make_search_envs(
    env: str, num_envs: int, queries: int, env_arguments: Mapping[str, Any]
) -> SearchVectorEnv:
    """Return a vector environment with one environment per trial, and the budget as episode length.

    Args:
        env: Environment ID.
        num_envs: Number of trials.
        queries: Number of queries of each trial.
        env_arguments: Further arguments of the environment, such as ``report``.

    Raises:
        ValueError: If the ID belongs to an environment of another package.
        gymnasium.error.Error: If the ID is unknown.
    """
    check_env_id(env)
    envs = gym.make_vec(env, num_envs=num_envs, **env_arguments)
    if not isinstance(envs, SearchVectorEnv):
        raise ValueError(f"{env} is not an environment of nas_gym.")
    if envs.max_episode_steps is not None:
        envs.max_episode_steps = queries
    return envs


def environment_specs(env: str) -> list[EnvSpec]:
    """Return the registrations of a task in all its modes, for :func:`register_specs`."""
    specs = (_find_spec(env, mode) for mode in Mode)
    return [spec for spec in specs if spec is not None]


def _find_spec(env: str, mode: Mode) -> EnvSpec | None:
    """Return the registration of a task in a mode; ``None`` if this mode is not registered."""
    try:
        return gym.spec(in_mode(env, mode))
    except gym.error.NameNotFound:
        return None


def register_specs(specs: Sequence[EnvSpec]) -> None:
    """Register environments in a worker process as they are in the process that has the jobs."""
    register_all()  # the fork server may have started before tables were imported
    for spec in specs:
        gym.registry[spec.id] = spec


def networks_device(task: Task) -> Any:
    """Return the device that the task's evaluator computes neural networks on, or ``None``."""
    return getattr(getattr(task, "evaluator", None), "device", None)
