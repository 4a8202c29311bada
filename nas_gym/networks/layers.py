"""Layers that the networks of several search spaces share."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class Layers(NamedTuple):
    """Classes of layers for inputs with a given number of spatial dimensions."""

    conv: type[nn.Module]
    norm: type[nn.Module]
    avg_pool: type[nn.Module]
    max_pool: type[nn.Module]


LAYERS = {
    1: Layers(nn.Conv1d, nn.BatchNorm1d, nn.AvgPool1d, nn.MaxPool1d),
    2: Layers(nn.Conv2d, nn.BatchNorm2d, nn.AvgPool2d, nn.MaxPool2d),
}
"""Layer classes by the number of spatial dimensions."""


class Reduction(nn.Module):
    """Residual block that halves the resolution, rounded up (NAS-Bench-201 paper, section 2.1)."""

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
        """Map ``(n, inputs, ...)`` to ``(n, outputs, ...)``."""
        result: Tensor = self.block(inputs) + self.shortcut(inputs)
        return result


def relu_conv_norm(
    layers: Layers, inputs: int, outputs: int, kernel: int, dilation: int = 1, stride: int = 1
) -> nn.Sequential:
    """Return a ReLU, a convolution without bias and a batch norm, in this order."""
    conv = convolution(layers, inputs, outputs, kernel, dilation, stride)
    return nn.Sequential(nn.ReLU(), conv, layers.norm(outputs))


def convolution(
    layers: Layers, inputs: int, outputs: int, kernel: int, dilation: int = 1, stride: int = 1
) -> nn.Module:
    """Return a convolution without bias that keeps the resolution if ``stride`` is 1."""
    padding = dilation * (kernel - 1) // 2
    return layers.conv(
        inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation, bias=False
    )
