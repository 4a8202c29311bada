"""Fast architecture transfer to a supervised data set (AT-NAS paper, Algorithm 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.device import move_to_device
from nas_gym.networks.evaluation import evaluate_network
from nas_gym.networks.few_shot.meta_supernet import MetaSupernet
from nas_gym.networks.network import Network
from nas_gym.networks.training import Training, TrainingConfig
from nas_gym.spaces.evolution import next_generation

_EVALUATION_BATCH = 250  # batch norms use the statistics of each batch

GenerationCallback = Callable[[int, float], None]
"""Function that is called with the number of members of a generation and the best accuracy."""


class PopulationTraining(Training):
    """Training of a supernet by the mean gradient of all members of a population (Algorithm 3).

    Args:
        network: Supernet on its device.
        train: Training images on the same device.
        config: Settings of the training.
        seed: Seed of the order of images and of augmentation.
        population: Members, ``(P, L)``; may be replaced between two epochs.
    """

    def __init__(
        self,
        network: Network,
        train: DeviceImages,
        config: TrainingConfig,
        seed: int,
        population: NDArray[np.int64],
    ) -> None:
        super().__init__(network, train, config, seed)
        self.population = population

    def loss(self, images: Tensor, labels: Tensor, genotype: Any) -> Tensor:
        """Return the mean loss of the members; see :meth:`Training.loss`."""
        losses = [super(PopulationTraining, self).loss(images, labels, g) for g in self.population]
        return torch.stack(losses).mean()


def transfer_by_halving(
    network: Network,
    population: NDArray[np.int64],
    train: DeviceImages,
    valid: DeviceImages,
    config: TrainingConfig,
    seed: int,
    *,
    epochs_per_generation: int = 2,
    on_generation: GenerationCallback | None = None,
) -> NDArray[np.int64]:
    """Return the member that remains after training, evolving and halving a population, ``(L,)``.

    The supernet is trained by the mean gradient of all members. After some epochs, the population
    evolves and is halved, until one member is left (section 3.5). Algorithm 3 keeps the size of the
    population instead, and fills it with random architectures; the text and Fig. 9 halve it.

    Args:
        network: Supernet, which is trained; from :func:`supernet_for_classes` or with random
            weights. Its batch norms use the statistics of each batch.
        population: Members, ``(P, L)`` int64.
        train: Training images on the network's device.
        valid: Images that determine the fitness, on the same device.
        config: Settings of the training; the number of epochs determines the learning rate only.
        seed: Seed of all random draws.
        epochs_per_generation: Epochs before each evolution (2 in the paper).
        on_generation: Callback that receives the number of members and the best validation
            accuracy in %, after each generation is evaluated.

    Raises:
        ValueError: If the population is empty.
        TrainingError: If training diverges or memory runs out.
    """
    if not len(population):
        raise ValueError("The population has no members. Draw some with space.sample(16, rng).")
    training = PopulationTraining(network, train, config, seed, population)
    rng = np.random.default_rng(seed)
    while True:
        for _ in range(epochs_per_generation):
            training.run_epoch()
        fitness = _accuracies(network, training.population, valid)
        if on_generation is not None:
            on_generation(len(fitness), float(fitness.max()))
        if len(fitness) == 1:
            winner: NDArray[np.int64] = training.population[0]
            return winner
        training.population = next_generation(
            network.space, training.population, fitness, rng, size=len(fitness) // 2, refill=False
        )


def _accuracies(
    network: Network, genotypes: NDArray[np.int64], valid: DeviceImages
) -> NDArray[np.float64]:
    network.eval()
    found = [
        evaluate_network(partial(network, genotype=each), valid, _EVALUATION_BATCH).accuracy
        for each in genotypes
    ]
    return np.array(found, np.float64)


def supernet_for_classes(meta: MetaSupernet, num_classes: int) -> Network:
    """Return a copy of a meta-supernet with a new classifier.

    Args:
        meta: Meta-supernet.
        num_classes: Classes of the new data set.
    """
    network = replace(meta.plan, ways=num_classes).build()
    own, fresh = meta.network.state_dict(), network.state_dict()
    head = {name: value for name, value in fresh.items() if name.startswith("head.")}
    network.load_state_dict({**own, **head})
    return move_to_device(network, next(meta.network.parameters()).device)
