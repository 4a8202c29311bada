"""A small run of AT-NAS in the search space of DARTS, and the cells that DARTS found."""

from __future__ import annotations

import time
from typing import Any

from nas_gym.networks.data.few_shot import load_few_shot
from nas_gym.networks.few_shot.meta_supernet import train_meta_supernet
from nas_gym.networks.few_shot.plans import few_shot_plan, task_sampler
from nas_gym.spaces import DARTSSpace
from reproduction.atnas_method import CPU, FOLDER, SIZE, final_training, mean_accuracy

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
"""Cells that DARTS found on CIFAR-10 with the second order (Liu et al., ICLR 2019)."""

SEED = 1400
TRAINING: dict[str, Any] = {
    "epochs": 4,
    "updates": 10,
    "warmup": 2,
    "population": 8,
    "updates_per_generation": 10,
    "fitness_tasks": 5,
}
"""Settings of the meta-supernet that differ from its defaults: 160 tasks, and two generations."""

FINAL_EPOCHS = 4
TEST_TASKS = 100


def train_darts(ways: int, shots: int) -> dict[str, Any]:
    """Return meta-test accuracies in % before the training, after it, and after the final training.

    The network has a normal and a reduction cell, and 16 channels. The cells are those of DARTS,
    and the winner of the evolution in the meta-supernet.

    Returns:
        For each architecture, the accuracy with random weights (``initial``), with those of the
        meta-supernet (``supernet``) and after the final training (``final``), and its parameters;
        in addition, the mean fitness of each epoch and CPU seconds.
    """
    data = load_few_shot("omniglot", SIZE)
    plan = few_shot_plan("DARTS", data, ways, shots, SEED).with_settings(**TRAINING)
    path = FOLDER / f"DARTS-{ways}-{shots}-{SEED}.safetensors"
    path.unlink(missing_ok=True)
    fitness: list[float] = []
    began = time.process_time()
    meta = train_meta_supernet(
        plan, data, path, CPU, lambda _, metrics: fitness.append(metrics["valid_accuracy"])
    )
    seconds = time.process_time() - began
    batch = task_sampler(plan, data, "test", CPU).draw(TEST_TASKS, 0)
    cells = {"winner": meta.population[0], "DARTS_V2": DARTSSpace().from_text([DARTS_V2])[0]}
    result: dict[str, Any] = {"fitness": fitness, "seconds": {"meta-training": seconds}}
    for name, genotype in cells.items():
        network = meta.subnet(genotype)
        accuracies = {"initial": mean_accuracy(plan.build(genotype), None, batch, plan)}
        accuracies["supernet"] = mean_accuracy(network, None, batch, plan)
        began = time.process_time()
        final_training(network, plan, data, FINAL_EPOCHS)
        result["seconds"][name] = time.process_time() - began
        accuracies["final"] = mean_accuracy(network, None, batch, plan)
        accuracies["parameters"] = sum(each.numel() for each in network.parameters())
        result[name] = accuracies
    return result
