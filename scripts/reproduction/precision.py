"""Study of the accuracy of networks that are trained with bfloat16 instead of float32 on a CPU."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from nas_gym.networks import device
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.evaluation import EVALUATION_BATCH, evaluate_network
from nas_gym.networks.plans import training_plan
from nas_gym.networks.training import Training
from reproduction.image_subsets import CPU, NETWORK, RESIDUAL, SPACE, load_subset
from reproduction.pages import markdown_table, mean_with_interval
from reproduction.studies import FIRST_SEED, JobStudy, mean_over_seeds, name_arguments

EPOCHS = 12
PRECISIONS = ("float32", "bfloat16")


def train_in_precision(precision: str, seed: int) -> dict[str, Any]:
    """Return the test accuracy of a small network after 12 epochs, and the CPU time of training.

    The network is the hand-designed residual cell with 16 channels and one cell per stage, trained
    on ``cifar10-subset`` with batches and learning rate of ``nas-gym train``.

    Raises:
        RuntimeError: If bfloat16 is asked for on a CPU that has no AVX512-BF16.
    """
    if precision == "bfloat16" and not device.has_fast_bfloat16():
        raise RuntimeError("This CPU has no AVX512-BF16. Run the study on one that has it.")
    torch.set_num_threads(1)
    data = load_subset("cifar10-subset")
    plan = training_plan("NB201", data, seed=seed).with_settings(**NETWORK, epochs=EPOCHS)
    network = plan.build(SPACE.from_text([RESIDUAL])[0])
    train = DeviceImages.from_split(data, data.train, CPU)
    test = DeviceImages.from_split(data, data.test, CPU)
    start = time.process_time()
    with patch.object(device, "has_fast_bfloat16", lambda: precision == "bfloat16"):
        training = Training(network, train, plan.training, seed)
        for _ in range(EPOCHS):
            training.run_epoch()
    seconds = time.process_time() - start
    accuracy = evaluate_network(network.eval(), test, EVALUATION_BATCH).accuracy
    return {"test_accuracy": accuracy, "seconds": seconds}


STUDY = JobStudy(
    "images-precision",
    train_in_precision,
    [(precision, FIRST_SEED + seed) for seed in range(5) for precision in PRECISIONS],
    name_arguments("precision", "seed"),
)


def rows(results: Sequence[dict[str, Any]]) -> str:
    """Return the table of both precisions, and of their differences seed by seed."""
    accuracies, seconds = (
        {
            precision: np.array([each[name] for each in results if each["precision"] == precision])
            for precision in PRECISIONS
        }
        for name in ("test_accuracy", "seconds")
    )
    table = [
        [
            precision,
            mean_with_interval(mean_over_seeds(accuracies[precision])),
            f"{seconds[precision].mean():.1f}",
        ]
        for precision in PRECISIONS
    ]
    difference = mean_with_interval(mean_over_seeds(accuracies["bfloat16"] - accuracies["float32"]))
    ratio = (seconds["float32"] / seconds["bfloat16"]).mean()
    table.append(["bfloat16 - float32", difference, f"{ratio:.2f} times as fast"])
    return markdown_table(["precision", "test accuracy, %", "CPU time, s"], table)
