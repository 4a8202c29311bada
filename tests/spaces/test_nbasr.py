"""The cells of NAS-Bench-ASR."""

import numpy as np
import pytest
from spaces.cells import names_of

from nas_gym.spaces import NBASRSpace

PART = NBASRSpace(NBASRSpace().decode(np.arange(0, 8242, 31)), "part")


def test_sizes():
    assert NBASRSpace().num_choices.prod() == 6**3 * 2**6 == 13_824
    assert NBASRSpace().size == 8242


@pytest.mark.parametrize("space", [NBASRSpace(), PART])
def test_index_and_text_round_trips(space):
    indices = np.arange(space.size)
    genotypes = space.decode(indices)
    np.testing.assert_array_equal(space.encode(genotypes), indices)
    texts = space.to_text(genotypes)
    assert len(set(texts)) == space.size
    np.testing.assert_array_equal(space.from_text(texts), genotypes)
    assert space.contains(genotypes).all()
    assert space.contains(space.sample(50, np.random.default_rng(0))).all()
    assert space.contains(space.mutate(genotypes, np.random.default_rng(0))).all()


def test_groups():
    space = NBASRSpace()
    every = np.indices(space.num_choices).reshape(9, -1).T
    zero = (every[:, [0, 2, 5]] == 5).any(axis=1)
    indices = space.encode(every)
    # those without zero are all different: the three operations stay in a row
    whole, counts = np.unique(indices[~zero], return_counts=True)
    assert len(whole) == 5**3 * 2**6 == 8000
    assert counts.max() == 1
    assert not np.isin(indices[zero], whole).any()
    assert len(np.unique(indices[zero])) == 242
    # what stands for a group is its last in the benchmark's order, in which op1 changes first
    position = every @ np.cumprod([1, *space.num_choices[:-1]])
    last = np.zeros(space.size, int)
    np.maximum.at(last, indices, position)
    chosen = space.decode(np.arange(space.size)) @ np.cumprod([1, *space.num_choices[:-1]])
    np.testing.assert_array_equal(chosen, last)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        # nothing leads to the output
        ("[[5, 0], [1, 0, 0], [2, 0, 0, 0]]", "[[1, 0], [2, 0, 0], [5, 0, 0, 0]]", True),
        # one operation, by way of a branch around the others
        ("[[5, 1], [5, 1, 0], [2, 0, 0, 0]]", "[[5, 0], [2, 1, 1], [5, 0, 0, 1]]", False),
        ("[[5, 0], [5, 1, 0], [2, 0, 0, 0]]", "[[2, 1], [5, 0, 1], [5, 0, 1, 0]]", True),
        ("[[5, 0], [5, 1, 0], [2, 0, 0, 0]]", "[[5, 0], [5, 1, 0], [1, 0, 0, 0]]", False),
        # a branch from the input to the output counts
        ("[[5, 0], [5, 1, 0], [2, 0, 0, 0]]", "[[5, 0], [5, 1, 0], [2, 1, 0, 0]]", False),
        # one from the node of a zero does not
        ("[[5, 1], [1, 0, 0], [2, 0, 0, 0]]", "[[5, 1], [1, 0, 0], [2, 0, 1, 0]]", True),
    ],
)
def test_cells_of_one_group(first, second, same):
    space = NBASRSpace()
    one, other = space.encode(space.from_text([first, second]))
    assert (one == other) == same
    part = NBASRSpace(space.from_text([first]), "part")
    assert part.size == 1
    assert part.contains(space.from_text([second])).tolist() == [same]


def test_graphs():
    # linear, then conv5 with a skip from the input, then nothing but a skip from node 1
    names, edges = names_of(NBASRSpace(), "[[0, 0], [1, 1, 0], [5, 0, 1, 0]]")
    assert names == ["input", "linear", "skip", "output", "global"]
    assert edges == {(0, 1), (1, 2), (2, 3)}
    names, _ = names_of(NBASRSpace(), "[[4, 1], [2, 0, 0], [3, 1, 0, 0]]")
    assert names == ["input", "conv7_d2", "skip", "conv5_d2", "conv7", "skip", "output", "global"]


@pytest.mark.parametrize(
    "text",
    [
        "[[6, 0], [0, 0, 0], [0, 0, 0, 0]]",
        "[[0, 2], [0, 0, 0], [0, 0, 0, 0]]",
        "[[0, 0], [0, 0], [0, 0, 0, 0]]",
        "[0, 0]",
        "linear",
    ],
)
def test_invalid_texts(text):
    with pytest.raises(ValueError, match="Expected"):
        NBASRSpace().from_text([text])
