"""Agents: search methods with the calls of stable-baselines3."""

from nas_gym.agents.catch.agent import CATCH
from nas_gym.agents.common.base import Agent
from nas_gym.agents.l2nas import L2NAS, L2NASPaper
from nas_gym.agents.local_search import LocalSearch
from nas_gym.agents.mpnas import MPNAS
from nas_gym.agents.one_shot import (
    ENAS,
    GDAS,
    SETN,
    DARTSFirstOrder,
    DARTSSecondOrder,
    OneShot,
    RandomSearchWS,
)
from nas_gym.agents.random_search import RandomSearch
from nas_gym.agents.regularized_evolution import RegularizedEvolution
from nas_gym.agents.reinforce import Reinforce
from nas_gym.agents.tpe import TPE

ONE_SHOT: dict[str, type[OneShot]] = {
    agent.method: agent
    for agent in (RandomSearchWS, DARTSFirstOrder, DARTSSecondOrder, GDAS, SETN, ENAS)
}
"""Those that train a supernet, for search spaces that have networks."""

SAMPLE_BASED: dict[str, type[Agent]] = {
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
"""Those that learn from the rewards of architectures, for every search space."""

AGENTS: dict[str, type[Agent]] = {**SAMPLE_BASED, **ONE_SHOT}
"""The names that the command line knows; :mod:`nas_gym.agents.sb3.models` has others."""

__all__ = [
    "AGENTS",
    "CATCH",
    "ENAS",
    "GDAS",
    "L2NAS",
    "MPNAS",
    "ONE_SHOT",
    "SAMPLE_BASED",
    "SETN",
    "TPE",
    "Agent",
    "DARTSFirstOrder",
    "DARTSSecondOrder",
    "L2NASPaper",
    "LocalSearch",
    "OneShot",
    "RandomSearch",
    "RandomSearchWS",
    "RegularizedEvolution",
    "Reinforce",
]
