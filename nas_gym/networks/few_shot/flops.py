"""Multiply-adds of networks, and limits on them (AT-NAS paper, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nas_gym.spaces.evolution import Accept


def flops_limit(
    build: Callable[[Any], nn.Module], shape: tuple[int, int, int], limit: float
) -> Accept:
    """Return the function that says which architectures need at most ``limit`` multiply-adds.

    Args:
        build: Function that returns the network of a genotype.
        shape: Shape of an image, ``(channels, height, width)``.
        limit: Multiply-adds per image, in millions.
    """
    known: dict[bytes, bool] = {}

    def accept(genotypes: NDArray[np.int64]) -> NDArray[np.bool_]:
        for genotype in genotypes:
            key = genotype.tobytes()
            if key not in known:
                known[key] = count_flops(build, genotype, shape) <= limit
        return np.array([known[genotype.tobytes()] for genotype in genotypes], bool)

    return accept


def count_flops(
    build: Callable[[Any], nn.Module], genotype: Any, shape: tuple[int, int, int]
) -> float:
    """Return the multiply-adds of convolutions and matrix products for one image, in millions.

    Args:
        build: Function that returns the network of a genotype.
        genotype: Architecture, ``(num_decisions,)``.
        shape: Shape of an image, ``(channels, height, width)``.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        build(genotype)(torch.empty(2, *shape))
    return float(counter.get_total_flops()) / 2 / 2 / 1e6  # two images, two FLOPs a multiply-add
