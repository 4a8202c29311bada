"""Algorithms of stable-baselines3 and sb3-contrib, and the adapters that they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nas_gym.agents.sb3.models import ALGORITHMS, make_model, recorded_search

if TYPE_CHECKING:
    from nas_gym.agents.sb3.vec_env import SearchVecEnv

__all__ = ["ALGORITHMS", "SearchVecEnv", "make_model", "recorded_search"]


def __getattr__(name: str) -> Any:
    if name == "SearchVecEnv":  # imports stable-baselines3, which takes long
        from nas_gym.agents.sb3.vec_env import SearchVecEnv

        return SearchVecEnv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
