"""The layers that networks of cells share."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class Layers(NamedTuple):
    """The layers for inputs of so many dimensions."""

    conv: type[nn.Module]
    norm: type[nn.Module]
    avg_pool: type[nn.Module]
    max_pool: type[nn.Module]


LAYERS = {
    1: Layers(nn.Conv1d, nn.BatchNorm1d, nn.AvgPool1d, nn.MaxPool1d),
    2: Layers(nn.Conv2d, nn.BatchNorm2d, nn.AvgPool2d, nn.MaxPool2d),
}


class Reduction(nn.Module):
    """NAS-Bench-201's residual block (section 2.1): half the resolution, rounded up."""

    def __init__(self, layers: Layers, inputs: int, outputs: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            relu_conv_norm(layers, inputs, outputs, 3, stride=2),
            relu_conv_norm(layers, outputs, outputs, 3),
        )
        self.shortcut = nn.Sequential(
            layers.avg_pool(2, ceil_mode=True), convolution(layers, inputs, outputs, 1)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """``(n, inputs, ...)`` -> ``(n, outputs, ...)``."""
        result: Tensor = self.block(inputs) + self.shortcut(inputs)
        return result


def relu_conv_norm(
    layers: Layers, inputs: int, outputs: int, kernel: int, dilation: int = 1, stride: int = 1
) -> nn.Sequential:
    """ReLU, a convolution without bias, batch norm."""
    conv = convolution(layers, inputs, outputs, kernel, dilation, stride)
    return nn.Sequential(nn.ReLU(), conv, layers.norm(outputs))


def convolution(
    layers: Layers, inputs: int, outputs: int, kernel: int, dilation: int = 1, stride: int = 1
) -> nn.Module:
    """A convolution that keeps the resolution, for a stride of 1."""
    padding = dilation * (kernel - 1) // 2
    return layers.conv(
        inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation, bias=False
    )
