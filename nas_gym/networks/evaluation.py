"""How good a network is: accuracy and loss on a split, with suitable batch norms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.device import halve_on_out_of_memory, mixed_precision, to_fast_layout
from nas_gym.utils.errors import DivergedError

Forward = Callable[[Tensor], Tensor]


class NetworkScore(NamedTuple):
    """Accuracy in %, and mean cross entropy."""

    accuracy: float
    loss: float


def evaluate_network(forward: Forward, split: DeviceImages, batch_size: int) -> NetworkScore:
    """Accuracy and loss of a network on all images of a split.

    Raises:
        DivergedError: the loss is no number.
        TrainingError: memory does not do, not for half a batch, either.
    """
    return halve_on_out_of_memory(lambda size: _measure(forward, split, size), batch_size)


@torch.no_grad()
def _measure(forward: Forward, split: DeviceImages, batch_size: int) -> NetworkScore:
    device = split.device
    right = torch.zeros((), device=device)
    loss = torch.zeros((), device=device)
    for images, labels in split.in_order(batch_size):
        with mixed_precision(device):
            logits = forward(to_fast_layout(images)).float()
        right += (logits.argmax(dim=1) == labels).sum()
        loss += nn.functional.cross_entropy(logits, labels, reduction="sum")
    if not loss.isfinite():
        raise DivergedError(
            f"The loss on images is {loss.item()}: training diverged. Lower the learning rate."
        )
    return NetworkScore(100 * right.item() / len(split), loss.item() / len(split))


@contextmanager
def recalibrated_batch_norm(
    network: nn.Module, forward: Forward, split: DeviceImages, images: int, batch_size: int
) -> Iterator[None]:
    """Let batch norms know their statistics on the first images of a training split.

    A supernet's own are those of a mixture of architectures. Within the context, those that
    ``forward`` uses are of one alone; the network is in evaluation mode. Afterwards all is as it
    was.

    Args:
        network: that ``forward`` computes a part of.
        forward: a forward pass.
        split: of training.
        images: how many; 0: each batch that is evaluated has its own statistics instead.
        batch_size: of a pass.

    Raises:
        TrainingError: memory does not do, not for half a batch, either.
    """
    norms = [each for each in network.modules() if isinstance(each, nn.BatchNorm2d)]
    momenta = [each.momentum for each in norms]
    statistics = [(each.running_mean, each.running_var) for each in norms]
    mode = network.training
    network.eval()
    for norm in norms:
        norm.momentum = 0.0
        norm.train()
    try:
        if images:
            halve_on_out_of_memory(
                lambda size: _calibrate(norms, forward, split, images, size), batch_size
            )
        yield
    finally:
        for norm, momentum, (mean, variance) in zip(norms, momenta, statistics, strict=True):
            norm.momentum, norm.running_mean, norm.running_var = momentum, mean, variance
        network.train(mode)


@torch.no_grad()
def _calibrate(
    norms: list[nn.BatchNorm2d], forward: Forward, split: DeviceImages, images: int, batch_size: int
) -> None:
    for norm in norms:
        size = norm.num_features
        norm.running_mean = torch.zeros(size, device=split.device)
        norm.running_var = torch.ones(size, device=split.device)
    device, left = split.device, min(images, len(split))
    for step, (batch, _) in enumerate(split.in_order(min(batch_size, left))):
        for norm in norms:
            norm.momentum = 1 / (step + 1)  # the mean over all batches
        with mixed_precision(device):
            forward(to_fast_layout(batch[:left]))
        left -= len(batch)
        if left <= 0:
            break
    for norm in norms:
        norm.eval()
