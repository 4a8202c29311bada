"""Accuracy and loss of a network, and recalibration of batch norm for one architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.device import halve_on_out_of_memory, mixed_precision, to_fast_layout
from nas_gym.utils.errors import DivergedError

CALIBRATION_IMAGES = 1000
"""Training images that recalibrate batch norm by default."""
EVALUATION_BATCH = 1000
"""Images per forward pass of an evaluation."""
Forward = Callable[[Tensor], Tensor]
"""Function that maps normalized images to logits."""


class NetworkScore(NamedTuple):
    """Accuracy in %, and mean cross entropy."""

    accuracy: float
    loss: float


def evaluate_network(forward: Forward, split: DeviceImages, batch_size: int) -> NetworkScore:
    """Return accuracy and loss of a network on all images of a split.

    If memory runs out, the batch size is halved once.

    Raises:
        DivergedError: If the loss is NaN or infinite.
        TrainingError: If memory runs out even with half the batch size.
    """
    return halve_on_out_of_memory(lambda size: _evaluate(forward, split, size), batch_size)


@torch.no_grad()
def _evaluate(forward: Forward, split: DeviceImages, batch_size: int) -> NetworkScore:
    device = split.device
    correct = torch.zeros((), device=device)
    loss = torch.zeros((), device=device)
    for images, labels in split.in_order(batch_size):
        with mixed_precision(device):
            logits = forward(to_fast_layout(images)).float()
        correct += (logits.argmax(dim=1) == labels).sum()
        loss += nn.functional.cross_entropy(logits, labels, reduction="sum")
    if not loss.isfinite():
        raise DivergedError(
            f"The loss on images is {loss.item()}: training diverged. Lower the learning rate."
        )
    return NetworkScore(100 * correct.item() / len(split), loss.item() / len(split))


@contextmanager
def recalibrated_batch_norm(
    network: nn.Module, forward: Forward, train: DeviceImages, images: int, batch_size: int
) -> Iterator[None]:
    """Recompute batch-norm statistics for one architecture within a context.

    The running statistics of a supernet average over many architectures. Within this context, the
    batch norms that ``forward`` uses have the statistics of ``forward`` alone, and the network is
    in evaluation mode. On exit, statistics and mode are restored.

    Args:
        network: Network that contains the batch norms.
        forward: Forward pass of one architecture through ``network``.
        train: Training images; the first ``images`` of them are used.
        images: Number of images; 0 uses the statistics of each evaluation batch instead.
        batch_size: Images per forward pass; halved once if memory runs out.

    Raises:
        TrainingError: If memory runs out even with half the batch size.
    """
    norms = _batch_norms(network)
    momenta = [norm.momentum for norm in norms]
    statistics = [(norm.running_mean, norm.running_var) for norm in norms]
    mode = network.training
    network.eval()
    for norm in norms:
        norm.momentum = 0.0
        norm.train()
    try:
        if images:
            halve_on_out_of_memory(
                lambda size: _recalibrate(norms, forward, train, images, size), batch_size
            )
        yield
    finally:
        for norm, momentum, (mean, variance) in zip(norms, momenta, statistics, strict=True):
            norm.momentum, norm.running_mean, norm.running_var = momentum, mean, variance
        network.train(mode)


def set_batch_norm_statistics(
    network: nn.Module, train: DeviceImages, images: int, batch_size: int
) -> None:
    """Give the network of one architecture the statistics of :func:`recalibrated_batch_norm`.

    In evaluation mode, the network then computes the same logits as the supernet within that
    context.

    Args:
        network: Network of one architecture. With ``images=0``, its batch norms have no running
            statistics afterwards and use the statistics of each batch, also in evaluation mode.
        train, images, batch_size: See :func:`recalibrated_batch_norm`.

    Raises:
        TrainingError: If memory runs out even with half the batch size.
    """
    if not images:
        use_batch_statistics(network)
        return
    norms = _batch_norms(network)
    with recalibrated_batch_norm(network, network, train, images, batch_size):
        statistics = [(norm.running_mean, norm.running_var) for norm in norms]
    for norm, (mean, variance) in zip(norms, statistics, strict=True):
        norm.running_mean, norm.running_var = mean, variance


def use_batch_statistics(network: nn.Module) -> None:
    """Remove the running statistics of batch norms, which then use the statistics of each batch."""
    for norm in _batch_norms(network):
        norm.track_running_stats = False
        norm.running_mean = norm.running_var = norm.num_batches_tracked = None


def _batch_norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@torch.no_grad()
def _recalibrate(
    norms: list[nn.BatchNorm2d], forward: Forward, train: DeviceImages, images: int, batch_size: int
) -> None:
    for norm in norms:
        size = norm.num_features
        norm.running_mean = torch.zeros(size, device=train.device)
        norm.running_var = torch.ones(size, device=train.device)
    device, remaining = train.device, min(images, len(train))
    for step, (batch, _) in enumerate(train.in_order(min(batch_size, remaining))):
        for norm in norms:
            norm.momentum = 1 / (step + 1)  # running statistics become the mean over all batches
        with mixed_precision(device):
            forward(to_fast_layout(batch[:remaining]))
        remaining -= len(batch)
        if remaining <= 0:
            break
    for norm in norms:
        norm.eval()
