"""Spaces that are not a bijection are refused, and the message names the culprit."""

import numpy as np
import pytest

from nas_gym.spaces import (
    CategoricalSpace,
    DARTSSpace,
    NB101Space,
    NB201Space,
    NBASRSpace,
    NBGraphSpace,
    SearchSpace,
    TransNASSpace,
    check_consistency,
)

CELLS_101 = [
    "[[0, 1, 1], [0, 0, 1], [0, 0, 0]] input,maxpool3x3,output",
    "[[0, 1], [0, 0]] input,output",
]


class Plain(SearchSpace):
    def __init__(self, genotypes=None, name="plain"):
        super().__init__(["abc", "de"], None, genotypes, name)


class Reversed(Plain):
    """Another order of the indices: consistent."""

    def leaf_to_index(self, leaves):
        return self.size - 1 - leaves

    def index_to_leaf(self, indices):
        return self.size - 1 - indices


class OneWay(Plain):
    def leaf_to_index(self, leaves):
        return self.size - 1 - leaves


class OwnDecode(Plain):
    def decode(self, indices):
        return super().decode(self.size - 1 - np.asarray(indices))

    def encode(self, genotypes):
        return self.size - 1 - super().encode(genotypes)


class OutOfRange(Plain):
    def decode(self, indices):
        return super().decode(indices) + 1


class WrongShape(Plain):
    def decode(self, indices):
        return super().decode(indices)[:, :1]


class EqualTexts(Plain):
    def to_text(self, genotypes):
        return ["a,d" for _ in genotypes]


class OtherText(Plain):
    def from_text(self, texts):
        return super().from_text(texts)[::-1]


class Fails(Plain):
    def to_text(self, genotypes):
        raise LookupError("no text")


class WrongAlpha(Plain):
    def alpha_to_genotype(self, alpha):
        return np.zeros((len(alpha), 2), np.int64)


class WrongGraph(Plain):
    def to_graph(self, genotypes):
        adjacency, operations = super().to_graph(genotypes)
        return adjacency, operations + 7


class FlatGraph(Plain):
    def to_graph(self, genotypes):
        adjacency, operations = super().to_graph(genotypes)
        return adjacency[:, 0], operations


class Outside(Plain):
    def sample(self, n, rng):
        return np.zeros((n, 2), np.int64)


@pytest.mark.parametrize(
    "space",
    [
        CategoricalSpace(["abc", "de"]),
        CategoricalSpace(["ab"] * 3, genotypes=[[0, 0, 1], [1, 1, 0]]),
        CategoricalSpace(["abc"] * 45),  # too large to be numbered
        CategoricalSpace(["abc"] * 20),
        DARTSSpace(),
        NB101Space(NB101Space.parse(CELLS_101)),
        NB201Space(),
        NB201Space(NB201Space().decode([0, 5, 77])),
        NBASRSpace(),
        NBASRSpace(NBASRSpace().decode([0, 5, 77])),
        NBGraphSpace(),
        TransNASSpace(),
        Plain(),
        Reversed(),
        Reversed([[0, 0], [2, 1]]),
    ],
    ids=repr,
)
def test_consistent(space):
    check_consistency(space)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (OneWay(), r"encode\(decode\(index\)\) returned 5 for index 0, 0 was expected"),
        (OwnDecode(), r"leaf_to_index\(leaf of decode\(index\)\) returned 5 for index 0"),
        (OutOfRange(), r"decode\(1\) returned \[1, 2\], which is outside"),
        (WrongShape(), r"decode\(\) of 6 indices returned shape \(6, 1\)"),
        (EqualTexts(), r"'a,d' for index 0 and for index 1"),
        (OtherText(), r"encode\(from_text\(to_text.* returned 5 for index 0"),
        (Fails(), r"failed: LookupError: no text"),
        (WrongAlpha(), r"alpha_to_genotype.* returned 0 for index 1"),
        (WrongGraph(), r"to_graph\(\) returned operations 7 to 13"),
        (FlatGraph(), r"to_graph\(\) of 6 genotypes returned the shapes \(6, 4\)"),
        (Outside([[0, 1], [2, 0]]), r"sample\(\) returned a genotype that is not in the space"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_inconsistent(space, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_consistency(space)
    assert f"'plain' ({type(space).__name__})" in str(caught.value)


def test_an_object_that_is_not_a_space():
    with pytest.raises(TypeError, match="an instance of a subclass of SearchSpace, got <class"):
        check_consistency(Plain)
