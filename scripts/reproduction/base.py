"""BASE on few-shot tasks of Omniglot: adaptation, the multi-task prior, and an ablation.

All budgets are for CPUs. The learning rates were chosen on the meta-validation classes, and fixed
before any meta-test class or table was evaluated.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nas_gym.networks.batches import DeviceImages, default_augmentation
from nas_gym.networks.bayesian.distribution import NetworkDistribution, agreement
from nas_gym.networks.bayesian.embedding import (
    embedding_steps,
    mean_network_logits,
    random_batches,
)
from nas_gym.networks.bayesian.meta_network import (
    MetaNetwork,
    load_meta_network,
    train_meta_network,
    untrained_meta_network,
)
from nas_gym.networks.bayesian.meta_training import BASETraining
from nas_gym.networks.bayesian.plans import BASEPlan, base_plan
from nas_gym.networks.darts_network import DARTSNetwork
from nas_gym.networks.data import load_images
from nas_gym.networks.data.class_images import FewShotData
from nas_gym.networks.data.few_shot import TaskSampler, load_few_shot
from nas_gym.networks.evaluation import use_batch_statistics
from nas_gym.networks.few_shot.plans import task_sampler
from nas_gym.networks.memory import measure_adaptation_memory, measure_embedding_memory
from nas_gym.networks.nb201_network import NB201Network
from nas_gym.networks.network import Network
from nas_gym.spaces import DARTSSpace
from nas_gym.spaces.darts import OPERATIONS
from nas_gym.tables import load_table
from reproduction.pages import Page, markdown_table, mean_with_interval
from reproduction.studies import (
    FIRST_SEED,
    RUNS,
    JobStudy,
    Measurement,
    Study,
    mean_over_seeds,
)

CPU = torch.device("cpu")
SIZE = 14
"""Height and width of the images."""

WAYS, SHOTS = 5, 5
TEST_TASKS, TEST_QUERIES = 20, 15
UPDATES = 30
"""Updates of the shared parameters; each one uses two tasks and eight steps per task."""

TARGET_STEPS, TARGET_BATCH = 50, 32
"""Steps and batch size of the adaptation to CIFAR-10."""

DRAWN = 16
"""Architectures that are drawn from a distribution to measure their agreement."""

ACCURACY = 80.0
"""Accuracy in % whose number of steps is reported."""


@dataclass(frozen=True)
class Variant:
    """Training of a variant before the adaptation: method, settings and tasks.

    Attributes:
        training: ``meta`` for meta-training, ``joint`` for joint training, or ``none``.
        settings: Settings of the meta-training that differ from the method's defaults.
        method: ``base`` or ``base-paper``.
        space: Search space.
        dataset: Few-shot data.
        size: Height and width of the images.
        ways: Classes of a task.
        shots: Support images per class.
        queries: Query images per class.
    """

    training: str = "meta"
    settings: Mapping[str, Any] = field(default_factory=dict)
    method: str = "base"
    space: str = "NB201"
    dataset: str = "omniglot"
    size: int = SIZE
    ways: int = WAYS
    shots: int = SHOTS
    queries: int = 5


LONG = {"epochs": 10, "updates": 20, "valid_tasks": 1}
"""Budget with 6.7 times as many gradient steps as that of ``base``."""

NATURAL_TASKS = Variant(
    settings={
        "relaxation": "soft",
        "epochs": 6,
        "updates": 4,
        "warmup": 3,
        "steps": 32,
        "batch_size": 16,
        "valid_tasks": 2,
    },
    dataset="cifar10",
    size=16,
    ways=2,
    shots=200,
    queries=50,
)
"""Tasks of natural images. The settings were chosen with another seed than those of the results,
by the course of alpha; no table was used."""

VARIANTS: dict[str, Variant] = {
    "base": Variant(),
    "random": Variant(training="none"),
    "joint": Variant(training="joint"),
    "variational": Variant(settings={"variational": True, "deviation": 0.02, "kl_weight": 0.01}),
    "paper": Variant(method="base-paper"),
    "subsets": Variant(dataset="cifar10", size=16, ways=2, shots=20),
    "convolutions": Variant(settings={"alpha_rate": 0.0}),
    "pooling": Variant(settings={"alpha_rate": 0.0}),
    "long": Variant(settings=LONG),
    "long-joint": Variant(training="joint", settings=LONG),
    "natural": NATURAL_TASKS,
    "natural-random": replace(NATURAL_TASKS, training="none"),
    "darts": Variant(space="DARTS"),
    "darts-random": Variant(training="none", space="DARTS"),
}
"""Variants by name."""

FIXED_CELLS = {
    "convolutions": "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "pooling": "|none~0|+|avg_pool_3x3~0|none~1|+|avg_pool_3x3~0|none~1|none~2|",
}
"""Cells of the variants that learn the weights only."""

STARTS = ("base", "random", "joint", "variational")
"""Variants that adapt to the meta-test tasks."""

LONG_STARTS = ("long", "random", "long-joint")
"""Variants that are compared at the long budget."""

NATURAL_STARTS = ("natural", "natural-random")
"""Variants that are compared on natural images."""

META_SEEDS = range(FIRST_SEED, FIRST_SEED + 3)
LONG_SEEDS = range(FIRST_SEED + 200, FIRST_SEED + 203)

DARTS_STARTS = ("darts", "darts-random")
DARTS_SEED = FIRST_SEED + 300

FURTHER = {"paper": 3, "subsets": 3, "convolutions": 1, "pooling": 1}
"""Numbers of meta-seeds of the further variants."""

FURTHER_SEED = FIRST_SEED + 100
"""First meta-seed of the further variants."""


def make_plan(variant: str, seed: int) -> tuple[BASEPlan, FewShotData]:
    """Return the plan of a variant, and its data."""
    chosen = VARIANTS[variant]
    data = load_few_shot(chosen.dataset, chosen.size)
    plan = base_plan(chosen.space, data, chosen.ways, chosen.shots, seed, chosen.method)
    plan = replace(plan, queries=chosen.queries)
    settings = {"epochs": 2, "updates": UPDATES // 2, **chosen.settings}
    return plan.with_settings(**settings), data


def run_seed(variant: str, seed: int) -> dict[str, Any]:
    """Train a variant, and adapt it to tasks of the meta-test classes.

    Returns:
        ``accuracy``, the mean accuracy in % over tasks after each number of steps from 0;
        ``cell``, the architecture of the prior; entropy and agreement of the prior; the entropy
        after each epoch of meta-training; and CPU seconds.
    """
    torch.set_num_threads(1)
    plan, data = make_plan(variant, seed)
    started = time.process_time()
    entropies: list[float] = []
    meta = meta_learn(variant, plan, data, entropies)
    learned = time.process_time()
    curves = adaptation_curves(meta, data)
    space = meta.network.space
    drawn = meta.prior.sample_genotypes(space, DRAWN, np.random.default_rng(seed))
    return {
        "accuracy": curves.mean(axis=0).round(3).tolist(),
        "cell": space.to_text([meta.prior.genotype(space)])[0],
        "drawn": space.to_text(drawn),
        "entropy": round(meta.prior.entropy(), 4),
        "entropies": entropies,
        "agreement": round(agreement(drawn), 4),
        "meta_seconds": learned - started,
        "task_seconds": (time.process_time() - learned) / TEST_TASKS,
    }


def meta_learn(
    variant: str, plan: BASEPlan, data: FewShotData, entropies: list[float]
) -> MetaNetwork:
    """Return the meta-network of a variant: meta-trained, jointly trained, or untrained.

    Meta-training appends the entropy of alpha after each epoch to ``entropies``.
    """
    training = VARIANTS[variant].training
    if training == "none":
        return untrained_meta_network(plan, CPU)
    if training == "joint":
        return joint_training(plan, data)
    if variant in FIXED_CELLS:
        return fixed_cell_training(plan, data, FIXED_CELLS[variant])
    path = meta_file(variant, plan.seed)
    path.unlink(missing_ok=True)  # so that the time is that of the whole training
    return train_meta_network(
        plan, data, path, CPU, lambda _, found: entropies.append(round(found["alpha_entropy"], 4))
    )


def meta_file(variant: str, seed: int) -> Path:
    """Return the path of a saved meta-network."""
    return RUNS / "base" / f"{variant}-{seed}.safetensors"


def joint_training(plan: BASEPlan, data: FewShotData) -> MetaNetwork:
    """Train on all meta-training classes at once, with as many gradient steps; then replace the
    classifier by a random one."""
    config = replace(plan.training, kl_weight=0.0)
    joint = replace(plan, ways=len(data.train), training=config)
    meta = untrained_meta_network(joint, CPU)
    images = task_sampler(plan, data, "train", CPU).normalized(data.train.images)
    labels = torch.from_numpy(np.repeat(np.arange(len(data.train)), data.train.counts))
    steps = config.epochs * config.updates * config.tasks * config.steps
    generator = torch.Generator().manual_seed(plan.seed)
    batch_size = config.batch_size or plan.ways * (plan.shots + plan.queries)
    batches = random_batches(images, labels, batch_size, steps, generator)
    posterior = meta.adapt(batches, len(labels), generator)
    adapted = replace(meta, prior=posterior).for_images(plan.ways, data.shape[0], plan.seed)
    return replace(adapted, plan=plan)


def fixed_cell_training(plan: BASEPlan, data: FewShotData, cell: str) -> MetaNetwork:
    """Meta-train the weights of one cell: its operations have a probability of 1."""
    meta = untrained_meta_network(plan, CPU)
    space = meta.network.space
    alpha = torch.from_numpy(space.genotype_to_alpha(space.from_text([cell])))
    train, valid = (task_sampler(plan, data, split, CPU) for split in ("train", "valid"))
    training = BASETraining(meta.network, train, valid, plan.training, plan.seed)
    logits = 100 * alpha.reshape(meta.network.alpha_shape)
    training.prior = replace(training.prior, alpha_logits=logits)
    for step in range(plan.training.epochs * plan.training.updates):
        training.update(step)
    return replace(meta, prior=training.prior)


def adaptation_curves(meta: MetaNetwork, data: FewShotData) -> NDArray[np.float64]:
    """Return the accuracy in % on the query set of each meta-test task after each number of steps,
    ``(tasks, steps + 1)``."""
    sampler = TaskSampler(data, "test", meta.plan.ways, meta.plan.shots, TEST_QUERIES)
    batch, found = sampler.draw(TEST_TASKS, 0), []
    config = meta.plan.training
    for task in range(len(batch)):
        images, labels = batch.support_images[task], batch.support_labels[task]
        generator = torch.Generator().manual_seed(task)
        batches = random_batches(images, labels, config.batch_size, config.steps, generator)
        steps = embedding_steps(
            meta.network, meta.prior, batches, len(labels), config, 1.0, generator
        )
        queries = batch.query_images[task], batch.query_labels[task]
        found.append([accuracy(meta.network, each, *queries) for each in (meta.prior, *steps)])
    return np.array(found)


def run_further(variant: str, seed: int) -> dict[str, Any]:
    """Run a further variant with a meta-seed, and the same network from random weights and alpha.

    Returns:
        The result of :func:`run_seed`; ``random``, the mean accuracy in % of the random start after
        the last step; and if the cell is not fixed, the cell after 50 gradient steps on
        CIFAR-10 (``tuned``) and the CPU seconds of these steps (``tuning_seconds``).
    """
    found = run_seed(variant, seed)
    plan, data = make_plan(variant, seed)
    start = untrained_meta_network(plan, CPU)
    found["random"] = round(float(adaptation_curves(start, data)[:, -1].mean()), 3)
    if variant not in FIXED_CELLS:
        tuned = tune_to_cifar10(meta_file(variant, seed), seed)
        found |= {"tuned": tuned["cell"], "tuning_seconds": tuned["seconds"]}
    return found


def accuracy(
    network: Network, distribution: NetworkDistribution, images: torch.Tensor, labels: torch.Tensor
) -> float:
    """Return the accuracy in % of the discretized architecture with the mean weights."""
    logits = mean_network_logits(network, distribution, images)
    return 100 * float((logits.argmax(dim=1) == labels).float().mean())


def merge_by_variant(
    arguments: Sequence[tuple[Any, ...]], results: list[Any]
) -> dict[str, list[Any]]:
    """Return the results of the meta-seeds of each variant."""
    merged: dict[str, list[Any]] = {}
    for (variant, _), found in zip(arguments, results, strict=True):
        merged.setdefault(variant, []).append(found)
    return merged


def compare_cells(study: Study, variant: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Adapt the meta-networks of a variant to CIFAR-10, and look up their cells.

    Returns:
        For each meta-seed (``"seeds"``), the cells of the prior and of the posterior, CPU seconds,
        and 200-epoch test accuracies on CIFAR-10 in % of both cells and, on average, of cells that
        are drawn from the prior; and the mean accuracy of all cells (``"all"``).
    """
    torch.set_num_threads(1)
    found = []
    for seed, run in zip(seeds, study.result[variant], strict=True):
        tuned = tune_to_cifar10(meta_file(variant, seed), seed)
        found.append(
            {
                "cell": run["cell"],
                "tuned": tuned["cell"],
                "seconds": tuned["seconds"],
                "prior_accuracy": table_accuracy([run["cell"]]).item(),
                "drawn_accuracy": table_accuracy(run["drawn"]).mean(),
                "tuned_accuracy": table_accuracy([tuned["cell"]]).item(),
            }
        )
    return {"seeds": found, "all": float(load_table("nats-bench").column("cifar10-test").mean())}


def tune_to_cifar10(path: Path, seed: int) -> dict[str, Any]:
    """Adapt a saved meta-network to CIFAR-10; return the ``cell`` and the CPU ``seconds``."""
    data = load_images("cifar10")
    train = DeviceImages.from_split(data, data.train, CPU)
    meta = load_meta_network(path, CPU).for_images(10, 3, seed)
    generator = torch.Generator().manual_seed(seed)
    shuffled = train.shuffled(TARGET_BATCH, default_augmentation("cifar10"), generator)
    batches = [next(shuffled) for _ in range(TARGET_STEPS)]
    started = time.process_time()
    posterior = meta.adapt(batches, len(train), generator)
    seconds = time.process_time() - started
    space = meta.network.space
    return {"cell": space.to_text([posterior.genotype(space)])[0], "seconds": seconds}


def table_accuracy(cells: Sequence[str], column: str = "cifar10-test") -> NDArray[np.float64]:
    """Return the 200-epoch test accuracy of cells of NAS-Bench-201, in %."""
    table = load_table("nats-bench")
    return table.column(column)[table.space.encode(table.space.from_text(cells))]


def measure_memory() -> dict[str, list[float]]:
    """Return the memory of an embedding step relative to a step of the largest network.

    Returns:
        Ratios of ``[activations, total]`` of straight-through and soft steps in each space.
    """
    images, labels = torch.randn(10, 1, SIZE, SIZE), torch.arange(5).repeat(2)
    alpha = torch.zeros(28, 7)
    alpha[:, OPERATIONS.index("sep_conv_5x5")] = 100
    largest = DARTSSpace().alpha_to_genotype(alpha.flatten().numpy())[0]
    cases: list[tuple[str, Any, Any, torch.Tensor]] = [
        ("DARTS", largest, DARTSNetwork, alpha),
        ("NB201", np.full(6, 3), NB201Network, 100 * torch.eye(5)[[3] * 6]),
    ]
    found = {}
    for space, genotype, network_class, logits in cases:
        supernet, alone = (network_class(5, 1, channels=8, genotype=g) for g in (None, genotype))
        for each in (supernet, alone):
            use_batch_statistics(each)
        single = measure_adaptation_memory(alone, None, images, labels)
        config = base_plan("NB201", load_few_shot("omniglot", SIZE), WAYS, SHOTS).training
        prior = NetworkDistribution.initial(supernet, None, torch.Generator().manual_seed(0))
        prior = replace(prior, alpha_logits=logits)
        for relaxation in ("straight-through", "soft"):
            settings = replace(config, relaxation=relaxation)
            step = measure_embedding_memory(supernet, prior, images, labels, settings)
            found[f"{space}, {relaxation}"] = [
                step.activations / single.activations,
                step.total / single.total,
            ]
    return found


# -- page -----------------------------------------------------------------------------------------

ADAPTATION = JobStudy(
    "base-adaptation",
    run_seed,
    [(variant, seed) for variant in STARTS for seed in META_SEEDS],
    merge_by_variant,
)
FURTHER_STUDY = JobStudy(
    "base-further",
    run_further,
    [(name, FURTHER_SEED + i) for name, count in FURTHER.items() for i in range(count)],
    merge_by_variant,
)
CELLS = Measurement("base-cells", partial(compare_cells, ADAPTATION, "base", META_SEEDS))
LONG_STUDY = JobStudy(
    "base-long",
    run_seed,
    [(variant, seed) for variant in LONG_STARTS for seed in LONG_SEEDS],
    merge_by_variant,
)
DARTS = JobStudy(
    "base-darts",
    run_seed,
    [(variant, DARTS_SEED) for variant in DARTS_STARTS],
    merge_by_variant,
)
NATURAL = JobStudy(
    "base-natural",
    run_seed,
    [(variant, seed) for variant in NATURAL_STARTS for seed in LONG_SEEDS],
    merge_by_variant,
)
NATURAL_CELLS = Measurement(
    "base-natural-cells", partial(compare_cells, NATURAL, "natural", LONG_SEEDS)
)
LONG_CELLS = Measurement("base-long-cells", partial(compare_cells, LONG_STUDY, "long", LONG_SEEDS))
MEMORY = Measurement("base-memory", measure_memory)

OTHER_DATA = {"CIFAR-100": "cifar100-test", "ImageNet16-120": "ImageNet16-120-test"}
"""Columns of data sets that meta-training has no image of, by their names in tables."""

_NAMES = {
    "base": "`base`",
    "variational": "`base` with variational weights",
    "joint": "joint training on all classes",
    "random": "random weights and alpha",
    "long": "`base`",
    "long-joint": "joint training on all classes",
    "natural": "`base`",
    "natural-random": "random weights and alpha",
    "darts": "`base`",
    "darts-random": "random weights and alpha",
}


def steps_to(curve: Sequence[float], target: float) -> str:
    """Return the first number of steps after which a curve reaches an accuracy."""
    reached = np.flatnonzero(np.array(curve) >= target)
    return str(reached[0]) if len(reached) else f"more than {len(curve) - 1}"


def page_blocks() -> Mapping[str, str]:
    """Return the generated blocks of the page."""
    found, long = ADAPTATION.result, LONG_STUDY.result
    pairs = [("base", "random"), ("base", "joint"), ("variational", "base")]
    return {
        "adaptation": _start_table(found),
        "leads": _lead_table(found, pairs),
        "prior": _prior_table(CELLS.result),
        "cells": _cell_table(found["base"], CELLS.result["seeds"], META_SEEDS),
        "long": _start_table(long),
        "long-leads": _lead_table(long, [("long", "random"), ("long", "long-joint")]),
        "long-prior": _prior_table(LONG_CELLS.result),
        "long-cells": _cell_table(long["long"], LONG_CELLS.result["seeds"], LONG_SEEDS),
        "long-entropy": _entropy_table(long["long"]),
        "darts": _start_table(DARTS.result),
        "darts-cell": "```text\n{}\n```".format(DARTS.result["darts"][0]["cell"]),
        "natural": _start_table(NATURAL.result, (0, 1, 8, 32)),
        "natural-leads": _lead_table(NATURAL.result, [("natural", "natural-random")]),
        "natural-prior": _prior_table(NATURAL_CELLS.result),
        "natural-other": _other_data_table(NATURAL.result["natural"]),
        "natural-cells": _cell_table(
            NATURAL.result["natural"], NATURAL_CELLS.result["seeds"], LONG_SEEDS
        ),
        "natural-entropy": _entropy_table(NATURAL.result["natural"]),
        "further": _further_table(FURTHER_STUDY.result),
        "further-cells": _further_cells(FURTHER_STUDY.result),
        "memory": markdown_table(
            ["space, relaxation", "activations", "total"],
            [[k, *(f"{v:.2f}" for v in values)] for k, values in MEMORY.result.items()],
        ),
    }


def _start_table(found: Mapping[str, list[Any]], steps: Sequence[int] = (0, 1, 4, 8)) -> str:
    headers = ["start", "meta-seeds", *(f"{each} step{'s' * (each != 1)}" for each in steps)]
    headers += [f"steps to {ACCURACY:.0f} %", "CPU s before", "CPU s per task"]
    rows = []
    for variant, runs in found.items():
        curves = np.array([run["accuracy"] for run in runs])
        rows.append(
            [
                _NAMES[variant],
                str(len(runs)),
                *(mean_with_interval(mean_over_seeds(curves[:, s]), 1) for s in steps),
                steps_to(curves.mean(axis=0).tolist(), ACCURACY),
                f"{np.mean([run['meta_seconds'] for run in runs]):.0f}",
                f"{np.mean([run['task_seconds'] for run in runs]):.2f}",
            ]
        )
    return markdown_table(headers, rows)


def _lead_table(found: Mapping[str, list[Any]], pairs: Sequence[tuple[str, str]]) -> str:
    final = {name: np.array([run["accuracy"][-1] for run in runs]) for name, runs in found.items()}
    rows = []
    for first, second in pairs:
        lead = mean_with_interval(mean_over_seeds(final[first] - final[second]), 1)
        rows.append([f"{_NAMES[first]} - {_NAMES[second]}", lead])
    return markdown_table(["difference after the last step", "percentage points"], rows)


def _prior_table(found: Mapping[str, Any]) -> str:
    names = {
        "prior_accuracy": "most probable cell of the prior",
        "drawn_accuracy": "cells drawn from the prior",
        "tuned_accuracy": f"tuned to CIFAR-10 in {TARGET_STEPS} steps",
    }
    rows = []
    for key, name in names.items():
        values = np.array([each[key] for each in found["seeds"]])
        rows.append([name, mean_with_interval(mean_over_seeds(values))])
    rows.append(["mean of all cells", f"{found['all']:.2f}"])
    return markdown_table(["cell", "accuracy on CIFAR-10, %"], rows)


def _other_data_table(runs: list[Any]) -> str:
    rows = []
    for name, column in OTHER_DATA.items():
        found = table_accuracy([run["cell"] for run in runs], column)
        mean = load_table("nats-bench").column(column).mean()
        rows.append([name, mean_with_interval(mean_over_seeds(found)), f"{mean:.2f}"])
    headers = ["data set", "most probable cell of the prior, %", "mean of all cells, %"]
    return markdown_table(headers, rows)


def _entropy_table(runs: list[Any]) -> str:
    entropies = np.array([run["entropies"] for run in runs]).mean(axis=0)
    headers = ["epoch", *map(str, range(1, len(entropies) + 1))]
    return markdown_table(headers, [["entropy, nats", *(f"{each:.2f}" for each in entropies)]])


def _cell_table(runs: list[Any], tuned: list[Any], seeds: Sequence[int]) -> str:
    headers = ["meta-seed", "cell of the prior", "entropy, nats", "agreement of drawn cells"]
    headers += ["tuned cell", "CPU s of tuning"]
    rows = [
        [
            str(seed),
            f"`{each['cell']}`",
            f"{run['entropy']:.2f}",
            f"{run['agreement']:.2f}",
            f"`{each['tuned']}`",
            f"{each['seconds']:.0f}",
        ]
        for seed, run, each in zip(seeds, runs, tuned, strict=True)
    ]
    return markdown_table(headers, rows)


_FURTHER_NAMES = {
    "paper": "`base-paper`",
    "subsets": "`base`, classes of CIFAR-10 (2-way 20-shot)",
    "convolutions": "fixed cell: convolutions",
    "pooling": "fixed cell: average pooling",
}


def _further_table(found: Mapping[str, list[Any]]) -> str:
    headers = ["variant", "meta-seeds", "0 steps", "1 step", "8 steps"]
    headers += ["random start, 8 steps", "CPU s of meta-training", "adaptation, % of it"]
    rows = []
    for variant, runs in found.items():
        curves = np.array([[*run["accuracy"], run["random"]] for run in runs])
        values = [mean_with_interval(mean_over_seeds(curves[:, s]), 1) for s in (0, 1, -2, -1)]
        meta, task = (np.mean([run[f"{k}_seconds"] for run in runs]) for k in ("meta", "task"))
        shares = [f"{meta:.0f}", f"{100 * task / meta:.1f}"]
        rows.append([_FURTHER_NAMES[variant], str(len(runs)), *values, *shares])
    return markdown_table(headers, rows)


def _further_cells(found: Mapping[str, list[Any]]) -> str:
    headers = ["variant", "meta-seed", "cell of the prior", "CIFAR-10, %", "tuned cell"]
    headers += ["CIFAR-10, %", "CPU s of tuning"]
    rows = []
    for variant, runs in found.items():
        for seed, run in enumerate(runs, FURTHER_SEED):
            if "tuned" in run:
                prior, tuned = table_accuracy([run["cell"], run["tuned"]])
                row = [_FURTHER_NAMES[variant], str(seed), f"`{run['cell']}`", f"{prior:.2f}"]
                seconds = f"{run['tuning_seconds']:.1f}"
                rows.append([*row, f"`{run['tuned']}`", f"{tuned:.2f}", seconds])
    return markdown_table(headers, rows)


STUDIES = (
    ADAPTATION,
    FURTHER_STUDY,
    CELLS,
    LONG_STUDY,
    LONG_CELLS,
    NATURAL,
    NATURAL_CELLS,
    DARTS,
    MEMORY,
)
PAGE = Page("results/base.md", STUDIES, page_blocks)
