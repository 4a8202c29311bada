"""The five systems on NAS-Bench-201, each trained on other data than the target's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.experiments.records import TrialResults
from reproduction import catch, domain_search, few_shot, mpnas_domains
from reproduction.baselines import SMALL_REA
from reproduction.studies import (
    ComparisonStudy,
    MetaTrainingRun,
    MetaTrainingStudy,
    SearchStudy,
    mean_over_seeds,
)

FIRST_SEED = 10_000
"""Seed of the first trial, a multiple of the number of meta-seeds of every system."""

TRIALS = 50
QUERIES = (10, 20, 30, 50)
"""Numbers of queries after which results are reported."""

IMAGES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "ImageNet16-120": "ImageNet16-120"}
TARGETS = IMAGES | domain_search.TARGETS
"""Data sets that are searched, and their names in tables."""


def env_arguments(target: str) -> dict[str, str]:
    """Return the signal and the report of a target.

    On images, agents see the validation accuracy after 12 epochs, and the test accuracy after 200
    epochs is reported. NinaPro and Darcy Flow have test results only; the mean over isomorphic
    cells is reported.
    """
    if target in IMAGES:
        return {"table": "nats-bench", "signal": f"nb201-12epochs:{target}-val"}
    return {"report": f"{target}-test:denoised"}


# -- systems that learn from tables ---------------------------------------------------------------


def catch_training(target: str) -> MetaTrainingRun:
    """Return the meta-training of CATCH on the results of other data sets."""
    if target in IMAGES:
        return catch.RUNS_BY_TASK_SET[f"nb201-images/{target}"][0]
    return domain_search.ON_RESULTS[target]


def l2nas_pretraining(target: str) -> SearchStudy:
    """Return the searches of L2NAS whose networks start the search on a target."""
    source = "cifar100" if target == "cifar10" else "cifar10"
    return SearchStudy(
        name=f"five-systems-l2nas-{source}",
        envs=[f"NB201-{source}-v0"],
        agents=["l2nas"],
        queries=200,
        seeds=domain_search.META_SEEDS,
        first_seed=FIRST_SEED,
        env_arguments=env_arguments(source),
    )


def agents(target: str) -> dict[str, str]:
    """Return the agents that search a target, on the command line, by their names in tables."""
    l2nas = l2nas_pretraining(target).folder / "agent.safetensors"
    return {
        "CATCH": f"catch(pretrained={catch_training(target).checkpoint})",
        "L2NAS": f"l2nas(pretrained={l2nas},num_random=0)",
        "MP-NAS": mpnas_domains.adapted(target),
        "random search": "random",
        "REA": SMALL_REA,
        "TPE": "tpe",
    }


META_SEEDS = {"L2NAS": domain_search.META_SEEDS, "MP-NAS": few_shot.META_SEEDS}


def num_clusters(target: str, name: str) -> int:
    """Return the number of independent groups of trials of an agent: its meta-seeds, if any."""
    if name == "CATCH":
        return catch_training(target).seeds
    return META_SEEDS.get(name, TRIALS)


def statistics_of(target: str, trials: Sequence[TrialResults]) -> Mapping[str, Any]:
    """Return, for each agent and number of queries, the reported value and log10(1 + rank).

    Intervals are over meta-seeds, or over trials for agents without meta-training.
    """
    names = {agent: name for name, agent in agents(target).items()}
    found: dict[str, Any] = {}
    for each in trials:
        name, curves = names[each.agent], each.curves
        for queries in QUERIES:
            values = {
                "report": curves.reports[queries - 1],
                "regret": curves.regrets[queries - 1],
            }
            found.setdefault(name, {})[str(queries)] = {
                metric: mean_over_seeds(by_cluster(value, num_clusters(target, name)))
                for metric, value in values.items()
            }
    return {"systems": found}


def by_cluster(values: NDArray[np.float64], clusters: int) -> NDArray[np.float64]:
    """Return the mean of each group of trials ``i``, ``i + clusters``, ..., ``(clusters,)``."""
    means: NDArray[np.float64] = values.reshape(-1, clusters).mean(axis=0)
    return means


PRETRAINING = {target: l2nas_pretraining(target) for target in ("cifar10", "cifar100")}
SEARCHES = {
    target: ComparisonStudy(
        name=f"five-systems-{target}",
        envs=[f"NB201-{target}-v0"],
        agents=list(agents(target).values()),
        queries=QUERIES[-1],
        seeds=TRIALS,
        first_seed=FIRST_SEED,
        env_arguments=env_arguments(target),
        statistics=partial(statistics_of, target),
    )
    for target in TARGETS
}
CATCH_TRAINING = MetaTrainingStudy(
    "five-systems-catch", [catch_training(target) for target in TARGETS]
)
