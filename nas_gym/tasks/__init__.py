"""Tasks: what is searched, what the agent is told, and what is reported."""

from nas_gym.tasks.base import Task
from nas_gym.tasks.network import NetworkTask
from nas_gym.tasks.table import TableTask

__all__ = ["NetworkTask", "TableTask", "Task"]
