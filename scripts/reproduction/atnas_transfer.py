"""Transfer of the meta-population to supervised data sets by halving (AT-NAS, section 3.5)."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas_gym.networks.batches import Augmentation, DeviceImages
from nas_gym.networks.data import ImageData, Split, load_images
from nas_gym.networks.few_shot.meta_supernet import load_meta_supernet
from nas_gym.networks.few_shot.transfer import supernet_for_classes, transfer_by_halving
from nas_gym.networks.training import TrainingConfig
from reproduction.atnas_method import CPU, SIZE, make_plan, meta_supernet_path

BUDGET = "third"
MEMBERS = 8
IMAGES = {"digits": 500, "cifar10": 2000}
"""Training images, and images that determine the fitness, by data set."""

EPOCHS = {"meta": (1,), "random": (1, 3)}
"""Numbers of epochs per generation, by start."""

TRAINING = TrainingConfig(1, 32, 0.1, 1e-3, augmentation=Augmentation(pad=1))


def transfer_images(name: str) -> tuple[DeviceImages, DeviceImages, int]:
    """Return training and validation images, and the number of classes.

    The images are subsets in grey, scaled to the size of the few-shot tasks.
    """
    data = load_images(name)
    splits = {key: _prepared(split.first(IMAGES[name])) for key, split in data.splits.items()}
    data = ImageData(data.name, data.classes, **splits)
    train, valid = (DeviceImages.from_split(data, each, CPU) for each in (data.train, data.valid))
    return train, valid, len(data.classes)


def _prepared(split: Split) -> Split:
    grey: Tensor = torch.from_numpy(split.images).float().mean(dim=1, keepdim=True)
    scaled = nn.functional.interpolate(grey, (SIZE, SIZE), mode="bilinear", antialias=True)
    return Split(scaled.round().clamp(0, 255).to(torch.uint8).numpy(), split.labels)


def transfer(dataset: str, seed: int) -> list[dict[str, Any]]:
    """Transfer by halving, from the meta-population and from random weights.

    Returns:
        For each start and number of epochs per generation, the best validation accuracy of each
        generation in %, and the CPU seconds until then.
    """
    plan, _ = make_plan(BUDGET, 5, 1, seed)
    meta = load_meta_supernet(meta_supernet_path(BUDGET, 5, 1, seed), CPU)
    train, valid, classes = transfer_images(dataset)
    random = meta.network.space.sample(MEMBERS, np.random.default_rng([seed, 2]))
    results = []
    for start, numbers in EPOCHS.items():
        for epochs in numbers:
            network = (
                supernet_for_classes(meta, classes)
                if start == "meta"
                else replace(plan, ways=classes).build()
            )
            population = meta.population[:MEMBERS] if start == "meta" else random
            accuracies: list[float] = []
            seconds: list[float] = []
            began = time.process_time()

            def record(
                _: int,
                accuracy: float,
                began: float = began,
                accuracies: list[float] = accuracies,
                seconds: list[float] = seconds,
            ) -> None:
                accuracies.append(accuracy)
                seconds.append(time.process_time() - began)

            generations = int(np.log2(MEMBERS)) + 1
            transfer_by_halving(
                network,
                population,
                train,
                valid,
                replace(TRAINING, epochs=epochs * generations),
                seed,
                epochs_per_generation=epochs,
                on_generation=record,
            )
            results.append(
                {"start": start, "epochs": epochs, "accuracies": accuracies, "seconds": seconds}
            )
    return results
