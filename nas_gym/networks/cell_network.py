"""Network of a cell that is given as a graph, from any search space.

The network follows "Macro Architecture" in appendix A of the MP-NAS paper (Loya et al., NeurIPS
2023).
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
"""Kernel size and dilation of each convolution."""

_AXES = {1: "length", 2: "height, width"}


class CellNetwork(nn.Module):
    """Classifier of stacked copies of one cell.

    The network begins with a convolution of kernel size 3 and batch norm. A stack of cells follows
    for each number of channels. Between two stacks, a residual block halves the resolution, as in
    NAS-Bench-201. The network ends with batch norm, ReLU, global average pooling and a linear
    layer.

    Each node of a cell sums the outputs of its predecessors and applies its operation. A node
    without predecessors gets zeros. Operations keep the resolution and the number of channels:

    - A convolution consists of ReLU, convolution without bias, and batch norm.
    - ``linear`` is a fully connected layer over the channels of each position, followed by ReLU, as
      in NAS-Bench-ASR.
    - Pooling has a window of 3; average pooling excludes the padding, as in NAS-Bench-201.
    - ``skip`` is the identity.

    Args:
        adjacency: Edges of the cell, ``(nodes, nodes)`` bool. ``adjacency`` and ``nodes`` are a row
            of :class:`nas_gym.spaces.graphs.Graphs`, as ``to_graphs`` returns it: edges lead from
            earlier to later nodes, from the input to the output, and there is no ``zero`` node.
        nodes: Operation of each node, ``(nodes,)`` int64, an index into
            :data:`nas_gym.spaces.graphs.NODES`; -1 for absent nodes.
        in_channels: Channels of the inputs.
        num_classes: Number of classes.
        dims: Number of spatial dimensions: 1 for sequences, 2 for images.
        channels: Channels of each stack.
        cells: Cells per stack.

    Raises:
        ValueError: If ``dims`` is neither 1 nor 2, or if the graph is not a cell as described.

    Example:
        >>> from nas_gym.spaces import NBASRSpace
        >>> from nas_gym.spaces.graphs import to_graphs
        >>> space = NBASRSpace()
        >>> graphs = to_graphs(space, space.decode([1234]))
        >>> network = CellNetwork(
        ...     graphs.adjacency[0], graphs.nodes[0], in_channels=1, num_classes=3, dims=1
        ... )
        >>> network(torch.zeros(4, 1, 64)).shape
        torch.Size([4, 3])
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
        names, sources = _parse_cell(adjacency, nodes)
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
        """Return logits, ``(n, num_classes)``.

        Args:
            inputs: Inputs of any resolution, ``(n, in_channels, length)`` or
                ``(n, in_channels, height, width)``, floating point.

        Raises:
            TypeError: If the inputs are not floating point.
            ValueError: If the inputs have a wrong shape, or contain NaN or infinite values.
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
            raise TypeError(f"Inputs must be floating point, got {inputs.dtype}.")
        if not torch.isfinite(inputs).all():
            raise ValueError("Inputs hold NaN or infinite values.")


class _Cell(nn.Module):
    """One cell, which maps ``(n, width, ...)`` to the same shape."""

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


def _parse_cell(
    adjacency: NDArray[np.bool_], nodes: NDArray[np.int64]
) -> tuple[list[str], list[list[int]]]:
    """Return the operation and the predecessors of every node after the input.

    Predecessors are node numbers; the input is node 0.

    Raises:
        ValueError: If the graph is not a cell as :class:`CellNetwork` describes it.
    """
    if nodes.ndim != 1 or adjacency.shape != (len(nodes), len(nodes)):
        raise ValueError(
            "A cell has an adjacency of shape (nodes, nodes) and nodes of shape (nodes,), "
            f"got {adjacency.shape} and {nodes.shape}."
        )
    present = np.flatnonzero((nodes >= 0) & (nodes != NODES.index("global")))
    names = [NODES[node] for node in nodes[present]]
    inside = {*OPERATIONS} - {"zero"}
    if names[:1] != ["input"] or names[-1:] != ["output"] or not inside.issuperset(names[1:-1]):
        raise ValueError(
            "The nodes of a cell are input, operations other than zero, and output, in this order, "
            f"got {', '.join(names)}."
        )
    edges = adjacency[present][:, present]
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
    return nn.Identity()  # "skip" and "output"
