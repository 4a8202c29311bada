"""A graph convolutional network that predicts how architectures perform, from their graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas_gym.spaces.graphs import NODES, Graphs

_SCALE = 1.5
"""What sums over neighbours are divided by. A mean would forget how many there are: with rows of
the adjacency normalised, predictions of cells not learned from are far worse."""


def to_tensors(graphs: Graphs) -> tuple[Tensor, Tensor]:
    """What :class:`GCN` takes: how nodes gather, ``(n, nodes, nodes)``, and what they are, one-hot,
    ``(n, nodes, 14)``; float32 both.

    A node gathers from those that lead to it, and from itself.
    """
    nodes = torch.from_numpy(graphs.nodes)
    present = nodes >= 0
    gather = torch.from_numpy(graphs.adjacency).transpose(1, 2).float()
    gather = (gather + torch.diag_embed(present.float())) / _SCALE
    kinds = nn.functional.one_hot(nodes.clamp(min=0), len(NODES)) * present[..., None]
    return gather, kinds.float()


class GCN(nn.Module):
    """MP-NAS's predictor (Loya et al., NeurIPS 2023, Table 9): graph convolutions, of which the
    global node's features are read out.

    Args:
        width: features of a node in each layer.
        layers: graph convolutions.
        dropout: share of features dropped after each of them while training.
    """

    def __init__(self, width: int = 600, layers: int = 4, dropout: float = 0.2) -> None:
        super().__init__()
        sizes = [len(NODES)] + [width] * (layers - 1)
        self.body = nn.ModuleList([nn.Linear(size, width) for size in sizes])
        self.head = nn.Linear(width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, gather: Tensor, kinds: Tensor) -> Tensor:
        """A number for each graph, ``(n,)``; arguments as :func:`to_tensors` gives them."""
        features = kinds
        for layer in self.body[:-1]:
            features = self._convolve(layer, gather, features)
        # the global node is the last, and all that is read of the last layer
        whole = self._convolve(self.body[-1], gather[:, -1:], features)
        scores: Tensor = self.head(whole)[:, 0, 0]
        return scores

    def _convolve(self, layer: nn.Module, gather: Tensor, features: Tensor) -> Tensor:
        result: Tensor = self.dropout(torch.relu(layer(gather @ features)))
        return result
