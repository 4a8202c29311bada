"""CATCH (Chen et al., ECCV 2020): context-based meta reinforcement learning."""

from nas_gym.agents.catch.agent import CATCH

__all__ = ["CATCH"]
