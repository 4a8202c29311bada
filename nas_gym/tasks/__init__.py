"""Tasks: what is searched, what the agent is told, and what is reported."""

from nas_gym.tasks.make import TaskArguments, make_task, task_arguments
from nas_gym.tasks.task import Task

__all__ = ["Task", "TaskArguments", "make_task", "task_arguments"]
