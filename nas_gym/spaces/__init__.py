"""Search spaces: decisions, and genotypes as index, text, graph and alpha."""

from nas_gym.spaces.base import RandomSource, SearchSpace
from nas_gym.spaces.categorical import CategoricalSpace
from nas_gym.spaces.darts import DARTSSpace
from nas_gym.spaces.nb101 import NB101Space
from nas_gym.spaces.nb201 import NB201Space
from nas_gym.spaces.nbasr import NBASRSpace
from nas_gym.spaces.nbgraph import NBGraphSpace
from nas_gym.spaces.transnas import TransNASSpace

CELL_SPACES = (NB101Space, NB201Space, NBASRSpace, TransNASSpace)
"""Spaces that genotypes and a name tell all about: ``type(space)(genotypes, name)`` is a part."""

__all__ = [
    "CELL_SPACES",
    "CategoricalSpace",
    "DARTSSpace",
    "NB101Space",
    "NB201Space",
    "NBASRSpace",
    "NBGraphSpace",
    "RandomSource",
    "SearchSpace",
    "TransNASSpace",
]
