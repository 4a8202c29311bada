"""The graph convolutional network: invariances and learning."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas_gym.predictors.gcn import GCN, to_tensors
from nas_gym.spaces.graphs import Graphs, to_graphs
from nas_gym.tables import load_table


@pytest.fixture
def graphs():
    space = load_table("analog-nasbench").space
    return to_graphs(space, space.decode(np.arange(0, 400)))


@pytest.fixture
def gcn():
    torch.manual_seed(0)
    return GCN(width=32).eval()


@torch.no_grad()
def test_invariant_to_node_order_and_padding(graphs, gcn):
    expected = gcn(*to_tensors(graphs))
    order = np.append(np.random.default_rng(0).permutation(8), 8)  # the global node stays last
    shuffled = Graphs(graphs.adjacency[:, order][:, :, order], graphs.nodes[:, order])
    torch.testing.assert_close(gcn(*to_tensors(shuffled)), expected)
    padded = Graphs(
        np.pad(graphs.adjacency, ((0, 0), (2, 0), (2, 0))),
        np.pad(graphs.nodes, ((0, 0), (2, 0)), constant_values=-1),
    )
    torch.testing.assert_close(gcn(*to_tensors(padded)), expected)


@torch.no_grad()
def test_scores_differ_for_different_graphs_only(graphs, gcn):
    keys = np.concatenate([graphs.nodes, graphs.adjacency.reshape(len(graphs.nodes), -1)], axis=1)
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    scores = gcn(*to_tensors(graphs))
    torch.testing.assert_close(scores, scores[first][group.ravel()])
    # four convolutions cannot distinguish all non-isomorphic graphs
    assert len(np.unique(scores.numpy().round(6))) > 0.8 * len(first)


def test_learns_accuracy_of_cells_it_has_not_seen():
    torch.manual_seed(0)
    table = load_table("analog-nasbench")
    rng = np.random.default_rng(0)
    chosen = rng.permutation(table.space.size)[:3000]
    gather, kinds = to_tensors(to_graphs(table.space, table.space.decode(chosen)))
    accuracy = table.column("baseline_accuracy")[chosen]
    ranks = accuracy.argsort().argsort()
    targets = torch.from_numpy(ranks / len(ranks)).float() * 2 - 1
    model, seen = GCN(width=64), 1000
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(200):
        batch = torch.from_numpy(rng.integers(seen, size=128))
        loss = (model(gather[batch], kinds[batch]) - targets[batch]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = model.eval()(gather[seen:], kinds[seen:]).numpy()
    assert np.corrcoef(found.argsort().argsort(), ranks[seen:].argsort().argsort())[0, 1] > 0.85
