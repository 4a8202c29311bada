"""The networks of DARTS: the supernet, which may be PC-DARTS', and what is trained from scratch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any, cast

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from nas_gym.networks.network import Network
from nas_gym.spaces.darts import CELLS, EDGES, INPUTS, OPERATIONS, STEPS, DARTSSpace

_STEM = 3  # times the channels of the first cells
_AUXILIARY = (128, 768)  # channels of the auxiliary head
_SPACE = DARTSSpace()

_Chosen = list[dict[int, int]]  # of the normal and the reduction cell: the operations by edge
_Operate = Callable[["_Cell", int, Tensor], Tensor | None]


class DARTSNetwork(Network):
    """Cells that take the outputs of the two cells before (Liu et al., ICLR 2019, section 2.1).

    A 3x3 convolution; ``layers`` cells, of which those at one and two thirds are reduction cells,
    which halve the resolution and double the channels; the mean over all positions, and a linear
    layer. A cell concatenates its four nodes.

    L2NAS' supernet has ``layers=8``, ``channels=16`` and ``partial=4``; the network that a found
    cell is trained in ``layers=20``, ``channels=36``, ``affine=True``, ``auxiliary=True`` and
    ``drop_path=0.2`` (section 3.2).

    Alpha is ``(2, 14, 7)`` (:class:`nas_gym.spaces.DARTSSpace`), laid end to end; ``scales`` are
    ``(2, 8)``: normal and reduction cell, their edges in ascending order.

    Args:
        num_classes: logits for each image.
        in_channels: of the images.
        channels: of the first cells' nodes.
        layers: how many cells.
        partial: operations see one channel in so many, the others pass by (PC-DARTS, section
            3.1); 1: all of them.
        affine: whether the batch norms of operations have parameters, as in networks that are
            trained from scratch; supernets of DARTS have none.
        auxiliary: whether a second head after two thirds of the cells helps training.
        drop_path: with what probability the output of an operation is left out in training, at
            its end: :meth:`set_progress` raises it linearly from 0.
        genotype: whose network it is; without, a supernet.

    Raises:
        ValueError: channels that ``partial`` does not divide, or numbers that make no sense.
    """

    alpha_shape = (len(CELLS) * len(EDGES), len(OPERATIONS))
    scales_shape = (len(CELLS), 2 * STEPS)

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
        }
        super().__init__(_SPACE, genotype, settings)
        if not 0 <= drop_path < 1:
            raise ValueError(f"drop_path is a probability below 1, got {drop_path}.")
        if channels % partial:
            raise ValueError(f"partial={partial} does not divide {channels} channels.")
        chosen = None if self.genotype is None else _chosen(self.genotype)
        self.drop_path = drop_path
        self._drop = 0.0
        width = _STEM * channels
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.cells = nn.ModuleList()
        before, previous, width, halved = width, width, channels, False
        for layer in range(layers):
            reduction = layer in (layers // 3, 2 * layers // 3)
            width *= 2 if reduction else 1
            own = None if chosen is None else chosen[int(reduction)]
            widths = (before, previous, width)
            self.cells.append(_Cell(widths, reduction, halved, partial, affine, own))
            before, previous, halved = previous, STEPS * width, reduction
            if auxiliary and layer == 2 * layers // 3:
                self.auxiliary = _AuxiliaryHead(previous, num_classes)
        self._auxiliary_layer = 2 * layers // 3 if auxiliary else None
        self.head = nn.Linear(previous, num_classes)

    def set_progress(self, progress: float) -> None:
        """As :meth:`Network.set_progress`; paths are dropped by it."""
        self._drop = self.drop_path * progress

    def forward(
        self, images: Tensor, genotype: ArrayLike | None = None, scales: Tensor | None = None
    ) -> Tensor:
        """As :meth:`Network.forward`."""
        chosen = _chosen(self.chosen(genotype))
        order = [{edge: i for i, edge in enumerate(cell)} for cell in chosen]
        kept = self._kept_paths(images)

        def operate(cell: _Cell, edge: int, values: Tensor) -> Tensor | None:
            kind = int(cell.reduction)
            if edge not in chosen[kind]:
                return None
            result = cell.operate(edge, chosen[kind][edge], values, kept)
            if scales is None:
                return result
            return result * scales[kind, order[kind][edge]].to(result.dtype)

        return self._classify(images, operate)

    def forward_mixed(self, images: Tensor, alpha: Tensor) -> Tensor:
        """As :meth:`Network.forward_mixed`."""
        weights = self.check_alpha(alpha).reshape(len(CELLS), len(EDGES), len(OPERATIONS))
        live = [[True] * len(EDGES)] * len(CELLS)
        if not weights.requires_grad:  # else there is a gradient even where a weight is 0
            live = weights.any(dim=-1).tolist()

        def operate(cell: _Cell, edge: int, values: Tensor) -> Tensor | None:
            kind = int(cell.reduction)
            return cell.mix(edge, weights[kind, edge], values) if live[kind][edge] else None

        return self._classify(images, operate)

    def _classify(self, images: Tensor, operate: _Operate) -> Tensor:
        self.check(images)
        before = values = self.stem(images)
        self.auxiliary_logits = None
        for layer, cell in enumerate(self.cells):
            before, values = values, cell(before, values, operate)
            if self.training and layer == self._auxiliary_layer:
                self.auxiliary_logits = self.auxiliary(values)
        logits: Tensor = self.head(values.mean(dim=(2, 3)))
        return logits

    def _kept_paths(self, images: Tensor) -> Iterator[Tensor] | None:
        """For one operation after the other, 0 for each image whose path is left out, and what
        makes up for it for the others."""
        if not self.training or self._drop == 0:
            return None
        shape = (2 * STEPS * len(self.cells), len(images), 1, 1, 1)
        kept = torch.rand(shape, generator=self.generator) >= self._drop
        return iter(torch.unbind((kept / (1 - self._drop)).to(images.device)))


def _chosen(genotype: Sequence[int]) -> _Chosen:
    rows, operations = _SPACE.edges([genotype])
    return [
        dict(zip(*cell, strict=True))
        for cell in zip(rows[0].tolist(), operations[0].tolist(), strict=True)
    ]


class _Cell(nn.Module):
    """One cell: four nodes that sum what their edges give, and are concatenated."""

    def __init__(
        self,
        widths: tuple[int, int, int],
        reduction: bool,
        halved: bool,
        partial: int,
        affine: bool,
        chosen: dict[int, int] | None,
    ) -> None:
        super().__init__()
        before, previous, width = widths
        self.reduction = reduction
        align = _FactorizedReduction if halved else _relu_conv_norm
        self.inputs = nn.ModuleList(
            [align(before, width, affine), _relu_conv_norm(previous, width, affine)]
        )
        self.edges = nn.ModuleList(nn.ModuleDict() for _ in EDGES)
        for edge, (source, _) in enumerate(EDGES):
            candidates = range(len(OPERATIONS)) if chosen is None else [chosen.get(edge)]
            stride = 2 if reduction and source < INPUTS else 1
            for choice in candidates:
                if choice is not None:
                    name = OPERATIONS[choice]
                    operation = _Partial(name, width, stride, partial, affine)
                    cast(nn.ModuleDict, self.edges[edge])[name] = operation

    def forward(self, before: Tensor, previous: Tensor, operate: _Operate) -> Tensor:
        inputs = zip(self.inputs, (before, previous), strict=True)
        nodes = [align(values) for align, values in inputs]
        for node in range(INPUTS, INPUTS + STEPS):
            given = [
                operate(self, edge, nodes[source])
                for edge, (source, target) in enumerate(EDGES)
                if target == node
            ]
            terms = [each for each in given if each is not None]
            nodes.append(reduce(torch.add, terms) if terms else self._zeros(nodes[0]))
        return torch.cat(nodes[INPUTS:], dim=1)

    def _zeros(self, inputs: Tensor) -> Tensor:
        """What a node without edges gives."""
        n, width, height, length = inputs.shape
        stride = 2 if self.reduction else 1
        return inputs.new_zeros(n, width, -(-height // stride), -(-length // stride))

    def operate(
        self, edge: int, choice: int, values: Tensor, kept: Iterator[Tensor] | None
    ) -> Tensor:
        operation = self._partial(edge, choice)
        result = operation.join(values, operation(operation.part(values)))
        if kept is None or operation.is_identity:
            return result
        return result * next(kept).to(result.dtype)

    def mix(self, edge: int, weights: Tensor, values: Tensor) -> Tensor:
        operations = [self._partial(edge, choice) for choice in range(len(OPERATIONS))]
        part = operations[0].part(values)
        terms = (
            operation(part) * weight.to(part.dtype)
            for operation, weight in zip(operations, weights, strict=True)
        )
        # what passes by has the weight of all operations together, 1 after a softmax, so that an
        # edge without weights gives nothing
        whole = weights.sum().to(part.dtype)
        return operations[0].join(values, reduce(torch.add, terms), whole)

    def _partial(self, edge: int, choice: int) -> _Partial:
        return cast(_Partial, cast(nn.ModuleDict, self.edges[edge])[OPERATIONS[choice]])


class _Partial(nn.Module):
    """An operation on a part of the channels (PC-DARTS, section 3.1).

    The others pass by, or are pooled where the resolution is halved; then channels are shuffled.
    """

    def __init__(self, name: str, width: int, stride: int, partial: int, affine: bool) -> None:
        super().__init__()
        self.width = width // partial
        self.partial, self.stride = partial, stride
        self.is_identity = name == "skip_connect" and stride == 1
        self.operation = _operation(name, self.width, stride, affine)

    def forward(self, part: Tensor) -> Tensor:
        result: Tensor = self.operation(part)
        return result

    def part(self, values: Tensor) -> Tensor:
        return values[:, : self.width]

    def join(self, values: Tensor, result: Tensor, weight: Tensor | None = None) -> Tensor:
        if self.partial == 1:
            return result
        others = values[:, self.width :]
        if self.stride == 2:
            others = nn.functional.max_pool2d(others, 2, ceil_mode=True)
        if weight is not None:
            others = others * weight
        return _shuffled(torch.cat([result, others], dim=1), self.partial)


def _shuffled(values: Tensor, groups: int) -> Tensor:
    """Channels in turn from each group, in the memory format that they have."""
    n, width, height, length = values.shape
    if values.is_contiguous():
        return values.view(n, groups, -1, height, length).transpose(1, 2).reshape(values.shape)
    last = values.permute(0, 2, 3, 1).reshape(n, height, length, groups, -1).transpose(3, 4)
    return last.reshape(n, height, length, width).permute(0, 3, 1, 2)


class _FactorizedReduction(nn.Module):
    """Half the resolution, rounded up, by two 1x1 convolutions, on even and on odd positions."""

    def __init__(self, inputs: int, outputs: int, affine: bool) -> None:
        super().__init__()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(outputs, affine=affine)

    def forward(self, values: Tensor) -> Tensor:
        height, width = values.shape[2:]
        active = nn.functional.pad(nn.functional.relu(values), (0, width % 2, 0, height % 2))
        parts = [self.even(active), self.odd(active[:, :, 1:, 1:])]
        result: Tensor = self.norm(torch.cat(parts, dim=1))
        return result


class _AuxiliaryHead(nn.Sequential):
    """A classifier of 8x8 inputs, as they are for CIFAR; others are brought to that by means."""

    def __init__(self, inputs: int, num_classes: int) -> None:
        first, second = _AUXILIARY
        super().__init__(
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(8),
            nn.AvgPool2d(5, stride=3, count_include_pad=False),
            nn.Conv2d(inputs, first, 1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, 2, bias=False),
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(second, num_classes),
        )


def _operation(name: str, width: int, stride: int, affine: bool) -> nn.Module:
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else _FactorizedReduction(width, width, affine)
    if name in ("max_pool_3x3", "avg_pool_3x3"):
        pool = (
            nn.MaxPool2d(3, stride, 1)
            if name.startswith("max")
            else nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        )
        # a supernet normalizes what has no parameters, so that its scale tells nothing
        return pool if affine else nn.Sequential(pool, nn.BatchNorm2d(width, affine=False))
    kernel, dilation = int(name[-1]), 2 if name.startswith("dil") else 1
    layers = _separable(width, kernel, dilation, stride, affine)
    if name.startswith("sep"):
        layers += _separable(width, kernel, 1, 1, affine)
    return nn.Sequential(*layers)


def _separable(
    width: int, kernel: int, dilation: int, stride: int, affine: bool
) -> list[nn.Module]:
    """ReLU, a convolution of each channel, one of each position, batch norm."""
    padding = dilation * (kernel - 1) // 2
    return [
        nn.ReLU(),
        nn.Conv2d(width, width, kernel, stride, padding, dilation, groups=width, bias=False),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width, affine=affine),
    ]


def _relu_conv_norm(inputs: int, outputs: int, affine: bool) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs, affine=affine),
    )
