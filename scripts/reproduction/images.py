"""Studies behind docs/results/images.md: does a search pay on images of one's own?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from nas_gym.agents import RegularizedEvolution
from nas_gym.evaluators.network import parameter_count
from nas_gym.evaluators.supernet import SupernetEvaluator
from nas_gym.evaluators.zero_cost import ZeroCostEvaluator
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.data import ImageData
from nas_gym.networks.evaluation import EVALUATION_BATCH, evaluate_network
from nas_gym.networks.nb201_network import NB201Network
from nas_gym.networks.plans import NetworkPlan, supernet_plan, training_plan
from nas_gym.networks.supernet import Supernet
from nas_gym.networks.training import Training
from nas_gym.tables import load_table
from nas_gym.tasks import Task
from reproduction import precision
from reproduction.image_subsets import CPU, NETWORK, RESIDUAL, SPACE, load_subset
from reproduction.pages import Page, markdown_table, mean_with_interval
from reproduction.studies import FIRST_SEED, JobStudy, mean_over_seeds, name_arguments

METHODS = {
    "zero-cost": "zero-cost search, then training",
    "search": "search with a supernet, then training",
    "residual": "residual network of the same size",
    "random": "random cell",
    "best": "best cell of the table",
}
"""Methods by their short names."""

SHARES = {"supernet": 0.25, "queries": 0.1}
"""Shares of the time that the search with a supernet spends; the rest is for training."""

ZERO_COST_CELLS = 100
"""Number of random cells that the zero-cost search evaluates."""

# -- methods ---------------------------------------------------------------------------------------


class Clock:
    """CPU time of this process since a moment, in seconds; other programs do not count."""

    def __init__(self) -> None:
        self._start = time.process_time()

    @property
    def seconds(self) -> float:
        """Seconds since the clock was made."""
        return time.process_time() - self._start


def run_method(data_set: str, method: str, budget: int, seed: int) -> dict[str, Any]:
    """Return the test accuracy of a method after a time budget on one core.

    Args:
        data_set: Name for :func:`load_subset`.
        method: Key of :data:`METHODS`.
        budget: CPU time for search and training, in seconds.
        seed: Seed of the method.
    """
    torch.set_num_threads(1)
    data = load_subset(data_set)
    clock = Clock()
    genotype, spent = _choose(data, method, budget, seed, clock)
    network = dict(NETWORK)
    if method == "residual":
        network["channels"] = _channels_of_size(data, genotype)
    plan = training_plan("NB201", data, seed=seed).with_settings(**network, flip=_flips(data))
    trained, epochs = _train_for(plan, data, genotype, budget - clock.seconds)
    seconds = clock.seconds
    test = DeviceImages.from_split(data, data.test, CPU)
    return {
        "test_accuracy": evaluate_network(trained, test, EVALUATION_BATCH).accuracy,
        "arch": SPACE.to_text(genotype[None])[0],
        "params": parameter_count(NB201Network, plan.network, genotype),
        "epochs": epochs,
        "seconds": seconds,
        **spent,
    }


def _choose(
    data: ImageData, method: str, budget: int, seed: int, clock: Clock
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """Return the cell of a method, and the seconds and queries of the search."""
    if method == "zero-cost":
        return _zero_cost_search(data, seed, clock)
    if method == "search":
        return _search(data, budget, seed, clock)
    if method == "residual":
        return SPACE.from_text([RESIDUAL])[0], {}
    if method == "best":
        table = load_table("nats-bench")
        return SPACE.decode([int(table.column("cifar10-test").argmax())])[0], {}
    return SPACE.sample(1, np.random.default_rng([seed, 1]))[0], {}


def _zero_cost_search(
    data: ImageData, seed: int, clock: Clock
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """Return the best of random cells by NASWOT, without training."""
    plan = training_plan("NB201", data, seed=seed).with_settings(**NETWORK)
    cells = SPACE.sample(ZERO_COST_CELLS, np.random.default_rng([seed, 2]))
    scores = ZeroCostEvaluator(plan, data, CPU).values("naswot", cells)
    return cells[scores.argmax()], {"search_seconds": clock.seconds, "queries": len(cells)}


def _search(
    data: ImageData, budget: int, seed: int, clock: Clock
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """Return the best cell of regularized evolution on a supernet."""
    plan = replace(supernet_plan("NB201", data, seed), network={**_data_arguments(data), **NETWORK})
    plan = plan.with_settings(flip=_flips(data))
    network, epochs = _train_for(plan, data, None, SHARES["supernet"] * budget)
    supernet = Supernet(network, plan.describe(), 0.0)
    seconds = clock.seconds
    task = Task(SPACE, SupernetEvaluator(supernet, data), dataset=data.name)
    env = gym.make_vec("NB201-digits-alpha-v0", num_envs=1, task=task)
    agent = RegularizedEvolution(env, seed=seed, population_size=20, sample_size=5)
    while clock.seconds - seconds < SHARES["queries"] * budget:
        agent.query()
    spent = {
        "supernet_seconds": seconds,
        "supernet_epochs": epochs,
        "search_seconds": clock.seconds - seconds,
        "queries": agent.num_queries,
    }
    return agent.best_genotypes[0], spent


def _flips(data: ImageData) -> bool:
    """Return whether mirror images belong to the same class; mirrored characters do not."""
    return data.name != "omniglot-50"


def _data_arguments(data: ImageData) -> dict[str, Any]:
    return {"num_classes": len(data.classes), "in_channels": data.shape[0]}


def _channels_of_size(data: ImageData, residual: NDArray[np.int64]) -> int:
    """Return the channels with which the residual network is nearest to the mean cell in size."""
    fixed = _data_arguments(data)
    cells = SPACE.sample(50, np.random.default_rng(0))
    target = float(
        np.mean([parameter_count(NB201Network, {**fixed, **NETWORK}, each) for each in cells])
    )

    def distance(channels: int) -> float:
        size = {**fixed, **NETWORK, "channels": channels}
        return abs(parameter_count(NB201Network, size, residual) - target)

    return min(range(4, 65), key=distance)


def _train_for(
    plan: NetworkPlan, data: ImageData, genotype: NDArray[np.int64] | None, seconds: float
) -> tuple[Any, int]:
    """Train a network, or a supernet, for a time; return it in evaluation mode, and the epochs.

    The second epoch is timed with another network, and the number of epochs of the cosine schedule
    follows from its time. PyTorch prepares its kernels in the first epoch.
    """
    train = DeviceImages.from_split(data, data.train, CPU)
    clock, trial = Clock(), _training(plan, train, genotype)
    trial.run_epoch()
    prepared = clock.seconds
    trial.run_epoch()
    epochs = max(int((seconds - clock.seconds) / (clock.seconds - prepared)), 1)
    training = _training(plan.with_settings(epochs=epochs), train, genotype)
    while training.epoch < epochs:
        training.run_epoch()
    return training.network.eval(), epochs


def _training(
    plan: NetworkPlan, train: DeviceImages, genotype: NDArray[np.int64] | None
) -> Training:
    network = plan.build(genotype)
    if genotype is not None:
        return Training(network, train, plan.training, plan.seed)
    return Training(network, train, plan.training, plan.seed, _sample)


def _sample(rng: np.random.Generator) -> NDArray[np.int64]:
    genotype: NDArray[np.int64] = SPACE.sample(1, rng)[0]
    return genotype


# -- studies and page ------------------------------------------------------------------------------


def study(
    name: str, data_sets: Sequence[str], methods: Sequence[str], budget: int, seeds: int
) -> JobStudy:
    """Return a study of methods."""
    arguments = [
        (data_set, method, budget, FIRST_SEED + seed)
        for seed in range(seeds)
        for data_set in data_sets
        for method in methods
    ]
    merge = name_arguments("data_set", "method", "budget", "seed")
    return JobStudy(name, run_method, arguments, merge)


DATA_SETS = ("cifar10-subset", "omniglot-50")

ONE_MINUTE = study(
    "images-first", DATA_SETS[:1], ["search", "residual", "random", "best"], budget=60, seeds=1
)
FIVE_MINUTES = study(
    "images-5min", DATA_SETS, ["zero-cost", "residual", "random"], budget=300, seeds=3
)
TWENTY_MINUTES = study("images-20min", DATA_SETS, list(METHODS), budget=1200, seeds=3)
"""It takes ten hours on one core; its result is not on the page yet."""


def rows(results: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return one row per data set, budget and method, with the mean over the seeds."""
    groups: dict[tuple[str, int, str], list[Mapping[str, Any]]] = {}
    for each in results:
        groups.setdefault((each["data_set"], each["budget"], each["method"]), []).append(each)
    found = []
    for (data_set, budget, method), group in groups.items():
        accuracies = np.array([each["test_accuracy"] for each in group])
        accuracy = f"{accuracies.mean():.1f}"
        if len(group) > 1:
            accuracy = mean_with_interval(mean_over_seeds(accuracies), 1)
        means = {
            name: np.mean([each[name] for each in group])
            for name in ("params", "epochs", "seconds")
        }
        found.append(
            [
                data_set,
                str(budget),
                METHODS[method],
                accuracy,
                str(len(group)),
                f"{1e3 * means['params']:.0f}",
                f"{means['epochs']:.0f}",
                f"{means['seconds']:.0f}",
            ]
        )
    return found


def blocks() -> Mapping[str, str]:
    """Return the generated blocks of the page."""
    headers = [
        "images", "budget, s", "method", "test accuracy, %", "seeds", "parameters, thousand",
        "epochs", "CPU time, s",
    ]  # fmt: skip
    (search,) = (each for each in ONE_MINUTE.result if each["method"] == "search")
    return {
        "accuracies": markdown_table(headers, rows([*ONE_MINUTE.result, *FIVE_MINUTES.result])),
        "precision": precision.rows(precision.STUDY.result),
        "search": markdown_table(
            ["", "value"],
            [
                ["training of the supernet, s", f"{search['supernet_seconds']:.0f}"],
                ["epochs of the supernet", str(search["supernet_epochs"])],
                ["search, s", f"{search['search_seconds']:.0f}"],
                ["queries", str(search["queries"])],
                ["cell", f"`{search['arch']}`"],
            ],
        ),
    }


PAGE = Page("results/images.md", [ONE_MINUTE, FIVE_MINUTES, precision.STUDY], blocks)
