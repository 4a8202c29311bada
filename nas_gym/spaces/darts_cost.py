"""Parameters and FLOPs of DARTS networks, computed from genotypes.

The network is that of :class:`nas_gym.networks.darts_network.DARTSNetwork` for training from
scratch: batch norms have parameters, and the auxiliary head, which only helps training, is not
counted. A cell's cost is the sum of the costs of its operations and of its two input layers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces.darts import (
    CELLS,
    EDGES,
    INPUTS,
    OPERATIONS,
    STEPS,
    DARTSSpace,
    is_reduction_cell,
)

_SPACE = DARTSSpace()
_STEM_FACTOR = 3
_READS_INPUT = np.array([source < INPUTS for source, _ in EDGES])

_LayerCost = Callable[[int, int, int, int], int]
"""Function of input channels, output channels, kernel size (negative if depthwise), and pixels of
the output, which returns the cost of a convolution."""


def count_darts_parameters(
    genotypes: ArrayLike, num_classes: int = 10, channels: int = 36, layers: int = 20
) -> NDArray[np.int64]:
    """Return the number of trainable parameters of each network, ``(n, 22)`` -> ``(n,)`` int64.

    Args:
        genotypes: Genotypes of :class:`nas_gym.spaces.DARTSSpace`, shape ``(n, 22)``.
        num_classes: Number of classes.
        channels: Channels of each node in the first cells.
        layers: Number of cells, at least 3.

    Raises:
        TypeError: If the genotypes are not integers.
        ValueError: If the genotypes have a wrong shape or are out of range.
    """

    def convolution(inputs: int, outputs: int, kernel: int, pixels: int) -> int:
        return kernel**2 * inputs if kernel < 0 else kernel**2 * inputs * outputs

    return _count(genotypes, num_classes, 32, channels, layers, convolution, norm=2)


def count_darts_flops(
    genotypes: ArrayLike,
    num_classes: int = 10,
    image_size: int = 32,
    channels: int = 36,
    layers: int = 20,
) -> NDArray[np.int64]:
    """Return the number of multiply-adds for one image, ``(n, 22)`` -> ``(n,)`` int64.

    Convolutions and the linear layer with its bias are counted; batch norm, ReLU, pooling and sums
    are not.

    Args:
        genotypes: Genotypes of :class:`nas_gym.spaces.DARTSSpace`, shape ``(n, 22)``.
        num_classes: Number of classes.
        image_size: Width and height of the images.
        channels: Channels of each node in the first cells.
        layers: Number of cells, at least 3.

    Raises:
        TypeError: If the genotypes are not integers.
        ValueError: If the genotypes have a wrong shape or are out of range.
    """

    def convolution(inputs: int, outputs: int, kernel: int, pixels: int) -> int:
        weights = kernel**2 * inputs if kernel < 0 else kernel**2 * inputs * outputs
        return weights * pixels

    return _count(genotypes, num_classes, image_size, channels, layers, convolution, norm=0)


def _count(
    genotypes: ArrayLike,
    num_classes: int,
    image_size: int,
    channels: int,
    layers: int,
    convolution: _LayerCost,
    norm: int,
) -> NDArray[np.int64]:
    """Return the cost of each network.

    Args:
        genotypes, num_classes, image_size, channels, layers: See :func:`count_darts_flops`.
        convolution: Cost of a convolution.
        norm: Cost of a batch norm per channel.
    """
    rows, operations = _SPACE.edges(genotypes)
    # cost of each operation in all cells of a kind, on inputs of the cell and on its nodes
    costs = np.zeros((len(CELLS), 2, len(OPERATIONS)), np.int64)
    width, size = _STEM_FACTOR * channels, image_size
    total = convolution(3, width, 3, size**2) + norm * width
    before, previous, width = width, width, channels
    for layer in range(layers):
        reduction = is_reduction_cell(layer, layers)
        width *= 2 if reduction else 1
        for inputs in (before, previous):  # a factorized reduction costs as much as a convolution
            total += convolution(inputs, width, 1, size**2) + norm * width
        size = -(-size // 2) if reduction else size
        for on_inputs in (0, 1):
            stride = 2 if reduction and on_inputs else 1
            costs[int(reduction), on_inputs] += [
                _operation_cost(name, width, stride, size**2, convolution, norm)
                for name in OPERATIONS
            ]
        before, previous = previous, STEPS * width
    total += (previous + 1) * num_classes
    kinds = np.arange(len(CELLS))[:, None]
    counted: NDArray[np.int64] = costs[kinds, _READS_INPUT[rows].astype(int), operations].sum(
        axis=(1, 2)
    )
    return total + counted


def _operation_cost(
    name: str, width: int, stride: int, pixels: int, convolution: _LayerCost, norm: int
) -> int:
    if name == "skip_connect":
        return 0 if stride == 1 else convolution(width, width, 1, pixels) + norm * width
    if name.endswith("pool_3x3"):
        return 0
    depthwise = convolution(width, width, -int(name[-1]), pixels)
    separable = depthwise + convolution(width, width, 1, pixels) + norm * width
    return 2 * separable if name.startswith("sep") else separable
