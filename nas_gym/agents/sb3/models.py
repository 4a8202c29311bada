"""stable-baselines3 and sb3-contrib by name, with hyper-parameters tuned for each search space.

The hyper-parameters are in ``hyperparams/<name>.yml``, in the form of RL Baselines3 Zoo: one entry
for each search space; those without one take that of ``NB201``.
``scripts/tune_sb3.py`` found them on tasks that are not reported.
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

# stable-baselines3 and torch are imported where they are used: the names above all are read often.
if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.noise import ActionNoise
    from stable_baselines3.common.vec_env import VecEnv

_HYPERPARAMS = Path(__file__).parent / "hyperparams"


@dataclass(frozen=True)
class Algorithm:
    """Where an algorithm is, and what it can search.

    Attributes:
        module: where it is imported from.
        name: of its class.
        mode: Mode that it searches in.
        masks: whether it knows action masks.
    """

    module: str
    name: str
    mode: Mode
    masks: bool = False

    def load(self) -> type[BaseAlgorithm]:
        """Its class."""
        found: type[BaseAlgorithm] = getattr(importlib.import_module(self.module), self.name)
        return found


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
"""The names that the command line knows."""

_OF_THE_ZOO = ("n_envs", "noise_type", "noise_std", "vec_env_wrapper")
_OURS = ("env", "seed", "tensorboard_log", "verbose", "device", "_init_setup_model")


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
    """A model of stable-baselines3 or sb3-contrib, ready to ``learn``, on vector environments.

    Its environments serve one search together: ``recorded(model)`` is that search.

    Args:
        name: one of :data:`ALGORITHMS`.
        env_id: a task's ID in any mode; the algorithm searches in the mode that it can.
        seed: of the model and its environments.
        tensorboard_log: a folder for SB3's own TensorBoard curves.
        verbose: as in SB3.
        env_arguments: further arguments of ``gym.make_vec``, such as ``report``.
        tuned: begin with the tuned hyper-parameters, rather than SB3's own.
        **hyperparams: in place of these: arguments of the algorithm, and ``n_envs``,
            ``noise_type`` (``"normal"``) with ``noise_std``, and ``vec_env_wrapper`` (the name of
            a class or a list of them) as RL Baselines3 Zoo has them.

    Raises:
        KeyError: an unknown algorithm.
        TypeError: a hyper-parameter that the algorithm does not have.
        ValueError: an algorithm without action masks on a search space that needs them, or
            another kind of noise.

    Example:
        >>> from nas_gym.agents.sb3.models import make_model, recorded
        >>> model = make_model("ppo", "NB201-cifar10-v0", seed=0).learn(600)
        >>> recorded(model).regrets.shape[1]  # one search
        1
    """
    from stable_baselines3.common.logger import Logger

    check_hyperparams(name, hyperparams)
    algorithm = find(name)
    mode_id, arguments = in_mode(env_id, algorithm.mode), env_arguments or {}
    one: Any = gym.make_vec(mode_id, num_envs=1, **arguments)
    space = one.task.space
    if algorithm.mode is Mode.SEQUENTIAL and space.has_masks and not algorithm.masks:
        raise ValueError(
            f"{algorithm.name} knows no action masks, and {mode_id} has invalid actions. "
            "Use maskableppo, or an algorithm that searches in alpha mode."
        )
    settings = {"policy": "MlpPolicy"} | (read_hyperparams(name, space.name) if tuned else {})
    settings |= deepcopy(hyperparams)  # models change theirs
    n_envs, wrappers = settings.pop("n_envs", 1), settings.pop("vec_env_wrapper", [])
    envs = gym.make_vec(
        mode_id, num_envs=n_envs, autoreset_mode=AutoresetMode.SAME_STEP, **arguments
    )
    if "noise_type" in settings:
        settings["action_noise"] = _noise(space.alpha_size, settings)
    model: BaseAlgorithm = algorithm.load()(
        env=_wrapped(envs, wrappers),
        seed=seed,
        tensorboard_log=None if tensorboard_log is None else str(tensorboard_log),
        verbose=verbose,
        device="cpu",  # of networks this small
        **settings,
    )
    if tensorboard_log is None and not verbose:
        model.set_logger(Logger(None, []))  # SB3's own makes a folder for each model
    return model


def _wrapped(envs: VectorEnv[Any, Any, Any], wrappers: str | list[str]) -> VecEnv:
    from stable_baselines3.common.vec_env import VecMonitor

    from nas_gym.agents.sb3.vec_env import SearchVecEnv

    venv: VecEnv = VecMonitor(SearchVecEnv(RecordVectorSearch(envs, pool=True)))
    for wrapper in [wrappers] if isinstance(wrappers, str) else wrappers:
        module, _, name = wrapper.rpartition(".")
        venv = getattr(importlib.import_module(module), name)(venv)
    return venv


def _noise(size: int, settings: dict[str, Any]) -> ActionNoise:
    from stable_baselines3.common.noise import NormalActionNoise

    kind, spread = settings.pop("noise_type"), np.full(size, settings.pop("noise_std"))
    if kind != "normal":
        raise ValueError(f'noise_type is "normal", got {kind!r}. Give action_noise itself.')
    return NormalActionNoise(np.zeros_like(spread), spread)


def recorded(model: BaseAlgorithm) -> Curves:
    """The search that a model of :func:`make_model` has made so far, as one trial."""
    venv: Any = model.get_env()
    curves: Curves = venv.unwrapped.envs.curves()
    return curves


def search(
    name: str,
    env_id: str,
    queries: int,
    seed: int,
    env_arguments: dict[str, Any] | None = None,
    **hyperparams: Any,
) -> Curves:
    """Search with a fresh model until it has made so many queries; see :func:`make_model`."""
    arguments = dict(env_arguments or {})
    if find(name).mode is Mode.ALPHA:
        arguments["max_episode_steps"] = queries  # an episode is a search
    model = make_model(name, env_id, seed=seed, env_arguments=arguments, **hyperparams)
    # the environments take steps in turns: every one of them has to finish its last episode
    rounds = -(-queries // model.n_envs)
    model.learn(rounds * model.n_envs * _steps_per_query(model))
    return recorded(model).first_queries(queries)


def _steps_per_query(model: BaseAlgorithm) -> int:
    venv: Any = model.get_env()
    if not hasattr(venv.action_space, "n"):
        return 1
    return int(venv.get_attr("task")[0].space.num_decisions)


def find(name: str) -> Algorithm:
    """The algorithm of a name.

    Raises:
        KeyError: an unknown algorithm.
    """
    if name not in ALGORITHMS:
        raise KeyError(f"There is no algorithm {name!r}. There are: {', '.join(ALGORITHMS)}.")
    return ALGORITHMS[name]


def read_hyperparams(name: str, space: str) -> dict[str, Any]:
    """The tuned hyper-parameters of an algorithm for the search space of a name.

    Raises:
        KeyError: an unknown algorithm.
    """
    find(name)
    families = yaml.safe_load((_HYPERPARAMS / f"{name}.yml").read_text())
    return dict(families.get(space, families["NB201"]))


def check_hyperparams(name: str, hyperparams: Mapping[str, Any]) -> None:
    """Refuse what an algorithm does not know.

    Raises:
        TypeError: a name that is none of its hyper-parameters.
    """
    known = [*inspect.signature(find(name).load()).parameters, *_OF_THE_ZOO]
    given = [each for each in known if each not in _OURS]
    unknown = [each for each in hyperparams if each not in given]
    if unknown:
        raise TypeError(f"{name} has no setting {', '.join(unknown)}. It has: {', '.join(given)}.")
