"""Base class of supernets and of the networks of single architectures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from typing_extensions import Self

from nas_gym.networks.device import move_to_device
from nas_gym.spaces import SearchSpace

_LIMITS = {
    "num_classes": 1_000_000,
    "in_channels": 1024,
    "channels": 4096,
    "cells": 100,
    "layers": 200,
    "partial": 4096,
}
"""Largest values of counts, which start at 1."""


class Network(nn.Module, ABC):
    """Image classifier of a search space: a supernet, or the network of one architecture.

    A supernet has the weights of every candidate operation on every edge. The network of one
    architecture only has the weights of the architecture's operations. Both use the same parameter
    names, so that the network of one architecture can inherit weights from a supernet.

    Attributes:
        alpha_shape: Shape of alpha as a matrix, ``(edges, operations)``.
        scales_shape: Shape of the argument ``scales`` of :meth:`forward`.

    Args:
        space: Search space of the architectures.
        genotype: Architecture, ``(num_decisions,)``; ``None`` builds a supernet.
        settings: The other arguments of the constructor, by name.

    Raises:
        ValueError: If a count in ``settings`` is below 1 or too high.
    """

    alpha_shape: tuple[int, int]
    scales_shape: tuple[int, ...]

    def __init__(
        self, space: SearchSpace, genotype: ArrayLike | None, settings: dict[str, Any]
    ) -> None:
        super().__init__()
        for name, value in settings.items():
            most = _LIMITS.get(name, 1)
            if type(value) is int and not 1 <= value <= most:
                raise ValueError(f"{name} is at least 1 and at most {most:,}, got {value}.")
        self.space = space
        self.settings = settings
        self.genotype = None if genotype is None else _check_genotype(space, genotype)
        self.in_channels = int(settings["in_channels"])
        self.auxiliary_logits: Tensor | None = None
        """Logits of the auxiliary head in the latest forward pass, if the network has one and is in
        training mode."""
        self.generator: torch.Generator | None = None
        """CPU generator of random numbers in forward passes; ``None`` uses PyTorch's global one."""
        self.calibrate: Callable[[nn.Module], None] | None = None
        """Function that sets the batch-norm statistics of a network that :meth:`subnet` returns;
        trained supernets have one. ``None`` copies the statistics of this network."""

    def set_progress(self, progress: float) -> None:
        """Set the finished fraction of the training, 0 to 1, on which drop path depends."""

    @abstractmethod
    def forward(
        self, images: Tensor, genotype: ArrayLike | None = None, scales: Tensor | None = None
    ) -> Tensor:
        """Return the logits of one architecture; only the architecture's operations are computed.

        Args:
            images: Images, ``(n, in_channels, height, width)``, floating point.
            genotype: Architecture, ``(num_decisions,)``; optional if the network has a single
                architecture.
            scales: Factors of the operations' outputs (used by GDAS), in shape
                :attr:`scales_shape`, one factor per operation that a discretized alpha chooses; 1
                by default.

        Returns:
            Logits, ``(n, num_classes)``.

        Raises:
            ValueError: If a supernet gets no genotype, if a stand-alone network gets the genotype
                of another architecture, or if the images have a wrong shape.
        """

    @abstractmethod
    def forward_mixed(self, images: Tensor, alpha: Tensor) -> Tensor:
        """Return the logits of the mixture of all operations, weighted by alpha.

        The mixture is Eq. 2 of the DARTS paper.

        Args:
            images: Images as in :meth:`forward`.
            alpha: Weights, ``(alpha_size,)``, in the order of the search space's alpha. The weights
                are used without a softmax. An edge whose weights are all 0 is omitted.
        """

    def subnet(self, genotype: ArrayLike) -> Self:
        """Return the stand-alone network of an architecture, with copies of this network's weights.

        The running statistics of a supernet average over many architectures. The stand-alone
        network of a trained supernet therefore gets new statistics from training images. In
        evaluation mode, it has the same accuracy as the architecture in searches on the supernet.

        Args:
            genotype: Architecture, ``(num_decisions,)``.

        Raises:
            MissingDataError: If the images of a trained supernet are not known; see
                :func:`nas_gym.networks.supernet.load_supernet`.
        """
        own = self.state_dict()
        with torch.random.fork_rng(devices=[]):  # initial weights are overwritten below
            network = type(self)(**self.settings, genotype=genotype)
        network.load_state_dict({name: own[name] for name in network.state_dict()})
        weights = next(self.parameters())
        network = move_to_device(network.to(weights.dtype), weights.device).train(self.training)
        if self.calibrate is not None:
            self.calibrate(network)
        return network

    def resolve_genotype(self, genotype: ArrayLike | None) -> tuple[int, ...]:
        """Return the genotype that a forward pass computes: the given one, or the network's own.

        Raises:
            ValueError: If a supernet gets no genotype, or if a stand-alone network gets the
                genotype of another architecture.
        """
        if genotype is None:
            if self.genotype is None:
                raise ValueError("A supernet computes one architecture at a time: give a genotype.")
            return self.genotype
        found = _check_genotype(self.space, genotype)
        if self.genotype not in (None, found):
            raise ValueError(
                f"This is the network of {list(self.genotype or ())}, it cannot compute "
                f"{list(found)}."
            )
        return found

    def check_images(self, images: Tensor) -> None:
        """Raise an error if images have the wrong shape.

        Raises:
            ValueError: If the shape is not ``(n, in_channels, height, width)``.
        """
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise ValueError(
                f"Images have shape (n, {self.in_channels}, height, width), "
                f"got {tuple(images.shape)}."
            )

    def check_alpha(self, alpha: Tensor) -> Tensor:
        """Return alpha as a matrix of shape :attr:`alpha_shape`.

        Raises:
            ValueError: If alpha has another size, or if the network has a single architecture.
        """
        self.check_supernet_alpha(alpha)
        return alpha.reshape(self.alpha_shape)

    def check_supernet_alpha(self, alpha: Tensor) -> None:
        """Raise an error if alpha has a wrong size, or the network has a single architecture.

        Raises:
            ValueError: If alpha has another size, or if the network has a single architecture.
        """
        if self.genotype is not None:
            raise ValueError("The network of one architecture has no operations to mix.")
        if alpha.shape != (self.space.alpha_size,):
            raise ValueError(
                f"Alpha of {self.space.name} has shape ({self.space.alpha_size},), "
                f"got {tuple(alpha.shape)}."
            )


def _check_genotype(space: SearchSpace, genotype: ArrayLike) -> tuple[int, ...]:
    found = np.asarray(genotype)
    if found.ndim != 1:
        raise ValueError(f"One genotype has shape ({space.num_decisions},), got {found.shape}.")
    row = space.check(found)
    if not space.contains(row)[0]:
        raise ValueError(f"{found.tolist()} is not an architecture of {space.name}.")
    return tuple(row[0].tolist())
