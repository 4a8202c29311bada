"""Run the studies behind docs/reproduction-networks.md, and write it.

    python scripts/reproduce_networks.py                         # all; goes on where it was cut off
    python scripts/reproduce_networks.py --only networks-digits  # one study, and the page
    python scripts/reproduce_networks.py --only page             # the page alone

They run on the CPU; scripts/gpu_checks.py has what takes a GPU.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import jinja2
import numpy as np
import torch
from numpy.typing import NDArray
from studies import RUNS, Result, clustered, reproduce, table

import nas_gym  # noqa: F401  (registers the environments)
from nas_gym.agents import L2NAS, ONE_SHOT
from nas_gym.evaluators.training import TrainingEvaluator
from nas_gym.experiments.audit import audit
from nas_gym.experiments.search import run_search
from nas_gym.experiments.settings import SearchSettings
from nas_gym.experiments.train_supernet import run_supernet_training
from nas_gym.networks import data as images
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.memory import measure_method_memory
from nas_gym.networks.plans import supernet_plan, training_plan
from nas_gym.networks.supernet import train_supernet
from nas_gym.tasks import TableTask
from nas_gym.utils.ranks import spearman

CPU = torch.device("cpu")
FOLDER = RUNS / "networks"
SEEDS = range(1000, 1010)  # that nothing was tuned on
QUERIES = 100
RANDOM = 20
TRAININGS = 3  # from different seeds: the accuracy of one is off by 2 %
SIGNAL = "valid_loss"  # of 449 images, many cells have the same accuracy
SUPERNET = FOLDER / "nb201-cifar10"
BUDGET = {"epochs": 120, "cells": 1, "channels": 8, "batch_size": 64, "learning_rate": 0.05}
SUPERNET_COMMAND = " ".join(
    ["nas-gym train-supernet NB201 cifar10"]
    + [f"--set {name}={value}" for name, value in BUDGET.items()]
    + [f"--out {SUPERNET}"]
)
TABLE = {"table": "nats-bench", "dataset": "cifar10"}
SHOT_SEEDS, SHOT_EPOCHS = 5, 100
LONG_QUERIES, LONG_EVALUATOR = 20_000, "supernet(calibration=0,images=100)"
LONG_SETTINGS = {
    "num_random": 500,
    "anneal_until": 0,
    "final_epsilon": 0.0,
    "buffer_size": 5000,
}
LONG_COMMAND = " ".join(
    ["nas-gym search DARTS-digits-alpha-v0 --agent l2nas-paper"]
    + [f"--set {name}={value}" for name, value in LONG_SETTINGS.items()]
    + [f"--queries {LONG_QUERIES} --seeds 1 --first-seed {SEEDS[0]}"]
    + [f'--evaluator "{LONG_EVALUATOR}"']
)
TRAINED = {"epochs": 4, "cells": 1, "channels": 8}
TRAINED_CELLS = 20
AUDITED = ["supernet(images=1000)", "nb201-12epochs:cifar10-val"]


@dataclass(frozen=True)
class Measurement(Result):
    """Something that is measured once, and kept with the documentation."""

    measure: Callable[[], Any]

    def run(self) -> None:
        """Measure it."""
        self.keep(self.measure())


# -- digits, from nothing -------------------------------------------------------------------------


def from_nothing(seed: int) -> dict[str, Any]:
    """Train a supernet, search with it, train what was found: seconds, and accuracies of what was
    found, ``(TRAININGS,)``, and of random cells, ``(RANDOM, TRAININGS)``."""
    data = images.load_images("digits")
    folder = FOLDER / f"digits-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    supernet = folder / "supernet.safetensors"
    begun = time.perf_counter()
    train_supernet(supernet_plan("NB201", data, seed), data, supernet, CPU)
    trained = time.perf_counter()
    arguments = {"supernet": str(supernet), "device": "cpu", "signal": SIGNAL}
    env = gym.make_vec("NB201-digits-alpha-v0", num_envs=1, **arguments)
    agent = L2NAS(env, seed=seed).learn(QUERIES)
    searched = time.perf_counter()
    found = accuracies(agent.best_genotypes, seed, folder)
    done = time.perf_counter()
    others = accuracies(agent.space.sample(RANDOM, np.random.default_rng([seed, 1])), seed, folder)
    return {
        "seed": seed,
        "seconds": {
            "supernet": trained - begun, "search": searched - trained,
            "training": done - searched, "all": done - begun,
        },
        "found": agent.space.to_text(agent.best_genotypes)[0],
        "test_accuracy": found[0].tolist(),
        "random": others.tolist(),
    }  # fmt: skip


def accuracies(genotypes: NDArray[np.int64], seed: int, folder: Path) -> NDArray[np.float64]:
    """On test images, %, after trainings from scratch, ``(n, L)`` -> ``(n, TRAININGS)``."""
    data, columns = images.load_images("digits"), []
    for training in range(TRAININGS):
        plan = training_plan("NB201", data, seed=TRAININGS * seed + training)
        evaluator = TrainingEvaluator(plan, data, CPU, folder / f"training-{training}")
        columns.append(evaluator.values("test_accuracy", evaluator.space.encode(genotypes)))
    return np.stack(columns, axis=1)


# -- a supernet on CIFAR-10 -----------------------------------------------------------------------


def audited() -> list[dict[str, Any]]:
    """How well a supernet that was trained for minutes ranks 200 cells."""
    path, _ = run_supernet_training("NB201", "cifar10", SUPERNET, device="cpu", **BUDGET)
    return audit("NB201-cifar10-v0", AUDITED, TABLE, supernet=str(path), device="cpu")


def trained() -> dict[str, Any]:
    """How well training from scratch for minutes ranks cells: rank correlations with tables."""
    data = images.load_images("cifar10")
    plan = training_plan("NB201", data).with_settings(**TRAINED)
    evaluator = TrainingEvaluator(plan, data, CPU, FOLDER / "trained")
    drawn = np.random.default_rng(0).permutation(evaluator.space.size)[:TRAINED_CELLS]
    accuracy = evaluator.values("valid_accuracy", drawn)
    truths = {
        "nb201-12epochs:cifar10-val": TableTask("nb201-12epochs", "cifar10", report="cifar10-val"),
        "nats-bench:cifar10-test": TableTask(**TABLE),
    }
    return {
        "seconds": float(evaluator.values("seconds", drawn).mean()),
        "spearman": {name: spearman(accuracy, t.reported(drawn)) for name, t in truths.items()},
    }


# -- one-shot methods, scored by the table -------------------------------------------------------


def one_shot(name: str) -> dict[str, Any]:
    """Of each seed of a method: the cell that it derives in the end, its test accuracy by the
    table, and the share of all cells that are worse."""
    env = gym.make_vec("NB201-cifar10-alpha-v0", num_envs=SHOT_SEEDS, table=TABLE["table"])
    agent = ONE_SHOT[name](env, seed=SEEDS[0], images="digits", device="cpu").learn(SHOT_EPOCHS)
    task, last = agent.task, env.unwrapped.history.indices[-1]
    accuracy, every = task.reported(last), task.reported(np.arange(task.space.size))
    return {
        "derived": task.space.to_text(task.space.decode(last)),
        "test_accuracy": accuracy.tolist(),
        "share_worse": [float(np.mean(every < each)) for each in accuracy],
    }


# -- section 4.2 of L2NAS -------------------------------------------------------------------------


def long_search() -> dict[str, Any]:
    """20,000 queries in the space of DARTS: mean accuracies of the random ones and of the last."""
    folder, env_arguments = FOLDER / "l2nas", {"evaluator": LONG_EVALUATOR, "device": "cpu"}
    search = SearchSettings(
        "DARTS-digits-alpha-v0", "l2nas-paper", LONG_QUERIES, 1, SEEDS[0], env_arguments,
        LONG_SETTINGS,
    )  # fmt: skip
    (trial,) = run_search(search, folder)["trials"]
    with (folder / "history.jsonl").open() as file:
        rewards = [json.loads(row)["reward"] for row in file]
    return {
        "random": np.mean(rewards[: LONG_SETTINGS["num_random"]]),
        "last": np.mean(rewards[-1000:]),
        "unique": trial["unique_queries"],
        "test_accuracy": trial["report"],
        "found": trial["arch"],
    }


# -- memory ---------------------------------------------------------------------------------------

BATCH = 64
LARGEST = np.full(6, 3)  # all edges with 3x3 convolutions


def memory() -> dict[str, Any]:
    """Bytes of a training step: the largest single network, a path through the supernet, and what
    methods that mix operations take."""
    data = images.load_images("digits")
    train, valid = (DeviceImages.from_split(data, split, CPU) for split in (data.train, data.valid))
    plan = supernet_plan("NB201", data).with_settings(channels=16)
    found = measure_method_memory(plan, train, valid, LARGEST, BATCH)
    return {name: {**each._asdict(), "total": each.total} for name, each in found.items()}


DIGITS = Measurement("networks-digits", lambda: [from_nothing(seed) for seed in SEEDS])
AUDIT = Measurement("networks-audit", audited)
MEMORY = Measurement("networks-memory", memory)
SCRATCH = Measurement("networks-training", trained)
SHOTS = {name: Measurement(f"networks-{name}", partial(one_shot, name)) for name in ONE_SHOT}
LONG = Measurement("networks-l2nas", long_search)
STUDIES = (DIGITS, AUDIT, SCRATCH, MEMORY, LONG, *SHOTS.values())


# -- the page -------------------------------------------------------------------------------------


def digits_rows() -> list[list[str]]:
    """Of each seed."""
    return [
        [
            str(each["seed"]), *(f"{seconds:.0f}" for seconds in each["seconds"].values()),
            ", ".join(f"{accuracy:.1f}" for accuracy in each["test_accuracy"]),
            f"{np.mean(each['test_accuracy']):.2f}", f"{np.mean(each['random']):.2f}",
            f"{np.median(np.mean(each['random'], axis=1)):.2f}", f"`{each['found']}`",
        ]
        for each in DIGITS.result
    ]  # fmt: skip


def gains(middle: Callable[[Any], Any]) -> NDArray[np.float64]:
    """How much better what was found is than the mean or median random cell, in %, each seed."""
    return np.array([
        np.mean(each["test_accuracy"]) - middle(np.mean(each["random"], axis=1))
        for each in DIGITS.result
    ])  # fmt: skip


def audit_rows() -> list[list[str]]:
    """Of each signal."""
    return [
        [
            f"`{row['signal']}`", str(row["architectures"]), f"{row['spearman']:.3f}",
            f"{row['kendall']:.3f}", f"{row['precision_at_10']:.0%}", f"{row['regret']:.2f}",
        ]
        for row in AUDIT.result
    ]  # fmt: skip


def shot_rows() -> list[list[str]]:
    """Of each one-shot method."""
    results = {name: shots.result for name, shots in SHOTS.items()}
    return [
        [
            f"`{name}`", ", ".join(f"{accuracy:.1f}" for accuracy in each["test_accuracy"]),
            f"{np.mean(each['test_accuracy']):.2f}", f"{np.mean(each['share_worse']):.0%}",
        ]
        for name, each in results.items()
    ]  # fmt: skip


def memory_rows() -> list[list[str]]:
    """Of each method, in MiB."""
    result = MEMORY.result
    whole = result["largest network"]["total"]
    kinds = ("weights", "optimizer", "activations", "total")
    return [
        [name, *(f"{each[kind] / 2**20:.2f}" for kind in kinds), f"{each['total'] / whole:.2f}"]
        for name, each in result.items()
    ]


def page() -> str:
    """docs/reproduction-networks.md."""
    template = (Path(__file__).parent / "reproduction-networks.md.jinja").read_text()
    stages = ("supernet, s", "100 queries, s", "training, s", "all, s")
    return jinja2.Template(template, keep_trailing_newline=True).render(
        digits=table(
            ["seed", *stages, "found, %", "mean", "mean of 20 random", "median", "cell"],
            digits_rows(),
        ),
        slowest=max(each["seconds"]["all"] for each in DIGITS.result),
        gain=clustered(gains(np.mean)),
        over_median=clustered(gains(np.median)),
        won=sum(gains(np.mean) > 0),
        seeds=len(SEEDS),
        audit=table(["signal", "cells", "Spearman", "Kendall", "P@10", "regret"], audit_rows()),
        supernet=SUPERNET_COMMAND,
        scratch=SCRATCH.result,
        long=LONG.result,
        long_command=LONG_COMMAND,
        trained=TRAINED,
        cells=TRAINED_CELLS,
        shots=table(["method", "test accuracy, %", "mean", "cells worse"], shot_rows()),
        memory=table(
            ["method", "weights", "optimizer", "activations", "total", "of the largest"],
            memory_rows(),
        ),
    )


if __name__ == "__main__":
    reproduce(__doc__, STUDIES, "reproduction-networks.md", page)
