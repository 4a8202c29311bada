"""What determines a search's history, and agents as the command line names them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from nas_gym.agents import AGENTS
from nas_gym.agents.sb3.models import ALGORITHMS

# name, or name(setting=value,...)
_AGENT = re.compile(r"([\w-]+)(?:\((.*)\))?")


@dataclass(frozen=True)
class SearchSettings:
    """What determines a search's history.

    Attributes:
        env: the environment's ID.
        agent: a name of :data:`nas_gym.agents.AGENTS` or :data:`nas_gym.agents.sb3.ALGORITHMS`.
        queries: architecture evaluations of each trial.
        seeds: the number of trials; trial ``i`` has seed ``first_seed + i``.
        first_seed: the seed of the first trial.
        env_arguments: further arguments of ``gym.make_vec``, such as ``report``.
        agent_settings: settings of the agent that differ from its defaults.
    """

    env: str
    agent: str
    queries: int
    seeds: int
    first_seed: int = 0
    env_arguments: dict[str, Any] = field(default_factory=dict)
    agent_settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.agent not in (*AGENTS, *ALGORITHMS):
            names = ", ".join([*AGENTS, *ALGORITHMS])
            raise ValueError(f"There is no agent {self.agent!r}. There are: {names}.")
        if self.queries < 1 or self.seeds < 1 or self.first_seed < 0:
            raise ValueError("A search needs at least one query and one seed, none below 0.")
        if "seed" in self.agent_settings:
            raise ValueError("Seeds are given by first_seed (--first-seed) and seeds (--seeds).")

    @property
    def seed_list(self) -> list[int]:
        """The seeds of the trials."""
        return list(range(self.first_seed, self.first_seed + self.seeds))

    @property
    def runs_in_lockstep(self) -> bool:
        """Whether the agent runs many trials at once; stable-baselines3 runs one."""
        return self.agent in AGENTS


def parse_agents(text: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Agents of a list such as ``"random,rea(population_size=10),ppo"``: their text -> name and
    settings.

    Raises:
        ValueError: a text that is not so written, or an agent that is listed twice.
    """
    agents: dict[str, tuple[str, dict[str, Any]]] = {}
    for label in _split(text):
        match = _AGENT.fullmatch(label)
        if not match:
            raise ValueError(
                f"Agents are listed as name,name(setting=value,...), got {label!r} in {text!r}."
            )
        agent = match[1], parse_settings(_split(match[2]) if match[2] else [])
        if agent in agents.values():
            raise ValueError(f"{label!r} is listed twice.")
        agents[label] = agent
    return agents


def _split(text: str) -> list[str]:
    """The parts between commas that are inside no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def parse_settings(texts: list[str]) -> dict[str, Any]:
    """Settings of texts ``NAME=VALUE``; values are JSON, or else text.

    Raises:
        ValueError: a text without a name or an equals sign.
    """
    settings = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise ValueError(f"A setting is NAME=VALUE, got {text!r}.")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings
