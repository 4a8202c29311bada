"""Lookup of agents by name: built-in agents, entry points of other packages, ``module:Class``.

Agents are imported on lookup, so importing this module does not import PyTorch.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.config import AgentConfig
from nas_gym.agents.common.meta_agent import MetaAgent
from nas_gym.agents.function import SearchFunction

ENTRY_POINT_GROUP = "nas_gym.agents"
"""Entry-point group in which other packages register agents."""

SAMPLE_BASED: dict[str, str] = {
    "random": "nas_gym.agents.random_search:RandomSearch",
    "local": "nas_gym.agents.local_search:LocalSearch",
    "rea": "nas_gym.agents.regularized_evolution:RegularizedEvolution",
    "reinforce": "nas_gym.agents.reinforce:Reinforce",
    "tpe": "nas_gym.agents.tpe:TPE",
    "l2nas": "nas_gym.agents.l2nas:L2NAS",
    "l2nas-paper": "nas_gym.agents.l2nas:L2NAS",
    "catch": "nas_gym.agents.catch.agent:CATCH",
    "catch-paper": "nas_gym.agents.catch.agent:CATCH",
    "mpnas": "nas_gym.agents.mpnas:MPNAS",
    "mpnas-paper": "nas_gym.agents.mpnas:MPNAS",
    "mpnas-mixture": "nas_gym.agents.mpnas:MPNAS",
    "atnas": "nas_gym.agents.atnas:ATNAS",
    "atnas-paper": "nas_gym.agents.atnas:ATNAS",
}
"""Built-in agents that learn from the rewards of architectures, for every search space."""

MULTI_OBJECTIVE_AGENTS: dict[str, str] = {
    "nsga2": "nas_gym.agents.nsga:NSGA2",
    "nsga3": "nas_gym.agents.nsga:NSGA3",
    "maximin": "nas_gym.agents.maximin:Maximin",
    "mo-rea": "nas_gym.agents.multi_objective_evolution:MultiObjectiveEvolution",
    "scalarized": "nas_gym.agents.scalarized:Scalarized",
}
"""Built-in agents for tasks with objectives. Random search also accepts these tasks."""

ONE_SHOT: dict[str, str] = {
    "rsws": "nas_gym.agents.one_shot:RandomSearchWS",
    "darts-v1": "nas_gym.agents.one_shot:DARTSFirstOrder",
    "darts-v2": "nas_gym.agents.one_shot:DARTSSecondOrder",
    "gdas": "nas_gym.agents.one_shot:GDAS",
    "setn": "nas_gym.agents.one_shot:SETN",
    "enas": "nas_gym.agents.one_shot:ENAS",
    "base": "nas_gym.agents.base:BASE",
    "base-paper": "nas_gym.agents.base:BASE",
}
"""Built-in agents that learn from images, for search spaces that have networks."""


class AgentLookupError(ValueError):
    """Error if no agent with the given name can be found or imported."""


@dataclass(frozen=True)
class RegisteredAgent:
    """An agent that was looked up by name.

    Attributes:
        name: Name that was looked up.
        target: Subclass of :class:`Agent`, or a function ``search(task, queries, rng)``.
        config: Settings registered under the name; ``None`` if these are the defaults or the target
            is a function.
        note: Sentences about the preset; empty if there are none.
    """

    name: str
    target: type[Agent] | SearchFunction
    config: AgentConfig | None = None
    note: str = ""

    @property
    def is_function(self) -> bool:
        """Whether the target is a function rather than a class."""
        return not isinstance(self.target, type)

    @property
    def agent_class(self) -> type[Agent]:
        """The target as a subclass of :class:`Agent`.

        Raises:
            TypeError: If the target is a function.
        """
        if not isinstance(self.target, type):
            raise TypeError(f"{self.name} is a function, not a subclass of Agent.")
        return self.target

    def make_config(self, settings: Mapping[str, Any]) -> AgentConfig:
        """Return the registered configuration with some settings changed.

        Args:
            settings: New values of settings, by name.

        Raises:
            TypeError: If a setting is unknown or has the wrong type.
            ValueError: If a setting is outside its range.
        """
        return self.agent_class.check_settings(settings, self.config)

    def make_agent(self, env: Any, settings: Mapping[str, Any], **arguments: Any) -> Agent:
        """Construct the agent in an environment.

        Args:
            env: Environment or environment ID; see :class:`Agent`.
            settings: Settings that differ from the registered configuration.
            **arguments: Further arguments of the constructor, such as ``seed``.
        """
        return self.agent_class(env, config=self.make_config(settings), **arguments)


def agent_names() -> list[str]:
    """Return the names of all agents: first built-in agents, then entry points."""
    built_in = [*SAMPLE_BASED, *MULTI_OBJECTIVE_AGENTS, *ONE_SHOT]
    return built_in + [name for name in _entry_points() if name not in built_in]


def meta_agent_names() -> list[str]:
    """Return the names of the built-in agents that learn from task sets."""
    return [name for name in SAMPLE_BASED if issubclass(find_agent(name).agent_class, MetaAgent)]


def find_agent(name: str) -> RegisteredAgent:
    """Return the agent with a given name.

    Args:
        name: One of :func:`agent_names`, or ``"module:attribute"``. A built-in agent takes
            precedence over an entry point of the same name.

    Raises:
        AgentLookupError: If there is no such agent, or if it cannot be imported or is neither a
            subclass of :class:`Agent` nor a function.

    Example:
        >>> from nas_gym.agents.registry import find_agent
        >>> find_agent("l2nas-paper").config.quantile
        0.9
        >>> find_agent("nas_gym.agents.random_search:RandomSearch").target.__name__
        'RandomSearch'
    """
    built_in = SAMPLE_BASED | MULTI_OBJECTIVE_AGENTS | ONE_SHOT
    if name in built_in:
        target = _import_target(name, built_in[name])
    elif ":" in name:
        target = _import_target(name, name)
    elif name in (registered := _entry_points()):
        target = _import_target(name, registered[name].value)
    else:
        close = get_close_matches(name, agent_names(), 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise AgentLookupError(
            f"There is no agent {name!r}.{hint} There are: {', '.join(agent_names())}; or give "
            "your own as module:Class."
        )
    presets, notes = (getattr(target, each, {}) for each in ("presets", "preset_notes"))
    return RegisteredAgent(name, target, presets.get(name), notes.get(name, ""))


def _entry_points() -> dict[str, EntryPoint]:
    return {each.name: each for each in entry_points(group=ENTRY_POINT_GROUP)}


def _import_target(name: str, path: str) -> type[Agent] | SearchFunction:
    """Import the class or function at an import path.

    Args:
        name: Name of the agent, for error messages.
        path: Import path, ``module:attribute``; the attribute may contain dots.
    """
    origin = f"agent {name!r}" if name == path else f"agent {name!r} ({path})"
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise AgentLookupError(
            f"Cannot import {origin}: an import path is written module:Class or module:function."
        )
    try:
        target: Any = importlib.import_module(module_name)
    except Exception as error:  # a user's module may raise any error
        reason = f"{type(error).__name__}: {error}"
        raise AgentLookupError(
            f"Cannot import {origin}: importing module {module_name!r} raised {reason}"
        ) from error
    for part in attribute.split("."):
        if not hasattr(target, part):
            raise AgentLookupError(
                f"Cannot import {origin}: {module_name!r} has no attribute {attribute!r}."
            )
        target = getattr(target, part)
    return check_target(target, origin)


def check_target(target: Any, origin: str) -> type[Agent] | SearchFunction:
    """Return the target if it can search, or raise an error.

    Args:
        target: Object to check.
        origin: Description of the object, for error messages.

    Raises:
        AgentLookupError: If the object is neither a concrete subclass of :class:`Agent` nor a
            function.
    """
    if isinstance(target, type) and issubclass(target, Agent):
        if inspect.isabstract(target):
            missing = ", ".join(sorted(target.__abstractmethods__))
            raise AgentLookupError(
                f"Cannot use {origin}: {target.__name__} does not implement {missing}."
            )
        return target
    if inspect.isfunction(target):
        return target
    kind = (
        f"the class {target.__name__}" if isinstance(target, type) else f"a {type(target).__name__}"
    )
    raise AgentLookupError(
        f"Cannot use {origin}: it is {kind}, but must be a subclass of nas_gym.agents.Agent or a "
        "function search(task, queries, rng)."
    )
