"""The cells of TransNAS-Bench-101 micro, NAS-Bench-ASR and NAS-Bench-101."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from nas_gym import import_table, tables
from nas_gym.agents import MPNAS, RegularizedEvolution
from nas_gym.evaluators.graphs import NODES, to_graphs
from nas_gym.spaces import NB101Space, NB201Space, NBASRSpace, TransNASSpace

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
        "part": NBASRSpace(NBASRSpace().decode(np.arange(0, 13_824, 31)), "part"),
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
    assert NBASRSpace().size == 6**3 * 2**6 == 13_824


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
    assert names == ["input", "conv3", "conv1", "output", "global"]
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


def test_cells_that_nas_bench_101_forbids():
    apart = NB101Space.parse(["[[0, 1, 0], [0, 0, 0], [0, 0, 0]] input,maxpool3x3,output"])
    with pytest.raises(ValueError, match="does not lead"):
        NB101Space(apart)
    full = np.triu(np.ones((5, 5), int), 1).tolist()
    operations = ",".join(["input", *["maxpool3x3"] * 3, "output"])
    with pytest.raises(ValueError, match="10 edges"):
        NB101Space(NB101Space.parse([f"{full} {operations}"]))
    with pytest.raises(ValueError, match="at least one genotype"):
        NB101Space(np.zeros((0, 26), int))


@pytest.mark.parametrize("name", ["TransNAS", "NBASR", "NB101"])
def test_a_table_of_ones_own_is_imported_and_searched(name, cache, tmp_path):
    space = spaces()[name]
    rows = np.arange(0, space.size, max(1, space.size // 60))
    texts = space.to_text(space.decode(rows))
    lines = [f'"{text}",{50 + row % 17}' for row, text in zip(rows, texts, strict=True)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["arch,accuracy", *lines]))
    ids = import_table(path, "mine")
    found = tables.load("mine").space
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
