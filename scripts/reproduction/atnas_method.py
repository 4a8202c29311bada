"""AT-NAS as a whole on few-shot tasks of Omniglot: meta-training, evolution and final training.

Settings were chosen on the meta-validation classes, and fixed before any meta-test class was
evaluated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nas_gym.networks.data.class_images import FewShotData
from nas_gym.networks.data.few_shot import FewShotBatch, load_few_shot
from nas_gym.networks.few_shot.adaptation import adaptation_accuracies
from nas_gym.networks.few_shot.conv_network import FourConvNetwork
from nas_gym.networks.few_shot.meta_supernet import (
    MetaSupernet,
    load_meta_supernet,
    train_meta_supernet,
)
from nas_gym.networks.few_shot.meta_training import FewShotTraining
from nas_gym.networks.few_shot.plans import FewShotPlan, few_shot_plan, task_sampler
from nas_gym.spaces.evolution import next_generation
from nas_gym.utils.files import read_tensors
from reproduction.studies import RUNS

CPU = torch.device("cpu")
FOLDER = RUNS / "atnas"
SIZE = 14
"""Height and width of the images; the paper has 28."""

TEST_TASKS = 600

OFFICIAL = (20, 1)
"""Ways and shots of Omniglot's official one-shot evaluation."""


@dataclass(frozen=True)
class Budget:
    """Budget of a run of the whole method.

    Attributes:
        training: Settings of the meta-supernet that differ from its defaults.
        final_epochs: Epochs of the final training of an architecture, from the supernet's weights.
        random: Number of random architectures that are finally trained.
        evaluations: Distinct architectures that evolution and random search evaluate in the
            meta-supernet; 0 compares neither searches nor populations.
        compared_tasks: Validation tasks that compare populations.
        winner_tasks: Validation tasks that compare the winners of the searches.
    """

    training: Mapping[str, Any]
    final_epochs: int
    random: int
    evaluations: int
    compared_tasks: int = 0
    winner_tasks: int = 0


_SHARED = {"steps": 3, "inner_rate": 0.1, "meta_rate": 0.003, "queries": 5, "population": 16}
_SECOND = Budget(
    training={
        **_SHARED,
        "epochs": 10,
        "updates": 25,
        "warmup": 4,
        "updates_per_generation": 25,
        "fitness_tasks": 20,
    },
    final_epochs=8,
    random=2,
    evaluations=64,
    compared_tasks=20,
    winner_tasks=100,
)

BUDGETS = {
    "first": Budget(
        training={
            **_SHARED,
            "epochs": 10,
            "updates": 25,
            "warmup": 5,
            "updates_per_generation": 10,
            "fitness_tasks": 4,
        },
        final_epochs=5,
        random=2,
        evaluations=64,
        compared_tasks=20,
        winner_tasks=20,
    ),
    "second": _SECOND,
    "third": Budget(
        training={
            **_SHARED,
            "cosine": True,
            "epochs": 30,
            "updates": 25,
            "warmup": 15,
            "updates_per_generation": 50,
            "fitness_tasks": 40,
        },
        final_epochs=15,
        random=3,
        evaluations=64,
        compared_tasks=60,
        winner_tasks=200,
    ),
    "short": Budget(
        training={**_SECOND.training, "epochs": 6, "warmup": 3},
        final_epochs=4,
        random=1,
        evaluations=0,
    ),
}
"""Budgets by name. An epoch has 100 tasks, in the final training as well."""


def make_plan(budget: str, ways: int, shots: int, seed: int) -> tuple[FewShotPlan, FewShotData]:
    """Return the plan of the meta-supernet of a run, and its data."""
    data = load_few_shot("omniglot", SIZE)
    plan = few_shot_plan("NB201", data, ways, shots, seed)
    return plan.with_settings(**BUDGETS[budget].training), data


def meta_supernet_path(budget: str, ways: int, shots: int, seed: int) -> Path:
    """Return the path of the meta-supernet of a run."""
    return FOLDER / f"{budget}-NB201-{ways}-{shots}-{seed}.safetensors"


def run_whole_method(budget: str, ways: int, shots: int, seed: int) -> dict[str, Any]:
    """Meta-train a supernet and its population, and finally train the winner.

    In addition, random architectures are finally trained in the same way, and the network of
    MAML is trained on as many tasks in total.

    Returns:
        Meta-test accuracies in %, fitness of populations and searches, curves, and seconds.
    """
    chosen = BUDGETS[budget]
    plan, data = make_plan(budget, ways, shots, seed)
    times = [time.process_time()]
    path = meta_supernet_path(budget, ways, shots, seed)
    meta, curves, populations = train_and_record(plan, data, path)
    times.append(time.process_time())
    winner = meta.subnet(meta.population[0])
    final_training(winner, plan, data, chosen.final_epochs)
    times.append(time.process_time())
    result: dict[str, Any] = {
        "found": test_accuracy(winner, plan, data),
        "winner": meta.network.space.to_text(meta.population[:1])[0],
        "curves": curves,
        "seconds": {"meta-training": times[1] - times[0], "final training": times[2] - times[1]},
    }

    def finally_trained(genotype: NDArray[np.int64]) -> float:
        network = meta.subnet(genotype)
        final_training(network, plan, data, chosen.final_epochs)
        return test_accuracy(network, plan, data)

    rng = np.random.default_rng([seed, 1])
    sample = meta.network.space.sample(chosen.random, rng)
    result["random"] = [finally_trained(each) for each in sample]
    result["random cells"] = list(meta.network.space.to_text(sample))
    if (ways, shots) == OFFICIAL:
        result["official"] = official_accuracy(winner, plan, data)
    torch.manual_seed(seed)
    conv = FourConvNetwork(ways, data.shape[0])
    final_training(conv, plan, data, plan.training.epochs + chosen.final_epochs)
    result["conv"] = test_accuracy(conv, plan, data)
    if (ways, shots) == OFFICIAL:
        result["conv official"] = official_accuracy(conv, plan, data)
    if not chosen.evaluations:
        return result
    random = meta.network.space.sample(len(meta.population), rng)
    result["populations"] = [
        mean_fitness(meta, genotypes, data, chosen.compared_tasks, 1)
        for genotypes in (random, *populations)
    ]
    result["searches"] = compare_searches(meta, data, chosen, rng)
    return result


def train_and_record(
    plan: FewShotPlan, data: FewShotData, path: Path
) -> tuple[MetaSupernet, dict[str, list[float]], list[NDArray[np.int64]]]:
    """Train a meta-supernet.

    Returns:
        Meta-supernet, metrics of each epoch, and the population before the first generation and
        after each further epoch.
    """
    curves: dict[str, list[float]] = {}
    populations: list[NDArray[np.int64]] = []

    def record(epoch: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            curves.setdefault(name, []).append(value)
        if epoch > plan.training.warmup:  # the file has the state before this epoch
            populations.append(read_tensors(path)["population"])

    path.unlink(missing_ok=True)  # so that the records are complete
    meta = train_meta_supernet(plan, data, path, CPU, record, seconds=0)
    return meta, curves, [*populations, meta.population]


def final_training(network: nn.Module, plan: FewShotPlan, data: FewShotData, epochs: int) -> None:
    """Meta-train a network on further tasks."""
    config = replace(plan.training, epochs=epochs, fitness_tasks=1)
    train, valid = (task_sampler(plan, data, split, CPU) for split in ("train", "valid"))
    # another seed than that of the supernet, which would draw the same tasks again
    training = FewShotTraining(network, train, valid, config, plan.seed + 10_000)
    for _ in range(epochs):
        training.run_epoch()


def test_accuracy(network: nn.Module, plan: FewShotPlan, data: FewShotData) -> float:
    """Return the mean accuracy on meta-test tasks in %."""
    batch = task_sampler(plan, data, "test", CPU).draw(TEST_TASKS, 0)
    return mean_accuracy(network, None, batch, plan)


def official_accuracy(network: nn.Module, plan: FewShotPlan, data: FewShotData) -> float:
    """Return the mean accuracy on the 20 runs of Omniglot's official one-shot evaluation in %."""
    runs = load_few_shot("omniglot-oneshot", SIZE).runs
    assert runs is not None
    sampler = task_sampler(plan, data, "test", CPU)
    support, query = sampler.normalized(runs.support), sampler.normalized(runs.query)
    own = torch.arange(support.shape[1]).expand(len(support), -1)
    batch = FewShotBatch(support, own, query, torch.from_numpy(runs.labels))
    return mean_accuracy(network, None, batch, plan)


def mean_accuracy(
    network: nn.Module, genotype: NDArray[np.int64] | None, batch: FewShotBatch, plan: FewShotPlan
) -> float:
    """Return the mean accuracy of an architecture after adaptation to tasks, in %."""
    steps, rate = plan.training.steps, plan.training.inner_rate
    return float(adaptation_accuracies(network, genotype, batch, steps, rate).mean())


def mean_fitness(
    meta: MetaSupernet, genotypes: NDArray[np.int64], data: FewShotData, tasks: int, seed: int
) -> float:
    """Return the mean accuracy of architectures on validation tasks in %, with final weights."""
    batch = task_sampler(meta.plan, data, "valid", CPU).draw(tasks, seed)
    distinct, counts = np.unique(genotypes, axis=0, return_counts=True)
    fitness = [mean_accuracy(meta.network, each, batch, meta.plan) for each in distinct]
    return float(np.average(fitness, weights=counts))


def compare_searches(
    meta: MetaSupernet, data: FewShotData, budget: Budget, rng: np.random.Generator
) -> dict[str, float]:
    """Return the fitness of the winners of evolution and of random search in the same supernet.

    Both evaluate as many distinct architectures on the same validation tasks. Evolution starts from
    random architectures. The winners are compared on other validation tasks.
    """
    space, plan = meta.network.space, meta.plan
    batch = task_sampler(plan, data, "valid", CPU).draw(plan.training.fitness_tasks, 2)

    def evaluate(genotype: NDArray[np.int64]) -> float:
        return mean_accuracy(meta.network, genotype, batch, plan)

    proposals: dict[str, Propose] = {
        "random": lambda genotypes, _: space.sample(len(genotypes), rng),
        "evolution": lambda genotypes, fitness: next_generation(space, genotypes, fitness, rng),
    }
    winners = {
        name: search(space.sample(len(meta.population), rng), evaluate, propose, budget.evaluations)
        for name, propose in proposals.items()
    }
    return {
        name: mean_fitness(meta, winner[None], data, budget.winner_tasks, 3)
        for name, winner in winners.items()
    }


Propose = Callable[[NDArray[np.int64], NDArray[np.float64]], NDArray[np.int64]]
"""Function from a generation and its fitness to the next generation."""


def search(
    genotypes: NDArray[np.int64],
    evaluate: Callable[[NDArray[np.int64]], float],
    propose: Propose,
    evaluations: int,
) -> NDArray[np.int64]:
    """Return the best of as many distinct architectures, generation by generation.

    Args:
        genotypes: First generation.
        evaluate: Function that returns the fitness of an architecture.
        propose: Function that returns the next generation.
        evaluations: Number of distinct architectures that are evaluated.
    """
    known: dict[tuple[int, ...], float] = {}
    while True:
        for genotype in genotypes:
            key = tuple(genotype.tolist())
            if key not in known and len(known) < evaluations:
                known[key] = evaluate(genotype)
        if len(known) == evaluations:
            return np.array(max(known, key=lambda key: known[key]), np.int64)
        fitness = np.array([known[tuple(each.tolist())] for each in genotypes])
        genotypes = propose(genotypes, fitness)


NOISE_CELLS, NOISE_TASKS = 24, 60


def measure_noise(budget: str, ways: int, shots: int, seed: int) -> dict[str, float]:
    """Return the spread of the fitness over architectures, and its noise, in percentage points.

    Random architectures are evaluated on the same validation tasks, with the weights of a
    meta-supernet. The accuracy of an architecture on a task is modelled as the sum of an effect of
    the architecture, an effect of the task, and noise.

    Returns:
        ``spread``, the standard deviation of the effects of architectures; ``noise``, the standard
        deviation of the noise on one task; and ``better_spread`` and ``better_noise``, the same
        among the better half of the architectures.
    """
    plan, data = make_plan(budget, ways, shots, seed)
    meta = load_meta_supernet(meta_supernet_path(budget, ways, shots, seed), CPU)
    batch = task_sampler(plan, data, "valid", CPU).draw(NOISE_TASKS, 4)
    steps, rate = plan.training.steps, plan.training.inner_rate
    sample = meta.network.space.sample(NOISE_CELLS, np.random.default_rng([seed, 3]))
    found = [adaptation_accuracies(meta.network, each, batch, steps, rate) for each in sample]
    accuracies = torch.stack(found).double().numpy()
    means = accuracies.mean(axis=1)
    spread, noise = _decompose(accuracies)
    better_spread, better_noise = _decompose(accuracies[means > np.median(means)])
    return {
        "spread": spread,
        "noise": noise,
        "better_spread": better_spread,
        "better_noise": better_noise,
    }


def _decompose(accuracies: NDArray[np.float64]) -> tuple[float, float]:
    """Return the standard deviations of architectures and of noise, ``(architectures, tasks)``."""
    rows, columns = accuracies.shape
    by_row, by_column = accuracies.mean(axis=1, keepdims=True), accuracies.mean(axis=0)
    residuals = accuracies - by_row - by_column + accuracies.mean()
    noise = float((residuals**2).sum() / ((rows - 1) * (columns - 1)))
    spread = float(by_row.var(ddof=1)) - noise / columns
    return max(spread, 0.0) ** 0.5, noise**0.5
