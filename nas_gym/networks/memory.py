"""How much memory a step of training takes, on a GPU or not."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.device import move_to_device
from nas_gym.networks.network import Network
from nas_gym.networks.one_shot import ONE_SHOT_SEARCHES
from nas_gym.networks.plans import NetworkPlan
from nas_gym.networks.training import Training


class Memory(NamedTuple):
    """Bytes of a training step.

    Attributes:
        weights: parameters and statistics of the network.
        optimizer: gradients and momentum, and copies of the weights where a method keeps any.
        activations: the most that is kept for a backward pass at any time.
        allocated: the most that torch had allocated on a GPU, all that was there before included; 0
            elsewhere.
    """

    weights: int
    optimizer: int
    activations: int
    allocated: int

    @property
    def total(self) -> int:
        """All that has to be there at once, however memory is managed."""
        return self.weights + self.optimizer + self.activations


def measure_step_memory(training: Training, images: int) -> Memory:
    """What a step of a training takes, on the first of its images.

    Tensors that a backward pass will need are counted as long as they are held, so that the figure
    is the same on every device; what torch allocates beside them (workspaces, fragments, all that
    forgotten tensors leave behind) is in ``allocated``.

    Args:
        training: of a network or a supernet; it has taken two steps more afterwards.
        images: in the step.
    """
    device = training.split.device
    training.network.train()
    batch, labels = (each.clone() for each in next(training.split.in_order(images)))
    training.step(batch, labels)  # so that there is momentum
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    held = _Held()
    with torch.autograd.graph.saved_tensors_hooks(held.pack, _Kept.unpack):
        training.step(batch, labels)
    network = training.network
    parameters = list(network.parameters())
    gradients = sum(each.grad.nbytes for each in parameters if each.grad is not None)
    copies = training.copies * sum(each.nbytes for each in parameters)
    own = {each.untyped_storage().data_ptr() for each in parameters}
    return Memory(
        weights=sum(each.nbytes for each in (*parameters, *network.buffers())),
        optimizer=gradients + copies + sum(each.nbytes for each in training.momentum_buffers()),
        activations=held.peak_without(own),
        allocated=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0,
    )


def measure_method_memory(
    plan: NetworkPlan,
    train: DeviceImages,
    valid: DeviceImages,
    largest: NDArray[np.int64],
    images: int,
) -> dict[str, Memory]:
    """What a step takes: of the largest single network, of its path through the supernet, and of
    each one-shot search, where it draws that path, too.

    Args:
        plan: of the supernet.
        train: images for weights.
        valid: images for architectures.
        largest: the genotype of the largest network, ``(num_decisions,)``.
        images: in the step.
    """

    def fresh(genotype: NDArray[np.int64] | None = None) -> Network:
        return move_to_device(plan.build(genotype), train.device)

    def search(name: str) -> Training:
        found = ONE_SHOT_SEARCHES[name](fresh(), train, valid, plan.training, 0)
        found.fix_architecture(largest)
        found.begin_epoch()
        return found

    def path(_: np.random.Generator) -> NDArray[np.int64]:
        return largest

    single = Training(fresh(largest), train, plan.training, 0)
    found = {"largest network": measure_step_memory(single, images)}
    single = Training(fresh(), train, plan.training, 0, path)
    found["the same path of the supernet"] = measure_step_memory(single, images)
    del single  # its memory is none of the searches'
    return found | {name: measure_step_memory(search(name), images) for name in ONE_SHOT_SEARCHES}


class _Held:
    """The storages that are held for backward passes, and the most there ever were."""

    def __init__(self) -> None:
        self._holders: Counter[int] = Counter()
        self._bytes: dict[int, int] = {}
        self._largest: dict[int, int] = {}
        self._now = self._most = 0

    def pack(self, tensor: Tensor) -> _Kept:
        storage = tensor.untyped_storage()
        key = storage.data_ptr()
        if not self._holders[key]:
            self._bytes[key] = storage.nbytes()
            self._now += self._bytes[key]
        self._holders[key] += 1
        if self._now > self._most:
            self._most, self._largest = self._now, dict(self._bytes)
        return _Kept(tensor, self, key)

    def release(self, key: int) -> None:
        self._holders[key] -= 1
        if not self._holders[key]:
            self._now -= self._bytes.pop(key)

    def peak_without(self, others: set[int]) -> int:
        """The most that was held, but for some storages."""
        return sum(size for key, size in self._largest.items() if key not in others)


class _Kept:
    """A tensor that a backward pass will need, until it is forgotten."""

    def __init__(self, tensor: Tensor, held: _Held, key: int) -> None:
        self.tensor, self._held, self._key = tensor, held, key

    def unpack(self) -> Tensor:
        return self.tensor

    def __del__(self) -> None:
        self._held.release(self._key)
