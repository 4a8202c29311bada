"""Rendering of architectures as text and as images of fixed size."""

from nas_gym.envs.rendering.architecture import (
    NO_ARCHITECTURE,
    draw_architecture,
    write_architecture,
)
from nas_gym.envs.rendering.page import HEIGHT, WIDTH

__all__ = ["HEIGHT", "NO_ARCHITECTURE", "WIDTH", "draw_architecture", "write_architecture"]
