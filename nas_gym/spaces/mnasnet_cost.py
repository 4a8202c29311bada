"""Parameters and multiply-adds of MnasNet-like networks, computed from genotypes.

The network is that of :class:`nas_gym.networks.mnasnet_network.MnasNetNetwork`: a 3x3 convolution
with stride 2, seven blocks, a 1x1 convolution, global pooling and a linear layer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces.mnasnet import (
    DEPTHS,
    HEAD_WIDTH,
    STEM_WIDTH,
    STRIDES,
    WIDTHS,
    MnasNetSpace,
)

_SPACE = MnasNetSpace()
_SE_RATIO = 4  # squeeze-and-excitation squeezes to a quarter of the layer's input channels
_PROFILED_NORM = 4  # operations per value that the profiler thop counts for a batch norm


def squeezed_width(inputs: int) -> int:
    """Return the channels between the two convolutions of squeeze-and-excitation, for a layer with
    this number of input channels."""
    return max(1, inputs // _SE_RATIO)


def count_mnasnet_parameters(genotypes: ArrayLike, num_classes: int = 1000) -> NDArray[np.int64]:
    """Return the number of trainable parameters of each network, ``(n, 28)`` -> ``(n,)`` int64.

    Args:
        genotypes: Genotypes of :class:`nas_gym.spaces.MnasNetSpace`, shape ``(n, 28)``.
        num_classes: Number of classes.

    Raises:
        TypeError: If the genotypes are not integers.
        ValueError: If the genotypes have a wrong shape or are out of range.
    """
    return _count(genotypes, num_classes, None, norm=2, bias=1)


def count_mnasnet_flops(
    genotypes: ArrayLike, num_classes: int = 1000, image_size: int = 224
) -> NDArray[np.int64]:
    """Return the number of multiply-adds for one image, ``(n, 28)`` -> ``(n,)`` int64.

    Convolutions, with those of squeeze-and-excitation, and the linear layer are counted; biases,
    batch norm, activations, pooling and sums are not.

    Args:
        genotypes: Genotypes of :class:`nas_gym.spaces.MnasNetSpace`, shape ``(n, 28)``.
        num_classes: Number of classes.
        image_size: Width and height of the images.

    Raises:
        TypeError: If the genotypes are not integers.
        ValueError: If the genotypes have a wrong shape or are out of range.
    """
    return _count(genotypes, num_classes, image_size)


def count_mnasnet_macs(
    genotypes: ArrayLike, num_classes: int = 1000, image_size: int = 224
) -> NDArray[np.int64]:
    """Return the number of operations that Accel-NASBench calls MACs, ``(n, 28)`` -> ``(n,)``.

    These are the multiply-adds of :func:`count_mnasnet_flops`, four operations for each value that
    a batch norm normalizes, and one for each value that enters or leaves an average pooling, as the
    profiler thop counts them. In the benchmark, they are 4 to 17 % above the multiply-adds.

    Args:
        genotypes: Genotypes of :class:`nas_gym.spaces.MnasNetSpace`, shape ``(n, 28)``.
        num_classes: Number of classes.
        image_size: Width and height of the images.

    Raises:
        TypeError: If the genotypes are not integers.
        ValueError: If the genotypes have a wrong shape or are out of range.
    """
    return _count(genotypes, num_classes, image_size, norm=_PROFILED_NORM, pool=1)


def _count(
    genotypes: ArrayLike,
    num_classes: int,
    image_size: int | None,
    norm: int = 0,
    bias: int = 0,
    pool: int = 0,
) -> NDArray[np.int64]:
    """Return the cost of each network.

    Args:
        genotypes: Genotypes, ``(n, 28)``.
        num_classes: Number of classes.
        image_size: Width and height of the images; ``None`` counts each weight once.
        norm: Cost of a batch norm per value.
        bias: Cost of the bias of a layer per channel.
        pool: Cost of an average pooling per value that enters or leaves it.
    """

    def area(size: int) -> int:
        return 1 if image_size is None else size**2

    expansions, kernels, layers, se = _SPACE.blocks(genotypes)
    size = 1 if image_size is None else -(-image_size // 2)
    stem = (27 + norm) * STEM_WIDTH * area(size)
    total = np.full(len(layers), stem, np.int64)
    inputs = STEM_WIDTH
    for block, (width, stride, depth) in enumerate(zip(WIDTHS, STRIDES, DEPTHS, strict=True)):
        expansion, kernel = expansions[:, block], kernels[:, block]
        for layer in range(depth):
            before, size = area(size), -(-size // stride) if layer == 0 else size
            inner, squeezed = expansion * inputs, squeezed_width(inputs)
            cost = (expansion > 1) * inner * (inputs + norm) * before
            cost += inner * (kernel**2 + norm + width) * area(size) + norm * width * area(size)
            squeeze = 2 * inner * squeezed + bias * (inner + squeezed)
            squeeze += pool * inner * (area(size) + 1)
            total += (layers[:, block] > layer) * (cost + se[:, block] * squeeze)
            inputs = width
    head = (inputs + norm) * HEAD_WIDTH * area(size) + pool * HEAD_WIDTH * (area(size) + 1)
    counted: NDArray[np.int64] = total + head + (HEAD_WIDTH + bias) * num_classes
    return counted
