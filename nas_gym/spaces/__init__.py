"""Search spaces: decisions, and genotypes as index, text, graph and alpha."""

from nas_gym.spaces.base import RandomSource, SearchSpace
from nas_gym.spaces.categorical import CategoricalSpace
from nas_gym.spaces.nb201 import NB201Space
from nas_gym.spaces.nbgraph import NBGraphSpace

__all__ = ["CategoricalSpace", "NB201Space", "NBGraphSpace", "RandomSource", "SearchSpace"]
