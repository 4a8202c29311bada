"""Operations and layers of the DARTS networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_AUXILIARY_CHANNELS = (128, 768)


class PartialOperation(nn.Module):
    """Operation on a part of the channels (PC-DARTS paper, section 3.1).

    The other channels bypass the operation; they are max-pooled if the operation halves the
    resolution. The concatenated channels are shuffled.

    Args:
        name: Name of the operation.
        width: Number of channels.
        stride: 1, or 2 to halve the resolution.
        partial: The operation gets ``width / partial`` channels; 1 gives it all channels.
        affine: Whether batch norms have learnable parameters.
    """

    def __init__(self, name: str, width: int, stride: int, partial: int, affine: bool) -> None:
        super().__init__()
        self.width = width // partial
        self.partial, self.stride = partial, stride
        self.is_identity = name == "skip_connect" and stride == 1
        self.operation = _operation(name, self.width, stride, affine)

    def forward(self, selected: Tensor) -> Tensor:
        """Apply the operation to the selected channels."""
        result: Tensor = self.operation(selected)
        return result

    def select(self, values: Tensor) -> Tensor:
        """Return the channels that the operation gets."""
        return values[:, : self.width]

    def join(self, values: Tensor, result: Tensor, weight: Tensor | None = None) -> Tensor:
        """Concatenate the operation's result and the bypassed channels, and shuffle them.

        Args:
            values: Input with all channels.
            result: Output of the operation.
            weight: Factor of the bypassed channels, a scalar; 1 by default.
        """
        if self.partial == 1:
            return result
        bypassed = values[:, self.width :]
        if self.stride == 2:
            bypassed = nn.functional.max_pool2d(bypassed, 2, ceil_mode=True)
        if weight is not None:
            bypassed = bypassed * weight
        return _shuffle_channels(torch.cat([result, bypassed], dim=1), self.partial)


def _shuffle_channels(values: Tensor, groups: int) -> Tensor:
    """Interleave the channels of the groups; keep the memory format."""
    n, channels, height, width = values.shape
    if values.is_contiguous():
        return values.view(n, groups, -1, height, width).transpose(1, 2).reshape(values.shape)
    last = values.permute(0, 2, 3, 1).reshape(n, height, width, groups, -1).transpose(3, 4)
    return last.reshape(n, height, width, channels).permute(0, 3, 1, 2)


class FactorizedReduction(nn.Module):
    """Layer that halves the resolution, rounded up, by two 1x1 convolutions.

    One convolution reads the even positions, the other the odd positions.
    """

    def __init__(self, inputs: int, outputs: int, affine: bool) -> None:
        super().__init__()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(outputs, affine=affine)

    def forward(self, values: Tensor) -> Tensor:
        """Map ``(n, inputs, height, width)`` to half the height and width."""
        height, width = values.shape[2:]
        active = nn.functional.pad(nn.functional.relu(values), (0, width % 2, 0, height % 2))
        parts = [self.even(active), self.odd(active[:, :, 1:, 1:])]
        result: Tensor = self.norm(torch.cat(parts, dim=1))
        return result


class AuxiliaryHead(nn.Sequential):
    """Second classifier that helps training, for 8x8 inputs as on CIFAR.

    Inputs of another size are average-pooled to 8x8.
    """

    def __init__(self, inputs: int, num_classes: int) -> None:
        first, second = _AUXILIARY_CHANNELS
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


def relu_conv1x1_norm(inputs: int, outputs: int, affine: bool) -> nn.Module:
    """Return a ReLU, a 1x1 convolution and a batch norm, in this order."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs, affine=affine),
    )


def _operation(name: str, width: int, stride: int, affine: bool) -> nn.Module:
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduction(width, width, affine)
    if name in ("max_pool_3x3", "avg_pool_3x3"):
        pool = (
            nn.MaxPool2d(3, stride, 1)
            if name.startswith("max")
            else nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        )
        # a supernet normalizes outputs of pooling, so that alpha does not depend on their scale
        return pool if affine else nn.Sequential(pool, nn.BatchNorm2d(width, affine=False))
    kernel, dilation = int(name[-1]), 2 if name.startswith("dil") else 1
    layers = _separable(width, kernel, dilation, stride, affine)
    if name.startswith("sep"):
        layers += _separable(width, kernel, 1, 1, affine)
    return nn.Sequential(*layers)


def _separable(
    width: int, kernel: int, dilation: int, stride: int, affine: bool
) -> list[nn.Module]:
    """Return ReLU, depthwise convolution, pointwise convolution and batch norm."""
    padding = dilation * (kernel - 1) // 2
    return [
        nn.ReLU(),
        nn.Conv2d(width, width, kernel, stride, padding, dilation, groups=width, bias=False),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width, affine=affine),
    ]
