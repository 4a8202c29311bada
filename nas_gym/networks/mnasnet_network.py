"""Network of MnasNet's search space, as an elastic supernet or for one architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import Self

from nas_gym.networks.device import move_to_device
from nas_gym.networks.network import Network
from nas_gym.spaces.mnasnet import (
    BLOCKS,
    DEPTHS,
    EXPANSIONS,
    HEAD_WIDTH,
    KERNELS,
    OPERATIONS,
    STEM_WIDTH,
    STRIDES,
    WIDTHS,
    MnasNetSpace,
)
from nas_gym.spaces.mnasnet_cost import squeezed_width


class _Operation(NamedTuple):
    """Settings of a layer: one of the operations of a block."""

    expansion: int
    kernel: int
    se: bool


_OPERATIONS = tuple(
    _Operation(expansion, kernel, se)
    for expansion in EXPANSIONS
    for kernel in KERNELS
    for se in (False, True)
)
_LARGEST = _OPERATIONS[-1]


class MnasNetNetwork(Network):
    """Network of seven blocks of inverted residual layers (MnasNet; Tan et al., CVPR 2019).

    The network begins with a 3x3 convolution of stride 2 and ends with a 1x1 convolution, global
    average pooling and a linear layer. A layer consists of a 1x1 convolution that expands the
    channels (absent with expansion 1), a depthwise convolution, optional squeeze-and-excitation,
    and a 1x1 convolution. Batch norm follows each of the three convolutions, and SiLU follows the
    batch norm of all but the last. Layers that keep the shape of their input add the input to the
    output. With 1,000 classes and 32 channels, parameters and
    multiply-adds equal the results of :mod:`nas_gym.spaces.mnasnet_cost`.

    The supernet is elastic in depth, kernel size and expansion, as in Once-for-All (Cai et al.,
    ICLR 2020): it has the largest layers, and an architecture uses the first layers of a block, the
    first channels of a layer, and the centre of a kernel.

    Alpha is the vector that :class:`nas_gym.spaces.MnasNetSpace` describes; ``alpha_shape`` is the
    shape of its first matrix. ``scales`` has shape ``(7,)``, one factor per block.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.
        channels: Channels of the first convolution; the other widths are scaled accordingly.
        genotype: Architecture, ``(28,)``; ``None`` builds a supernet.

    Example:
        >>> supernet = MnasNetNetwork(num_classes=10, channels=8)
        >>> supernet(torch.zeros(2, 3, 32, 32), genotype=[1, 0, 1, 0] * 7).shape
        torch.Size([2, 10])
    """

    alpha_shape = (BLOCKS, len(OPERATIONS))
    scales_shape = (BLOCKS,)

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        channels: int = STEM_WIDTH,
        genotype: ArrayLike | None = None,
    ) -> None:
        settings: dict[str, Any] = {
            "num_classes": num_classes,
            "in_channels": in_channels,
            "channels": channels,
        }
        super().__init__(MnasNetSpace(), genotype, settings)
        widths = [max(1, round(width * channels / STEM_WIDTH)) for width in WIDTHS]
        head = max(1, round(HEAD_WIDTH * channels / STEM_WIDTH))
        operations, layers = [_LARGEST] * BLOCKS, list(DEPTHS)
        if self.genotype is not None:
            operations, layers = self._choices(self.genotype)
        self.stem = _conv_norm(in_channels, channels, kernel=3, stride=2)
        self.blocks = nn.ModuleList()
        inputs = channels
        for block, width in enumerate(widths):
            self.blocks.append(
                nn.ModuleList(
                    _Layer(
                        width if layer else inputs,
                        width,
                        STRIDES[block] if layer == 0 else 1,
                        operations[block],
                    )
                    for layer in range(layers[block])
                )
            )
            inputs = width
        self.top = _conv_norm(inputs, head, kernel=1)
        self.head = nn.Linear(head, num_classes)

    def forward(
        self, images: Tensor, genotype: ArrayLike | None = None, scales: Tensor | None = None
    ) -> Tensor:
        """Return the logits of one architecture; see :meth:`Network.forward`."""
        operations, layers = self._choices(self.resolve_genotype(genotype))

        def run_block(block: int, values: Tensor) -> Tensor:
            for layer in self._layers(block)[: layers[block]]:
                values = layer(values, operations[block])
            return values if scales is None else values * scales[block].to(values.dtype)

        return self._classify(images, run_block)

    def forward_mixed(self, images: Tensor, alpha: Tensor) -> Tensor:
        """Return the logits of the mixture; see :meth:`Network.forward_mixed`.

        A layer is the mixture of the operations of its block, and the output of a block is the
        mixture of the outputs of its layers, weighted by the second matrix of alpha.
        """
        weights = self.check_alpha(alpha)
        middle = BLOCKS * len(OPERATIONS)
        of_operations = weights[:middle].reshape(BLOCKS, len(OPERATIONS))
        of_depths = torch.split(weights[middle:], list(DEPTHS))

        def run_block(block: int, values: Tensor) -> Tensor:
            outputs = []
            for layer in self._layers(block):
                values = layer.mix(values, of_operations[block])
                outputs.append(values)
            return _weighted_sum(outputs, of_depths[block])

        return self._classify(images, run_block)

    def check_alpha(self, alpha: Tensor) -> Tensor:
        """Return alpha as a vector of both matrices, ``(106,)``.

        Raises:
            ValueError: If alpha has another size, or if the network has a single architecture.
        """
        self.check_supernet_alpha(alpha)
        return alpha

    def subnet(self, genotype: ArrayLike) -> Self:
        """Return the stand-alone network of an architecture; see :meth:`Network.subnet`."""
        own = self.state_dict()
        with torch.random.fork_rng(devices=[]):  # initial weights are overwritten below
            network = type(self)(**self.settings, genotype=genotype)
        network.load_state_dict(
            {name: _shrink(own[name], each.shape) for name, each in network.state_dict().items()}
        )
        weights = next(self.parameters())
        network = move_to_device(network.to(weights.dtype), weights.device).train(self.training)
        if self.calibrate is not None:
            self.calibrate(network)
        return network

    def _classify(self, images: Tensor, run_block: Callable[[int, Tensor], Tensor]) -> Tensor:
        self.check_images(images)
        values = functional.silu(self.stem(images))
        for block in range(BLOCKS):
            values = run_block(block, values)
        logits: Tensor = self.head(functional.silu(self.top(values)).mean(dim=(2, 3)))
        return logits

    def _layers(self, block: int) -> list[_Layer]:
        return cast(list[_Layer], list(cast(nn.ModuleList, self.blocks[block])))

    def _choices(self, genotype: Sequence[int]) -> tuple[list[_Operation], list[int]]:
        """Return the operation and the number of layers of each block."""
        space = cast(MnasNetSpace, self.space)
        operations = space.operations([genotype])[0].tolist()
        return [_OPERATIONS[each] for each in operations], space.blocks([genotype]).layers[
            0
        ].tolist()


class _ElasticBatchNorm(nn.BatchNorm2d):
    """Batch norm that uses its first channels, as many as the input has."""

    def forward(self, inputs: Tensor) -> Tensor:
        count = inputs.shape[1]
        mean, variance = self.running_mean, self.running_var
        result: Tensor = functional.batch_norm(
            inputs,
            None if mean is None else mean[:count],
            None if variance is None else variance[:count],
            self.weight[:count],
            self.bias[:count],
            self.training or mean is None,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return result


class _Layer(nn.Module):
    """Inverted residual layer with the weights of an operation and of all smaller ones.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        stride: Stride of the depthwise convolution.
        largest: Largest expansion and kernel size, and whether there is squeeze-and-excitation.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, largest: _Operation) -> None:
        super().__init__()
        inner = largest.expansion * inputs
        self.inputs, self.stride = inputs, stride
        self.adds_input = stride == 1 and inputs == outputs
        if largest.expansion > 1:
            self.expand = nn.Conv2d(inputs, inner, 1, bias=False)
            self.expand_norm = _ElasticBatchNorm(inner)
        self.depthwise = nn.Conv2d(inner, inner, largest.kernel, groups=inner, bias=False)
        self.depthwise_norm = _ElasticBatchNorm(inner)
        if largest.se:
            self.squeeze = nn.Conv2d(inner, squeezed_width(inputs), 1)
            self.excite = nn.Conv2d(squeezed_width(inputs), inner, 1)
        self.project = nn.Conv2d(inner, outputs, 1, bias=False)
        self.project_norm = _ElasticBatchNorm(outputs)

    def forward(self, inputs: Tensor, operation: _Operation) -> Tensor:
        """Return the output of one operation."""
        count, values = operation.expansion * self.inputs, inputs
        if operation.expansion > 1:
            values = functional.conv2d(values, self.expand.weight[:count])
            values = functional.silu(self.expand_norm(values))
        kernel = _centre(self.depthwise.weight[:count], operation.kernel)
        values = functional.conv2d(
            values, kernel, stride=self.stride, padding=operation.kernel // 2, groups=count
        )
        values = functional.silu(self.depthwise_norm(values))
        if operation.se:
            values = values * self._excitation(values, count)
        values = functional.conv2d(values, self.project.weight[:, :count])
        result: Tensor = self.project_norm(values)
        return result + inputs if self.adds_input else result

    def _excitation(self, values: Tensor, count: int) -> Tensor:
        """Return the factor of each channel, ``(n, count, 1, 1)``."""
        pooled = values.mean(dim=(2, 3), keepdim=True)
        squeezed = functional.conv2d(pooled, self.squeeze.weight[:, :count], self.squeeze.bias)
        bias = cast(Tensor, self.excite.bias)[:count]
        excited = functional.conv2d(functional.silu(squeezed), self.excite.weight[:count], bias)
        return excited.sigmoid()

    def mix(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted sum of all operations; ``weights`` are ``(12,)``."""
        return _weighted_sum([self(inputs, each) for each in _OPERATIONS], weights)


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


def _weighted_sum(values: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Return the sum of tensors of the same shape, weighted by ``(len(values),)`` weights."""
    total = values[0] * weights[0].to(values[0].dtype)
    for each, weight in zip(values[1:], weights[1:], strict=True):
        total = total + each * weight.to(each.dtype)
    return total


def _centre(kernels: Tensor, size: int) -> Tensor:
    """Return the centre of kernels, ``(n, m, k, k)`` -> ``(n, m, size, size)``."""
    start = (kernels.shape[-1] - size) // 2
    return kernels[..., start : start + size, start : start + size]


def _shrink(weights: Tensor, shape: torch.Size) -> Tensor:
    """Return the part of a supernet's weights that a stand-alone network of ``shape`` has."""
    part: Tensor = weights[tuple(slice(size) for size in shape[:2])]
    return _centre(part, shape[-1]) if len(shape) == 4 else part
