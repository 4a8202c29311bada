"""Networks of architectures, in torch."""

from nas_gym.supernets.cell_network import CellNetwork

__all__ = ["CellNetwork"]
