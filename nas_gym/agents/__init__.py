"""Agents: search algorithms with the interface of stable-baselines3.

The classes are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas_gym.agents.atnas import ATNAS, ATNASConfig
    from nas_gym.agents.catch.agent import CATCH
    from nas_gym.agents.catch.config import CATCHConfig
    from nas_gym.agents.common.base import Agent
    from nas_gym.agents.common.config import AgentConfig, setting
    from nas_gym.agents.common.meta_agent import MetaAgent, MetaAgentConfig
    from nas_gym.agents.common.saved import saved_array
    from nas_gym.agents.function import BudgetExhausted, SearchTask, run_function
    from nas_gym.agents.l2nas import L2NAS, L2NASConfig
    from nas_gym.agents.local_search import LocalSearch
    from nas_gym.agents.mpnas import MPNAS, MPNASConfig
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
    from nas_gym.agents.registry import agent_names, find_agent
    from nas_gym.agents.regularized_evolution import RegularizedEvolution
    from nas_gym.agents.reinforce import Reinforce
    from nas_gym.agents.tpe import TPE

_MODULES = {
    "atnas": ("ATNAS", "ATNASConfig"),
    "catch.agent": ("CATCH",),
    "catch.config": ("CATCHConfig",),
    "common.base": ("Agent",),
    "common.config": ("AgentConfig", "setting"),
    "common.meta_agent": ("MetaAgent", "MetaAgentConfig"),
    "common.saved": ("saved_array",),
    "function": ("BudgetExhausted", "SearchTask", "run_function"),
    "l2nas": ("L2NAS", "L2NASConfig"),
    "local_search": ("LocalSearch",),
    "mpnas": ("MPNAS", "MPNASConfig"),
    "one_shot": (
        "ENAS",
        "GDAS",
        "SETN",
        "DARTSFirstOrder",
        "DARTSSecondOrder",
        "OneShot",
        "RandomSearchWS",
    ),
    "random_search": ("RandomSearch",),
    "registry": ("agent_names", "find_agent"),
    "regularized_evolution": ("RegularizedEvolution",),
    "reinforce": ("Reinforce",),
    "tpe": ("TPE",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "ATNAS",
    "CATCH",
    "ENAS",
    "GDAS",
    "L2NAS",
    "MPNAS",
    "SETN",
    "TPE",
    "ATNASConfig",
    "Agent",
    "AgentConfig",
    "BudgetExhausted",
    "CATCHConfig",
    "DARTSFirstOrder",
    "DARTSSecondOrder",
    "L2NASConfig",
    "LocalSearch",
    "MPNASConfig",
    "MetaAgent",
    "MetaAgentConfig",
    "OneShot",
    "RandomSearch",
    "RandomSearchWS",
    "RegularizedEvolution",
    "Reinforce",
    "SearchTask",
    "agent_names",
    "find_agent",
    "run_function",
    "saved_array",
    "setting",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
