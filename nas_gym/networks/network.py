"""What the networks of all search spaces have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from typing_extensions import Self

from nas_gym.spaces import SearchSpace


class Network(nn.Module, ABC):
    """A classifier of images that holds a search space: a supernet, or one architecture of it.

    A supernet has the weights of every operation at every place. The network of one architecture
    has those of its own operations alone, under the same names, so that it can inherit a
    supernet's.

    Attributes:
        alpha_shape: of alpha as a matrix, ``(edges, operations)``.
        scales_shape: of the ``scales`` of a forward pass.

    Args:
        space: of the architectures.
        genotype: whose network this is, ``(num_decisions,)``; a supernet without.
        settings: the other arguments that the network is built with.

    Raises:
        ValueError: a setting below 1 that counts something.
    """

    alpha_shape: tuple[int, int]
    scales_shape: tuple[int, ...]

    def __init__(
        self, space: SearchSpace, genotype: ArrayLike | None, settings: dict[str, Any]
    ) -> None:
        super().__init__()
        for name, value in settings.items():
            if type(value) is int and value < 1:
                raise ValueError(f"{name} is at least 1, got {value}.")
        self.space = space
        self.settings = settings
        self.genotype = None if genotype is None else _one(space, genotype)
        self.in_channels = int(settings["in_channels"])
        self.auxiliary_logits: Tensor | None = None
        """Of the latest forward pass in training, where there is a second head."""
        self.generator: torch.Generator | None = None
        """Of the random parts of a forward pass in training, on the CPU; by default torch's own."""

    def set_progress(self, progress: float) -> None:
        """Say how much of the training is done, 0 to 1; a network may depend on it."""

    @abstractmethod
    def forward(
        self, images: Tensor, genotype: ArrayLike | None = None, scales: Tensor | None = None
    ) -> Tensor:
        """Logits of one architecture; no other operations than its own are computed.

        Args:
            images: ``(n, in_channels, height, width)`` of floating point.
            genotype: ``(num_decisions,)``; a stand-alone network knows its own.
            scales: what the output of each operation is multiplied with, one number for each that
                a discretized alpha chooses (GDAS); 1 by default.

        Returns:
            ``(n, num_classes)``.

        Raises:
            ValueError: a supernet without genotype, another genotype than a stand-alone network's,
                or images of another shape.
        """

    @abstractmethod
    def forward_mixed(self, images: Tensor, alpha: Tensor) -> Tensor:
        """Logits of all architectures at once: each operation is weighted (DARTS, Eq. 2).

        Args:
            images: as of :meth:`forward`.
            alpha: weights, ``(alpha_size,)``, laid out as the search space's alpha. They are used
                as they are: a softmax is up to the caller. All weights of an edge 0 leave it out.
        """

    def subnet(self, genotype: ArrayLike) -> Self:
        """The stand-alone network of an architecture, with a copy of the weights of this one."""
        own = self.state_dict()
        with torch.random.fork_rng(devices=[]):  # fresh weights, of which none stays
            network = type(self)(**self.settings, genotype=genotype)
        network.load_state_dict({name: own[name] for name in network.state_dict()})
        weights = next(self.parameters())
        return network.to(weights.device, weights.dtype).train(self.training)

    def chosen(self, genotype: ArrayLike | None) -> tuple[int, ...]:
        """The genotype that a forward pass is of.

        Raises:
            ValueError: none, or another than that of a stand-alone network.
        """
        if genotype is None:
            if self.genotype is None:
                raise ValueError("A supernet computes one architecture at a time: give a genotype.")
            return self.genotype
        found = _one(self.space, genotype)
        if self.genotype not in (None, found):
            raise ValueError(
                f"This is the network of {list(self.genotype or ())}, it cannot compute "
                f"{list(found)}."
            )
        return found

    def check(self, images: Tensor) -> None:
        """Refuse images of another shape.

        Raises:
            ValueError: as said.
        """
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise ValueError(
                f"Images have shape (n, {self.in_channels}, height, width), "
                f"got {tuple(images.shape)}."
            )

    def check_alpha(self, alpha: Tensor) -> Tensor:
        """Alpha as a matrix, :attr:`alpha_shape`.

        Raises:
            ValueError: another number of weights, or a stand-alone network.
        """
        if self.genotype is not None:
            raise ValueError("The network of one architecture has no operations to mix.")
        if alpha.shape != (self.space.alpha_size,):
            raise ValueError(
                f"Alpha of {self.space.name} has shape ({self.space.alpha_size},), "
                f"got {tuple(alpha.shape)}."
            )
        return alpha.reshape(self.alpha_shape)


def _one(space: SearchSpace, genotype: ArrayLike) -> tuple[int, ...]:
    found = np.asarray(genotype)
    if found.ndim != 1:
        raise ValueError(f"One genotype has shape ({space.num_decisions},), got {found.shape}.")
    return tuple(space.decode(space.encode(found))[0].tolist())
