"""Environments: tasks as Markov decision processes, in three modes, and task sets.

The modes are imported when they are first used, so the first environment is made quickly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas_gym.envs.alpha import AlphaEnv, AlphaVectorEnv
    from nas_gym.envs.population import PopulationEnv, PopulationVectorEnv
    from nas_gym.envs.sequential import SequentialEnv, SequentialVectorEnv
    from nas_gym.envs.task_set import TaskSetEnv

_MODULES = {
    "AlphaEnv": "alpha",
    "AlphaVectorEnv": "alpha",
    "PopulationEnv": "population",
    "PopulationVectorEnv": "population",
    "SequentialEnv": "sequential",
    "SequentialVectorEnv": "sequential",
    "TaskSetEnv": "task_set",
}

__all__ = [
    "AlphaEnv",
    "AlphaVectorEnv",
    "PopulationEnv",
    "PopulationVectorEnv",
    "SequentialEnv",
    "SequentialVectorEnv",
    "TaskSetEnv",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
