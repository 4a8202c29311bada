"""Algorithms of stable-baselines3 and sb3-contrib, and adapters for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nas_gym.agents.sb3.models import ALGORITHMS, make_model, recorded_search

if TYPE_CHECKING:
    from nas_gym.agents.sb3.vec_env import SearchVecEnv

__all__ = ["ALGORITHMS", "SearchVecEnv", "make_model", "recorded_search"]


def __getattr__(name: str) -> Any:
    if name == "SearchVecEnv":  # importing stable-baselines3 takes seconds
        from nas_gym.agents.sb3.vec_env import SearchVecEnv

        return SearchVecEnv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
