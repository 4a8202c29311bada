"""Algorithms of stable-baselines3 and sb3-contrib by name, with tuned hyper-parameters.

The hyper-parameters are in ``hyperparams/<name>.yml``, in the format of RL Baselines3 Zoo:
``python -m rl_zoo3.train`` reads the same files. The keys are environment IDs; the entry
``default`` applies to all other environments. The values were found by ``scripts/tune_sb3.py`` on
tasks for which no results are reported.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import yaml
from gymnasium.vector import AutoresetMode, VectorEnv

from nas_gym.recording import RecordVectorSearch
from nas_gym.recording.curves import Curves
from nas_gym.registration import Mode, in_mode
from nas_gym.spaces import SearchSpace

# The command line imports this module for the names of algorithms, so stable-baselines3 and PyTorch
# are imported only where they are used.
if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.noise import ActionNoise
    from stable_baselines3.common.vec_env import VecEnv

HYPERPARAMS = Path(__file__).parent / "hyperparams"
"""Folder of the files with tuned hyper-parameters."""


@dataclass(frozen=True)
class Algorithm:
    """Import path of an algorithm, and the environments that it can search.

    Attributes:
        module: Module of the class.
        name: Name of the class.
        mode: Mode of the environments that the algorithm searches.
        masks: Whether the algorithm uses action masks.
    """

    module: str
    name: str
    mode: Mode
    masks: bool = False

    def import_class(self) -> type[BaseAlgorithm]:
        """Import and return the class."""
        algorithm_class: type[BaseAlgorithm] = getattr(
            importlib.import_module(self.module), self.name
        )
        return algorithm_class


ALGORITHMS = {
    "ppo": Algorithm("stable_baselines3", "PPO", Mode.SEQUENTIAL),
    "a2c": Algorithm("stable_baselines3", "A2C", Mode.SEQUENTIAL),
    "dqn": Algorithm("stable_baselines3", "DQN", Mode.SEQUENTIAL),
    "maskableppo": Algorithm("sb3_contrib", "MaskablePPO", Mode.SEQUENTIAL, masks=True),
    "recurrentppo": Algorithm("sb3_contrib", "RecurrentPPO", Mode.SEQUENTIAL),
    "qrdqn": Algorithm("sb3_contrib", "QRDQN", Mode.SEQUENTIAL),
    "ddpg": Algorithm("stable_baselines3", "DDPG", Mode.ALPHA),
    "td3": Algorithm("stable_baselines3", "TD3", Mode.ALPHA),
    "sac": Algorithm("stable_baselines3", "SAC", Mode.ALPHA),
    "tqc": Algorithm("sb3_contrib", "TQC", Mode.ALPHA),
}
"""Algorithms by the names that commands accept."""

DEFAULT_ENTRY = "default"
"""Key of the hyper-parameters for environments that have no entry, as in RL Baselines3 Zoo."""

_ZOO_SETTINGS = ("n_envs", "noise_type", "noise_std", "vec_env_wrapper")
_RESERVED = ("env", "seed", "tensorboard_log", "verbose", "device", "_init_setup_model")


def make_model(
    name: str,
    env_id: str,
    *,
    seed: int | None = None,
    tensorboard_log: str | Path | None = None,
    verbose: int = 0,
    env_arguments: dict[str, Any] | None = None,
    tuned: bool = True,
    **hyperparams: Any,
) -> BaseAlgorithm:
    """Return a model of stable-baselines3 or sb3-contrib that is ready to ``learn``.

    Its vector environments together serve one search, which :func:`recorded_search` returns.

    Args:
        name: Name of the algorithm in :data:`ALGORITHMS`.
        env_id: Environment ID of the task, in any mode; it is converted to the algorithm's mode.
        seed: Seed of the model and its environments.
        tensorboard_log: Folder for SB3's own TensorBoard curves.
        verbose: SB3's ``verbose``: 0 prints nothing, 1 prints progress, 2 prints debug messages.
        env_arguments: Further arguments of ``gym.make_vec``, such as ``report``.
        tuned: Whether to start from the tuned hyper-parameters rather than from SB3's defaults.
        **hyperparams: Hyper-parameters that replace the tuned or default values: arguments of the
            algorithm, and RL Baselines3 Zoo's ``n_envs``, ``noise_type`` (``"normal"``) with
            ``noise_std``, and ``vec_env_wrapper`` (the name of a class or a list of names).

    Raises:
        KeyError: If there is no algorithm with this name.
        TypeError: If the algorithm does not have one of the hyper-parameters.
        ValueError: If the algorithm uses no action masks although the search space needs them, or
            ``noise_type`` is not ``"normal"``.

    Example:
        >>> from nas_gym.agents.sb3.models import make_model, recorded_search
        >>> model = make_model("ppo", "NB201-cifar10-v0", seed=0).learn(600)
        >>> recorded_search(model).regrets.shape[1]  # one search
        1
    """
    from stable_baselines3.common.logger import Logger

    check_hyperparams(name, hyperparams)
    algorithm = find_algorithm(name)
    mode_id, arguments = in_mode(env_id, algorithm.mode), env_arguments or {}
    one: Any = gym.make_vec(mode_id, num_envs=1, **arguments)
    space = one.task.space
    if one.task.objectives:
        raise ValueError(
            f"{name} maximizes one reward, but the task has {len(one.task.objectives)} objectives. "
            "Use nsga2 or scalarized, or wrap the environment in MO-Gymnasium's LinearReward."
        )
    check_masks(algorithm, space, mode_id)
    settings = read_hyperparams(name, mode_id, space.name) if tuned else {}
    # a deep copy, because SB3 models modify their arguments
    settings = {"policy": "MlpPolicy"} | settings | deepcopy(hyperparams)
    n_envs, wrappers = settings.pop("n_envs", 1), settings.pop("vec_env_wrapper", [])
    envs = gym.make_vec(
        mode_id, num_envs=n_envs, autoreset_mode=AutoresetMode.SAME_STEP, **arguments
    )
    if "noise_type" in settings:
        settings["action_noise"] = _make_noise(space.alpha_size, settings)
    model: BaseAlgorithm = algorithm.import_class()(
        env=_wrap(envs, wrappers),
        seed=seed,
        tensorboard_log=None if tensorboard_log is None else str(tensorboard_log),
        verbose=verbose,
        device="cpu",  # faster than a GPU for networks this small
        **settings,
    )
    if tensorboard_log is None and not verbose:
        model.set_logger(Logger(None, []))  # SB3's default logger makes a folder per model
    return model


def _wrap(envs: VectorEnv[Any, Any, Any], wrappers: str | list[str]) -> VecEnv:
    from stable_baselines3.common.vec_env import VecMonitor

    from nas_gym.agents.sb3.vec_env import SearchVecEnv

    venv: VecEnv = VecMonitor(SearchVecEnv(RecordVectorSearch(envs, pool=True)))
    for wrapper in [wrappers] if isinstance(wrappers, str) else wrappers:
        module, _, name = wrapper.rpartition(".")
        venv = getattr(importlib.import_module(module), name)(venv)
    return venv


def _make_noise(size: int, settings: dict[str, Any]) -> ActionNoise:
    from stable_baselines3.common.noise import NormalActionNoise

    kind, deviation = settings.pop("noise_type"), np.full(size, settings.pop("noise_std"))
    if kind != "normal":
        raise ValueError(
            f'noise_type must be "normal", got {kind!r}. For other noise, give action_noise.'
        )
    return NormalActionNoise(np.zeros_like(deviation), deviation)


def recorded_search(model: BaseAlgorithm) -> Curves:
    """Return the search that a model of :func:`make_model` has made so far, as one trial."""
    venv: Any = model.get_env()
    curves: Curves = venv.unwrapped.envs.curves()
    return curves


def run_sb3_search(
    name: str,
    env_id: str,
    queries: int,
    seed: int,
    env_arguments: dict[str, Any] | None = None,
    **hyperparams: Any,
) -> Curves:
    """Run one trial of an algorithm with a fresh model; see :func:`make_model`.

    Args:
        name: Name of the algorithm.
        env_id: Environment ID of the task, in any mode.
        queries: Number of queries.
        seed: Seed of the model and its environments.
        env_arguments: Further arguments of ``gym.make_vec``.
        **hyperparams: Hyper-parameters that replace the tuned ones.

    Returns:
        The recorded search; every array has shape ``(queries, 1)``.
    """
    arguments = dict(env_arguments or {})
    if find_algorithm(name).mode is Mode.ALPHA:
        arguments["max_episode_steps"] = queries  # one episode is the whole search
    model = make_model(name, env_id, seed=seed, env_arguments=arguments, **hyperparams)
    # the environments step together, and each one has to finish its last episode
    rounds = -(-queries // model.n_envs)
    model.learn(rounds * model.n_envs * _steps_per_query(model))
    return recorded_search(model).first_queries(queries)


def _steps_per_query(model: BaseAlgorithm) -> int:
    venv: Any = model.get_env()
    if not hasattr(venv.action_space, "n"):
        return 1
    return int(venv.get_attr("task")[0].space.num_decisions)


def find_algorithm(name: str) -> Algorithm:
    """Return the algorithm with a given name.

    Raises:
        KeyError: If there is no such algorithm.
    """
    if name not in ALGORITHMS:
        raise KeyError(f"There is no algorithm {name!r}. There are: {', '.join(ALGORITHMS)}.")
    return ALGORITHMS[name]


def check_masks(algorithm: Algorithm, space: SearchSpace, env_id: str) -> None:
    """Raise an error if a search space has invalid actions and an algorithm uses no action masks.

    Args:
        algorithm: Algorithm.
        space: Search space.
        env_id: ID of the environment, for the error message.

    Raises:
        ValueError: If the algorithm could choose invalid actions.
    """
    if algorithm.mode is Mode.SEQUENTIAL and space.has_masks and not algorithm.masks:
        raise ValueError(
            f"{algorithm.name} uses no action masks, and {env_id} has invalid actions. "
            "Use maskableppo, or an algorithm that searches in alpha mode."
        )


def read_hyperparams(name: str, env_id: str = DEFAULT_ENTRY, space: str = "") -> dict[str, Any]:
    """Return the tuned hyper-parameters of an algorithm for an environment.

    Args:
        name: Name of the algorithm.
        env_id: Environment ID in the mode of the algorithm.
        space: Name of the search space. An ID without its own entry uses the entry of another ID
            over the same search space or, if there is none, the default entry.

    Raises:
        KeyError: If there is no such algorithm.
    """
    find_algorithm(name)
    entries = yaml.safe_load((HYPERPARAMS / f"{name}.yml").read_text())
    related = (each for each in entries if space and each.startswith(f"{space}-"))
    key = env_id if env_id in entries else next(related, DEFAULT_ENTRY)
    found = dict(entries[key])
    del found["n_timesteps"]  # budget of rl_zoo3.train; callers set their own budget
    return found


def check_hyperparams(name: str, hyperparams: Mapping[str, Any]) -> None:
    """Raise an error if an algorithm does not have one of the given hyper-parameters.

    Raises:
        TypeError: If the algorithm does not have one of the hyper-parameters.
    """
    parameters = inspect.signature(find_algorithm(name).import_class()).parameters
    accepted = [each for each in (*parameters, *_ZOO_SETTINGS) if each not in _RESERVED]
    unknown = [each for each in hyperparams if each not in accepted]
    if unknown:
        raise TypeError(
            f"{name} has no setting {', '.join(unknown)}. It has: {', '.join(accepted)}."
        )
