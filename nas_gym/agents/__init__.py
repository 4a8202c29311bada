"""Agents: search methods with the calls of stable-baselines3."""

from nas_gym.agents.base import Agent
from nas_gym.agents.local_search import LocalSearch
from nas_gym.agents.random_search import RandomSearch
from nas_gym.agents.regularized_evolution import RegularizedEvolution

AGENTS: dict[str, type[Agent]] = {
    "random": RandomSearch,
    "local": LocalSearch,
    "rea": RegularizedEvolution,
}
"""The names that the command line knows."""

__all__ = ["AGENTS", "Agent", "LocalSearch", "RandomSearch", "RegularizedEvolution"]
