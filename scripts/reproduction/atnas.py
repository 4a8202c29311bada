"""AT-NAS on few-shot tasks of Omniglot: the whole method, and its parts.

All budgets are for CPUs. They were chosen on the meta-validation classes, and fixed before any
meta-test class was evaluated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import nas_gym
from nas_gym.networks.batches import Augmentation, DeviceImages
from nas_gym.networks.darts_network import DARTSNetwork
from nas_gym.networks.data import load_images
from nas_gym.networks.data.class_images import FewShotData
from nas_gym.networks.data.few_shot import FewShotBatch, load_few_shot
from nas_gym.networks.evaluation import use_batch_statistics
from nas_gym.networks.few_shot.adaptation import adaptation_accuracies
from nas_gym.networks.few_shot.conv_network import FourConvNetwork
from nas_gym.networks.few_shot.meta_supernet import (
    MetaSupernet,
    train_meta_supernet,
)
from nas_gym.networks.few_shot.meta_training import FewShotTraining
from nas_gym.networks.few_shot.plans import FewShotPlan, few_shot_plan, task_sampler
from nas_gym.networks.few_shot.transfer import supernet_for_classes, transfer_by_halving
from nas_gym.networks.memory import measure_adaptation_memory, measure_step_memory
from nas_gym.networks.one_shot import ONE_SHOT_SEARCHES
from nas_gym.networks.training import TrainingConfig
from nas_gym.predictors.code_predictors import CODE_PREDICTORS, predict_from_codes
from nas_gym.spaces import DARTSSpace, SearchSpace
from nas_gym.spaces.darts import OPERATIONS
from nas_gym.spaces.evolution import next_generation
from nas_gym.utils.ranks import spearman
from reproduction.pages import Page, markdown_table, mean_with_interval
from reproduction.studies import FIRST_SEED, RUNS, JobStudy, Measurement, mean_over_seeds

CPU = torch.device("cpu")
FOLDER = RUNS / "atnas"
SIZE = 14
"""Height and width of the images; the paper has 28."""

BUDGET = {"epochs": 10, "updates": 25, "warmup": 5, "tasks": 4, "population": 16}
"""Meta-training: 1,000 tasks, half of them before the first generation."""

SETTINGS = {
    "steps": 3,
    "inner_rate": 0.1,
    "meta_rate": 0.003,
    "queries": 5,
    "updates_per_generation": 10,
}
FINAL_EPOCHS = 5
"""Epochs of the final training of an architecture, from the supernet's weights: 500 tasks."""

TEST_TASKS = 600
EVALUATIONS = 64
"""Architectures that evolution and random search evaluate in a trained meta-supernet."""

COMPARED_TASKS = 20
"""Validation tasks that compare populations, and the winners of the searches."""

NUM_RANDOM = 2
"""Random architectures per seed that are finally trained."""


def make_plan(space: str, ways: int, shots: int, seed: int) -> tuple[FewShotPlan, FewShotData]:
    """Return the plan of a meta-supernet of this study, and its data."""
    data = load_few_shot("omniglot", SIZE)
    return few_shot_plan(space, data, ways, shots, seed).with_settings(**BUDGET, **SETTINGS), data


def run_whole_method(space: str, ways: int, shots: int, seed: int) -> dict[str, Any]:
    """Meta-train a supernet and its population, and finally train the winner.

    In addition, random architectures are finally trained in the same way, and the network of
    MAML is trained on as many tasks in total.

    Returns:
        Meta-test accuracies in %, fitness of populations and searches, curves, and seconds.
    """
    plan, data = make_plan(space, ways, shots, seed)
    curves: dict[str, list[float]] = {}

    def record(_: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            curves.setdefault(name, []).append(value)

    times = [time.process_time()]
    path = FOLDER / f"{space}-{ways}-{shots}-{seed}.safetensors"
    path.unlink(missing_ok=True)  # so that the curves are complete
    meta = train_meta_supernet(plan, data, path, CPU, record)
    times.append(time.process_time())
    found = final_accuracy(meta.subnet(meta.population[0]), plan, data, FINAL_EPOCHS)
    times.append(time.process_time())
    rng = np.random.default_rng([seed, 1])
    sample = meta.network.space.sample(NUM_RANDOM, rng)
    random = [final_accuracy(meta.subnet(each), plan, data, FINAL_EPOCHS) for each in sample]
    torch.manual_seed(seed)
    conv = FourConvNetwork(ways, data.shape[0])
    return {
        "found": found,
        "random": random,
        "conv": final_accuracy(conv, plan, data, plan.training.epochs + FINAL_EPOCHS),
        "winner": meta.network.space.to_text(meta.population[:1])[0],
        "curves": curves,
        "populations": compare_populations(meta, data, rng),
        "searches": compare_searches(meta, data, rng),
        "seconds": {"meta-training": times[1] - times[0], "final training": times[2] - times[1]},
    }


def final_accuracy(network: nn.Module, plan: FewShotPlan, data: FewShotData, epochs: int) -> float:
    """Meta-train a network on further tasks; return its mean accuracy on meta-test tasks in %."""
    config = replace(plan.training, epochs=epochs)
    train, valid, test = (task_sampler(plan, data, split, CPU) for split in data.splits)
    # another seed than that of the supernet, which would draw the same tasks again
    training = FewShotTraining(network, train, valid, config, plan.seed + 10_000)
    for _ in range(epochs):
        training.run_epoch()
    batch = test.draw(TEST_TASKS, 0)
    found = adaptation_accuracies(network, None, batch, config.steps, config.inner_rate)
    return float(found.mean())


def compared_fitness(
    meta: MetaSupernet, genotypes: NDArray[np.int64], data: FewShotData, seed: int
) -> NDArray[np.float64]:
    """Return the accuracy of architectures on validation tasks that no search has seen, in %."""
    training = meta.plan.training
    batch = task_sampler(meta.plan, data, "valid", CPU).draw(COMPARED_TASKS, seed)
    return np.array(
        [
            float(
                adaptation_accuracies(
                    meta.network, genotype, batch, training.steps, training.inner_rate
                ).mean()
            )
            for genotype in genotypes
        ]
    )


def compare_populations(
    meta: MetaSupernet, data: FewShotData, rng: np.random.Generator
) -> dict[str, float]:
    """Return the mean fitness of a random population and of the evolved one, with final weights."""
    random = meta.network.space.sample(len(meta.population), rng)
    return {
        name: float(compared_fitness(meta, genotypes, data, 1).mean())
        for name, genotypes in (("random", random), ("evolved", meta.population))
    }


def compare_searches(
    meta: MetaSupernet, data: FewShotData, rng: np.random.Generator
) -> dict[str, float]:
    """Return the fitness of the winners of evolution and of random search in the same supernet.

    Both evaluate :data:`EVALUATIONS` architectures on the same validation tasks. Evolution starts
    from random architectures. The winners are compared on other validation tasks.
    """
    space, config = meta.network.space, meta.plan.training
    batch = task_sampler(meta.plan, data, "valid", CPU).draw(config.fitness_tasks, 2)

    def evaluate(genotypes: NDArray[np.int64]) -> NDArray[np.float64]:
        found = [
            adaptation_accuracies(meta.network, each, batch, config.steps, config.inner_rate)
            for each in genotypes
        ]
        return torch.stack(found).mean(dim=1).double().numpy()

    drawn = space.sample(EVALUATIONS, rng)
    winners = [drawn[evaluate(drawn).argmax()], evolve(space, evaluate, rng)]
    values = compared_fitness(meta, np.stack(winners), data, 3)
    return dict(zip(("random", "evolution"), values.tolist(), strict=True))


def evolve(
    space: SearchSpace,
    evaluate: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the winner of Algorithm 2 after :data:`EVALUATIONS` evaluations."""
    genotypes = space.sample(BUDGET["population"], rng)
    fitness = evaluate(genotypes)
    spent = len(genotypes)
    while spent < EVALUATIONS:
        following = next_generation(space, genotypes, fitness, rng)
        parents = len(genotypes) // 4  # their fitness is known
        order = np.argsort(-fitness, kind="stable")[:parents]
        children = following[parents:][: EVALUATIONS - spent]
        genotypes = np.concatenate([following[:parents], children])
        fitness = np.concatenate([fitness[order], evaluate(children)])
        spent += len(children)
    winner: NDArray[np.int64] = genotypes[fitness.argmax()]
    return winner


def _listed(arguments: Sequence[tuple[Any, ...]], results: list[Any]) -> list[Any]:
    names = ("space", "ways", "shots", "seed")
    return [
        dict(zip(names, each, strict=True)) | result
        for each, result in zip(arguments, results, strict=True)
    ]


SEEDS = range(FIRST_SEED, FIRST_SEED + 5)
MAIN = JobStudy(
    "atnas-5way1shot", run_whole_method, [("NB201", 5, 1, seed) for seed in SEEDS], _listed
)


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
    lambda arguments, results: [
        {"dataset": dataset, "seed": seed, **result}
        for (dataset, seed), result in zip(arguments, results, strict=True)
    ],
)

# -- transfer -------------------------------------------------------------------------------------

TRANSFER_TRAINING = TrainingConfig(10, 64, 0.05, 1e-3, augmentation=Augmentation(pad=1))
TRANSFER_SEEDS = range(FIRST_SEED, FIRST_SEED + 3)


def transfer_to_digits(seed: int) -> dict[str, list[dict[str, float]]]:
    """Transfer by halving to digits, from the meta-population and from random weights.

    Returns:
        For each start, the members, the best validation accuracy in % and the CPU seconds so far,
        of each generation.
    """
    plan, data = make_plan("NB201", 5, 1, seed)
    meta = train_meta_supernet(plan, data, FOLDER / f"NB201-5-1-{seed}.safetensors", CPU)
    digits = load_images("digits")
    train, valid = (
        DeviceImages.from_split(digits, split, CPU) for split in (digits.train, digits.valid)
    )
    classes = len(digits.classes)
    random = meta.network.space.sample(len(meta.population), np.random.default_rng([seed, 2]))
    starts = {
        "meta": (supernet_for_classes(meta, classes), meta.population),
        "random": (replace(plan, ways=classes).build(), random),
    }
    found: dict[str, list[dict[str, float]]] = {}
    for name, (network, population) in starts.items():
        curve: list[dict[str, float]] = []
        began = time.process_time()

        def record(
            members: int,
            accuracy: float,
            curve: list[dict[str, float]] = curve,
            began: float = began,
        ) -> None:
            seconds = time.process_time() - began
            curve.append({"members": members, "accuracy": accuracy, "seconds": seconds})

        transfer_by_halving(
            network,
            population,
            train,
            valid,
            TRANSFER_TRAINING,
            seed,
            epochs_per_generation=1,
            on_generation=record,
        )
        found[name] = curve
    return found


TRANSFER = JobStudy(
    "atnas-transfer",
    transfer_to_digits,
    [(seed,) for seed in TRANSFER_SEEDS],
    lambda arguments, results: results,
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
    plan, data = make_plan("NB201", 5, 1, seed)
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
    lambda arguments, results: [
        {"name": name, "seed": seed, **result}
        for (name, seed), result in zip(arguments, results, strict=True)
    ],
)

# -- page -----------------------------------------------------------------------------------------


def main_rows() -> list[list[str]]:
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
        for each in MAIN.result
    ]


def summary_rows() -> list[list[str]]:
    """Return means over seeds with 95 % intervals."""
    results = MAIN.result

    def column(value: Callable[[Any], float]) -> str:
        return mean_with_interval(mean_over_seeds(np.array([value(each) for each in results])), 1)

    rows: list[tuple[str, Callable[[Any], float]]] = [
        ("meta-test accuracy of the winner, %", lambda each: each["found"]),
        ("meta-test accuracy of random cells, %", lambda each: np.mean(each["random"])),
        ("meta-test accuracy of the network of MAML, %", lambda each: each["conv"]),
        (
            "lead of the winner over random cells, percentage points",
            lambda each: each["found"] - np.mean(each["random"]),
        ),
        (
            "lead of the winner over random cells above chance level, percentage points",
            lambda each: (
                each["found"]
                - np.mean([value for value in each["random"] if value > 100 / each["ways"]])
            ),
        ),
        (
            "lead of the winner over the network of MAML, percentage points",
            lambda each: each["found"] - each["conv"],
        ),
        (
            "lead of the evolved over a random population on validation tasks, percentage points",
            lambda each: each["populations"]["evolved"] - each["populations"]["random"],
        ),
        (
            "lead of evolution over random search on validation tasks, percentage points",
            lambda each: each["searches"]["evolution"] - each["searches"]["random"],
        ),
        (
            "rise of the fitness from the first to the last epoch of evolution, percentage points",
            lambda each: (
                each["curves"]["valid_accuracy"][-1]
                - each["curves"]["valid_accuracy"][BUDGET["warmup"]]
            ),
        ),
    ]
    return [[name, column(value)] for name, value in rows]


def predictor_rows() -> list[list[str]]:
    """Return the mean correlation of each predictor by the number of evaluated cells."""
    rows = []
    for kind in CODE_PREDICTORS:
        values = np.array([each[kind] for each in PREDICTORS.result])
        rows.append([kind, *(mean_with_interval(mean_over_seeds(each)) for each in values.T)])
    return rows


def transfer_rows() -> list[list[str]]:
    """Return accuracy and time of transfer by halving, from both starts."""
    rows = []
    for seed, each in zip(TRANSFER_SEEDS, TRANSFER.result, strict=False):
        goal = max(point["accuracy"] for point in each["random"])
        reached = [point["seconds"] for point in each["meta"] if point["accuracy"] >= goal]
        seconds = next(point["seconds"] for point in each["random"] if point["accuracy"] == goal)
        rows.append(
            [
                str(seed),
                *(", ".join(f"{p['accuracy']:.1f}" for p in each[name]) for name in each),
                f"{seconds:.1f}",
                f"{reached[0]:.1f}" if reached else "never",
            ]
        )
    return rows


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
        "main": markdown_table(
            [
                "seed",
                "winner, %",
                "random cells, %",
                "network of MAML, %",
                "meta-training and final training, CPU s",
                "cell of the winner",
            ],
            main_rows(),
        ),
        "summary": markdown_table(["quantity", "mean over seeds"], summary_rows()),
        "memory": markdown_table(
            ["method", "MiB", "relative to the largest network"],
            [[name, f"{each:.0f}", f"{each / least:.2f}"] for name, each in memory.items()],
        ),
        "predictors": markdown_table(
            ["predictor", *(f"{count} cells" for count in SAMPLES)], predictor_rows()
        ),
        "transfer": markdown_table(
            [
                "seed",
                "from the meta-population, %",
                "from random weights, %",
                "CPU s until the best accuracy from random weights",
                "CPU s until the same accuracy from the meta-population",
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


PAGE = Page("results/atnas.md", [MAIN, MEMORY, PREDICTORS, TRANSFER, ABLATION, SPEED], blocks)
