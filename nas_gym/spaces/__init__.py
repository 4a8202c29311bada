"""Search spaces: genotypes, and conversions to indices, strings, graphs and relaxations.

The spaces of benchmarks are imported when they are first used, so ``import nas_gym`` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nas_gym.spaces.base import RandomSource, SearchSpace
from nas_gym.spaces.checks import check_consistency
from nas_gym.spaces.registry import find_space_class, register_space, space_kinds

if TYPE_CHECKING:
    from nas_gym.spaces.categorical import CategoricalSpace
    from nas_gym.spaces.darts import DARTSSpace
    from nas_gym.spaces.mnasnet import MnasNetSpace
    from nas_gym.spaces.nb101 import NB101Space
    from nas_gym.spaces.nb201 import NB201Space
    from nas_gym.spaces.nbasr import NBASRSpace
    from nas_gym.spaces.nbgraph import NBGraphSpace
    from nas_gym.spaces.transnas import TransNASSpace

__all__ = [
    "CategoricalSpace",
    "DARTSSpace",
    "MnasNetSpace",
    "NB101Space",
    "NB201Space",
    "NBASRSpace",
    "NBGraphSpace",
    "RandomSource",
    "SearchSpace",
    "TransNASSpace",
    "check_consistency",
    "find_space_class",
    "register_space",
    "space_kinds",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{name.removesuffix('Space').lower()}")
    return getattr(module, name)
