"""Base class of one-shot searches that learn alpha by gradients (DARTS paper, Algorithm 1)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.device import mixed_precision
from nas_gym.networks.network import Network
from nas_gym.networks.one_shot.base import Batch, Genotype, OneShotSearch
from nas_gym.networks.training import TrainingConfig, tensors_with_prefix


class DifferentiableSearch(OneShotSearch):
    """Search that learns alpha by gradients of the validation loss (DARTS paper, Algorithm 1).

    A step of alpha precedes each step of the weights. Alpha is trained by Adam with a learning rate
    of 3e-4 and a weight decay of 1e-3. A softmax over the operations of each edge converts
    ``alpha_logits`` to alpha.

    Args:
        network: Supernet on its device.
        train: Images that train the weights, on the same device.
        valid: Images that train alpha, on the same device.
        config: Settings of the training of the weights.
        seed: Seed of all random draws.
    """

    def __init__(
        self,
        network: Network,
        train: DeviceImages,
        valid: DeviceImages,
        config: TrainingConfig,
        seed: int,
    ) -> None:
        super().__init__(network, train, valid, config, seed)
        if network.alpha_shape[0] * network.alpha_shape[1] != self.space.alpha_size:
            raise ValueError(
                "DARTS, GDAS and SETN learn the operation of each edge, but alpha of "
                f"{self.space.name} has several matrices. Use rsws or enas, or an agent that "
                "searches with a supernet, such as l2nas."
            )
        start = 1e-3 * torch.randn(network.alpha_shape, generator=self._generator)
        self.alpha_logits = nn.Parameter(start.to(train.device))
        self.alpha_optimizer = torch.optim.Adam(
            [self.alpha_logits], lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3
        )

    @property
    def alpha(self) -> Tensor:
        """Weights of the operations, ``(alpha_size,)``; the weights of an edge sum to 1."""
        return self.alpha_logits.softmax(dim=-1).flatten()

    def derive(self) -> Genotype:
        """Return the discretization of alpha."""
        alpha = self.alpha.detach().cpu().numpy()
        genotype: Genotype = self.space.alpha_to_genotype(alpha)[0]
        return genotype

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Take a step of alpha on a validation batch, then a step of the weights."""
        train, valid = (images, labels), next(self._valid_batches)
        self.alpha_logits.grad = self.retry_in_halves(lambda: self.alpha_gradient(train, valid))
        self.alpha_optimizer.step()
        return super().step(images, labels)

    def alpha_gradient(self, train: Batch, valid: Batch) -> Tensor:
        """Return the gradient of the validation loss with respect to ``alpha_logits``.

        Args:
            train: Batch that the next step of the weights uses; only the second order needs it.
            valid: Batch of validation images.
        """
        return self._gradients(valid, [self.alpha_logits])[0]

    def alpha_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss that trains alpha; by default, the loss of the mixture."""
        logits = self.network.forward_mixed(images, self.alpha)
        return nn.functional.cross_entropy(logits, labels)

    def _gradients(self, batch: Batch, variables: list[Any]) -> list[Tensor]:
        """Return gradients of :meth:`alpha_loss`; zeros for variables without influence on it.

        For example, alpha has no influence on the loss if no edge reaches the output.
        """
        total = [torch.zeros_like(each) for each in variables]
        for images, labels, share in self.chunks(*batch):
            with self._precision(images.device):
                loss = self.alpha_loss(images, labels) * share
            found = torch.autograd.grad(loss, variables, allow_unused=True)
            for each, gradient in zip(total, found, strict=True):
                if gradient is not None:
                    each += gradient
        return total

    def _precision(self, device: torch.device) -> AbstractContextManager[object]:
        return mixed_precision(device)

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state of :class:`Training`, and alpha with its optimizer."""
        found = {"alpha/logits": self.alpha_logits.detach()}
        for name, value in self.alpha_optimizer.state[self.alpha_logits].items():
            found[f"alpha/{name}"] = torch.as_tensor(value)
        arrays = {name: each.cpu().numpy().copy() for name, each in found.items()}
        return super().state_arrays() | arrays

    def load_state_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Restore a state that :meth:`state_arrays` returned."""
        super().load_state_arrays(arrays)
        found = tensors_with_prefix(arrays, "alpha/")
        with torch.no_grad():
            self.alpha_logits.copy_(found.pop("logits"))
        if found:
            device = self.alpha_logits.device
            self.alpha_optimizer.state[self.alpha_logits] = {
                name: value if name == "step" else value.to(device) for name, value in found.items()
            }
