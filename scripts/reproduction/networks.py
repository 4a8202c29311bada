"""Searches with real training: supernets, training from scratch, one-shot methods and memory.

All studies run on a CPU. ``scripts/gpu_checks.py`` holds the measurements on a GPU.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

import nas_gym
from nas_gym.agents import L2NAS
from nas_gym.agents.registry import find_agent
from nas_gym.envs.base import SearchVectorEnv
from nas_gym.evaluators.training import TrainingEvaluator
from nas_gym.experiments.audit import audit
from nas_gym.experiments.train_supernet import run_supernet_training
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.data import load_images
from nas_gym.networks.memory import measure_method_memory
from nas_gym.networks.one_shot import ONE_SHOT_SEARCHES
from nas_gym.networks.plans import supernet_plan, training_plan
from nas_gym.networks.supernet import train_supernet
from nas_gym.tasks import make_task
from nas_gym.utils.ranks import spearman
from reproduction.pages import Page, code_block, markdown_table, mean_with_interval
from reproduction.studies import FIRST_SEED, RUNS, Measurement, mean_over_seeds

CPU = torch.device("cpu")
FOLDER = RUNS / "networks"
NATS_BENCH = {"table": "nats-bench", "dataset": "cifar10"}

# -- digits, from scratch --------------------------------------------------------------------------

SEEDS = range(FIRST_SEED, FIRST_SEED + 10)
NUM_RANDOM = 20
"""Number of random cells that the cell found is compared with."""

NUM_TRAININGS = 3
"""Number of training runs per cell, with different seeds. Accuracy varies by 2 % between runs."""

SIGNAL = "valid_loss"
"""Signal of the search; not the accuracy, because many cells tie on the 449 validation images."""


def search_on_digits(seed: int) -> dict[str, Any]:
    """Train a supernet, search with L2NAS, and train the cell found and random cells.

    Returns:
        Seconds of each stage, and the test accuracies in % of all training runs of the cell found
        (``test_accuracy``) and of the random cells (``random``).
    """
    data = load_images("digits")
    folder = FOLDER / f"digits-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    supernet = folder / "supernet.safetensors"
    times = [time.perf_counter()]
    train_supernet(supernet_plan("NB201", data, seed), data, supernet, CPU)
    times.append(time.perf_counter())
    arguments: dict[str, Any] = {"supernet": str(supernet), "device": "cpu", "signal": SIGNAL}
    env = gym.make_vec("NB201-digits-alpha-v0", num_envs=1, **arguments)
    agent = L2NAS(env, seed=seed).learn(100)
    times.append(time.perf_counter())
    found = test_accuracies(agent.best_genotypes, seed, folder)
    times.append(time.perf_counter())
    sample = agent.space.sample(NUM_RANDOM, np.random.default_rng([seed, 1]))
    stages = dict(zip(("supernet", "search", "training"), np.diff(times).tolist(), strict=True))
    return {
        "seed": seed,
        "seconds": {**stages, "all": times[-1] - times[0]},
        "found": agent.space.to_text(agent.best_genotypes)[0],
        "test_accuracy": found[0].tolist(),
        "random": test_accuracies(sample, seed, folder).tolist(),
    }


def test_accuracies(genotypes: NDArray[np.int64], seed: int, folder: Path) -> NDArray[np.float64]:
    """Train cells from scratch; return their test accuracies in %, ``(n, NUM_TRAININGS)``."""
    data, columns = load_images("digits"), []
    for training in range(NUM_TRAININGS):
        plan = training_plan("NB201", data, seed=NUM_TRAININGS * seed + training)
        evaluator = TrainingEvaluator(plan, data, CPU, folder / f"training-{training}")
        columns.append(evaluator.values("test_accuracy", genotypes))
    return np.stack(columns, axis=1)


DIGITS = Measurement("networks-digits", lambda: [search_on_digits(seed) for seed in SEEDS])


def digits_rows() -> list[list[str]]:
    """Return the seconds and accuracies of each seed."""
    rows = []
    for each in DIGITS.result:
        random = np.mean(each["random"], axis=1)
        rows.append(
            [
                str(each["seed"]),
                *(f"{seconds:.0f}" for seconds in each["seconds"].values()),
                ", ".join(f"{accuracy:.1f}" for accuracy in each["test_accuracy"]),
                f"{np.mean(each['test_accuracy']):.2f}",
                f"{np.mean(random):.2f}",
                f"{np.median(random):.2f}",
                f"`{each['found']}`",
            ]
        )
    return rows


def gains(middle: Callable[[Any], Any]) -> NDArray[np.float64]:
    """Return the lead of the cell found over random cells in each seed, in percentage points.

    Args:
        middle: Function from the accuracies of random cells to their mean or median.
    """
    found = DIGITS.result
    return np.array(
        [np.mean(each["test_accuracy"]) - middle(np.mean(each["random"], axis=1)) for each in found]
    )


def digits_summary_rows() -> list[list[str]]:
    """Return the time of the slowest seed, and the gains over random cells."""
    seconds = [each["seconds"]["all"] for each in DIGITS.result]
    over_mean, over_median = gains(np.mean), gains(np.median)
    return [
        ["time of the slowest seed, s", f"{max(seconds):.0f}"],
        [
            "gain over the mean of random cells, percentage points",
            mean_with_interval(mean_over_seeds(over_mean)),
        ],
        [
            "gain over the median of random cells, percentage points",
            mean_with_interval(mean_over_seeds(over_median)),
        ],
        ["seeds with a gain over the mean", f"{sum(over_mean > 0)} of {len(over_mean)}"],
    ]


# -- a supernet and training from scratch on CIFAR-10 ----------------------------------------------

SUPERNET = FOLDER / "nb201-cifar10"
SMALL_BUDGET: dict[str, Any] = {
    "epochs": 120, "cells": 1, "channels": 8, "batch_size": 64, "learning_rate": 0.05
}  # fmt: skip
AUDITED_SIGNALS = ["supernet(images=1000)", "nb201-12epochs:cifar10-val"]
AUDIT_COMMANDS = [
    " ".join(
        ["nas-gym train-supernet NB201 cifar10"]
        + [f"--set {name}={value}" for name, value in SMALL_BUDGET.items()]
        + [f"--out {SUPERNET}"]
    ),
    f'nas-gym audit NB201-cifar10-v0 --table nats-bench "{AUDITED_SIGNALS[0]}" '
    f"{AUDITED_SIGNALS[1]} --supernet {SUPERNET}.safetensors",
]
SHORT_TRAINING = {"epochs": 4, "cells": 1, "channels": 8}
NUM_TRAINED = 20
"""Number of random cells that are trained from scratch."""


def audit_supernet() -> list[dict[str, Any]]:
    """Train a small supernet, and return how well it ranks 200 random cells."""
    path, _ = run_supernet_training("NB201", "cifar10", SUPERNET, device="cpu", **SMALL_BUDGET)
    return audit("NB201-cifar10-v0", AUDITED_SIGNALS, NATS_BENCH, supernet=str(path), device="cpu")


def train_from_scratch() -> dict[str, Any]:
    """Train random cells for a few epochs; return rank correlations with tables."""
    data = load_images("cifar10")
    plan = training_plan("NB201", data).with_settings(**SHORT_TRAINING)
    evaluator = TrainingEvaluator(plan, data, CPU, FOLDER / "trained")
    drawn = np.random.default_rng(0).permutation(evaluator.space.size)[:NUM_TRAINED]
    genotypes = evaluator.space.decode(drawn)
    accuracy = evaluator.values("valid_accuracy", genotypes)
    tasks = {
        "nb201-12epochs:cifar10-val": make_task(
            table="nb201-12epochs", dataset="cifar10", report="cifar10-val"
        ),
        "nats-bench:cifar10-test": make_task(table="nats-bench", dataset="cifar10"),
    }
    return {
        "seconds": float(evaluator.values("seconds", genotypes).mean()),
        "spearman": {
            name: spearman(accuracy, task.reported(drawn)) for name, task in tasks.items()
        },
    }


AUDIT = Measurement("networks-audit", audit_supernet)
TRAINING = Measurement("networks-training", train_from_scratch)


def audit_rows() -> list[list[str]]:
    """Return the rank correlations of each signal."""
    return [
        [
            f"`{row['signal']}`",
            str(row["architectures"]),
            f"{row['spearman']:.3f}",
            f"{row['kendall']:.3f}",
            f"{row['precision_at_10']:.0%}",
            f"{row['regret']:.2f}",
        ]
        for row in AUDIT.result
    ]


def training_rows() -> list[list[str]]:
    """Return the time of a training run, and the rank correlations of its validation accuracy."""
    found = TRAINING.result
    seconds = ["seconds per cell", f"{found['seconds']:.0f}"]
    correlations = [
        [f"Spearman with `{name}`", f"{value:.3f}"] for name, value in found["spearman"].items()
    ]
    return [seconds, *correlations]


# -- L2NAS in the space of DARTS (L2NAS paper, section 4.2) ----------------------------------------

LONG_QUERIES = 20_000
LONG_EVALUATOR = "supernet(calibration=0,images=100)"
LONG_SETTINGS: dict[str, Any] = {
    "num_random": 500, "anneal_until": 0, "final_epsilon": 0.0, "buffer_size": 5000
}  # fmt: skip
LONG_COMMAND = " ".join(
    ["nas-gym search DARTS-digits-alpha-v0 --agent l2nas-paper"]
    + [f"--set {name}={value}" for name, value in LONG_SETTINGS.items()]
    + [f"--queries {LONG_QUERIES} --seeds 1 --first-seed {FIRST_SEED}"]
    + [f'--evaluator "{LONG_EVALUATOR}"']
)


def search_darts() -> dict[str, Any]:
    """Search the space of DARTS with the schedule of section 4.2 of the L2NAS paper.

    Returns:
        Mean reward of the random queries and of the last 1,000 queries, the number of unique
        queries, and the best architecture with its test accuracy in %.
    """
    folder = FOLDER / "l2nas"
    summary = nas_gym.search(
        "DARTS-digits-alpha-v0",
        ("l2nas-paper", LONG_SETTINGS),
        queries=LONG_QUERIES,
        seeds=1,
        first_seed=FIRST_SEED,
        out=folder,
        evaluator=LONG_EVALUATOR,
        device="cpu",
    )
    (trial,) = summary["trials"]
    with (folder / "history.jsonl").open() as file:
        rewards = [json.loads(row)["reward"] for row in file]
    return {
        "random": np.mean(rewards[: LONG_SETTINGS["num_random"]]),
        "last": np.mean(rewards[-1000:]),
        "unique": trial["unique_queries"],
        "test_accuracy": trial["report"],
        "found": trial["arch"],
    }


DARTS_SEARCH = Measurement("networks-l2nas", search_darts)


def darts_rows() -> list[list[str]]:
    """Return the results of the search in the space of DARTS."""
    found = DARTS_SEARCH.result
    return [
        ["mean validation accuracy of the random architectures, %", f"{found['random']:.1f}"],
        ["mean validation accuracy of the last 1,000 queries, %", f"{found['last']:.1f}"],
        ["unique queries", f"{found['unique']:,}"],
        ["test accuracy of the best architecture, %", f"{found['test_accuracy']:.1f}"],
    ]


# -- one-shot methods ------------------------------------------------------------------------------

NUM_SHOT_SEEDS = 5
SHOT_EPOCHS = 100


def search_one_shot(name: str) -> dict[str, Any]:
    """Return the cell that a one-shot method derives in each trial, and its score in the table."""
    env = gym.make_vec("NB201-cifar10-alpha-v0", num_envs=NUM_SHOT_SEEDS, table="nats-bench")
    settings = {"images": "digits", "device": "cpu"}
    agent = find_agent(name).make_agent(env, settings, seed=FIRST_SEED).learn(SHOT_EPOCHS)
    assert isinstance(env.unwrapped, SearchVectorEnv)
    task, last = agent.task, env.unwrapped.history.indices[-1]
    accuracy, every = task.reported(last), task.reported(np.arange(task.space.size))
    return {
        "derived": task.space.to_text(task.space.decode(last)),
        "test_accuracy": accuracy.tolist(),
        "share_worse": [float(np.mean(every < each)) for each in accuracy],
    }


SHOTS = {
    name: Measurement(f"networks-{name}", partial(search_one_shot, name))
    for name in ONE_SHOT_SEARCHES
}


def shot_rows() -> list[list[str]]:
    """Return the test accuracies of each one-shot method."""
    results = {name: study.result for name, study in SHOTS.items()}
    return [
        [
            f"`{name}`",
            ", ".join(f"{accuracy:.1f}" for accuracy in found["test_accuracy"]),
            f"{np.mean(found['test_accuracy']):.2f}",
            f"{np.mean(found['share_worse']):.0%}",
        ]
        for name, found in results.items()
    ]


# -- memory ----------------------------------------------------------------------------------------

BATCH_SIZE = 64
LARGEST = np.full(6, 3)
"""Genotype of the largest cell: 3x3 convolutions on all edges."""


def measure_memory() -> dict[str, Any]:
    """Return the memory of a training step of each method, in bytes."""
    data = load_images("digits")
    train, valid = (DeviceImages.from_split(data, split, CPU) for split in (data.train, data.valid))
    plan = supernet_plan("NB201", data).with_settings(channels=16)
    found = measure_method_memory(plan, train, valid, LARGEST, BATCH_SIZE)
    return {name: {**each._asdict(), "total": each.total} for name, each in found.items()}


MEMORY = Measurement("networks-memory", measure_memory)


def memory_rows() -> list[list[str]]:
    """Return the memory of each method in MiB, and relative to the largest single network."""
    found = MEMORY.result
    whole = found["largest network"]["total"]
    parts = ("weights", "optimizer", "activations", "total")
    return [
        [name, *(f"{each[part] / 2**20:.2f}" for part in parts), f"{each['total'] / whole:.2f}"]
        for name, each in found.items()
    ]


# -- the page --------------------------------------------------------------------------------------


def blocks() -> Mapping[str, str]:
    """Return the generated blocks of the page."""
    stages = ("supernet, s", "100 queries, s", "training, s", "all, s")
    accuracies = ("accuracy of three runs", "mean", "mean of 20 random cells", "median of these")
    return {
        "digits": markdown_table(
            ["seed", *stages, *accuracies, "cell found"],
            digits_rows(),
        ),
        "digits-summary": markdown_table(["", "result"], digits_summary_rows()),
        "audit": markdown_table(
            ["signal", "cells", "Spearman", "Kendall", "P@10", "regret"], audit_rows()
        ),
        "audit-commands": code_block(AUDIT_COMMANDS),
        "training": markdown_table(["", "result"], training_rows()),
        "darts-command": code_block([LONG_COMMAND]),
        "darts": markdown_table(["", "result"], darts_rows()),
        "one-shot": markdown_table(
            ["method", "test accuracy, %", "mean", "worse cells"], shot_rows()
        ),
        "memory": markdown_table(
            ["method", "weights", "optimizer", "activations", "total", "relative total"],
            memory_rows(),
        ),
    }


PAGE = Page(
    "results/networks.md",
    [DIGITS, AUDIT, TRAINING, MEMORY, DARTS_SEARCH, *SHOTS.values()],
    blocks,
)
