"""Graph convolutional network that predicts the performance of architectures from their graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas_gym.spaces.graphs import NODES, Graphs

_DIVISOR = 1.5
"""Divisor of the sums over predecessors.

A mean would lose the number of predecessors. With normalized rows of the adjacency matrix,
predictions for unseen cells are far worse."""


def to_tensors(graphs: Graphs) -> tuple[Tensor, Tensor]:
    """Return the arguments of :class:`GCN` for a batch of graphs, float32.

    Returns:
        The weights with which each node sums its predecessors and itself, ``(n, nodes, nodes)``,
        and the one-hot types of the nodes, ``(n, nodes, len(graphs.node_types))``.
    """
    nodes = torch.from_numpy(graphs.nodes)
    present = nodes >= 0
    gather = torch.from_numpy(graphs.adjacency).transpose(1, 2).float()
    gather = (gather + torch.diag_embed(present.float())) / _DIVISOR
    operations = nn.functional.one_hot(nodes.clamp(min=0), len(graphs.node_types))
    operations = operations * present[..., None]
    return gather, operations.float()


class GCN(nn.Module):
    """Predictor network of MP-NAS (Loya et al., NeurIPS 2023, Table 9).

    Graph convolutions are followed by a linear layer on the features of the global node.

    Args:
        width: Features per node in each layer.
        layers: Number of graph convolutions.
        dropout: Dropout rate after each convolution during training.
        node_types: Number of types of nodes.
    """

    def __init__(
        self,
        width: int = 600,
        layers: int = 4,
        dropout: float = 0.2,
        node_types: int = len(NODES),
    ) -> None:
        super().__init__()
        sizes = [node_types] + [width] * (layers - 1)
        self.body = nn.ModuleList([nn.Linear(size, width) for size in sizes])
        self.head = nn.Linear(width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, gather: Tensor, operations: Tensor) -> Tensor:
        """Return one score per graph, ``(n,)``; :func:`to_tensors` returns the arguments."""
        scores: Tensor = self.head(self.global_features(gather, operations))[:, 0, 0]
        return scores

    def global_features(self, gather: Tensor, operations: Tensor) -> Tensor:
        """Return the features of the global node, which is the last one, ``(n, 1, width)``."""
        features = operations
        for layer in self.body[:-1]:
            features = self._convolve(layer, gather, features)
        return self._convolve(self.body[-1], gather[:, -1:], features)

    def _convolve(self, layer: nn.Module, gather: Tensor, features: Tensor) -> Tensor:
        result: Tensor = self.dropout(torch.relu(layer(gather @ features)))
        return result
