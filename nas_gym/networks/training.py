"""Training of a network by SGD with a cosine learning-rate schedule."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas_gym.networks.batches import Augmentation, DeviceImages
from nas_gym.networks.device import (
    is_out_of_memory,
    to_fast_layout,
    training_precision,
)
from nas_gym.networks.network import Network
from nas_gym.utils.errors import DivergedError, TrainingError

GenotypeSampler = Callable[[np.random.Generator], NDArray[np.int64]]
"""Function that draws the genotype that one batch trains, ``(num_decisions,)``."""

_T = TypeVar("_T")

_MOST = 1_000_000  # epochs, and images of a batch


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of :class:`Training`: SGD with Nesterov momentum and a cosine schedule.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per step.
        learning_rate: Initial learning rate.
        final_rate: Learning rate at the end of the last epoch.
        momentum: Momentum of SGD.
        weight_decay: Weight decay of all parameters.
        clip: Largest norm of the gradient of all parameters together.
        auxiliary_weight: Weight of the auxiliary head's loss, if the network has such a head.
        augmentation: Augmentation of the training images.

    Raises:
        ValueError: If a setting is outside its range.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    final_rate: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    clip: float = 5.0
    auxiliary_weight: float = 0.4
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        counts = (self.epochs, self.batch_size)
        if not all(1 <= each <= _MOST for each in counts) or not 0 < self.learning_rate < np.inf:
            raise ValueError(
                f"Training needs epochs and batch_size of 1 to {_MOST:,}, and a finite "
                f"learning_rate above 0; got epochs={self.epochs}, batch_size={self.batch_size} "
                f"and learning_rate={self.learning_rate}."
            )
        decays = (self.final_rate, self.weight_decay, self.auxiliary_weight)
        if not (
            0 <= self.momentum < 1 and self.clip > 0 and all(0 <= each < np.inf for each in decays)
        ):
            raise ValueError(
                "momentum is at least 0 and below 1, clip is above 0; final_rate, weight_decay and "
                f"auxiliary_weight are at least 0 and finite; got {self}."
            )

    def describe(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self)


class Training:
    """Training of a network, epoch by epoch; it can be saved and resumed between two epochs.

    Args:
        network: Network with initial weights, on its device.
        train: Training images on the same device.
        config: Settings of the training.
        seed: Seed of the order of images, of augmentation and of the drawn genotypes.
        sample_genotype: Sampler of the architecture that each batch trains, for a supernet; the
            network of a single architecture needs none.
    """

    extra_weight_copies = 0
    """Number of extra full weight copies that a step holds."""

    def __init__(
        self,
        network: Network,
        train: DeviceImages,
        config: TrainingConfig,
        seed: int,
        sample_genotype: GenotypeSampler | None = None,
    ) -> None:
        self.network, self.train, self.config = network, train, config
        self.sample_genotype = sample_genotype
        self._optimizer = torch.optim.SGD(
            network.parameters(),
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            nesterov=True,
        )
        self._rng = np.random.default_rng(seed)
        self._generator = torch.Generator().manual_seed(seed)
        network.generator = self._generator
        self._num_chunks = 1  # into which a batch is split; 2 after an out-of-memory error
        self.epoch = 0
        self.steps = max(len(train) // config.batch_size, 1)
        """Steps per epoch."""

    @property
    def learning_rate(self) -> float:
        """Learning rate of the latest step."""
        rate: float = self._optimizer.param_groups[0]["lr"]
        return rate

    def run_epoch(self) -> float:
        """Train on all images once; return the mean loss.

        The cosine ends with the last epoch of the settings. Later epochs keep the final rate.

        Raises:
            DivergedError: If the loss is NaN or infinite.
            TrainingError: If memory runs out.
        """
        self.network.train()
        self.begin_epoch()
        total = torch.zeros((), device=self.train.device)
        batches = self.train.shuffled(
            self.config.batch_size, self.config.augmentation, self._generator
        )
        for step, (images, labels) in enumerate(batches):
            self._set_progress((self.epoch + step / self.steps) / self.config.epochs)
            total += self.step(images, labels)
        self.epoch += 1
        loss = total.item() / self.steps
        if not math.isfinite(loss):
            raise DivergedError(
                f"The loss was {loss} in epoch {self.epoch}: training diverged. Lower the learning "
                f"rate ({self.config.learning_rate:g}), or clip gradients at less than "
                f"{self.config.clip:g}."
            )
        return loss

    def begin_epoch(self) -> None:
        """Prepare an epoch; subclasses may override this."""

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Take one SGD step on a batch of normalized images; return the loss, a scalar.

        Raises:
            TrainingError: If memory runs out.
        """
        genotype = None if self.sample_genotype is None else self.sample_genotype(self._rng)
        return self.retry_in_halves(lambda: self._sgd_step(images, labels, genotype))

    def momentum_buffers(self) -> list[Tensor]:
        """Return the optimizer's momentum buffers of all parameters that were trained so far."""
        found = (state.get("momentum_buffer") for state in self._optimizer.state.values())
        return [buffer for buffer in found if buffer is not None]

    def _set_progress(self, progress: float) -> None:
        """Set the learning rate and the progress of the network, a fraction from 0 to 1."""
        progress = min(progress, 1.0)
        first, last = self.config.learning_rate, self.config.final_rate
        rate = last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self.network.set_progress(progress)

    def retry_in_halves(self, compute: Callable[[], _T]) -> _T:
        """Return ``compute()``; if memory runs out, split batches in two and retry once.

        ``compute`` iterates over :meth:`chunks`. Later batches stay split.

        Raises:
            TrainingError: If memory runs out even with half batches.
        """
        try:
            return compute()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if self._num_chunks > 1:
                raise TrainingError(
                    f"Out of memory with half a batch of {self.config.batch_size} images. "
                    "Lower batch_size, or the network's channels."
                ) from error
        self._num_chunks = 2
        return self.retry_in_halves(compute)

    def chunks(self, images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Yield the parts of a batch that fit in memory: images, labels, fraction of the batch."""
        parts = zip(images.chunk(self._num_chunks), labels.chunk(self._num_chunks), strict=True)
        for part, part_labels in parts:
            yield to_fast_layout(part), part_labels, len(part_labels) / len(labels)

    def _sgd_step(self, images: Tensor, labels: Tensor, genotype: Any) -> Tensor:
        self._optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=images.device)
        for part, part_labels, share in self.chunks(images, labels):
            with training_precision(images):
                loss = self.loss(part, part_labels, genotype) * share
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        self._optimizer.step()
        return total

    def loss(self, images: Tensor, labels: Tensor, genotype: Any) -> Tensor:
        """Return the loss that trains the weights; subclasses may override this.

        Args:
            images: Normalized images, ``(n, in_channels, height, width)``.
            labels: Labels, ``(n,)`` int64.
            genotype: Drawn architecture; ``None`` without a sampler.
        """
        loss = nn.functional.cross_entropy(self.network(images, genotype), labels)
        auxiliary = self.network.auxiliary_logits
        if auxiliary is None:
            return loss
        return loss + self.config.auxiliary_weight * nn.functional.cross_entropy(auxiliary, labels)

    # -- saving and resuming ----------------------------------------------------------------------

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the complete state of the training: weights, momentum, epoch and generators."""
        found = {f"network/{k}": v for k, v in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            buffer = self._optimizer.state[parameter].get("momentum_buffer")
            if buffer is not None:
                found[f"momentum/{name}"] = buffer
        arrays = {name: each.detach().cpu().numpy().copy() for name, each in found.items()}
        return arrays | {
            "epoch": np.array(self.epoch),
            "torch_generator": self._generator.get_state().numpy(),
            "numpy_generator": np.array(json.dumps(self._rng.bit_generator.state)),
        }

    def load_state_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Restore a state that :meth:`state_arrays` returned.

        Raises:
            ValueError: If a momentum buffer does not have the shape of its parameter.
        """
        self.network.load_state_dict(tensors_with_prefix(arrays, "network/"))
        momenta = tensors_with_prefix(arrays, "momentum/")
        for name, parameter in self.network.named_parameters():
            if name in momenta:
                buffer = momenta[name].to(parameter.device)
                if buffer.shape != parameter.shape or buffer.dtype != parameter.dtype:
                    raise ValueError(f"the momentum of {name} has another shape or dtype")
                self._optimizer.state[parameter] = {"momentum_buffer": buffer}
        self.epoch = int(arrays["epoch"])
        self._generator.set_state(torch.from_numpy(arrays["torch_generator"]))
        self._rng.bit_generator.state = json.loads(str(arrays["numpy_generator"]))


def tensors_with_prefix(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, Tensor]:
    """Return the arrays whose names begin with a prefix, as tensors named without it."""
    return {
        name.removeprefix(prefix): torch.from_numpy(np.array(each))
        for name, each in arrays.items()
        if name.startswith(prefix)
    }
