"""Base class of one-shot searches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.evaluation import evaluate_network, recalibrated_batch_norm
from nas_gym.networks.network import Network
from nas_gym.networks.training import Training, TrainingConfig

Genotype = NDArray[np.int64]
Batch = tuple[Tensor, Tensor]  # normalized images and their labels


class OneShotSearch(Training):
    """Training of a supernet that also chooses an architecture.

    Args:
        network: Supernet on its device.
        train: Images that train the weights, on the same device.
        valid: Images that choose the architecture, on the same device.
        config: Settings of the training of the weights.
        seed: Seed of all random draws.
    """

    num_samples: ClassVar[int] = 100
    """Architectures from which RSWS, SETN and ENAS choose the best."""

    def __init__(
        self,
        network: Network,
        train: DeviceImages,
        valid: DeviceImages,
        config: TrainingConfig,
        seed: int,
    ) -> None:
        super().__init__(network, train, config, seed, self.draw_genotype)
        self.space = network.space
        self.valid = valid
        self._valid_batches: Iterator[Batch] = iter(())

    def begin_epoch(self) -> None:
        """Restart the validation batches so that a search can be resumed between two epochs."""
        self._valid_batches = self._endless_valid_batches()

    def draw_genotype(self, rng: np.random.Generator) -> Genotype:
        """Draw the architecture that one batch trains; uniform by default."""
        drawn: Genotype = self.space.sample(1, rng)[0]
        return drawn

    def fix_architecture(self, genotype: Genotype) -> None:
        """Let every batch train one architecture, to measure the memory of a step.

        This method has no effect on searches that train the mixture of all architectures.
        """
        self.sample_genotype = lambda _: genotype

    @abstractmethod
    def derive(self) -> Genotype:
        """Return the architecture that the search chooses now, ``(num_decisions,)``."""

    def _endless_valid_batches(self) -> Iterator[Batch]:
        """Yield augmented validation batches in random order, without end."""
        while True:
            yield from self.valid.shuffled(
                self.config.batch_size, self.config.augmentation, self._generator
            )

    def _best(self, genotypes: Genotype) -> Genotype:
        """Return the architecture with the highest accuracy on one batch of validation images.

        Ties in accuracy, which are frequent on few images, are broken by the loss.
        """
        rows = self._rng.permutation(len(self.valid))[: max(self.config.batch_size, 256)]
        batch = self.valid.subset(torch.from_numpy(rows))
        scores = []
        for genotype in genotypes:
            forward = partial(self.network, genotype=genotype)
            with recalibrated_batch_norm(self.network, forward, self.train, 0, len(batch)):
                score = evaluate_network(forward, batch, len(batch))
            scores.append((score.accuracy, -score.loss))
        best: Genotype = genotypes[max(range(len(scores)), key=lambda i: scores[i])]
        return best
