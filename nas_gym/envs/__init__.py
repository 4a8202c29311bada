"""Environments: tasks as Markov decision processes, in three modes."""

from nas_gym.envs.alpha import AlphaEnv, AlphaVectorEnv
from nas_gym.envs.population import PopulationEnv, PopulationVectorEnv
from nas_gym.envs.sequential import SequentialEnv, SequentialVectorEnv

__all__ = [
    "AlphaEnv",
    "AlphaVectorEnv",
    "PopulationEnv",
    "PopulationVectorEnv",
    "SequentialEnv",
    "SequentialVectorEnv",
]
