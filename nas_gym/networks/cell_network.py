"""The network that a cell is trained in, whatever search space the cell is from.

MP-NAS (Loya et al., NeurIPS 2023), appendix A, "Macro Architecture".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas_gym.networks.layers import LAYERS, Layers, Reduction, convolution, relu_conv_norm
from nas_gym.spaces.graphs import NODES, OPERATIONS

_CONVOLUTIONS = {
    "conv1": (1, 1),
    "conv3": (3, 1),
    "conv5": (5, 1),
    "conv5_d2": (5, 2),
    "conv7": (7, 1),
    "conv7_d2": (7, 2),
}
"""Kernel size and dilation."""

_AXES = {1: "length", 2: "height, width"}


class CellNetwork(nn.Module):
    """A classifier of stacked copies of one cell.

    A stem (convolution of 3, batch norm); a stack of cells for each number of channels, with a
    residual block between two that halves the resolution, as in NAS-Bench-201; batch norm, ReLU,
    the mean over all positions, and a linear layer.

    In a cell, each node sums what its predecessors give it; an output that has none is zero.
    Operations keep the resolution and the number of channels:

    - convolutions are ReLU, convolution without bias, batch norm;
    - ``linear`` is a fully connected layer over the channels of each position, then ReLU, as in
      NAS-Bench-ASR;
    - pools have a window of 3; a mean is over what lies inside the input, as in NAS-Bench-201;
    - ``skip`` is the identity.

    Args:
        adjacency: the edges of the cell, ``(nodes, nodes)`` bool. This and ``nodes`` are a row of
            :class:`nas_gym.spaces.graphs.Graphs`, as ``to_graphs`` gives it: edges lead from
            earlier to later nodes, from the input to the output, and ``zero`` is left out.
        nodes: what the nodes are, ``(nodes,)`` indices of
            :data:`nas_gym.spaces.graphs.NODES`; -1 for none.
        in_channels: of the inputs.
        num_classes: logits for each input.
        dims: 1 for sequences, 2 for images.
        channels: of each stack.
        cells: in each stack.

    Raises:
        ValueError: other ``dims``, or a graph that is not as described.
    """

    def __init__(
        self,
        adjacency: NDArray[np.bool_],
        nodes: NDArray[np.int64],
        in_channels: int,
        num_classes: int,
        dims: int = 2,
        channels: Sequence[int] = (16, 32, 64),
        cells: int = 5,
    ) -> None:
        super().__init__()
        if dims not in LAYERS:
            raise ValueError(f"dims is 1 or 2, got {dims}.")
        names, sources = _read(adjacency, nodes)
        layers = LAYERS[dims]
        blocks = [convolution(layers, in_channels, channels[0], 3), layers.norm(channels[0])]
        for before, width in zip([None, *channels], channels, strict=False):
            if before is not None:
                blocks.append(Reduction(layers, before, width))
            blocks += [_Cell(layers, names, sources, width) for _ in range(cells)]
        self.body = nn.Sequential(*blocks, layers.norm(channels[-1]), nn.ReLU())
        self.head = nn.Linear(channels[-1], num_classes)
        self.in_channels, self.dims = in_channels, dims

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, ``(n, num_classes)``.

        Inputs are ``(n, in_channels, length)`` or ``(n, in_channels, height, width)``, of floating
        point and of any resolution.

        Raises:
            TypeError: not floating point.
            ValueError: another shape, or NaN or infinite numbers.
        """
        self._check(inputs)
        logits: Tensor = self.head(self.body(inputs).flatten(2).mean(dim=2))
        return logits

    def _check(self, inputs: Tensor) -> None:
        if inputs.ndim != self.dims + 2 or inputs.shape[1] != self.in_channels:
            raise ValueError(
                f"Inputs have shape (n, {self.in_channels}, {_AXES[self.dims]}), "
                f"got {tuple(inputs.shape)}."
            )
        if not inputs.is_floating_point():
            raise TypeError(f"Inputs are of floating point, got {inputs.dtype}.")
        if not torch.isfinite(inputs).all():
            raise ValueError("Inputs hold NaN or infinite numbers.")


class _Cell(nn.Module):
    """The layers of a cell, ``(n, width, ...)`` -> the same shape."""

    def __init__(
        self, layers: Layers, names: list[str], sources: list[list[int]], width: int
    ) -> None:
        super().__init__()
        self.operations = nn.ModuleList([_operation(layers, name, width) for name in names])
        self.sources = sources

    def forward(self, inputs: Tensor) -> Tensor:
        values = [inputs]
        for operation, sources in zip(self.operations, self.sources, strict=True):
            terms = [values[source] for source in sources]
            total = reduce(torch.add, terms) if terms else torch.zeros_like(inputs)
            values.append(operation(total))
        return values[-1]


def _read(
    adjacency: NDArray[np.bool_], nodes: NDArray[np.int64]
) -> tuple[list[str], list[list[int]]]:
    """What the nodes after the input are, and the numbers of each's predecessors; the input's is 0.

    Raises:
        ValueError: a graph that is not as :class:`CellNetwork` describes it.
    """
    if nodes.ndim != 1 or adjacency.shape != (len(nodes), len(nodes)):
        raise ValueError(
            "A cell has an adjacency of shape (nodes, nodes) and nodes of shape (nodes,), "
            f"got {adjacency.shape} and {nodes.shape}."
        )
    kept = np.flatnonzero((nodes >= 0) & (nodes != NODES.index("global")))
    names = [NODES[node] for node in nodes[kept]]
    inside = {*OPERATIONS} - {"zero"}
    if names[:1] != ["input"] or names[-1:] != ["output"] or not inside.issuperset(names[1:-1]):
        raise ValueError(
            "The nodes of a cell are input, operations other than zero, and output, in this order, "
            f"got {', '.join(names)}."
        )
    edges = adjacency[kept][:, kept]
    if np.tril(edges).any():
        raise ValueError("The edges of a cell lead from earlier to later nodes.")
    return names[1:], [np.flatnonzero(column).tolist() for column in edges.T[1:]]


def _operation(layers: Layers, name: str, width: int) -> nn.Module:
    if name in _CONVOLUTIONS:
        return relu_conv_norm(layers, width, width, *_CONVOLUTIONS[name])
    if name == "linear":
        return nn.Sequential(layers.conv(width, width, 1), nn.ReLU())
    if name == "avg_pool":
        return layers.avg_pool(3, stride=1, padding=1, count_include_pad=False)
    if name == "max_pool":
        return layers.max_pool(3, stride=1, padding=1)
    return nn.Identity()  # skip, and the output
