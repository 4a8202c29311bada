"""Training of networks: cosine SGD, as supernets and stand-alone networks share it."""

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
from nas_gym.networks.device import is_out_of_memory, mixed_precision, to_fast_layout
from nas_gym.networks.network import Network
from nas_gym.utils.errors import DivergedError, TrainingError

Choose = Callable[[np.random.Generator], NDArray[np.int64]]
"""Draws the genotype that a batch trains."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained: SGD with Nesterov's momentum, its rate annealed by a cosine.

    Attributes:
        epochs: passes over the training images.
        batch_size: images in a step.
        learning_rate: at the beginning.
        final_rate: at the end.
        momentum: of SGD.
        weight_decay: of all parameters.
        clip: the largest norm of all gradients together.
        auxiliary_weight: of the loss of a network's auxiliary head, where it has one.
        augmentation: of the images.

    Raises:
        ValueError: numbers that make no sense.
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
        if self.epochs < 1 or self.batch_size < 1 or not 0 < self.learning_rate < np.inf:
            raise ValueError(
                "A network is trained for at least one epoch, with batches of at least one image "
                f"and a learning rate above 0, got epochs={self.epochs}, "
                f"batch_size={self.batch_size} and learning_rate={self.learning_rate}."
            )
        decays = (self.final_rate, self.weight_decay, self.auxiliary_weight)
        if not (0 <= self.momentum < 1 and self.clip > 0 and all(each >= 0 for each in decays)):
            raise ValueError(
                "momentum is at least 0 and below 1, clip above 0; final_rate, weight_decay and "
                f"auxiliary_weight are not below 0; got {self}."
            )

    def describe(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self)


class Training:
    """Training of a network, epoch by epoch.

    Args:
        network: to be trained, on its device.
        split: training images, on the same device.
        config: how.
        seed: of the order of images, augmentation and choice. (The network's initial weights
            are the caller's to seed.)
        choose: what each batch trains of a supernet; a stand-alone network needs none.
    """

    copies = 0
    """Of all weights, that a step keeps for a while."""

    def __init__(
        self,
        network: Network,
        split: DeviceImages,
        config: TrainingConfig,
        seed: int,
        choose: Choose | None = None,
    ) -> None:
        self.network, self.split, self.config = network, split, config
        self._choose = choose
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
        self._parts = 1  # that a batch is divided into, where memory does not do for all of it
        self.epoch = 0
        self.steps = max(len(split) // config.batch_size, 1)
        """In an epoch."""

    def run_epoch(self) -> float:
        """Train on all images once; the mean loss.

        The learning rate reaches its end with the config's last epoch, and stays there.

        Raises:
            DivergedError: the loss is no number any more.
            TrainingError: memory does not do.
        """
        self.network.train()
        self.begin_epoch()
        total = torch.zeros((), device=self.split.device)
        batches = self.split.shuffled(
            self.config.batch_size, self.config.augmentation, self._generator
        )
        for step, (images, labels) in enumerate(batches):
            self._set_rate((self.epoch + step / self.steps) / self.config.epochs)
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
        """What comes before the first batch."""

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Take one step on a batch of normalized images; its loss.

        Raises:
            TrainingError: memory does not do.
        """
        genotype = None if self._choose is None else self._choose(self._rng)
        return self.retry_in_halves(lambda: self._try_step(images, labels, genotype))

    def momentum_buffers(self) -> list[Tensor]:
        """What the optimizer remembers of each parameter that it has met."""
        found = (state.get("momentum_buffer") for state in self._optimizer.state.values())
        return [each for each in found if each is not None]

    def _set_rate(self, progress: float) -> None:
        progress = min(progress, 1.0)
        first, last = self.config.learning_rate, self.config.final_rate
        rate = last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self.network.set_progress(progress)

    def retry_in_halves(self, attempt: Callable[[], _T]) -> _T:
        """The result of a computation on :meth:`parts` of a batch, which may be halved once.

        Raises:
            TrainingError: memory does not do for halves, either.
        """
        try:
            return attempt()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if self._parts > 1:
                raise TrainingError(
                    f"Memory does not do for half a batch of {self.config.batch_size} images. "
                    "Lower batch_size, or the network's channels."
                ) from error
        self._parts = 2
        return self.retry_in_halves(attempt)

    def parts(self, images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor, float]]:
        """A batch in parts that memory does for, images as convolutions like them; the share that
        each has of the whole."""
        for part, own in zip(images.chunk(self._parts), labels.chunk(self._parts), strict=True):
            yield to_fast_layout(part), own, len(own) / len(labels)

    def _try_step(self, images: Tensor, labels: Tensor, genotype: Any) -> Tensor:
        self._optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=images.device)
        for part, own, share in self.parts(images, labels):
            with mixed_precision(images.device):
                loss = self._loss(part, own, genotype) * share
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        self._optimizer.step()
        return total

    def _loss(self, images: Tensor, labels: Tensor, genotype: Any) -> Tensor:
        loss = nn.functional.cross_entropy(self.network(images, genotype), labels)
        auxiliary = self.network.auxiliary_logits
        if auxiliary is None:
            return loss
        return loss + self.config.auxiliary_weight * nn.functional.cross_entropy(auxiliary, labels)

    # -- keeping ----------------------------------------------------------------------------------

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything that the next epochs depend on."""
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
        """Go on from what :meth:`state_arrays` gave."""
        self.network.load_state_dict(tensors(arrays, "network/"))
        momenta = tensors(arrays, "momentum/")
        for name, parameter in self.network.named_parameters():
            if name in momenta:
                buffer = momenta[name].to(parameter.device)
                self._optimizer.state[parameter] = {"momentum_buffer": buffer}
        self.epoch = int(arrays["epoch"])
        self._generator.set_state(torch.from_numpy(arrays["torch_generator"]))
        self._rng.bit_generator.state = json.loads(str(arrays["numpy_generator"]))


def tensors(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, Tensor]:
    """Those of the arrays whose names begin so, without the beginning, as tensors."""
    return {
        name.removeprefix(prefix): torch.from_numpy(np.array(each))
        for name, each in arrays.items()
        if name.startswith(prefix)
    }
