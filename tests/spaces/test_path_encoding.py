"""Path encodings of architectures."""

import numpy as np

from nas_gym.spaces import CategoricalSpace, NB201Space
from nas_gym.spaces.path_encoding import path_encoding

SPACE = NB201Space()


def test_by_hand():
    texts = [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|",  # 3x3, 1x1
        "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|",  # the same
        "|skip_connect~0|+|none~0|none~1|+|skip_connect~0|skip_connect~1|none~2|",  # two skips
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    ]
    encoding = path_encoding(SPACE, SPACE.from_text(texts))
    assert encoding.shape == (4, 2)
    assert encoding[0].tolist() == encoding[1].tolist() == [1, 0]
    assert encoding[2].tolist() == [0, 2]
    assert encoding[3].tolist() == [0, 0]


def test_isomorphic_cells_have_the_same_encoding():
    rows = np.random.default_rng(0).integers(SPACE.size, size=300)
    genotypes = SPACE.decode(rows)
    both = path_encoding(SPACE, np.concatenate([genotypes, SPACE.canonical(genotypes)]))
    np.testing.assert_array_equal(both[:300], both[300:])


def test_a_space_with_its_own_operations():
    space = CategoricalSpace([("a", "b"), ("a", "b")], name="Own")
    encoding = path_encoding(space, space.decode(np.arange(space.size)))
    assert len(np.unique(encoding, axis=0)) > 1
