"""Agents: search methods with the calls of stable-baselines3."""

from nas_gym.agents.base import Agent
from nas_gym.agents.catch import CATCH
from nas_gym.agents.l2nas import L2NAS, L2NASPaper
from nas_gym.agents.local_search import LocalSearch
from nas_gym.agents.mpnas import MPNAS
from nas_gym.agents.random_search import RandomSearch
from nas_gym.agents.regularized_evolution import RegularizedEvolution
from nas_gym.agents.reinforce import Reinforce
from nas_gym.agents.tpe import TPE

AGENTS: dict[str, type[Agent]] = {
    "random": RandomSearch,
    "local": LocalSearch,
    "rea": RegularizedEvolution,
    "reinforce": Reinforce,
    "tpe": TPE,
    "l2nas": L2NAS,
    "l2nas-paper": L2NASPaper,
    "catch": CATCH,
    "mpnas": MPNAS,
}
"""The names that the command line knows; :mod:`nas_gym.agents.sb3` has others."""

__all__ = [
    "AGENTS",
    "CATCH",
    "L2NAS",
    "MPNAS",
    "TPE",
    "Agent",
    "L2NASPaper",
    "LocalSearch",
    "RandomSearch",
    "RegularizedEvolution",
    "Reinforce",
]
