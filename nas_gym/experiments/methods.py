"""Search methods: agents, stable-baselines3 algorithms and plain functions behind one interface."""

from __future__ import annotations

import errno
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from functools import partial, update_wrapper
from typing import Any, ClassVar

import numpy as np

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.saved import pretrained_file
from nas_gym.agents.function import run_function
from nas_gym.agents.registry import RegisteredAgent, agent_names, check_target, find_agent
from nas_gym.agents.sb3.models import (
    ALGORITHMS,
    check_hyperparams,
    check_masks,
    find_algorithm,
    make_model,
    read_hyperparams,
    run_sb3_search,
)
from nas_gym.experiments.environments import make_search_envs
from nas_gym.experiments.records import RECORDED, Record
from nas_gym.recording import RecordVectorSearch
from nas_gym.registration import in_mode
from nas_gym.tasks import Task
from nas_gym.utils.errors import DataError, TrainingError
from nas_gym.utils.expressions import Call, parse_calls
from nas_gym.utils.files import sha256
from nas_gym.utils.source_code import source_identity

AgentLike = str | type[Agent] | Callable[..., Any]
"""A name, ``"module:Class"``, ``"module:function"``, an agent class, or a plain function."""

AgentWithSettings = AgentLike | tuple[AgentLike, Mapping[str, Any]]
"""The same, or a pair of it and its settings."""


class SearchMethod(ABC):
    """A search method with its settings: how its trials are checked, described and run.

    Args:
        name: Registered name, or import path ``module:name`` of a class or function.
        settings: Settings that differ from the defaults.

    Raises:
        TypeError: If there is no setting of a given name, or a value has another type.
        ValueError: If a value is outside its setting's range.

    Attributes:
        name: Name of the method in ``config.json``.
        settings: Settings that differ from the defaults.
        runs_in_lockstep: Whether trials are run together as an :class:`Agent`, which can be saved
            and resumed. Trials of other methods are run one by one.
        packages: Packages other than NumPy whose versions affect the trials.
        modules: Modules that take long to import, and that every process needs.
    """

    runs_in_lockstep: ClassVar[bool] = False
    packages: Sequence[str] = ()
    modules: Sequence[str] = ()

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.name = name
        self.settings = dict(settings)

    @abstractmethod
    def all_settings(self, env: str, task: Task) -> dict[str, Any]:
        """Return all settings, with the defaults that the method has in an environment.

        Args:
            env: Environment ID.
            task: Task of the environment.
        """

    @abstractmethod
    def check_environment(self, env: str, env_arguments: Mapping[str, Any]) -> None:
        """Raise an error if the method cannot search an environment; nothing is evaluated."""

    @abstractmethod
    def run_trials(
        self, env: str, queries: int, seeds: Sequence[int], env_arguments: Mapping[str, Any]
    ) -> Record:
        """Run one trial per seed; return the recorded trials, arrays ``(queries, seeds)``."""

    def searched_env(self, env: str) -> str:
        """Return the ID of the same task in the mode that the method searches in."""
        return env

    def uses_gpu(self) -> bool:
        """Return whether the method trains neural networks on a GPU."""
        return False

    def identity(self) -> dict[str, Any]:
        """Return entries of ``config.json`` that change when the method's code or files do."""
        return {}


class AgentMethod(SearchMethod):
    """A search method that is a subclass of :class:`nas_gym.agents.Agent`."""

    runs_in_lockstep = True

    def __init__(self, agent: RegisteredAgent, settings: Mapping[str, Any]) -> None:
        super().__init__(agent.name, settings)
        self.agent_class = agent.agent_class
        self.config = agent.make_config(settings)
        self.packages = [*(["torch"] if self.agent_class.uses_torch else []),
                         *self.agent_class.packages]  # fmt: skip
        self.modules = ["torch"] if self.agent_class.uses_torch else []

    def all_settings(self, env: str, task: Task) -> dict[str, Any]:
        """Return the settings as :class:`nas_gym.agents.AgentConfig` holds them."""
        return asdict(self.config)

    def make_agent(self, envs: Any, seed: int) -> Agent:
        """Return a fresh agent in a vector environment.

        Args:
            envs: Vector environment of this package, possibly wrapped; one trial each.
            seed: Seed of the first trial.
        """
        return self.agent_class(envs, seed=seed, config=self.config)

    def check_environment(self, env: str, env_arguments: Mapping[str, Any]) -> None:
        """Construct and discard an agent; the constructor raises an error if it cannot search.

        Raises:
            ValueError: If the agent cannot be constructed; the message names it.
            DataError, OSError: If a file is missing or damaged.
        """
        envs = make_search_envs(env, 1, 1, env_arguments)
        try:
            self.make_agent(envs, 0)
        except (DataError, TrainingError, OSError):
            raise
        except Exception as error:
            kind = "" if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: "
            raise ValueError(f"{self.name} cannot search {env}: {kind}{error}") from error

    def run_trials(
        self, env: str, queries: int, seeds: Sequence[int], env_arguments: Mapping[str, Any]
    ) -> Record:
        """Run neighbouring seeds in lockstep; see :meth:`SearchMethod.run_trials`."""
        envs = RecordVectorSearch(make_search_envs(env, len(seeds), queries, env_arguments))
        agent = self.make_agent(envs, seeds[0])
        while agent.num_queries < queries:
            agent.query()
        curves = envs.curves().first_queries(queries)
        return {name: getattr(curves, name) for name in RECORDED}

    def uses_gpu(self) -> bool:
        """Return whether the setting ``device``, if the agent has it, selects a GPU."""
        device = getattr(self.config, "device", None)
        if device is None:
            return False
        from nas_gym.networks.device import find_device

        return find_device(device).type != "cpu"

    def identity(self) -> dict[str, Any]:
        """Return the sha256 of the pretrained agent's file, and of the code of an outside class.

        Raises:
            FileNotFoundError: If the file of the pretrained agent does not exist.
        """
        found = source_identity(self.agent_class)
        pretrained = getattr(self.config, "pretrained", "")
        if pretrained:
            path = pretrained_file(pretrained)
            if not path.is_file():
                raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
            found["pretrained_sha256"] = sha256(path)
        return found


class SB3Method(SearchMethod):
    """A search method that is an algorithm of stable-baselines3 or sb3-contrib."""

    packages = ("torch", "stable_baselines3", "sb3_contrib")
    modules = ("torch", "stable_baselines3", "sb3_contrib", "nas_gym.agents.sb3.vec_env")

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__(name, settings)
        check_hyperparams(name, settings)

    def all_settings(self, env: str, task: Task) -> dict[str, Any]:
        """Return the tuned hyper-parameters for the environment, and the given ones."""
        tuned = read_hyperparams(self.name, self.searched_env(env), task.space.name)
        return tuned | self.settings

    def searched_env(self, env: str) -> str:
        """Return the ID in sequential or alpha mode, whichever the algorithm needs."""
        return in_mode(env, find_algorithm(self.name).mode)

    def check_environment(self, env: str, env_arguments: Mapping[str, Any]) -> None:
        """Construct and discard a model; the constructor raises an error if it cannot search.

        Raises:
            ValueError: If the algorithm cannot search the environment, or refuses a setting.
        """
        import torch

        searched = self.searched_env(env)
        envs = make_search_envs(searched, 1, 1, env_arguments)
        check_masks(find_algorithm(self.name), envs.task.space, searched)
        try:
            with torch.random.fork_rng(devices=[]):
                make_model(self.name, env, env_arguments=dict(env_arguments), **self.settings)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(
                f"{Call(self.name, self.settings)} cannot search {env}: {reason}"
            ) from error

    def run_trials(
        self, env: str, queries: int, seeds: Sequence[int], env_arguments: Mapping[str, Any]
    ) -> Record:
        """Train one model per seed; see :meth:`SearchMethod.run_trials`."""
        arguments = dict(env_arguments)
        curves = [
            run_sb3_search(self.name, env, queries, seed, arguments, **self.settings)
            for seed in seeds
        ]
        return _join_trials(curves)


class FunctionMethod(SearchMethod):
    """A search method that is a plain function ``search(task, queries, rng)``.

    Settings are further keyword arguments of the function.
    """

    def __init__(
        self, name: str, function: Callable[..., Any], settings: Mapping[str, Any]
    ) -> None:
        super().__init__(name, settings)
        self.function = function
        try:
            inspect.signature(function).bind(None, None, None, **settings)
        except TypeError as error:
            raise TypeError(
                f"{name} must accept (task, queries, rng"
                f"{''.join(f', {setting}' for setting in settings)}): {error}."
            ) from None

    def all_settings(self, env: str, task: Task) -> dict[str, Any]:
        """Return the default values of further arguments, and the given ones."""
        parameters = list(inspect.signature(self.function).parameters.values())[3:]
        defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        return defaults | self.settings

    def check_environment(self, env: str, env_arguments: Mapping[str, Any]) -> None:
        """Raise an error if the environment cannot be made."""
        make_search_envs(env, 1, 1, env_arguments)

    def run_trials(
        self, env: str, queries: int, seeds: Sequence[int], env_arguments: Mapping[str, Any]
    ) -> Record:
        """Call the function once for each seed; see :meth:`SearchMethod.run_trials`."""
        function = update_wrapper(partial(self.function, **self.settings), self.function)
        curves = [run_function(function, env, queries, seed, env_arguments) for seed in seeds]
        return _join_trials(curves)

    def identity(self) -> dict[str, Any]:
        """Return the sha256 of the function's code."""
        return source_identity(self.function)


def _join_trials(curves: Sequence[Any]) -> Record:
    """Return the record of trials that were run one by one."""
    return {
        name: np.concatenate([getattr(one, name) for one in curves], axis=1) for name in RECORDED
    }


def find_method(agent: AgentLike, settings: Mapping[str, Any]) -> SearchMethod:
    """Return the search method of a name, import path, class or function.

    Raises:
        ValueError: If there is no such agent; or a setting is outside its range.
        TypeError: If there is no such setting, or it has another type.
    """
    if isinstance(agent, str):
        if agent in ALGORITHMS:
            return SB3Method(agent, settings)
        names = [*agent_names(), *ALGORITHMS]
        if ":" not in agent and agent not in names:
            close = get_close_matches(agent, names, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"There is no agent {agent!r}.{hint} There are: {', '.join(names)}; or give your "
                "own as module:Class or module:function."
            )
        registered = find_agent(agent)
    else:
        if not callable(agent):
            raise TypeError(
                "An agent is a name, 'module:Class', 'module:function', an Agent class or a "
                f"function, got {agent!r}."
            )
        path = import_path(agent)
        registered = RegisteredAgent(path, check_target(agent, f"agent {path!r}"))
    if registered.is_function:
        return FunctionMethod(registered.name, registered.target, settings)
    return AgentMethod(registered, settings)


def import_path(target: Any) -> str:
    """Return the import path ``module:name`` of a class or function."""
    name = getattr(target, "__qualname__", type(target).__qualname__)
    return f"{target.__module__}:{name}"


def parse_agents(
    agents: str | Iterable[AgentWithSettings] | Mapping[str, AgentWithSettings],
) -> dict[str, tuple[AgentLike, dict[str, Any]]]:
    """Parse agents as the command line or Python users name them.

    Args:
        agents: Text such as ``"random,rea(population_size=10),my_module:MyAgent"``; or a sequence
            of such texts, :class:`Agent` classes, plain functions, and pairs of one of these and
            its settings; or a mapping from labels to these.

    Returns:
        Agents and their settings by label.

    Raises:
        ValueError: If a string is not in this form, or an agent is listed twice.
    """
    if isinstance(agents, str):
        items: list[tuple[str | None, Any]] = [(None, agents)]
    elif isinstance(agents, Mapping):
        items = list(agents.items())
    elif callable(agents):
        items = [(None, agents)]
    else:
        items = [(None, each) for each in agents]
    found: dict[str, tuple[AgentLike, dict[str, Any]]] = {}
    for label, item in items:
        for own_label, agent in _parse_agent(item).items():
            if (label or own_label) in found or (label is None and agent in found.values()):
                raise ValueError(
                    f"{own_label!r} is listed twice. To compare two agents of one name, give "
                    "labels: {'label': agent, ...}."
                )
            found[label or own_label] = agent
    return found


def _parse_agent(item: Any) -> dict[str, tuple[AgentLike, dict[str, Any]]]:
    """Return the agents that one item names, by label; only a string can name several agents."""
    if isinstance(item, str):
        return {
            label: (call.name, dict(call.arguments)) for label, call in parse_calls(item).items()
        }
    agent, settings = item if isinstance(item, tuple) else (item, {})
    name = agent if isinstance(agent, str) else getattr(agent, "__name__", type(agent).__name__)
    label = str(Call(name, settings)) if settings else name
    return {label: (agent, dict(settings))}
