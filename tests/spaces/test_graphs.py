"""Unified graphs: nodes that remain, and nodes that are removed."""

from __future__ import annotations

import numpy as np
import pytest

from nas_gym.spaces import CategoricalSpace, NB201Space, NBGraphSpace
from nas_gym.spaces.graphs import NODES, graph_node_types, to_graphs

SPACE = NB201Space()


def kept_operations(genotype):
    graphs = to_graphs(SPACE, [genotype])
    return [NODES[node] for node in graphs.nodes[0] if node >= 0]


def test_fourteen_kinds_of_nodes():
    assert len(NODES) == 14


def test_a_whole_cell():
    # 0->1 conv1, 0->2 skip, 1->2 pool, 0->3 conv3, 1->3 conv3, 2->3 skip
    genotype = [2, 1, 4, 3, 3, 1]
    graphs = to_graphs(SPACE, [genotype])
    names = ["input", "conv1", "skip", "avg_pool", "conv3", "conv3", "skip", "output", "global"]
    assert [NODES[node] for node in graphs.nodes[0]] == names
    edges = {tuple(edge) for edge in np.argwhere(graphs.adjacency[0]).tolist()}
    inside = {(0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 6), (3, 6), (4, 7), (5, 7), (6, 7)}
    assert edges == inside | {(node, 8) for node in range(8)}


def test_unused_nodes_are_removed():
    ends = ["input", "output", "global"]
    assert kept_operations([0, 0, 0, 0, 0, 0]) == ends
    # into node 1, which leads nowhere
    assert kept_operations([3, 0, 0, 0, 0, 0]) == ends
    # from node 2, which nothing leads into
    assert kept_operations([0, 0, 0, 0, 0, 3]) == ends
    assert kept_operations([3, 0, 0, 1, 0, 2]) == ["input", "skip", "output", "global"]


def test_remaining_nodes_lie_on_paths():
    graphs = to_graphs(SPACE, SPACE.decode(np.arange(SPACE.size)))
    kept = graphs.nodes >= 0
    edges = graphs.adjacency
    assert not (edges & ~(kept[:, :, None] & kept[:, None])).any()
    assert not np.diagonal(edges, axis1=1, axis2=2).any()
    inner = kept[:, 1:-2]
    assert edges[:, :-1, 1:-2].any(axis=1)[inner].all()  # something leads into each operation
    assert edges[:, 1:-2, 1:-1].any(axis=2)[inner].all()  # and each leads somewhere
    np.testing.assert_array_equal(edges[:, :-1, -1], kept[:, :-1])


def test_number_of_different_graphs():
    graphs = to_graphs(SPACE, SPACE.decode(np.arange(SPACE.size)))
    keys = np.concatenate([graphs.nodes, graphs.adjacency.reshape(SPACE.size, -1)], axis=1)
    assert len(np.unique(keys, axis=0)) == 9445  # as the literature on predictors counts them


def test_other_operations_are_types_of_nodes_of_their_own():
    space = CategoricalSpace([("conv", "pool"), ("conv", "gelu", "tanh")], ["first", "second"])
    graphs = to_graphs(space, [[1, 0], [0, 2]])
    own = ("first=conv", "first=pool", "second=conv", "second=gelu", "second=tanh")
    assert graphs.node_types == graph_node_types(space) == ("input", "output", "global", *own)
    names = [[graphs.node_types[node] for node in row] for row in graphs.nodes]
    assert names[0] == ["input", "first=pool", "second=conv", "output", "global"]
    assert names[1] == ["input", "first=conv", "second=tanh", "output", "global"]
    edges = {tuple(edge) for edge in np.argwhere(graphs.adjacency[0]).tolist()}
    assert edges == {(0, 1), (1, 2), (2, 3), (0, 4), (1, 4), (2, 4), (3, 4)}
    assert graph_node_types(SPACE) is NODES


def test_graphs_without_input_are_refused():
    class Endless(CategoricalSpace):
        node_labels = ("begin", "output", "op")

    with pytest.raises(ValueError, match="have no node input"):
        to_graphs(Endless([("a", "b")]), [[0]])


def test_operations_of_graph_networks_stay_distinct():
    space = NBGraphSpace()
    everything = to_graphs(space, space.decode(np.arange(space.size)))
    assert len({NODES[node] for node in np.unique(everything.nodes) if node >= 0}) == 3 + 9
    # skip is read as NAS-Bench-201's; two operations that both read the input, side by side
    (graphs,) = [to_graphs(space, space.from_text(["[0,0,1,2] skip gcn gat fc"]))]
    names = [NODES[node] for node in graphs.nodes[0]]
    assert names == ["input", "skip", "conv3", "max_pool", "conv1", "output", "global"]
    edges = set(map(tuple, np.argwhere(graphs.adjacency[0]).tolist()))
    assert {(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5)} <= edges
