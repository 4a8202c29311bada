"""Environments: tasks as Markov decision processes, in three modes, and task sets."""

from nas_gym.envs.alpha import AlphaEnv, AlphaVectorEnv
from nas_gym.envs.population import PopulationEnv, PopulationVectorEnv
from nas_gym.envs.sequential import SequentialEnv, SequentialVectorEnv
from nas_gym.envs.task_set import TaskSetEnv

__all__ = [
    "AlphaEnv",
    "AlphaVectorEnv",
    "PopulationEnv",
    "PopulationVectorEnv",
    "SequentialEnv",
    "SequentialVectorEnv",
    "TaskSetEnv",
]
