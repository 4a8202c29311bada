"""nas_gym: Gymnasium environments in which searching for a neural architecture is the task.

Importing the package registers its environments::

    import gymnasium as gym
    import nas_gym

    env = gym.make("NB201-cifar10-v0")

All public names can be imported from here. Names other than the registration functions are imported
on first use, so that ``import nas_gym`` stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nas_gym.registration import import_images, import_table, register_all, register_task

if TYPE_CHECKING:
    from nas_gym.agents.common.base import Agent
    from nas_gym.agents.common.config import AgentConfig, setting
    from nas_gym.agents.common.meta_agent import MetaAgent, MetaAgentConfig
    from nas_gym.evaluators import Evaluator
    from nas_gym.experiments.compare import compare
    from nas_gym.experiments.search import search
    from nas_gym.experiments.train_network import train_network
    from nas_gym.networks.trained import load_network
    from nas_gym.recording import RecordSearch, RecordVectorSearch
    from nas_gym.spaces import CategoricalSpace, SearchSpace
    from nas_gym.spaces.registry import register_space
    from nas_gym.tables import Metric, Table, load_table
    from nas_gym.tasks import Task, make_task
    from nas_gym.tasks.task_set import TaskSet
    from nas_gym.tasks.task_sets import load_task_set

__version__ = "0.1.0"

_MODULES = {
    "Agent": "agents.common.base",
    "AgentConfig": "agents.common.config",
    "CategoricalSpace": "spaces",
    "Evaluator": "evaluators",
    "MetaAgent": "agents.common.meta_agent",
    "MetaAgentConfig": "agents.common.meta_agent",
    "Metric": "tables",
    "RecordSearch": "recording",
    "RecordVectorSearch": "recording",
    "SearchSpace": "spaces",
    "Table": "tables",
    "Task": "tasks",
    "TaskSet": "tasks.task_set",
    "compare": "experiments.compare",
    "load_network": "networks.trained",
    "load_table": "tables",
    "load_task_set": "tasks.task_sets",
    "make_task": "tasks",
    "register_space": "spaces.registry",
    "search": "experiments.search",
    "setting": "agents.common.config",
    "train_network": "experiments.train_network",
}
"""The module of each name that is imported when it is first used."""

__all__ = [
    "Agent",
    "AgentConfig",
    "CategoricalSpace",
    "Evaluator",
    "MetaAgent",
    "MetaAgentConfig",
    "Metric",
    "RecordSearch",
    "RecordVectorSearch",
    "SearchSpace",
    "Table",
    "Task",
    "TaskSet",
    "compare",
    "import_images",
    "import_table",
    "load_network",
    "load_table",
    "load_task_set",
    "make_task",
    "register_space",
    "register_task",
    "search",
    "setting",
    "train_network",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})


register_all()
