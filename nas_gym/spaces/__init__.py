"""Search spaces: genotypes, and conversions to indices, strings, graphs and relaxations."""

from nas_gym.spaces.base import RandomSource, SearchSpace
from nas_gym.spaces.categorical import CategoricalSpace
from nas_gym.spaces.checks import check_consistency
from nas_gym.spaces.darts import DARTSSpace
from nas_gym.spaces.nb101 import NB101Space
from nas_gym.spaces.nb201 import NB201Space
from nas_gym.spaces.nbasr import NBASRSpace
from nas_gym.spaces.nbgraph import NBGraphSpace
from nas_gym.spaces.registry import find_space_class, register_space, space_kinds
from nas_gym.spaces.transnas import TransNASSpace

__all__ = [
    "CategoricalSpace",
    "DARTSSpace",
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
