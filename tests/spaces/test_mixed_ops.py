"""Mixed ops: what is counted, and the graphs of indices."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest

from nas_gym.spaces import NB201Space
from nas_gym.spaces.graphs import NODES, OPERATIONS, Graphs, to_graphs
from nas_gym.spaces.mixed_ops import MixedOps

NB101, NB201, NBASR = 794_700_072, 11**6, 11**9
SPACE = MixedOps()
WORDS = {"none": "zero", "skip_connect": "skip", "nor_conv_1x1": "conv1", "nor_conv_3x3": "conv3"}


def operations(graphs, row=0):
    return [NODES[node] for node in graphs.nodes[row] if node >= 0]


def compact(graphs, row):
    present = graphs.nodes[row] >= 0
    return graphs.nodes[row][present], graphs.adjacency[row][present][:, present]


def index_of(first, names):
    return first + sum(OPERATIONS.index(name) * 11**place for place, name in enumerate(names))


def count_nb101(vertices):
    """Every vertex on a path from first to last: by walks, one matrix at a time."""
    pairs = list(combinations(range(vertices), 2))
    total = 0
    for number in range(2 ** len(pairs)):
        edges = [pair for k, pair in enumerate(pairs) if number >> k & 1]
        forth, back = {0}, {vertices - 1}
        for u, v in edges:  # in the order of their sources
            forth |= {v} if u in forth else set()
        for u, v in reversed(edges):
            back |= {u} if v in back else set()
        total += len(edges) <= 9 and len(forth & back) == vertices
    return total


def test_size():
    assert SPACE.size == NB101 + NB201 + NBASR == 3_154_419_324


def test_topologies_of_nb101():
    assert [count_nb101(vertices) for vertices in range(2, 7)] == [1, 2, 10, 121, 1545]
    counts = np.bincount(SPACE._operations)
    assert counts.tolist() == [1, 2, 10, 121, 1545, 4793, 1, 0, 0, 1]
    edges = SPACE._edges.sum(axis=(1, 2))
    assert edges[:-2].max() == 9
    assert len(np.unique(SPACE._edges, axis=0)) == len(SPACE._edges)


def test_cells_of_nb201_are_as_the_search_space_encodes_them():
    space = NB201Space()
    genotypes = space.decode(np.arange(0, space.size, 7))
    words = [WORDS.get(name, "avg_pool") for name in space.choices[0]]
    indices = [index_of(NB101, [words[choice] for choice in row]) for row in genotypes]
    found, expected = SPACE.to_graphs(indices), to_graphs(space, genotypes)
    for row in range(len(genotypes)):
        for a, b in zip(compact(found, row), compact(expected, row), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_cell_of_nb_asr():
    # three operations, each followed by branches from the earlier nodes
    names = ["conv5", "zero", "linear", "zero", "skip", "conv7_d2", "skip", "zero", "zero"]
    graphs = SPACE.to_graphs(index_of(NB101 + NB201, names))
    kept = ["conv5", "linear", "skip", "conv7_d2", "skip"]
    assert operations(graphs) == ["input", *kept, "output", "global"]
    _, adjacency = compact(graphs, 0)
    edges = {tuple(edge) for edge in np.argwhere(adjacency[:-1, :-1]).tolist()}
    assert edges == {(0, 1), (0, 5), (1, 2), (1, 3), (2, 4), (3, 4), (4, 6), (5, 6)}


def test_first_and_last():
    graphs = SPACE.to_graphs([0, NB101 - 1, NB101 + NB201 - 1, SPACE.size - 1])
    assert operations(graphs, 0) == ["input", "output", "global"]
    assert graphs.adjacency[0, 0, -2]  # input straight to output
    for row in (2, 3):  # all zero
        assert operations(graphs, row) == ["input", "output", "global"]
        assert graphs.adjacency[row].sum() == 2


def test_topology_without_zeros_keeps_all_its_operations():
    ends = np.array([0, *SPACE._ends[:-1]])
    graphs = SPACE.to_graphs(ends)  # conv1 everywhere
    np.testing.assert_array_equal((graphs.nodes >= 0).sum(axis=1), SPACE._operations + 3)
    np.testing.assert_array_equal(graphs.adjacency[:, :-1, :-1], SPACE._edges)


def test_graphs_of_different_indices_differ_where_nothing_is_left_out():
    indices = SPACE.sample(5000, np.random.default_rng(1))
    indices = np.unique(np.concatenate([indices, np.arange(3000)]))
    graphs = SPACE.to_graphs(indices)
    operations = SPACE._operations[np.searchsorted(SPACE._ends, indices, side="right")]
    whole = (graphs.nodes >= 0).sum(axis=1) == operations + 3
    keys = np.concatenate([graphs.nodes, graphs.adjacency.reshape(len(indices), -1)], axis=1)
    assert whole.sum() > 3000
    assert len(np.unique(keys[whole], axis=0)) == whole.sum()


def test_graphs_of_samples():
    indices = SPACE.sample(5000, np.random.default_rng(0))
    graphs = SPACE.to_graphs(indices)
    assert isinstance(graphs, Graphs)
    assert (graphs.adjacency.dtype, graphs.nodes.dtype) == (np.dtype(bool), np.dtype(np.int64))
    assert graphs.adjacency.shape == (5000, 12, 12)
    assert not np.tril(graphs.adjacency).any()
    kept = graphs.nodes >= 0
    assert not (graphs.adjacency & ~(kept[:, :, None] & kept[:, None])).any()
    assert graphs.adjacency[:, :-1, 1:-2].any(axis=1)[kept[:, 1:-2]].all()
    assert graphs.adjacency[:, 1:-2, 1:-1].any(axis=2)[kept[:, 1:-2]].all()
    assert not (graphs.nodes == NODES.index("zero")).any()


def test_samples_are_uniform():
    indices = SPACE.sample(20_000, np.random.default_rng(0))
    assert indices.dtype == np.int64
    assert 0 <= indices.min() <= indices.max() < SPACE.size
    parts = np.bincount(indices * 10 // SPACE.size, minlength=10)
    assert abs(parts - 2000).max() < 5 * 2000**0.5
    np.testing.assert_array_equal(indices, SPACE.sample(20_000, np.random.default_rng(0)))


def test_bad_indices():
    for index in (-1, SPACE.size):
        with pytest.raises(IndexError, match=rf"0 to {SPACE.size - 1}, got"):
            SPACE.to_graphs([index])
    with pytest.raises(TypeError, match="integers"):
        SPACE.to_graphs([0.5])


def test_none_at_all():
    graphs = SPACE.to_graphs(np.zeros(0, np.int64))
    assert graphs.adjacency.shape == (0, 12, 12)
    assert graphs.nodes.shape == (0, 12)


def test_needs_no_torch():
    code = "import sys, nas_gym.spaces.mixed_ops; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
