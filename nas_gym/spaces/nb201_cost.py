"""Parameters and FLOPs of NAS-Bench-201's networks, computed from genotypes.

The network (Dong and Yang, ICLR 2020, section 2.1) consists of a 3x3 convolution, three stages of
cells with C, 2C and 4C channels, a residual block before the second and the third stage that halves
the image, batch norm, global pooling and a linear layer. Operations of a cell keep the shape of
their input, so both costs are affine functions of the numbers of 1x1 and 3x3 convolutions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces.nb201 import OPERATIONS, NB201Space

_SPACE = NB201Space()
_CONV1 = OPERATIONS.index("nor_conv_1x1")
_CONV3 = OPERATIONS.index("nor_conv_3x3")


def count_nb201_parameters(
    genotypes: ArrayLike, num_classes: int = 10, channels: int = 16, cells: int = 5
) -> NDArray[np.int64]:
    """Return the number of trainable parameters of each network, ``(n, 6)`` -> ``(n,)`` int64.

    NAS-Bench-201's ``params`` are these numbers divided by 10^6, although its API prints "MB".

    Args:
        genotypes: Genotypes of :class:`nas_gym.spaces.NB201Space`, shape ``(n, 6)``.
        num_classes: Number of classes: 10 for CIFAR-10, 100 for CIFAR-100, 120 for
            ImageNet16-120.
        channels: Number of channels of the first stage.
        cells: Number of cells in each of the three stages.

    Raises:
        TypeError: If the genotypes are not integers.
        ValueError: If the genotypes have a wrong shape or are out of range.
    """
    widths = _widths(channels)
    conv1 = cells * sum(c * c + 2 * c for c in widths)
    conv3 = cells * sum(9 * c * c + 2 * c for c in widths)
    stem = 9 * 3 * channels + 2 * channels
    # a residual block has two 3x3 convolutions with batch norm, and a 1x1 shortcut without it
    blocks = sum((9 + 18 + 1) * c * (c // 2) + 2 * 2 * c for c in widths[1:])
    head = 2 * widths[-1] + (widths[-1] + 1) * num_classes
    return _affine(genotypes, stem + blocks + head, conv1, conv3)


def count_nb201_flops(
    genotypes: ArrayLike,
    num_classes: int = 10,
    image_size: int = 32,
    channels: int = 16,
    cells: int = 5,
) -> NDArray[np.int64]:
    """Return the number of multiply-adds for one image, ``(n, 6)`` -> ``(n,)`` int64.

    NAS-Bench-201's ``flops`` are these numbers divided by 10^6. As in the benchmark, convolutions
    and the linear layer with its bias are counted; batch norm, ReLU, pooling and sums are not.

    Args:
        genotypes: Genotypes of :class:`nas_gym.spaces.NB201Space`, shape ``(n, 6)``.
        num_classes: Number of classes: 10 for CIFAR-10, 100 for CIFAR-100, 120 for
            ImageNet16-120.
        image_size: Width and height of the images: 32 for CIFAR, 16 for ImageNet16-120.
        channels: Number of channels of the first stage.
        cells: Number of cells in each of the three stages.

    Raises:
        TypeError: If the genotypes are not integers.
        ValueError: If the genotypes have a wrong shape or are out of range, or the image size
            is not a multiple of 4.
    """
    if image_size % 4:
        raise ValueError(
            f"The image size must be a multiple of 4, because it is halved twice; got {image_size}."
        )
    # a stage has twice the channels and a quarter of the pixels of the previous one, so all stages
    # have the same cost
    pixels = image_size * image_size
    conv1 = 3 * cells * channels * channels * pixels
    stem = 9 * 3 * channels * pixels
    # The two residual blocks have the same cost: one maps C to 2C channels on a quarter of the
    # pixels, the other 2C to 4C channels on a sixteenth. The shortcut is pooled before its 1x1
    # convolution.
    blocks = 2 * (9 + 18 + 1) * channels * 2 * channels * (pixels // 4)
    head = (4 * channels + 1) * num_classes
    return _affine(genotypes, stem + blocks + head, conv1, 9 * conv1)


def _widths(channels: int) -> tuple[int, int, int]:
    return channels, 2 * channels, 4 * channels


def _affine(genotypes: ArrayLike, base: int, conv1: int, conv3: int) -> NDArray[np.int64]:
    array = _SPACE.check(genotypes)
    ones, threes = (np.count_nonzero(array == op, axis=1) for op in (_CONV1, _CONV3))
    cost: NDArray[np.int64] = base + conv1 * ones + conv3 * threes
    return cost
