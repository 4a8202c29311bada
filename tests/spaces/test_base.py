"""Properties of every search space, checked against brute force."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nas_gym.spaces import (
    CategoricalSpace,
    DARTSSpace,
    NB201Space,
    NBASRSpace,
    NBGraphSpace,
    TransNASSpace,
)
from nas_gym.spaces.nbgraph import PROTEINS_OPERATIONS

CHOICES = ("ab", "xyz", "p", "1234")


def partial_space():
    rng = np.random.default_rng(3)
    return CategoricalSpace(CHOICES, genotypes=rng.integers(0, [2, 3, 1, 4], (11, 4)))


SPACES = {
    "full": CategoricalSpace(CHOICES),
    "partial": partial_space(),
    "nb201": NB201Space(),
    "nb201-partial": NB201Space(NB201Space().decode(np.arange(0, 15_625, 3))),
    "nbgraph": NBGraphSpace(),
    "nbgraph-partial": NBGraphSpace(genotypes=NBGraphSpace().decode(np.arange(0, 26_206, 3))),
    "nbgraph-proteins": NBGraphSpace(PROTEINS_OPERATIONS),
    "transnas": TransNASSpace(),
    "nbasr": NBASRSpace(),
    "nbasr-partial": NBASRSpace(NBASRSpace().decode(np.arange(0, 8242, 3))),
}


@pytest.fixture(params=SPACES)
def space(request):
    return SPACES[request.param]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def combinations(space):
    return np.indices(space.num_choices).reshape(space.num_decisions, -1).T


def members(space):
    """All genotypes of a space, in lexicographic order."""
    every = combinations(space)
    return every[space.contains(every)]


def rank(space, genotypes):
    return np.ravel_multi_index(tuple(genotypes.T), tuple(space.num_choices))


def assert_uniform(draws, values):
    """Chi-square test of draws over values, six standard deviations wide."""
    assert np.isin(draws, values).all()
    counts = np.bincount(np.searchsorted(values, draws), minlength=len(values))
    expected = len(draws) / len(values)
    freedom = len(values) - 1
    assert ((counts - expected) ** 2 / expected).sum() < freedom + 6 * np.sqrt(2 * freedom)


class Constant:
    """The ends of the interval that random numbers come from."""

    def __init__(self, value):
        self.value = value

    def random(self, size):
        return np.full(size, self.value)


ENDS = [Constant(0.0), Constant(np.nextafter(1.0, 0.0))]

# -- every kind of space ---------------------------------------------------------------------------


def test_index_round_trip(space):
    indices = np.arange(space.size)
    genotypes = space.decode(indices)
    assert genotypes.shape == (space.size, space.num_decisions)
    assert genotypes.dtype == np.int64
    assert space.contains(genotypes).all()
    np.testing.assert_array_equal(space.encode(genotypes), indices)
    np.testing.assert_array_equal(np.unique(space.encode(members(space))), indices)


def test_text_round_trip(space, rng):
    genotypes = space.sample(200, rng)
    texts = space.to_text(genotypes)
    np.testing.assert_array_equal(space.from_text(texts), genotypes)
    assert len(set(texts)) == len(np.unique(genotypes, axis=0))


def test_alpha_round_trip(space, rng):
    genotypes = space.sample(200, rng)
    alpha = space.genotype_to_alpha(genotypes)
    assert alpha.shape == (200, space.alpha_size)
    assert alpha.dtype == np.float32
    np.testing.assert_array_equal(alpha.sum(axis=1), space.num_decisions)
    np.testing.assert_array_equal(space.alpha_to_genotype(alpha), genotypes)


def test_alpha_always_gives_an_architecture(space, rng):
    alpha = rng.normal(size=(500, space.alpha_size))
    alpha[100:200] = alpha[100:200].round()
    alpha[200:300] = rng.choice([-np.inf, 0, np.inf], (100, space.alpha_size))
    alpha[300] = -np.inf
    alpha[301] = 0
    for dtype in (np.float64, np.float32, np.float16):
        assert space.contains(space.alpha_to_genotype(alpha.astype(dtype))).all()
    assert space.contains(
        space.alpha_to_genotype(rng.integers(-2, 2, (50, space.alpha_size)))
    ).all()


def test_prefixes_are_those_of_the_architectures(space):
    genotypes = members(space)
    nodes = np.zeros(len(genotypes), np.int64)
    for depth in range(space.num_decisions):
        choices = space.num_choices[depth]
        every = np.arange(space.num_prefixes(depth))
        np.testing.assert_array_equal(np.unique(nodes), every)
        masks = space.prefix_masks(depth, every)
        expected = np.zeros((len(every), space.max_choices), bool)
        expected[nodes, genotypes[:, depth]] = True
        np.testing.assert_array_equal(masks, expected)
        node, choice = np.nonzero(np.ones((len(every), choices), bool))
        children = space.extend(depth, node, choice)
        np.testing.assert_array_equal(children >= 0, masks[node, choice])
        nodes = space.extend(depth, nodes, genotypes[:, depth])
        assert nodes.dtype == np.int64
        prefixes = space.decode_prefixes(depth + 1, nodes)
        np.testing.assert_array_equal(prefixes, genotypes[:, : depth + 1])
    assert space.num_prefixes(space.num_decisions) == len(genotypes)
    np.testing.assert_array_equal(np.sort(nodes), np.arange(len(genotypes)))
    np.testing.assert_array_equal(space.leaf_to_index(nodes), space.encode(genotypes))


def test_prefixes_one_at_a_time(space):
    genotype = space.decode([space.size // 2])[0]
    node = 0
    for depth, choice in enumerate(genotype):
        mask = space.prefix_masks(depth, node)
        assert mask.shape == (space.max_choices,)
        assert mask[choice]
        node = space.extend(depth, node, choice)
    assert space.leaf_to_index(node) == space.encode(genotype)[0]


def test_has_masks(space):
    masks = [
        space.prefix_masks(depth, np.arange(space.num_prefixes(depth)))
        for depth in range(space.num_decisions)
    ]
    assert space.has_masks == any(not mask.all() for mask in masks)


def test_sample_is_uniform_over_genotypes(space, rng):
    values = rank(space, members(space))
    sample = space.sample(20 * len(values) + 5000, rng)
    assert sample.dtype == np.int64
    assert_uniform(rank(space, sample), values)


def test_neighbors_are_all_those_one_decision_away(space, rng):
    every = combinations(space)
    valid_ranks = set(rank(space, members(space)).tolist())
    genotypes = space.sample(10, rng)
    neighbors, valid = space.neighbors(genotypes)
    assert neighbors.shape == (10, (space.num_choices - 1).sum(), space.num_decisions)
    assert valid.shape == neighbors.shape[:2]
    for genotype, around, flags in zip(genotypes, neighbors, valid, strict=True):
        expected = every[(every != genotype).sum(axis=1) == 1]
        np.testing.assert_array_equal(np.sort(rank(space, around)), rank(space, expected))
        assert flags.tolist() == [number in valid_ranks for number in rank(space, around).tolist()]


def test_mutation_changes_one_decision(space, rng):
    genotypes = space.sample(2000, rng)
    before = genotypes.copy()
    mutated = space.mutate(genotypes, rng)
    np.testing.assert_array_equal(genotypes, before)
    assert space.contains(mutated).all()
    isolated = ~space.neighbors(genotypes)[1].any(axis=1)
    np.testing.assert_array_equal((mutated != genotypes).sum(axis=1)[~isolated], 1)


def test_mutation_reaches_every_neighbor(space, rng):
    genotype = space.sample(1, rng)
    neighbors, valid = space.neighbors(genotype)
    mutated = space.mutate(np.repeat(genotype, 10_000, axis=0), rng)
    reached = np.unique(rank(space, mutated))
    np.testing.assert_array_equal(reached, np.sort(rank(space, neighbors[0, valid[0]])))


def test_crossover_takes_each_decision_from_a_parent(space, rng):
    first, second = space.sample(2000, rng), space.sample(2000, rng)
    child = space.crossover(first, second, rng)
    assert space.contains(child).all()
    assert ((child == first) | (child == second)).all()
    np.testing.assert_array_equal(space.crossover(first, first, rng), first)
    if space.tree is None:
        differs = first != second
        assert abs((child == first)[differs].mean() - 0.5) < 5 * 0.5 / np.sqrt(differs.sum())


@pytest.mark.parametrize("ends", ENDS, ids=["zero", "almost one"])
def test_operators_at_the_ends_of_the_random_interval(space, ends):
    genotypes = space.decode(np.arange(min(space.size, 500)))
    assert space.contains(space.sample(10, ends)).all()
    assert space.contains(space.mutate(genotypes, ends)).all()
    assert space.contains(space.crossover(genotypes, genotypes[::-1], ends)).all()


def test_equal_seeds_give_equal_draws(space):
    draws = []
    for _ in range(2):
        rng = np.random.default_rng(7)
        sample = space.sample(50, rng)
        draws.append(
            (sample, space.mutate(sample, rng), space.crossover(sample, sample[::-1], rng))
        )
    np.testing.assert_array_equal(draws[0], draws[1])


def test_empty_batches(space, rng):
    none = np.empty((0, space.num_decisions), np.int64)
    assert space.sample(0, rng).shape == none.shape
    assert space.mutate(none, rng).shape == none.shape
    assert space.crossover(none, none, rng).shape == none.shape
    assert space.neighbors(none)[0].shape == (0, (space.num_choices - 1).sum(), space.num_decisions)
    assert space.encode(none).shape == (0,)
    assert space.decode(np.empty(0, np.int64)).shape == none.shape
    assert space.alpha_to_genotype(np.empty((0, space.alpha_size))).shape == none.shape
    assert space.to_text(none) == []
    assert space.from_text([]).shape == none.shape


def test_graphs_are_in_topological_order(space, rng):
    adjacency, operations = space.to_graph(space.sample(100, rng))
    nodes = operations.shape[1]
    assert adjacency.shape == (100, nodes, nodes)
    assert not np.tril(adjacency).any()
    assert adjacency[:, :-1].any(axis=2).all(), "a node that leads nowhere"
    assert adjacency[:, :, 1:].any(axis=1).all(), "a node that reads nothing"
    assert (operations[:, 0] == 0).all()
    assert (operations[:, -1] == 1).all()
    assert (operations[:, 1:-1] >= 2).all()
    assert operations.max() < len(space.node_labels)
    assert space.node_labels[:2] == ("input", "output")


def test_bad_genotypes(space):
    good = space.decode([0])
    for call in (space.encode, space.contains, space.to_text, space.neighbors, space.to_graph):
        with pytest.raises(ValueError, match="must have shape"):
            call(good[:, 1:])
        with pytest.raises(ValueError, match="must have shape"):
            call(good[None])
        with pytest.raises(TypeError, match="integers"):
            call(good.astype(float))
        with pytest.raises(TypeError, match="integers"):
            call(good.astype(bool))
        for wrong in (-1, space.num_choices[1]):
            bad = good.copy()
            bad[0, 1] = wrong
            with pytest.raises(ValueError, match=rf"{space.decision_names[1]}.*got {wrong}"):
                call(bad)


def test_bad_indices(space):
    for wrong in (-1, space.size):
        with pytest.raises(IndexError, match=f"0 to {space.size - 1}"):
            space.decode([0, wrong])


@pytest.mark.parametrize("text", ["", "nonsense", "a,x,p", "a,x,p,9", "[0,0,0,0] gat gat gat"])
def test_bad_text(space, text):
    with pytest.raises(ValueError, match=rf"'{text}'".replace("[", r"\[")):
        space.from_text([text])


def test_bad_alpha(space):
    alpha = np.zeros((1, space.alpha_size))
    with pytest.raises(ValueError, match="must have shape"):
        space.alpha_to_genotype(alpha[:, 1:])
    alpha[0, -1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        space.alpha_to_genotype(alpha)


# -- random spaces, against brute force ------------------------------------------------------------


@st.composite
def small_spaces(draw):
    """A space and its genotypes as a set of tuples: the whole product, or any part of it."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    every = list(product(*map(range, sizes)))
    labels = [[f"{decision}.{choice}" for choice in range(k)] for decision, k in enumerate(sizes)]
    if draw(st.booleans()):
        return CategoricalSpace(labels), set(every)
    table = draw(st.lists(st.sampled_from(every), min_size=1, max_size=2 * len(every)))
    return CategoricalSpace(labels, genotypes=table), set(table)


@given(small_spaces())
@settings(max_examples=60, deadline=None)
def test_random_space_lists_its_genotypes(case):
    space, expected = case
    assert space.size == len(expected)
    assert [tuple(row) for row in space.decode(np.arange(space.size)).tolist()] == sorted(expected)
    every = combinations(space)
    inside = [tuple(row) in expected for row in every.tolist()]
    assert space.contains(every).tolist() == inside
    np.testing.assert_array_equal(space.encode(every[inside]), np.arange(space.size))
    np.testing.assert_array_equal(space.from_text(space.to_text(every)), every)
    if not all(inside):
        with pytest.raises(ValueError, match="is not an architecture"):
            space.encode(every)


@given(small_spaces())
@settings(max_examples=60, deadline=None)
def test_random_space_masks_are_validity(case):
    space, expected = case
    level = {(): 0}
    for depth in range(space.num_decisions):
        below = {}
        for prefix, node in level.items():
            mask = space.prefix_masks(depth, np.array([node]))[0]
            for choice in range(space.max_choices):
                leads = any(row[: depth + 1] == (*prefix, choice) for row in expected)
                assert mask[choice] == leads
                if leads:
                    below[(*prefix, choice)] = int(space.extend(depth, node, choice))
        assert sorted(below.values()) == list(range(space.num_prefixes(depth + 1)))
        decoded = space.decode_prefixes(depth + 1, list(below.values()))
        assert [tuple(row) for row in decoded.tolist()] == list(below)
        level = below
    assert set(level) == expected


@pytest.mark.parametrize("space", [*SPACES.values(), DARTSSpace()])
def test_no_architectures_at_all(space, rng):
    """Where a batch has none of a kind, as of new best ones, nothing has to be treated apart."""
    none = space.sample(0, rng)
    assert none.shape == (0, space.num_decisions)
    assert space.genotype_to_alpha(none).shape == (0, space.alpha_size)
    assert space.encode(none).shape == space.contains(none).shape == (0,)
    assert len(space.to_text(none)) == 0
    for back in (
        space.decode(space.encode(none)),
        space.alpha_to_genotype(space.genotype_to_alpha(none)),
        space.from_text([]),
        space.mutate(none, rng),
        space.crossover(none, none, rng),
    ):
        assert back.shape == none.shape
    if hasattr(space, "to_graph"):
        assert [len(part) for part in space.to_graph(none)] == [0, 0]


@given(small_spaces(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_random_space_operators(case, seed):
    space, expected = case
    rng = np.random.default_rng(seed)
    genotypes = space.sample(30, rng)
    neighbors, valid = space.neighbors(genotypes)
    mutated, child = space.mutate(genotypes, rng), space.crossover(genotypes, genotypes[::-1], rng)
    for row, around, flags, new in zip(genotypes, neighbors, valid, mutated, strict=True):
        one_away = {g for g in expected if sum(a != b for a, b in zip(g, row, strict=True)) == 1}
        assert {tuple(g) for g in around[flags].tolist()} == one_away
        assert tuple(new.tolist()) in (one_away or expected)
    assert {tuple(row) for row in child.tolist()} <= expected


@given(small_spaces(), st.data())
@settings(max_examples=60, deadline=None)
def test_random_space_alpha_is_a_masked_argmax(case, data):
    space, expected = case
    values = st.floats(allow_nan=False, width=32)
    size = space.alpha_size
    alpha = data.draw(st.lists(values, min_size=size, max_size=size))
    assume(min(alpha) > np.finfo(np.float32).min)
    prefix = ()
    for decision, offset in enumerate(space.one_hot_offsets):
        row = alpha[offset : offset + space.num_choices[decision]]
        open_choices = sorted({g[decision] for g in expected if g[:decision] == prefix})
        prefix = (*prefix, max(open_choices, key=lambda choice, row=row: row[choice]))
    assert tuple(space.alpha_to_genotype(alpha)[0].tolist()) == prefix
