"""NAS-Bench-Graph, compared with the package of the benchmark."""

import time
from itertools import product

import numpy as np
import pytest

from nas_gym.spaces import NBGraphSpace, nbgraph
from nas_gym.spaces.nbgraph import GNN_OPERATIONS, LINKS, PROTEINS_OPERATIONS

SPACES = {
    "nine": NBGraphSpace(),
    "proteins": NBGraphSpace(PROTEINS_OPERATIONS),
    "another order": NBGraphSpace(("skip", "fc", "gat")),
    "no skip": NBGraphSpace(("gin", "gcn", "cheb")),
}


@pytest.fixture(params=SPACES)
def space(request):
    return SPACES[request.param]


@pytest.fixture(scope="module")
def package():
    return pytest.importorskip("nas_bench_graph")


def members(space):
    every = np.indices(space.num_choices).reshape(5, -1).T
    return every[space.contains(every)]


def package_hash(package, link, operations):
    return package.Arch(list(link), list(operations)).valid_hash()


@pytest.mark.parametrize(
    ("name", "leaves", "size"), [("nine", 59_040, 26_206), ("proteins", 5_616, 2_021)]
)
def test_sizes(name, leaves, size):
    space = SPACES[name]
    assert len(members(space)) == leaves
    assert space.size == size == len(space.keys)


def test_vocabulary_is_that_of_the_package(package):
    assert package.architecture.link_list == [list(link) for link in LINKS]
    assert package.architecture.gnn_list == list(GNN_OPERATIONS)
    assert package.architecture.gnn_list_proteins == list(PROTEINS_OPERATIONS)


def test_keys_are_the_hashes_of_the_package(space, package):
    genotypes = members(space)
    expected = [
        package_hash(package, LINKS[link], [space.operations[op] for op in ops])
        for link, *ops in genotypes.tolist()
    ]
    np.testing.assert_array_equal(space.keys[space.encode(genotypes)], expected)


@pytest.mark.parametrize(("name", "table"), [("nine", "cora"), ("proteins", "proteins")])
def test_keys_are_those_of_the_tables(package, name, table):
    assert SPACES[name].keys.tolist() == sorted(package.light_read(table))


def test_keys_spell_the_canonical_form(space):
    assert (np.diff(space.keys) > 0).all()
    genotypes = space.decode(np.arange(space.size))
    codes = np.array([GNN_OPERATIONS.index(name) for name in space.operations])[genotypes[:, 1:]]
    digits = np.column_stack([genotypes[:, 0], codes])
    np.testing.assert_array_equal(digits @ 10 ** np.arange(5)[::-1], space.keys)
    with pytest.raises(ValueError, match="read-only"):
        space.keys[0] = 1


def test_canonical(space):
    genotypes = members(space)
    canonical = space.canonical(genotypes)
    np.testing.assert_array_equal(space.encode(canonical), space.encode(genotypes))
    np.testing.assert_array_equal(space.canonical(canonical), canonical)
    assert len(np.unique(canonical, axis=0)) == space.size


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("[0,0,0,0] skip gcn gcn gat", "[0,1,1,1] skip gat gcn gcn"),
        ("[0,1,2,3] gat skip gcn skip", "[0,1,2,3] skip skip gat gcn"),
        ("[0,0,1,3] gcn gat skip fc", "[0,1,1,2] skip gcn gat fc"),
        ("[0,0,1,1] gcn gat skip fc", "[0,0,1,1] gcn gat fc skip"),  # a second output: stays
        ("[0,0,1,2] gcn gat fc gin", "[0,0,1,2] gat gcn gin fc"),
    ],
)
def test_canonical_by_hand(text, canonical):
    space = SPACES["nine"]
    assert space.to_text(space.canonical(space.from_text([text]))) == [canonical]


def test_all_skip_is_invalid():
    space = SPACES["nine"]
    skips = np.column_stack([np.arange(9), np.full((9, 4), 8)])
    assert not space.contains(skips).any()
    with pytest.raises(ValueError, match="is not an architecture of NBGraph"):
        space.encode(skips[:1])
    node = np.zeros(1, np.int64)
    for depth, choice in enumerate(skips[3, :4]):
        node = space.extend(depth, node, choice)
    assert space.prefix_masks(4, node)[0].tolist() == [True] * 8 + [False]
    assert SPACES["no skip"].tree is None


def test_other_links_are_read_as_canonical_ones(package):
    space = SPACES["nine"]
    rng = np.random.default_rng(0)
    for link in product(range(1), range(2), range(3), range(4)):
        operations = rng.integers(0, 9, (60, 4))
        operations[::3][rng.random((20, 4)) < 0.5] = 8
        operations = operations[(operations != 8).any(axis=1)]
        names = [[GNN_OPERATIONS[op] for op in row] for row in operations]
        genotypes = space.from_text([f"{list(link)} {' '.join(row)}" for row in names])
        expected = [package_hash(package, link, row) for row in names]
        np.testing.assert_array_equal(space.keys[space.encode(genotypes)], expected)
        if link in LINKS:
            np.testing.assert_array_equal(genotypes[:, 1:], operations)
        else:
            np.testing.assert_array_equal(space.canonical(genotypes), genotypes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[0,0,0] gat gat gat gat", "form"),
        ("[0,0,0,0] gat gat gat", "form"),
        ("0000 gat gat gat gat", "form"),
        ("[0,2,0,0] gat gat gat gat", "an earlier operation"),
        ("[1,0,0,0] gat gat gat gat", "an earlier operation"),
        ("[0,0,0,0] gat gat gat mlp", "unknown operations .'mlp'"),
    ],
)
def test_bad_text(text, message):
    with pytest.raises(ValueError, match=message):
        SPACES["nine"].from_text([text])


def test_operations_of_another_table_are_unknown():
    with pytest.raises(ValueError, match=r"unknown operations .'gat'"):
        SPACES["proteins"].from_text(["[0,0,0,0] gat gcn gcn gcn"])


@pytest.mark.parametrize("operations", [(), ("skip",), ("gcn", "gcn"), ("gcn", "mlp")])
def test_bad_operations(operations):
    with pytest.raises(ValueError, match=r"[Ee]xpected"):
        NBGraphSpace(operations)


def test_graph_by_hand():
    space = SPACES["nine"]
    adjacency, operations = space.to_graph(space.from_text(["[0,0,1,3] gcn gat skip fc"]))
    edges = {(0, 1), (0, 2), (1, 3), (3, 4), (2, 5), (4, 5)}
    assert set(zip(*map(np.ndarray.tolist, np.nonzero(adjacency[0])), strict=True)) == edges
    labels = [space.node_labels[op] for op in operations[0]]
    assert labels == ["input", "gcn", "gat", "skip", "fc", "output"]


def test_graph_reads_what_the_link_says(space):
    adjacency, _ = space.to_graph(space.decode(np.arange(space.size)))
    links = np.array(LINKS)[space.decode(np.arange(space.size))[:, 0]]
    np.testing.assert_array_equal(adjacency[:, :, 1:5].argmax(axis=1), links)
    np.testing.assert_array_equal(adjacency[:, :, 1:5].sum(axis=1), 1)
    np.testing.assert_array_equal(adjacency[:, 1:5, 5] == 1, ~adjacency[:, 1:5, 1:5].any(axis=2))


def test_numbering_is_quick_and_shared():
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        nbgraph._number_architectures.__wrapped__(GNN_OPERATIONS)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5  # 0.08 s on one core; room for a busy machine
    first, second = NBGraphSpace(), NBGraphSpace(list(GNN_OPERATIONS))
    assert first.tree is second.tree


def test_a_part_of_the_architectures(space):
    kept = space.decode(np.arange(0, space.size, 7))
    part = NBGraphSpace(space.operations, kept, "mine")
    assert part.name == "mine"
    np.testing.assert_array_equal(part.keys, space.keys[::7])
    np.testing.assert_array_equal(part.decode(np.arange(part.size)), kept)
    every = np.indices(space.num_choices).reshape(5, -1).T
    every = every[space.contains(every)]
    inside = np.isin(space.encode(every), np.arange(0, space.size, 7))
    np.testing.assert_array_equal(part.contains(every), inside)  # isomorphic ones belong too
    np.testing.assert_array_equal(part.encode(every[inside]), space.encode(every[inside]) // 7)
    with pytest.raises(ValueError, match="at least one genotype"):
        NBGraphSpace(space.operations, np.empty((0, 5), int))
