"""AT-NAS on few-shot tasks of Omniglot: the whole method, and its parts.

All budgets are for CPUs. They were chosen on the meta-validation classes, and fixed before any
meta-test class was evaluated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import nas_gym
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.darts_network import DARTSNetwork
from nas_gym.networks.data.few_shot import FewShotBatch, load_few_shot
from nas_gym.networks.evaluation import use_batch_statistics
from nas_gym.networks.few_shot.adaptation import adaptation_accuracies
from nas_gym.networks.few_shot.meta_supernet import train_meta_supernet
from nas_gym.networks.few_shot.plans import few_shot_plan, task_sampler
from nas_gym.networks.memory import measure_adaptation_memory, measure_step_memory
from nas_gym.networks.one_shot import ONE_SHOT_SEARCHES
from nas_gym.networks.training import TrainingConfig
from nas_gym.predictors.code_predictors import CODE_PREDICTORS, predict_from_codes
from nas_gym.spaces import DARTSSpace
from nas_gym.spaces.darts import OPERATIONS
from nas_gym.utils.ranks import spearman
from reproduction.atnas_agents import CHOICES, train_choice
from reproduction.atnas_darts import train_darts
from reproduction.atnas_method import (
    BUDGETS,
    CPU,
    FOLDER,
    make_plan,
    measure_noise,
    run_whole_method,
)
from reproduction.atnas_transfer import EPOCHS, IMAGES, transfer
from reproduction.pages import Page, markdown_table, mean_with_interval
from reproduction.studies import (
    FIRST_SEED,
    JobStudy,
    Measurement,
    mean_over_seeds,
    name_arguments,
)

# -- the whole method -----------------------------------------------------------------------------


_listed = name_arguments("budget", "ways", "shots", "seed")

FIRST = JobStudy(
    "atnas-5way1shot",
    run_whole_method,
    [("first", 5, 1, seed) for seed in range(FIRST_SEED, FIRST_SEED + 5)],
    _listed,
)
SEEDS = range(1100, 1105)
"""Seeds of the second budget. No result with these seeds was seen before the budget was fixed."""

SECOND = JobStudy(
    "atnas-5way1shot-second", run_whole_method, [("second", 5, 1, seed) for seed in SEEDS], _listed
)
THIRD_SEEDS = range(1300, 1305)
"""Seeds of the third budget. No result with these seeds was seen before the budget was fixed."""

THIRD = JobStudy(
    "atnas-5way1shot-third",
    run_whole_method,
    [("third", 5, 1, seed) for seed in THIRD_SEEDS],
    _listed,
)
SUPERNET_SEEDS = (1300, 1301, 1303)
"""Seeds whose meta-supernets other agents and the transfer use."""

TWENTY_WAY = JobStudy(
    "atnas-20way1shot", run_whole_method, [("short", 20, 1, THIRD_SEEDS[0])], _listed
)
AGENTS = JobStudy(
    "atnas-agents",
    train_choice,
    [(choice, seed) for seed in SUPERNET_SEEDS for choice in CHOICES],
    name_arguments("choice", "seed"),
)
FIVE_SHOT = JobStudy(
    "atnas-5way5shot", run_whole_method, [("short", 5, 5, seed) for seed in SEEDS[:3]], _listed
)
NOISE = JobStudy(
    "atnas-noise", measure_noise, [("second", 5, 1, seed) for seed in SEEDS[:2]], _listed
)

MAIN_COLUMNS = (
    "seed",
    "winner, %",
    "random cells, %",
    "network of MAML, %",
    "meta-training and final training, CPU s",
    "cell of the winner",
)

# -- cells of DARTS -------------------------------------------------------------------------------

DARTS = JobStudy("atnas-darts", train_darts, [(5, 1)], lambda _, results: results[0])

# -- memory ---------------------------------------------------------------------------------------

IMAGE = (3, 224, 224)
"""Shape of the image in Table 1 of the paper."""


def measure_memory() -> dict[str, float]:
    """Return the memory of a training step of each method in MiB, as in Table 1.

    The network has 8 cells and 16 channels, and one image is processed. AT-NAS takes an inner step
    on the largest architecture. DARTS (first order) takes a step with all operations; PC-DARTS the
    same with a quarter of the channels.
    """
    image = np.random.default_rng(0).integers(256, size=(1, *IMAGE), dtype=np.uint8)
    moments = (torch.full((3, 1, 1), 127.0), torch.full((3, 1, 1), 64.0))
    split = DeviceImages(torch.from_numpy(image), torch.zeros(1, dtype=torch.int64), *moments)
    images, labels = next(split.in_order(1))
    config = TrainingConfig(1, 1, 0.01)
    largest = largest_genotype(DARTSSpace())
    found = {}
    for name, genotype in (("AT-NAS, supernet", None), ("largest network", largest)):
        network = DARTSNetwork(10, 3, 16, 8, genotype=genotype)
        use_batch_statistics(network)
        found[name] = measure_adaptation_memory(
            network, largest if genotype is None else None, images, labels
        )
    for name, partial in (("DARTS", 1), ("PC-DARTS", 4)):
        network = DARTSNetwork(10, 3, 16, 8, partial=partial)
        search = ONE_SHOT_SEARCHES["darts-v1"](network, split, split, config, 0)
        search.begin_epoch()
        found[name] = measure_step_memory(search, 1)
    return {name: each.total / 2**20 for name, each in found.items()}


def largest_genotype(space: DARTSSpace) -> NDArray[np.int64]:
    """Return the genotype with separable 5x5 convolutions on the two inputs of every node."""
    largest = OPERATIONS.index("sep_conv_5x5")
    names = space.decision_names
    return np.array([0 if name.endswith("inputs") else largest for name in names], np.int64)


MEMORY = Measurement("atnas-memory", measure_memory)


# -- performance predictors -----------------------------------------------------------------------

SAMPLES = (50, 100, 200, 300)
NUM_CANDIDATES = 200
PREDICTOR_SEEDS = range(FIRST_SEED, FIRST_SEED + 3)
PREDICTED = ("cifar10", "cifar100", "ImageNet16-120")


def correlate_predictors(dataset: str, seed: int) -> dict[str, list[float]]:
    """Return Spearman's correlation of each predictor by the number of evaluated cells (Fig. 6).

    The values are NAS-Bench-201's test accuracies after 200 epochs.
    """
    table = nas_gym.load_table("nats-bench")
    values = np.asarray(table.column(f"{dataset}-test"), np.float64)
    rows = np.random.default_rng(seed).permutation(table.space.size)
    others = rows[max(SAMPLES) : max(SAMPLES) + NUM_CANDIDATES]
    genotypes = table.space.decode(rows)
    found: dict[str, list[float]] = {kind: [] for kind in CODE_PREDICTORS}
    for kind, correlations in found.items():
        for count in SAMPLES:
            predicted = predict_from_codes(
                kind,
                table.space,
                genotypes[:count],
                values[rows[:count]],
                table.space.decode(others),
                seed,
            )
            correlations.append(spearman(predicted, values[others]))
    return found


PREDICTORS = JobStudy(
    "atnas-predictors",
    correlate_predictors,
    [(dataset, seed) for dataset in PREDICTED for seed in PREDICTOR_SEEDS],
    name_arguments("dataset", "seed"),
)

# -- transfer -------------------------------------------------------------------------------------

TRANSFER = JobStudy(
    "atnas-transfer",
    transfer,
    [(dataset, seed) for dataset in IMAGES for seed in SUPERNET_SEEDS],
    lambda arguments, results: [
        {"dataset": dataset, "seed": seed, "runs": runs}
        for (dataset, seed), runs in zip(arguments, results, strict=True)
    ],
)

# -- speed ----------------------------------------------------------------------------------------

SPEED_NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "NB201, 8 channels": ("NB201", {}),
    "DARTS, 2 cells": ("DARTS", {}),
    "DARTS, 8 cells": ("DARTS", {"layers": 8, "own_cells": True}),
}
SPEED_STEPS, SPEED_QUERIES = 5, 15
REPETITIONS = 3


def measure_speed() -> list[dict[str, Any]]:
    """Return the CPU seconds of an adaptation on one core, and of its passes alone.

    A task has 5 ways, 1 shot, 75 query images of 28x28 pixels and 5 SGD steps. The passes alone are
    as many forward and backward passes of the stand-alone network, without any update.
    """
    torch.set_num_threads(1)
    data = load_few_shot("omniglot")
    rows = []
    for name, (space, settings) in SPEED_NETWORKS.items():
        plan = few_shot_plan(space, data, 5, 1, FIRST_SEED)
        plan = plan.with_settings(**settings, queries=SPEED_QUERIES)
        network = plan.build()
        genotype = network.space.sample(1, np.random.default_rng(FIRST_SEED))[0]
        alone = plan.build(genotype)
        batch = task_sampler(plan, data, "train", CPU).draw(1, 0)
        adaptation, passes = [], []
        for _ in range(REPETITIONS + 1):  # the first repetition warms up
            times = [time.process_time()]
            adaptation_accuracies(network, genotype, batch, SPEED_STEPS, 0.1)
            times.append(time.process_time())
            run_passes(alone, batch)
            times.append(time.process_time())
            adaptation.append(times[1] - times[0])
            passes.append(times[2] - times[1])
        rows.append({"network": name, "adaptation": min(adaptation[1:]), "passes": min(passes[1:])})
    return rows


def run_passes(network: nn.Module, batch: FewShotBatch) -> None:
    """Run the forward and backward passes of an adaptation without updating weights."""
    parameters = list(network.parameters())
    for _ in range(SPEED_STEPS):
        logits = network(batch.support_images[0])
        torch.autograd.grad(
            nn.functional.cross_entropy(logits, batch.support_labels[0]),
            parameters,
            allow_unused=True,
        )
    with torch.no_grad():
        network(batch.query_images[0])


SPEED = Measurement("atnas-speed", measure_speed)

# -- ablations ------------------------------------------------------------------------------------

ABLATION_TASKS = 400
"""Tasks that each ablation trains on; half of them before the first generation."""

ABLATIONS: dict[str, dict[str, Any]] = {
    "k=1": {"updates_per_generation": 1},
    "k=4": {},
    "k=8": {"updates_per_generation": 8},
    "tasks=1": {"tasks": 1},
    "tasks=2": {"tasks": 2},
    "forest": {"predictor": "forest", "predictor_samples": 8},
}
"""Settings that differ from 4 tasks per update, 4 updates per generation, and no predictor."""

ABLATION_SEEDS = range(FIRST_SEED, FIRST_SEED + 3)
WINNER_TASKS = 100


def run_ablation(name: str, seed: int) -> dict[str, float]:
    """Meta-train with other settings; return the winner's validation accuracy, and CPU seconds."""
    plan, data = make_plan("first", 5, 1, seed)
    changes = {"tasks": 4, "updates_per_generation": 4, "fitness_tasks": 2} | ABLATIONS[name]
    updates = ABLATION_TASKS // 4 // changes["tasks"]
    plan = plan.with_settings(**{**changes, "epochs": 4, "warmup": 2, "updates": updates})
    path = FOLDER / f"{name}-{seed}.safetensors"
    path.unlink(missing_ok=True)
    began = time.process_time()
    meta = train_meta_supernet(plan, data, path, CPU)
    seconds = time.process_time() - began
    batch = task_sampler(plan, data, "valid", CPU).draw(WINNER_TASKS, 4)
    training = plan.training
    found = adaptation_accuracies(
        meta.network, meta.population[0], batch, training.steps, training.inner_rate
    )
    return {"accuracy": float(found.mean()), "seconds": seconds}


ABLATION = JobStudy(
    "atnas-ablations",
    run_ablation,
    [(name, seed) for seed in ABLATION_SEEDS for name in ABLATIONS],
    name_arguments("name", "seed"),
)

# -- page -----------------------------------------------------------------------------------------

Value = Callable[[Any], float]


def main_rows(results: Sequence[Any]) -> list[list[str]]:
    """Return the meta-test accuracies of each seed in %."""
    return [
        [
            str(each["seed"]),
            f"{each['found']:.1f}",
            ", ".join(f"{accuracy:.1f}" for accuracy in each["random"]),
            f"{each['conv']:.1f}",
            f"{sum(each['seconds'].values()):.0f}",
            f"`{each['winner']}`",
        ]
        for each in results
    ]


def above_chance(run: Any) -> list[float]:
    """Return the accuracies of the random cells that learn at all."""
    return [value for value in run["random"] if value > 150 / run["ways"]]


SUMMARY: list[tuple[str, Value]] = [
    ("meta-test accuracy of the winner, %", lambda each: each["found"]),
    ("meta-test accuracy of random cells, %", lambda each: np.mean(each["random"])),
    ("meta-test accuracy of the network of MAML, %", lambda each: each["conv"]),
    (
        "lead of the winner over random cells, percentage points",
        lambda each: each["found"] - np.mean(each["random"]),
    ),
    (
        "lead of the winner over random cells above chance level, percentage points",
        lambda each: each["found"] - np.mean(above_chance(each)),
    ),
    (
        "lead of the winner over the network of MAML, percentage points",
        lambda each: each["found"] - each["conv"],
    ),
    (
        "lead of the final over a random population on validation tasks, percentage points",
        lambda each: each["populations"][-1] - each["populations"][0],
    ),
    (
        "lead of evolution over random search on validation tasks, percentage points",
        lambda each: each["searches"]["evolution"] - each["searches"]["random"],
    ),
    (
        "rise of the fitness during meta-training, each time on other tasks, percentage points",
        lambda each: (
            each["curves"]["valid_accuracy"][-1]
            - each["curves"]["valid_accuracy"][BUDGETS[each["budget"]].training["warmup"]]
        ),
    ),
]


def over_seeds(value: Value, results: Sequence[Any]) -> str:
    """Return the mean of a value over seeds with its 95 % interval."""
    values = np.array([value(each) for each in results])
    return mean_with_interval(mean_over_seeds(values), 1)


def summary_rows() -> list[list[str]]:
    """Return the means over seeds with each budget."""
    budgets = FIRST.result, SECOND.result, THIRD.result
    return [[name, *(over_seeds(value, each) for each in budgets)] for name, value in SUMMARY]


POPULATION_ROWS = [0, 1, *range(2, 17, 2)]
"""Populations of a run with the third budget: a random one, generation 0 and the later ones, which
take two epochs each."""


def population_rows() -> list[list[str]]:
    """Return the mean fitness of the populations of the third budget, with final weights."""
    values = np.array([each["populations"] for each in THIRD.result])
    values = values[:, POPULATION_ROWS]
    names = ["random", *(f"generation {number}" for number in range(values.shape[1] - 1))]
    names.append("rise from generation 0 to the last one")
    values = np.column_stack([values, values[:, -1] - values[:, 1]])
    return [
        [name, mean_with_interval(mean_over_seeds(each), 1)]
        for name, each in zip(names, values.T, strict=True)
    ]


def agent_rows() -> list[list[str]]:
    """Return the meta-test accuracy of each agent's cell after the final training."""
    runs = [each for each in THIRD.result if each["seed"] in SUPERNET_SEEDS]
    values = {
        "winner of AT-NAS": [each["found"] for each in runs],
        "random cells": [float(np.mean(each["random"])) for each in runs],
    }
    for choice in CHOICES:
        values[choice] = [e["accuracy"] for e in AGENTS.result if e["choice"] == choice]
    return [[name, *(f"{each:.1f}" for each in found)] for name, found in values.items()]


def twenty_way_rows() -> list[list[str]]:
    """Return the accuracies of 20-way tasks, and those of the official evaluation."""
    (run,) = TWENTY_WAY.result
    return [
        ["winner", f"{run['found']:.1f}", f"{100 - run['official']:.1f}"],
        ["random cell", f"{np.mean(run['random']):.1f}", ""],
        ["network of MAML", f"{run['conv']:.1f}", f"{100 - run['conv official']:.1f}"],
    ]


def noise_rows() -> list[list[str]]:
    """Return spread and noise of the fitness of each seed in percentage points."""
    rows = []
    for each in NOISE.result:
        ratios = [each["spread"] / (each["noise"] / tasks**0.5) for tasks in (4, 20)]
        rows.append(
            [str(each["seed"])]
            + [f"{each[name]:.1f}" for name in ("spread", "better_spread", "noise")]
            + [f"{ratio:.1f}" for ratio in ratios]
        )
    return rows


def darts_rows() -> list[list[str]]:
    """Return the accuracies of DARTS networks before and after training in %."""
    rows = []
    for name in ("winner", "DARTS_V2"):
        each = DARTS.result[name]
        accuracies = [f"{each[weights]:.1f}" for weights in ("initial", "supernet", "final")]
        rows.append([name, f"{each['parameters']:,}", *accuracies])
    return rows


def predictor_rows() -> list[list[str]]:
    """Return the mean correlation of each predictor by the number of evaluated cells."""
    rows = []
    for kind in CODE_PREDICTORS:
        values = np.array([each[kind] for each in PREDICTORS.result])
        rows.append([kind, *(mean_with_interval(mean_over_seeds(each)) for each in values.T)])
    return rows


def transfer_rows() -> list[list[str]]:
    """Return the final accuracy and the time of transfers by halving."""
    return [
        [each["dataset"], str(each["seed"])]
        + [f"{run['accuracies'][-1]:.1f} ({run['seconds'][-1]:.1f})" for run in each["runs"]]
        for each in TRANSFER.result
    ]


def ablation_rows() -> list[list[str]]:
    """Return accuracy and time of each ablation, with one value per seed."""
    rows = []
    for name in ABLATIONS:
        runs = [each for each in ABLATION.result if each["name"] == name]
        values = [
            ", ".join(f"{each[key]:.{digits}f}" for each in runs)
            for key, digits in (("accuracy", 1), ("seconds", 0))
        ]
        rows.append([name, *values])
    return rows


def blocks() -> dict[str, str]:
    """Return the generated blocks of the page."""
    memory = MEMORY.result
    least = memory["largest network"]
    return {
        "main": markdown_table(MAIN_COLUMNS, main_rows(THIRD.result)),
        "summary": markdown_table(
            ["quantity", "first budget", "second budget", "third budget"], summary_rows()
        ),
        "populations": markdown_table(["population", "mean fitness, %"], population_rows()),
        "five-shot": markdown_table(MAIN_COLUMNS, main_rows(FIVE_SHOT.result)),
        "agents": markdown_table(
            ["cell", *(f"seed {seed}, %" for seed in SUPERNET_SEEDS)], agent_rows()
        ),
        "twenty-way": markdown_table(
            ["network", "20-way 1-shot tasks, accuracy, %", "official evaluation, error, %"],
            twenty_way_rows(),
        ),
        "noise": markdown_table(
            [
                "seed",
                "spread of cells",
                "spread of the better half",
                "noise on one task",
                "spread / noise with 4 tasks",
                "spread / noise with 20 tasks",
            ],
            noise_rows(),
        ),
        "darts": markdown_table(
            [
                "cells",
                "parameters",
                "random weights, %",
                "weights of the meta-supernet, %",
                "after the final training, %",
            ],
            darts_rows(),
        ),
        "memory": markdown_table(
            ["method", "MiB", "relative to the largest network"],
            [[name, f"{each:.0f}", f"{each / least:.2f}"] for name, each in memory.items()],
        ),
        "predictors": markdown_table(
            ["predictor", *(f"{count} cells" for count in SAMPLES)], predictor_rows()
        ),
        "transfer": markdown_table(
            [
                "images",
                "seed",
                *(
                    f"{start}, epochs per generation: {epochs}"
                    for start, numbers in EPOCHS.items()
                    for epochs in numbers
                ),
            ],
            transfer_rows(),
        ),
        "ablations": markdown_table(
            ["setting", "validation accuracy of the winner, %", "meta-training, CPU s"],
            ablation_rows(),
        ),
        "speed": markdown_table(
            [
                "network",
                "adaptation, CPU s",
                "passes alone, CPU s",
                "adaptation / passes",
                "tasks per second",
            ],
            [
                [
                    each["network"],
                    f"{each['adaptation']:.3f}",
                    f"{each['passes']:.3f}",
                    f"{each['adaptation'] / each['passes']:.2f}",
                    f"{1 / each['adaptation']:.1f}",
                ]
                for each in SPEED.result
            ],
        ),
    }


PAGE = Page(
    "results/atnas.md",
    [
        FIRST,
        SECOND,
        THIRD,
        AGENTS,
        TWENTY_WAY,
        FIVE_SHOT,
        NOISE,
        DARTS,
        MEMORY,
        PREDICTORS,
        TRANSFER,
        ABLATION,
        SPEED,
    ],
    blocks,
)
