"""What determines a search's history, and agents as the command line names them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nas_gym.agents.registry import agent_names
from nas_gym.agents.sb3.models import ALGORITHMS
from nas_gym.utils.expressions import parse_calls


@dataclass(frozen=True)
class SearchSettings:
    """What determines a search's history.

    Attributes:
        env: the environment's ID.
        agent: Name of :func:`nas_gym.agents.registry.agent_names`, or of
            :data:`nas_gym.agents.sb3.ALGORITHMS`.
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
        if self.agent not in (*agent_names(), *ALGORITHMS):
            names = ", ".join([*agent_names(), *ALGORITHMS])
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
        return self.agent not in ALGORITHMS


def parse_agents(text: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Parse a list of agents such as ``"random,rea(population_size=10),ppo"``.

    Returns:
        Names and settings by label; the labels are the parts of the text.

    Raises:
        ValueError: If the text has another form, or an agent is listed twice.
    """
    return {label: (call.name, dict(call.arguments)) for label, call in parse_calls(text).items()}
