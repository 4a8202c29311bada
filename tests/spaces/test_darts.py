"""The cells of DARTS: counts, notation, Algorithm 2 and the properties of every space."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest

from nas_gym.spaces import DARTSSpace
from nas_gym.spaces.darts import EDGES, OPERATIONS, DARTSCellsSpace, is_reduction_cell
from nas_gym.spaces.graphs import to_graphs

SPACE = DARTSSpace()
# as DARTS' authors publish them
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_size():
    cell = 1
    for inputs in (2, 3, 4, 5):
        cell *= comb(inputs, 2) * 7**2
    assert SPACE.size == cell**2 == 1_076_746_950_455_072_400
    assert (SPACE.num_decisions, SPACE.alpha_size, SPACE.one_hot_size) == (22, 2 * 14 * 7, 150)
    assert len(EDGES) == 14


def test_indices_and_texts_round_trip(rng):
    genotypes = SPACE.sample(500, rng)
    np.testing.assert_array_equal(SPACE.decode(SPACE.encode(genotypes)), genotypes)
    np.testing.assert_array_equal(SPACE.from_text(SPACE.to_text(genotypes)), genotypes)
    ends = np.array([0, SPACE.size - 1])
    np.testing.assert_array_equal(SPACE.encode(SPACE.decode(ends)), ends)
    assert (SPACE.decode(ends) == [[0] * 22, SPACE.num_choices - 1]).all()


def test_published_notation():
    genotypes = SPACE.from_text([DARTS_V2])
    (notation,) = SPACE.to_notation(genotypes)
    assert notation.normal[:2] == [("sep_conv_3x3", 0), ("sep_conv_3x3", 1)]
    # the inputs of a node are a set: they come out ascending
    assert notation.normal[4:6] == [("skip_connect", 0), ("sep_conv_3x3", 1)]
    assert notation.reduce[2:4] == [("max_pool_3x3", 1), ("skip_connect", 2)]
    np.testing.assert_array_equal(SPACE.from_notation([notation]), genotypes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("('skip_connect', 2), ('max_pool_3x3', 1)]", "('skip_connect', 2)]", "8 operations"),
        ("('dil_conv_3x3', 2)", "('conv', 2)", "Unknown operation 'conv'"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)", "can read nodes 0 to 4, got 5"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 0)", "reads node 0 twice"),
        ("normal=[", "normal=", "not in DARTS' notation"),
        ("('dil_conv_3x3', 2)", "__import__('os')", "not in DARTS' notation"),
    ],
)
def test_refuses_other_texts(old, new, message):
    with pytest.raises(ValueError, match=message):
        SPACE.from_text([DARTS_V2.replace(old, new)])


def algorithm_2(matrix):
    """L2NAS, Algorithm 2, for one cell, node by node."""
    cell = []
    for node in range(2, 6):
        inputs = [(max(matrix[e]), e) for e, (_, target) in enumerate(EDGES) if target == node]
        kept = sorted(e for _, e in sorted(inputs, key=lambda each: -each[0])[:2])
        cell += [(OPERATIONS[int(np.argmax(matrix[e]))], EDGES[e][0]) for e in kept]
    return cell


def test_alpha_is_discretized_by_algorithm_2(rng):
    alphas = rng.normal(size=(50, SPACE.alpha_size))
    alphas[25:] = rng.integers(0, 3, (25, SPACE.alpha_size))  # ties
    for alpha, found in zip(
        alphas, SPACE.to_notation(SPACE.alpha_to_genotype(alphas)), strict=True
    ):
        normal, reduce = alpha.reshape(2, 14, 7)
        assert found.normal == algorithm_2(normal)
        assert found.reduce == algorithm_2(reduce)
    genotypes = SPACE.sample(300, rng)
    ones = SPACE.genotype_to_alpha(genotypes)
    assert (ones.sum(axis=1) == 16).all()
    np.testing.assert_array_equal(SPACE.alpha_to_genotype(ones), genotypes)
    with pytest.raises(ValueError, match="shape"):
        SPACE.alpha_to_genotype(np.zeros(195))
    with pytest.raises(ValueError, match="NaN"):
        SPACE.alpha_to_genotype(np.full(196, np.nan))


def test_operators_stay_in_the_space(rng):
    genotypes = SPACE.sample(200, rng)
    changed = SPACE.mutate(genotypes, rng)
    assert ((changed != genotypes).sum(axis=1) == 1).all()
    assert SPACE.contains(changed).all()
    children = SPACE.crossover(genotypes, changed[::-1], rng)
    assert ((children == genotypes) | (children == changed[::-1])).all()
    around, valid = SPACE.neighbors(genotypes[:2])
    assert around.shape == (2, 150 - 22, 22)
    assert valid.all()


def test_samples_are_uniform(rng):
    genotypes = SPACE.sample(20_000, rng)
    for decision, choices in enumerate(SPACE.num_choices):
        shares = np.bincount(genotypes[:, decision], minlength=choices) / 20_000
        np.testing.assert_allclose(shares, 1 / choices, atol=0.015)


def test_graph_has_the_edges_of_the_notation(rng):
    genotypes = SPACE.sample(5, rng)
    adjacency, nodes = SPACE.to_graph(genotypes)
    for number, notation in enumerate(SPACE.to_notation(genotypes)):
        for cell, part in enumerate((notation.normal, notation.reduce)):
            graph = adjacency[number, 15 * cell : 15 * cell + 15, 15 * cell : 15 * cell + 15]
            labels = [SPACE.node_labels[code] for code in nodes[number, 15 * cell : 15 * cell + 15]]
            assert labels[:2] == ["input", "input"]
            assert labels[-1] == "output"
            for place, (operation, source) in enumerate(part):
                node = 2 + 3 * (place // 2) + place % 2
                assert labels[node] == operation
                (origin,) = np.flatnonzero(graph[:, node])
                assert origin == (source if source < 2 else 3 * (source - 2) + 4)
    assert not adjacency[:, :15, 15:].any()
    assert not np.tril(adjacency).any()


def test_graphs_of_architectures_differ(rng):
    genotypes = SPACE.sample(1, rng).repeat(7, axis=0)
    genotypes[:, 0] = np.arange(7)  # each operation at one place
    graphs = to_graphs(SPACE, genotypes)
    for a, b in product(range(7), repeat=2):
        same = np.array_equal(graphs.nodes[a], graphs.nodes[b])
        assert same == (a == b)


def test_codes_of_cells_of_their_own():
    space = DARTSCellsSpace(8)
    genotypes = space.sample(20, np.random.default_rng(0))
    codes = space.to_text(genotypes)
    assert all(len(code) == 8 * 14 for code in codes)
    np.testing.assert_array_equal(space.from_text(codes), genotypes)
    for text, message in (
        ("0" * 13, "has 112 digits"),
        ("9" + codes[0][1:], "has 112 digits"),
        ("0" + codes[0][1:], "has two operations"),
    ):
        with pytest.raises(ValueError, match=message):
            space.from_text([text])


def test_two_cells_of_their_own_are_a_normal_and_a_reduction_cell():
    own, shared = DARTSCellsSpace(2), DARTSSpace()
    genotypes = shared.sample(20, np.random.default_rng(0))
    np.testing.assert_array_equal(own.encode(genotypes), shared.encode(genotypes))
    assert [is_reduction_cell(layer, 2) for layer in range(2)] == [False, True]
    assert [layer for layer in range(8) if is_reduction_cell(layer, 8)] == [2, 5]
