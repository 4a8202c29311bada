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

from nas_gym.networks.data.class_images import FewShotData
from nas_gym.networks.data.few_shot import load_few_shot
from nas_gym.networks.few_shot.adaptation import adaptation_accuracies
from nas_gym.networks.few_shot.conv_network import FourConvNetwork
from nas_gym.networks.few_shot.meta_supernet import (
    MetaSupernet,
    task_sampler,
    train_meta_supernet,
)
from nas_gym.networks.few_shot.meta_training import FewShotTraining
from nas_gym.networks.few_shot.plans import FewShotPlan, few_shot_plan
from nas_gym.spaces import SearchSpace
from nas_gym.spaces.evolution import next_generation
from reproduction.studies import FIRST_SEED, RUNS, JobStudy

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

    Beside the winner, random architectures are finally trained in the same way, and the network of
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
