"""Tasks: search space, evaluators, search signal, reward and reported metric."""

from nas_gym.tasks.make import TaskArguments, make_task, task_arguments
from nas_gym.tasks.task import Task

__all__ = ["Task", "TaskArguments", "make_task", "task_arguments"]
