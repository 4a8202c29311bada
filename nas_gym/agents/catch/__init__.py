"""CATCH (Chen et al., ECCV 2020): context-based meta reinforcement learning."""
