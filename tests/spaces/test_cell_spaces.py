"""The cells of TransNAS-Bench-101 micro, NAS-Bench-ASR and NAS-Bench-101."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from nas_gym import import_table, tables
from nas_gym.agents import MPNAS, RegularizedEvolution
from nas_gym.spaces import NB101Space, NB201Space, NBASRSpace, TransNASSpace
from nas_gym.spaces.graphs import NODES, to_graphs

CELLS_101 = [
    "[[0, 1], [0, 0]] input,output",
    "[[0, 1, 1], [0, 0, 1], [0, 0, 0]] input,maxpool3x3,output",
    "[[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]] "
    "input,conv3x3-bn-relu,conv1x1-bn-relu,output",
    "[[0, 1, 0, 0, 0, 0, 1], [0, 0, 1, 0, 0, 0, 1], [0, 0, 0, 1, 0, 0, 1], [0, 0, 0, 0, 1, 0, 0], "
    "[0, 0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0]] "
    "input,conv3x3-bn-relu,conv3x3-bn-relu,maxpool3x3,conv1x1-bn-relu,conv1x1-bn-relu,output",
]


def spaces():
    return {
        "TransNAS": TransNASSpace(),
        "NBASR": NBASRSpace(),
        "NB101": NB101Space(NB101Space.parse(CELLS_101)),
        "part": NBASRSpace(NBASRSpace().decode(np.arange(0, 8242, 31)), "part"),
    }


@pytest.mark.parametrize("name", spaces())
def test_genotypes_indices_and_texts_are_one(name):
    space = spaces()[name]
    indices = np.arange(space.size)
    genotypes = space.decode(indices)
    np.testing.assert_array_equal(space.encode(genotypes), indices)
    texts = space.to_text(genotypes)
    assert len(set(texts)) == space.size
    np.testing.assert_array_equal(space.from_text(texts), genotypes)
    assert space.contains(genotypes).all()
    assert space.contains(space.sample(50, np.random.default_rng(0))).all()
    assert space.contains(space.mutate(genotypes, np.random.default_rng(0))).all()


def test_sizes():
    assert TransNASSpace().size == 4**6 == 4096
    assert NBASRSpace().num_choices.prod() == 6**3 * 2**6 == 13_824
    assert NBASRSpace().size == 8242


def test_nas_bench_asr_takes_some_for_the_same():
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
def test_cells_of_nas_bench_asr_that_are_one(first, second, same):
    space = NBASRSpace()
    one, other = space.encode(space.from_text([first, second]))
    assert (one == other) == same
    part = NBASRSpace(space.from_text([first]), "part")
    assert part.size == 1
    assert part.contains(space.from_text([second])).tolist() == [same]


def names_of(space, text):
    graphs = to_graphs(space, space.from_text([text]))
    kept = graphs.nodes[0] >= 0
    names = [NODES[node] for node in graphs.nodes[0][kept]]
    edges = np.argwhere(graphs.adjacency[0][kept][:, kept]).tolist()
    return names, {tuple(edge) for edge in edges if edge[1] < len(names) - 1}


def test_transnas_is_nas_bench_201_without_pooling():
    transnas, nb201 = TransNASSpace(), NB201Space()
    genotypes = transnas.decode(np.arange(4096))
    for ours, theirs in zip(
        (to_graphs(transnas, genotypes).__dict__.values()),
        (to_graphs(nb201, genotypes).__dict__.values()),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_cell_of_nas_bench_asr():
    # linear, then conv5 with a skip from the input, then nothing but a skip from node 1
    names, edges = names_of(NBASRSpace(), "[[0, 0], [1, 1, 0], [5, 0, 1, 0]]")
    assert names == ["input", "linear", "skip", "output", "global"]
    assert edges == {(0, 1), (1, 2), (2, 3)}
    names, _ = names_of(NBASRSpace(), "[[4, 1], [2, 0, 0], [3, 1, 0, 0]]")
    assert names == ["input", "conv7_d2", "skip", "conv5_d2", "conv7", "skip", "output", "global"]


def test_a_cell_of_nas_bench_101():
    space = NB101Space(NB101Space.parse(CELLS_101))
    names, edges = names_of(space, CELLS_101[2])
    assert names == ["input", "conv1", "conv3", "output", "global"]  # in canonical order
    assert edges == {(0, 1), (0, 2), (1, 3), (2, 3)}
    names, edges = names_of(space, CELLS_101[3])
    assert names[1:6] == ["conv3", "conv3", "max_pool", "conv1", "conv1"]
    assert len(edges) == 9


@pytest.mark.parametrize(
    ("space", "text"),
    [
        (TransNASSpace, "64-41414-1_02_334"),
        (TransNASSpace, "64-41414-1_02_33"),
        (NBASRSpace, "[[6, 0], [0, 0, 0], [0, 0, 0, 0]]"),
        (NBASRSpace, "[[0, 2], [0, 0, 0], [0, 0, 0, 0]]"),
        (NBASRSpace, "[[0, 0], [0, 0], [0, 0, 0, 0]]"),
        (NBASRSpace, "[0, 0]"),
        (NBASRSpace, "linear"),
    ],
)
def test_texts_that_are_no_cells(space, text):
    with pytest.raises(ValueError, match="Expected"):
        space().from_text([text])


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
def test_texts_that_are_no_cells_of_nas_bench_101(text, message):
    with pytest.raises(ValueError, match=message):
        NB101Space.parse([text])


FULL = np.triu(np.ones((5, 5), int), 1).tolist()


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("[[0, 1, 0], [0, 0, 0], [0, 0, 0]] input,maxpool3x3,output", 0),
        (f"{FULL} input,maxpool3x3,maxpool3x3,maxpool3x3,output", 10),
    ],
)
def test_cells_that_nas_bench_101_forbids(text, edges):
    with pytest.raises(ValueError, match=rf"maxpool3x3,output is not a cell .* it has {edges}"):
        NB101Space.parse([CELLS_101[0], text])


def test_genotypes_that_nas_bench_101_forbids():
    cells = NB101Space.parse(CELLS_101)
    cells[1] = 0
    with pytest.raises(ValueError, match=r"\[0 0 .* it has 0"):
        NB101Space(cells)
    with pytest.raises(ValueError, match="at least one genotype"):
        NB101Space(np.zeros((0, 26), int))


def test_isomorphic_cells_of_nas_bench_101_are_one():
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


def test_prefixes_of_nas_bench_101_lead_to_its_cells_only():
    space = spaces()["NB101"]
    nodes = np.zeros(1, np.int64)
    for depth in range(space.num_decisions):
        node, choice = np.nonzero(space.prefix_masks(depth, nodes))
        nodes = space.extend(depth, nodes[node], choice)
    genotypes = space.decode_prefixes(space.num_decisions, nodes)
    np.testing.assert_array_equal(genotypes, space.decode(np.arange(space.size)))
    neighbors, valid = space.neighbors(genotypes)
    np.testing.assert_array_equal(space.contains(neighbors.reshape(-1, 26)), valid.reshape(-1))


@pytest.mark.parametrize("name", ["TransNAS", "NBASR", "NB101"])
def test_a_table_of_ones_own_is_imported_and_searched(name, cache, tmp_path):
    space = spaces()[name]
    rows = np.arange(0, space.size, max(1, space.size // 60))
    texts = space.to_text(space.decode(rows))
    lines = [f'"{text}",{50 + row % 17}' for row, text in zip(rows, texts, strict=True)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["arch,accuracy", *lines]))
    ids = import_table(path, "mine")
    found = tables.load_table("mine").space
    assert type(found) is type(space)
    assert found.size == len(rows)
    assert found.to_text(found.decode(found.encode(found.from_text(texts)))) == texts
    for env_id in ids:
        agent = RegularizedEvolution(env_id, seed=0, population_size=5, sample_size=2)
        while agent.num_queries < 10:
            agent.query()
    envs = gym.make_vec(ids[0], num_envs=1)
    agent = MPNAS(envs, 0, width=8, layers=2, num_candidates=20)
    for _ in range(5):
        agent.query()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([CELLS_101[1], CELLS_101[0], CELLS_101[1]], "data rows 1 and 3 are the same"),
        (
            [CELLS_101[1], "[[0, 1, 0], [0, 0, 0], [0, 0, 0]] input,maxpool3x3,output"],
            "data row 2, column 'arch'.*it has 0",
        ),
        (
            ["[[5, 0], [1, 0, 0], [2, 0, 0, 0]]", "[[1, 0], [2, 0, 0], [5, 0, 0, 0]]"],
            "data rows 1 and 2 are the same",
        ),
        (["64-41414-1_02_333", "64-41414-1_02_334"], "data row 2, column 'arch'"),
    ],
)
def test_rows_of_a_file_that_are_no_table(texts, message, cache, tmp_path):
    path = tmp_path / "mine.csv"
    rows = "\n".join(f'"{text}",{row}' for row, text in enumerate(texts))
    path.write_text(f"arch,accuracy\n{rows}")
    with pytest.raises(ValueError, match=message):
        import_table(path, "mine")


def test_a_file_of_all_of_nas_bench_asr_is_the_whole_space(cache, tmp_path):
    space = NBASRSpace()
    texts = space.to_text(space.decode(np.arange(space.size)))
    path = tmp_path / "mine.csv"
    rows = "\n".join(f'"{text}",{row}' for row, text in enumerate(texts))
    path.write_text(f"arch,accuracy\n{rows}")
    import_table(path, "mine")
    table = tables.load_table("mine")
    assert table.space.tree is None
    np.testing.assert_array_equal(table.column("accuracy"), np.arange(8242))
