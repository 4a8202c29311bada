"""The cells of TransNAS-Bench-101 micro."""

import numpy as np
import pytest

from nas_gym.spaces import NB201Space, TransNASSpace
from nas_gym.spaces.graphs import to_graphs


def test_size():
    assert TransNASSpace().size == 4**6 == 4096


def test_index_and_text_round_trips():
    space = TransNASSpace()
    indices = np.arange(space.size)
    genotypes = space.decode(indices)
    np.testing.assert_array_equal(space.encode(genotypes), indices)
    texts = space.to_text(genotypes)
    assert len(set(texts)) == space.size
    np.testing.assert_array_equal(space.from_text(texts), genotypes)
    assert space.contains(genotypes).all()
    assert space.contains(space.sample(50, np.random.default_rng(0))).all()
    assert space.contains(space.mutate(genotypes, np.random.default_rng(0))).all()


def test_graphs_are_those_of_nas_bench_201_without_pooling():
    transnas, nb201 = TransNASSpace(), NB201Space()
    genotypes = transnas.decode(np.arange(4096))
    for ours, theirs in zip(
        (to_graphs(transnas, genotypes).__dict__.values()),
        (to_graphs(nb201, genotypes).__dict__.values()),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "text",
    [
        "64-41414-1_02_334",
        "64-41414-1_02_33",
    ],
)
def test_invalid_texts(text):
    with pytest.raises(ValueError, match="Expected"):
        TransNASSpace().from_text([text])
