"""The cells of NAS-Bench-101."""

import numpy as np
import pytest
from spaces.cells import CELLS_101, names_of

from nas_gym.spaces import NB101Space

FULL = np.triu(np.ones((5, 5), int), 1).tolist()


def test_index_and_text_round_trips():
    space = NB101Space(NB101Space.parse(CELLS_101))
    indices = np.arange(space.size)
    genotypes = space.decode(indices)
    np.testing.assert_array_equal(space.encode(genotypes), indices)
    texts = space.to_text(genotypes)
    assert len(set(texts)) == space.size
    np.testing.assert_array_equal(space.from_text(texts), genotypes)
    assert space.contains(genotypes).all()
    assert space.contains(space.sample(50, np.random.default_rng(0))).all()
    assert space.contains(space.mutate(genotypes, np.random.default_rng(0))).all()


def test_graphs():
    space = NB101Space(NB101Space.parse(CELLS_101))
    names, edges = names_of(space, CELLS_101[2])
    assert names == ["input", "conv1", "conv3", "output", "global"]  # in canonical order
    assert edges == {(0, 1), (0, 2), (1, 3), (2, 3)}
    names, edges = names_of(space, CELLS_101[3])
    assert names[1:6] == ["conv3", "conv3", "max_pool", "conv1", "conv1"]
    assert len(edges) == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("input,output", "not a cell of NAS-Bench-101"),
        ("[[0, 1]] input,output", "not a cell of NAS-Bench-101"),
        ("[[0, 1], [1, 0]] input,output", "above its diagonal"),
        ("[[0, 2], [0, 0]] input,output", "above its diagonal"),
        ("[[0, 1, 0], [0, 0, 1], [0, 0, 0]] input,conv9,output", "expected input"),
        ("[[0, 1], [0, 0]] output,input", "expected input"),
    ],
)
def test_invalid_texts(text, message):
    with pytest.raises(ValueError, match=message):
        NB101Space.parse([text])


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("[[0, 1, 0], [0, 0, 0], [0, 0, 0]] input,maxpool3x3,output", 0),
        (f"{FULL} input,maxpool3x3,maxpool3x3,maxpool3x3,output", 10),
    ],
)
def test_cells_with_too_few_or_too_many_edges(text, edges):
    with pytest.raises(ValueError, match=rf"maxpool3x3,output is not a cell .* it has {edges}"):
        NB101Space.parse([CELLS_101[0], text])


def test_genotypes_without_edges():
    cells = NB101Space.parse(CELLS_101)
    cells[1] = 0
    with pytest.raises(ValueError, match=r"\[0 0 .* it has 0"):
        NB101Space(cells)
    with pytest.raises(ValueError, match="at least one genotype"):
        NB101Space(np.zeros((0, 26), int))


def test_isomorphic_cells_are_one():
    texts = [
        "[[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]] "
        "input,conv1x1-bn-relu,conv3x3-bn-relu,output",
        # with a vertex that leads nowhere
        "[[0, 1, 1, 1, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]] "
        "input,conv1x1-bn-relu,conv3x3-bn-relu,maxpool3x3,output",
    ]
    space = NB101Space(NB101Space.parse(CELLS_101))
    assert (
        space.encode(space.from_text(texts)).tolist()
        == [space.encode(space.from_text(CELLS_101[2:3])).item()] * 2
    )
    assert NB101Space(NB101Space.parse([*CELLS_101, *texts])).size == len(CELLS_101)
    # more than nine edges, of which all but one lead nowhere
    matrix = np.triu(np.ones((7, 7), int), 1)
    matrix[1:, -1] = 0
    text = f"{matrix.tolist()} input,{','.join(['maxpool3x3'] * 5)},output"
    assert space.to_text(space.from_text([text])) == CELLS_101[:1]
    other = NB101Space.parse([CELLS_101[2].replace("conv1x1", "conv3x3")])
    assert not space.contains(other).any()


def test_prefixes_lead_to_cells_only():
    space = NB101Space(NB101Space.parse(CELLS_101))
    nodes = np.zeros(1, np.int64)
    for depth in range(space.num_decisions):
        node, choice = np.nonzero(space.prefix_masks(depth, nodes))
        nodes = space.extend(depth, nodes[node], choice)
    genotypes = space.decode_prefixes(space.num_decisions, nodes)
    np.testing.assert_array_equal(genotypes, space.decode(np.arange(space.size)))
    neighbors, valid = space.neighbors(genotypes)
    np.testing.assert_array_equal(space.contains(neighbors.reshape(-1, 26)), valid.reshape(-1))
