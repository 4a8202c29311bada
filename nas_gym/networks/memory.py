"""Memory of a training step, for one network, a supernet and the one-shot searches."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.bayesian.distribution import NetworkDistribution
from nas_gym.networks.bayesian.embedding import optimization_embedding
from nas_gym.networks.bayesian.plans import BASETrainingConfig
from nas_gym.networks.device import move_to_device
from nas_gym.networks.few_shot.adaptation import adapted_weights
from nas_gym.networks.network import Network
from nas_gym.networks.one_shot import ONE_SHOT_SEARCHES
from nas_gym.networks.plans import NetworkPlan
from nas_gym.networks.training import Training


class StepMemory(NamedTuple):
    """Memory of a training step, in bytes.

    Attributes:
        weights: Parameters and batch-norm statistics of the network.
        optimizer: Gradients, momentum, and the extra weight copies of the method.
        activations: Peak of the tensors saved for backward passes.
        allocated: Peak of all memory that PyTorch allocated on a CUDA device, including memory
            allocated before the step; 0 on other devices.
    """

    weights: int
    optimizer: int
    activations: int
    allocated: int

    @property
    def total(self) -> int:
        """Sum of weights, optimizer and activations: the minimum that the step needs."""
        return self.weights + self.optimizer + self.activations


def measure_step_memory(training: Training, images: int) -> StepMemory:
    """Return the memory of one training step, after taking two steps on the first images.

    Tensors saved for a backward pass are counted while they exist, so all fields except
    ``allocated`` are the same on every device. ``allocated`` also includes workspaces and
    fragmentation.

    Args:
        training: Training of a network or a supernet; this call advances it by two steps.
        images: Images per step.
    """
    device = training.train.device
    training.network.train()
    batch, labels = (each.clone() for each in next(training.train.in_order(images)))
    training.step(batch, labels)  # allocates the momentum buffers
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    saved = _SavedStorages()
    with torch.autograd.graph.saved_tensors_hooks(saved.pack, _SavedTensor.unpack):
        training.step(batch, labels)
    network = training.network
    parameters = list(network.parameters())
    gradients = sum(each.grad.nbytes for each in parameters if each.grad is not None)
    copies = training.extra_weight_copies * sum(each.nbytes for each in parameters)
    own = {each.untyped_storage().data_ptr() for each in parameters}
    return StepMemory(
        weights=sum(each.nbytes for each in (*parameters, *network.buffers())),
        optimizer=gradients + copies + sum(each.nbytes for each in training.momentum_buffers()),
        activations=saved.peak_without(own),
        allocated=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0,
    )


def measure_adaptation_memory(
    network: Network, genotype: NDArray[np.int64] | None, images: Tensor, labels: Tensor
) -> StepMemory:
    """Return the memory of an SGD step of an adaptation to a few-shot task (AT-NAS, Eq. 4).

    ``optimizer`` counts the gradients and the adapted weights, which exist for the architecture's
    operations only.

    Args:
        network: Supernet, or network of one architecture, without running batch-norm statistics.
        genotype: Architecture, ``(num_decisions,)``; ``None`` for the network of one architecture.
        images: Images of the task, ``(n, channels, height, width)``.
        labels: Class numbers, ``(n,)`` int64.
    """
    cuda = images.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(images.device)
    saved = _SavedStorages()
    with torch.autograd.graph.saved_tensors_hooks(saved.pack, _SavedTensor.unpack):
        adapted = adapted_weights(network, genotype, images, labels, 1, 0.1)
    parameters = list(network.parameters())
    own = {each.untyped_storage().data_ptr() for each in parameters}
    return StepMemory(
        weights=sum(each.nbytes for each in (*parameters, *network.buffers())),
        optimizer=2 * sum(each.nbytes for each in adapted.values()),
        activations=saved.peak_without(own),
        allocated=torch.cuda.max_memory_allocated(images.device) if cuda else 0,
    )


def measure_embedding_memory(
    network: Network,
    prior: NetworkDistribution,
    images: Tensor,
    labels: Tensor,
    config: BASETrainingConfig,
) -> StepMemory:
    """Return the memory of a gradient step of optimization embedding (BASE).

    ``optimizer`` counts the posterior, and the gradients of the parameters that the step reaches.

    Args:
        network: Supernet without running batch-norm statistics.
        prior: Meta-parameters.
        images: Images of the step, ``(n, channels, height, width)``.
        labels: Class numbers, ``(n,)`` int64.
        config: Settings of the step.
    """
    cuda = images.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(images.device)
    saved, batches = _SavedStorages(), [(images, labels)]
    generator = torch.Generator().manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(saved.pack, _SavedTensor.unpack):
        posterior = optimization_embedding(
            network, prior, batches, len(labels), config, 1.0, generator
        )
    before = prior.parameters()
    moved = [each for name, each in posterior.parameters().items()
             if each.data_ptr() != before[name].data_ptr()]  # fmt: skip
    own = {each.untyped_storage().data_ptr() for each in before.values()}
    return StepMemory(
        weights=sum(each.nbytes for each in before.values()),
        optimizer=2 * sum(each.nbytes for each in moved),
        activations=saved.peak_without(own),
        allocated=torch.cuda.max_memory_allocated(images.device) if cuda else 0,
    )


def measure_method_memory(
    plan: NetworkPlan,
    train: DeviceImages,
    valid: DeviceImages,
    largest: NDArray[np.int64],
    images: int,
) -> dict[str, StepMemory]:
    """Return the memory of a training step of each method, by the method's name.

    The methods are the stand-alone network of the largest architecture, the same architecture
    within the supernet, and every one-shot search. Searches that draw one architecture per batch
    draw the largest architecture.

    Args:
        plan: Plan of the supernet.
        train: Images that train the weights.
        valid: Images that choose the architecture.
        largest: Genotype of the largest network, ``(num_decisions,)``.
        images: Images per step.
    """

    def build(genotype: NDArray[np.int64] | None = None) -> Network:
        return move_to_device(plan.build(genotype), train.device)

    def begin_search(name: str) -> Training:
        search = ONE_SHOT_SEARCHES[name](build(), train, valid, plan.training, 0)
        search.fix_architecture(largest)
        search.begin_epoch()
        return search

    def sample_largest(_: np.random.Generator) -> NDArray[np.int64]:
        return largest

    training = Training(build(largest), train, plan.training, 0)
    found = {"largest network": measure_step_memory(training, images)}
    training = Training(build(), train, plan.training, 0, sample_largest)
    found["the same path of the supernet"] = measure_step_memory(training, images)
    del training  # so that ``allocated`` of the searches does not include its memory
    return found | {
        name: measure_step_memory(begin_search(name), images) for name in ONE_SHOT_SEARCHES
    }


class _SavedStorages:
    """Storages that are saved for backward passes, and their peak size."""

    def __init__(self) -> None:
        self._references: Counter[int] = Counter()
        self._bytes: dict[int, int] = {}
        self._bytes_at_peak: dict[int, int] = {}
        self._total = self._peak = 0

    def pack(self, tensor: Tensor) -> _SavedTensor:
        storage = tensor.untyped_storage()
        key = storage.data_ptr()
        if not self._references[key]:
            self._bytes[key] = storage.nbytes()
            self._total += self._bytes[key]
        self._references[key] += 1
        if self._total > self._peak:
            self._peak, self._bytes_at_peak = self._total, dict(self._bytes)
        return _SavedTensor(tensor, self, key)

    def release(self, key: int) -> None:
        self._references[key] -= 1
        if not self._references[key]:
            self._total -= self._bytes.pop(key)

    def peak_without(self, excluded: set[int]) -> int:
        """Return the bytes at the peak, without the excluded storages."""
        return sum(size for key, size in self._bytes_at_peak.items() if key not in excluded)


class _SavedTensor:
    """Tensor saved for a backward pass, which reports its release."""

    def __init__(self, tensor: Tensor, storages: _SavedStorages, key: int) -> None:
        self.tensor, self._storages, self._key = tensor, storages, key

    def unpack(self) -> Tensor:
        return self.tensor

    def __del__(self) -> None:
        self._storages.release(self._key)
