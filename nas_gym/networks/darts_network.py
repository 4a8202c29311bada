"""Networks of DARTS: the supernet, also in the form of PC-DARTS, and networks trained from
scratch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any, cast

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from nas_gym.networks.darts_layers import (
    AuxiliaryHead,
    FactorizedReduction,
    PartialOperation,
    relu_conv1x1_norm,
)
from nas_gym.networks.network import Network
from nas_gym.spaces.darts import (
    EDGES,
    INPUTS,
    OPERATIONS,
    STEPS,
    DARTSCellsSpace,
    DARTSSpace,
    is_reduction_cell,
)

_STEM_FACTOR = 3  # the stem has three times the channels of the first cells
_CellChoices = list[dict[int, int]]
"""Operation of each edge in use, for each cell that the genotype describes."""
_EdgeFunction = Callable[["_Cell", int, Tensor], Tensor | None]
"""Function that returns the output of an edge of a cell; ``None`` for an unused edge."""


class DARTSNetwork(Network):
    """Network of cells that read the outputs of the two previous cells (DARTS; Liu et al., ICLR
    2019, section 2.1).

    The network begins with a 3x3 convolution and has ``layers`` cells. The cells at one third and
    two thirds of the depth are reduction cells, which halve the resolution and double the channels.
    The first cell is never one, so that a network of two cells has a normal and a reduction cell. A
    cell concatenates the outputs of its four nodes. The network ends with global average pooling
    and a linear layer.

    In the L2NAS paper (section 3.2), the supernet has ``layers=8``, ``channels=16`` and
    ``partial=4``. The network trained from scratch has ``layers=20``, ``channels=36``,
    ``affine=True``, ``auxiliary=True`` and ``drop_path=0.2``.

    Alpha is the flattened array of shape ``(2, 14, 7)`` that :class:`nas_gym.spaces.DARTSSpace`
    describes. ``scales`` has shape ``(2, 8)``, for the used edges of the normal and the reduction
    cell in ascending order.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.
        channels: Channels of each node in the first cells.
        layers: Number of cells.
        partial: Operations read one of every ``partial`` channels; the other channels bypass the
            operations (PC-DARTS paper, section 3.1). With 1, operations read all channels.
        affine: Whether the batch norms of operations have learnable parameters: ``True`` for
            training from scratch, ``False`` for supernets.
        auxiliary: Whether a second head after two thirds of the cells helps training.
        drop_path: Probability of dropping the output of an operation at the end of the training;
            :meth:`set_progress` raises it linearly from 0.
        own_cells: Whether every cell has an architecture of its own, as in the AT-NAS paper; see
            :class:`nas_gym.spaces.darts.DARTSCellsSpace`. Otherwise, all normal cells share one,
            and so do all reduction cells.
        genotype: Architecture, ``(num_decisions,)``; ``None`` builds a supernet.

    Raises:
        ValueError: If ``partial`` does not divide ``channels``, or if an argument is outside its
            range.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        channels: int = 16,
        layers: int = 8,
        partial: int = 1,
        affine: bool = False,
        auxiliary: bool = False,
        drop_path: float = 0.0,
        own_cells: bool = False,
        genotype: ArrayLike | None = None,
    ) -> None:
        settings: dict[str, Any] = {
            "num_classes": num_classes,
            "in_channels": in_channels,
            "channels": channels,
            "layers": layers,
            "partial": partial,
            "affine": affine,
            "auxiliary": auxiliary,
            "drop_path": drop_path,
            "own_cells": own_cells,
        }
        super().__init__(DARTSCellsSpace(layers) if own_cells else DARTSSpace(), genotype, settings)
        self._kinds = len(self._darts_space.cells)
        self.alpha_shape = (self._kinds * len(EDGES), len(OPERATIONS))
        self.scales_shape = (self._kinds, 2 * STEPS)
        if not 0 <= drop_path < 1:
            raise ValueError(f"drop_path is a probability below 1, got {drop_path}.")
        if channels % partial:
            raise ValueError(f"partial={partial} does not divide {channels} channels.")
        choices = None if self.genotype is None else self._cell_choices(self.genotype)
        self.drop_path = drop_path
        self._drop_probability = 0.0
        width = _STEM_FACTOR * channels
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.cells = nn.ModuleList()
        before, previous, width, halved = width, width, channels, False
        for layer in range(layers):
            reduction = is_reduction_cell(layer, layers)
            width *= 2 if reduction else 1
            kind = layer if own_cells else int(reduction)
            own = None if choices is None else choices[kind]
            widths = (before, previous, width)
            self.cells.append(_Cell(widths, kind, reduction, halved, partial, affine, own))
            before, previous, halved = previous, STEPS * width, reduction
            if auxiliary and layer == 2 * layers // 3:
                self.auxiliary = AuxiliaryHead(previous, num_classes)
        self._auxiliary_layer = 2 * layers // 3 if auxiliary else None
        self.head = nn.Linear(previous, num_classes)

    def set_progress(self, progress: float) -> None:
        """Set the finished fraction of the training, which scales the drop-path probability."""
        self._drop_probability = self.drop_path * progress

    def forward(
        self, images: Tensor, genotype: ArrayLike | None = None, scales: Tensor | None = None
    ) -> Tensor:
        """Return the logits of one architecture; see :meth:`Network.forward`."""
        choices = self._cell_choices(self.resolve_genotype(genotype))
        position = [{edge: i for i, edge in enumerate(cell)} for cell in choices]
        path_factors = self._draw_path_factors(images)

        def run_edge(cell: _Cell, edge: int, values: Tensor) -> Tensor | None:
            kind = cell.kind
            if edge not in choices[kind]:
                return None
            result = cell.operate(edge, choices[kind][edge], values, path_factors)
            if scales is None:
                return result
            return result * scales[kind, position[kind][edge]].to(result.dtype)

        return self._classify(images, run_edge)

    def forward_mixed(self, images: Tensor, alpha: Tensor) -> Tensor:
        """Return the logits of the mixture; see :meth:`Network.forward_mixed`."""
        weights = self.check_alpha(alpha).reshape(self._kinds, len(EDGES), len(OPERATIONS))
        live = [[True] * len(EDGES)] * self._kinds
        if not weights.requires_grad:  # a weight of 0 may still need its gradient
            live = weights.any(dim=-1).tolist()

        def run_edge(cell: _Cell, edge: int, values: Tensor) -> Tensor | None:
            kind = cell.kind
            return cell.mix(edge, weights[kind, edge], values) if live[kind][edge] else None

        return self._classify(images, run_edge)

    def _classify(self, images: Tensor, run_edge: _EdgeFunction) -> Tensor:
        self.check_images(images)
        before = values = self.stem(images)
        self.auxiliary_logits = None
        for layer, cell in enumerate(self.cells):
            before, values = values, cell(before, values, run_edge)
            if self.training and layer == self._auxiliary_layer:
                self.auxiliary_logits = self.auxiliary(values)
        logits: Tensor = self.head(values.mean(dim=(2, 3)))
        return logits

    @property
    def _darts_space(self) -> DARTSSpace:
        return cast(DARTSSpace, self.space)

    def _cell_choices(self, genotype: Sequence[int]) -> _CellChoices:
        rows, operations = self._darts_space.edges([genotype])
        return [
            dict(zip(*cell, strict=True))
            for cell in zip(rows[0].tolist(), operations[0].tolist(), strict=True)
        ]

    def _draw_path_factors(self, images: Tensor) -> Iterator[Tensor] | None:
        """Return the drop-path factors of all operations in order, or ``None`` without drop path.

        A factor is ``(n, 1, 1, 1)``: 0 for each image whose path is dropped, otherwise the inverse
        of the probability of keeping a path.
        """
        if not self.training or self._drop_probability == 0:
            return None
        shape = (2 * STEPS * len(self.cells), len(images), 1, 1, 1)
        kept = torch.rand(shape, generator=self.generator) >= self._drop_probability
        return iter(torch.unbind((kept / (1 - self._drop_probability)).to(images.device)))


class _Cell(nn.Module):
    """Cell of four nodes; a node sums the outputs of its edges.

    Args:
        widths: Channels of the cell before the previous one, of the previous cell, and of the nodes
            of this cell.
        kind: Number of the cell's architecture in a genotype.
        reduction: Whether the cell halves the resolution.
        halved: Whether the previous cell halved the resolution; the input from the cell before the
            previous one must then also be halved.
        partial: See :class:`DARTSNetwork`.
        affine: See :class:`DARTSNetwork`.
        choices: Operation of each edge in use; ``None`` for all operations on all edges.
    """

    def __init__(
        self,
        widths: tuple[int, int, int],
        kind: int,
        reduction: bool,
        halved: bool,
        partial: int,
        affine: bool,
        choices: dict[int, int] | None,
    ) -> None:
        super().__init__()
        before, previous, width = widths
        self.kind, self.reduction = kind, reduction
        align = FactorizedReduction if halved else relu_conv1x1_norm
        self.inputs = nn.ModuleList(
            [align(before, width, affine), relu_conv1x1_norm(previous, width, affine)]
        )
        self.edges = nn.ModuleList(nn.ModuleDict() for _ in EDGES)
        for edge, (source, _) in enumerate(EDGES):
            candidates = range(len(OPERATIONS)) if choices is None else [choices.get(edge)]
            stride = 2 if reduction and source < INPUTS else 1
            for choice in candidates:
                if choice is not None:
                    name = OPERATIONS[choice]
                    operation = PartialOperation(name, width, stride, partial, affine)
                    cast(nn.ModuleDict, self.edges[edge])[name] = operation

    def forward(self, before: Tensor, previous: Tensor, run_edge: _EdgeFunction) -> Tensor:
        inputs = zip(self.inputs, (before, previous), strict=True)
        nodes = [align(values) for align, values in inputs]
        for node in range(INPUTS, INPUTS + STEPS):
            outputs = [
                run_edge(self, edge, nodes[source])
                for edge, (source, target) in enumerate(EDGES)
                if target == node
            ]
            terms = [output for output in outputs if output is not None]
            nodes.append(reduce(torch.add, terms) if terms else self._zeros(nodes[0]))
        return torch.cat(nodes[INPUTS:], dim=1)

    def _zeros(self, inputs: Tensor) -> Tensor:
        """Return the output of a node without edges."""
        n, channels, height, width = inputs.shape
        stride = 2 if self.reduction else 1
        return inputs.new_zeros(n, channels, -(-height // stride), -(-width // stride))

    def operate(
        self, edge: int, choice: int, values: Tensor, path_factors: Iterator[Tensor] | None
    ) -> Tensor:
        """Return the output of one operation of an edge; drop path spares the identity."""
        operation = self._operation(edge, choice)
        result = operation.join(values, operation(operation.select(values)))
        if path_factors is None or operation.is_identity:
            return result
        return result * next(path_factors).to(result.dtype)

    def mix(self, edge: int, weights: Tensor, values: Tensor) -> Tensor:
        """Return the weighted sum of all operations of an edge; ``weights`` are ``(7,)``."""
        operations = [self._operation(edge, choice) for choice in range(len(OPERATIONS))]
        selected = operations[0].select(values)
        terms = (
            operation(selected) * weight.to(selected.dtype)
            for operation, weight in zip(operations, weights, strict=True)
        )
        # bypassed channels are multiplied by the sum of all weights (1 after a softmax), so an edge
        # whose weights are all 0 contributes nothing
        total_weight = weights.sum().to(selected.dtype)
        return operations[0].join(values, reduce(torch.add, terms), total_weight)

    def _operation(self, edge: int, choice: int) -> PartialOperation:
        operations = cast(nn.ModuleDict, self.edges[edge])
        return cast(PartialOperation, operations[OPERATIONS[choice]])
