"""Network of NAS-Bench-201, as a supernet or for one architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, cast

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from nas_gym.networks.layers import LAYERS, Reduction, convolution, relu_conv_norm
from nas_gym.networks.network import Network
from nas_gym.spaces import NB201Space
from nas_gym.spaces.nb201 import EDGES, OPERATIONS

_NONE = OPERATIONS.index("none")
_LAYERS = LAYERS[2]


class NB201Network(Network):
    """Network of three stages of NAS-Bench-201 cells (Dong and Yang, ICLR 2020, section 2.1).

    The network begins with a 3x3 convolution. Each stage has ``cells`` cells. The second and third
    stages begin with a residual block that halves the resolution and doubles the channels. The
    network ends with batch norm, ReLU, global average pooling and a linear layer. Parameters and
    FLOPs equal the results of :mod:`nas_gym.spaces.nb201_cost`.

    Alpha is a matrix of 6 edges by 5 operations, flattened row by row. ``scales`` has one factor
    per edge, ``(6,)``.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.
        channels: Channels of the first stage.
        cells: Cells per stage.
        genotype: Architecture, ``(6,)``; ``None`` builds a supernet.

    Example:
        >>> supernet = NB201Network(num_classes=10, channels=4, cells=1)
        >>> supernet(torch.zeros(2, 3, 32, 32), genotype=[3, 1, 2, 0, 4, 3]).shape
        torch.Size([2, 10])
    """

    alpha_shape = (len(EDGES), len(OPERATIONS))
    scales_shape = (len(EDGES),)

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        channels: int = 16,
        cells: int = 5,
        genotype: ArrayLike | None = None,
    ) -> None:
        settings: dict[str, Any] = {
            "num_classes": num_classes,
            "in_channels": in_channels,
            "channels": channels,
            "cells": cells,
        }
        super().__init__(NB201Space(), genotype, settings)
        widths = (channels, 2 * channels, 4 * channels)
        self.stem = nn.Sequential(
            convolution(_LAYERS, in_channels, channels, 3), _LAYERS.norm(channels)
        )
        self.blocks = nn.ModuleList()
        for stage, width in enumerate(widths):
            if stage:
                self.blocks.append(Reduction(_LAYERS, widths[stage - 1], width))
            self.blocks.extend(_Cell(width, self.genotype) for _ in range(cells))
        self.norm = nn.Sequential(_LAYERS.norm(widths[-1]), nn.ReLU())
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(
        self, images: Tensor, genotype: ArrayLike | None = None, scales: Tensor | None = None
    ) -> Tensor:
        """Return the logits of one architecture; see :meth:`Network.forward`."""
        choices = self.resolve_genotype(genotype)
        return self._classify(images, lambda cell, inputs: cell(inputs, choices, scales))

    def forward_mixed(self, images: Tensor, alpha: Tensor) -> Tensor:
        """Return the logits of the mixture; see :meth:`Network.forward_mixed`."""
        weights = self.check_alpha(alpha)
        return self._classify(images, lambda cell, inputs: cell.mix(inputs, weights))

    def _classify(self, images: Tensor, run: Callable[[_Cell, Tensor], Tensor]) -> Tensor:
        self.check_images(images)
        values = self.stem(images)
        for block in self.blocks:
            values = run(block, values) if isinstance(block, _Cell) else block(values)
        logits: Tensor = self.head(self.norm(values).mean(dim=(2, 3)))
        return logits


class _Cell(nn.Module):
    """Cell with the candidate operations of each edge; maps ``(n, width, h, w)`` to that shape."""

    def __init__(self, width: int, genotype: Sequence[int] | None) -> None:
        super().__init__()
        choices = [range(len(OPERATIONS))] * len(EDGES)
        candidates = choices if genotype is None else [[choice] for choice in genotype]
        self.edges = nn.ModuleList(
            nn.ModuleDict({OPERATIONS[o]: _operation(o, width) for o in edge if o != _NONE})
            for edge in candidates
        )

    def forward(self, inputs: Tensor, choices: Sequence[int], scales: Tensor | None) -> Tensor:
        live = _live_edges(choices)

        def chosen(edge: int, values: Tensor) -> Tensor | None:
            if edge not in live:
                return None
            result: Tensor = self._operation(edge, choices[edge])(values)
            return result if scales is None else result * scales[edge].to(result.dtype)

        return self._run(inputs, chosen)

    def mix(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """Return the output of the cell with all operations, weighted by ``(6, 5)`` weights."""

        def mixed(edge: int, values: Tensor) -> Tensor:
            terms = (
                self._operation(edge, o)(values) * weights[edge, o].to(values.dtype)
                for o in range(len(OPERATIONS))
                if o != _NONE
            )
            total: Tensor = reduce(torch.add, terms)
            return total

        return self._run(inputs, mixed)

    def _operation(self, edge: int, operation: int) -> nn.Module:
        return cast(nn.ModuleDict, self.edges[edge])[OPERATIONS[operation]]

    def _run(self, inputs: Tensor, operate: Callable[[int, Tensor], Tensor | None]) -> Tensor:
        """Return the output of the last node; a node is the sum of its incoming edges."""
        nodes = [inputs]
        for node in range(1, 4):
            edges = [(e, source) for e, (source, target) in enumerate(EDGES) if target == node]
            outputs = [operate(edge, nodes[source]) for edge, source in edges]
            terms = [output for output in outputs if output is not None]
            nodes.append(reduce(torch.add, terms) if terms else torch.zeros_like(inputs))
        return nodes[-1]


def _live_edges(choices: Sequence[int]) -> set[int]:
    """Return the edges on a path to the output of the cell; other edges need no computation."""
    needed, live = {3}, set()
    for edge, (source, target) in reversed(list(enumerate(EDGES))):
        if target in needed and choices[edge] != _NONE:
            live.add(edge)
            needed.add(source)
    return live


def _operation(operation: int, width: int) -> nn.Module:
    name = OPERATIONS[operation]
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return _LAYERS.avg_pool(3, stride=1, padding=1, count_include_pad=False)
    return relu_conv_norm(_LAYERS, width, width, {"nor_conv_1x1": 1, "nor_conv_3x3": 3}[name])
