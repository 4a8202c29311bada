"""The five systems on NAS-Bench-201, each trained on other data than the target's."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from nas_gym.agents import L2NAS
from nas_gym.experiments.figures import figure_panels, styles
from nas_gym.experiments.meta_train import meta_train
from nas_gym.experiments.records import TrialResults
from nas_gym.networks.few_shot.meta_supernet import load_meta_supernet
from nas_gym.networks.few_shot.transfer import supernet_for_classes, transfer_by_halving
from nas_gym.tasks import make_task, task_arguments, task_sets
from reproduction import (
    atnas_method,
    atnas_transfer,
    catch,
    domain_search,
    few_shot,
    mpnas_domains,
)
from reproduction.baselines import SMALL_REA
from reproduction.pages import (
    Page,
    code_block,
    command_blocks,
    markdown_table,
    mean_with_interval,
)
from reproduction.studies import (
    RESULTS,
    ComparisonStudy,
    JobStudy,
    Measurement,
    MetaTrainingRun,
    MetaTrainingStudy,
    SearchStudy,
    mean_over_seeds,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIRST_SEED = 10_000
"""Seed of the first trial, a multiple of the number of meta-seeds of every system."""

TRIALS = 50
QUERIES = (10, 20, 30, 50)
"""Numbers of queries after which results are reported."""

IMAGES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "ImageNet16-120": "ImageNet16-120"}
TARGETS = IMAGES | domain_search.TARGETS
"""Data sets that are searched, and their names in tables."""


def env_arguments(target: str) -> dict[str, Any]:
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


# -- systems that learn from images ---------------------------------------------------------------


NATURAL_BASE = "BASE, natural images"
"""BASE after meta-training on six classes of CIFAR-10; the others learned from Omniglot."""


def meta_learned_cells() -> dict[str, list[str]]:
    """Return the cells that AT-NAS and BASE learned from images, one per meta-seed.

    They are results of the pages of these systems.
    """
    atnas = json.loads((RESULTS / "atnas-5way1shot-second.json").read_text())
    base = json.loads((RESULTS / "base-cells.json").read_text())
    natural = json.loads((RESULTS / "base-natural.json").read_text())
    return {
        "AT-NAS": [each["winner"] for each in atnas],
        "BASE": [each["cell"] for each in base["seeds"]],
        NATURAL_BASE: [each["cell"] for each in natural["natural"]],
    }


def look_up(target: str, cells: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the mean ``report`` and ``regret`` of cells on a target, with intervals."""
    task = make_task(**{**task_arguments(f"NB201-{target}-v0"), **env_arguments(target)})
    indices = task.space.encode(task.space.from_text(list(cells)))
    return {
        "report": mean_over_seeds(task.reported(indices)),
        "regret": mean_over_seeds(task.regret(indices)),
    }


def look_up_cells(name: str) -> dict[str, Any]:
    """Return the results of a system's cells on every target that it has no image of."""
    targets = [each for each in TARGETS if (name, each) != (NATURAL_BASE, "cifar10")]
    return {target: look_up(target, meta_learned_cells()[name]) for target in targets}


CELLS = JobStudy(
    "five-systems-cells",
    look_up_cells,
    [("AT-NAS",), ("BASE",), (NATURAL_BASE,)],
    lambda arguments, results: {
        name: each for (name,), each in zip(arguments, results, strict=True)
    },
)


def adapt_atnas(seed: int) -> dict[str, Any]:
    """Transfer the population and the weights of AT-NAS to CIFAR-10 by halving.

    The images are those of :mod:`reproduction.atnas_transfer`: 500 for training and 500 for the
    fitness, in grey and small.

    Returns:
        The ``cell`` that remains, and the CPU ``seconds`` of the transfer.
    """
    path = atnas_method.meta_supernet_path(ATNAS_BUDGET, 5, 1, seed)
    meta = load_meta_supernet(path, atnas_method.CPU)
    train, valid, classes = atnas_transfer.transfer_images("cifar10")
    population = meta.population[: atnas_transfer.MEMBERS]
    began = time.process_time()
    network = supernet_for_classes(meta, classes)
    found = transfer_by_halving(
        network, population, train, valid, TRANSFER, seed, epochs_per_generation=1
    )
    seconds = time.process_time() - began
    return {"cell": meta.network.space.to_text([found])[0], "seconds": seconds}


ATNAS_BUDGET = "third"
ATNAS_SEEDS = (1300, 1303)
TRANSFER = replace(atnas_transfer.TRAINING, epochs=4)
"""Settings of the transfer: one epoch with 8, 4, 2 and 1 members."""

ATNAS_ADAPTED = JobStudy(
    "five-systems-atnas-cifar10",
    adapt_atnas,
    [(seed,) for seed in ATNAS_SEEDS],
    lambda _, results: results,
)


def adapted_cells() -> dict[str, dict[str, Any]]:
    """Return the results on CIFAR-10 of the cells that AT-NAS and BASE adapted to its images.

    Returns:
        For each system, the mean ``report`` and ``regret`` with intervals, and the mean CPU
        ``seconds`` of the adaptation.
    """
    base = json.loads((RESULTS / "base-cells.json").read_text())["seeds"]
    found = {
        "AT-NAS": [(each["cell"], each["seconds"]) for each in ATNAS_ADAPTED.result],
        "BASE": [(each["tuned"], each["seconds"]) for each in base],
    }
    return {
        name: {
            **look_up("cifar10", [cell for cell, _ in each]),
            "seconds": float(np.mean([seconds for _, seconds in each])),
        }
        for name, each in found.items()
    }


ADAPTED = Measurement("five-systems-adapted", adapted_cells)

# -- cost -----------------------------------------------------------------------------------------


def training_seconds(name: str) -> float:
    """Return the CPU seconds of one meta-training or pre-training for Darcy Flow, with one seed."""
    runs = {"CATCH": catch_training("darcy"), "MP-NAS": mpnas_domains.meta_training("darcy")}
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        if name == "L2NAS":
            envs = gym.make_vec("NB201-cifar10-alpha-v0", num_envs=1, **env_arguments("cifar10"))
            L2NAS(envs, seed=FIRST_SEED).learn(200)
        else:
            run = runs[name]
            meta_train(
                task_sets.load_task_set(run.task_set),
                run.agent,
                Path(folder) / "agent.safetensors",
                epochs=run.epochs,
                seeds=1,
                first_seed=FIRST_SEED,
                settings=dict(run.settings),
                progress_bar=False,
            )
    return time.process_time() - began


SECONDS = JobStudy(
    "five-systems-seconds",
    training_seconds,
    [("CATCH",), ("L2NAS",), ("MP-NAS",)],
    lambda arguments, results: {
        name: each for (name,), each in zip(arguments, results, strict=True)
    },
)


def meta_training_seconds() -> dict[str, float]:
    """Return the CPU seconds of the meta-training of each system, for one meta-seed."""
    atnas = json.loads((RESULTS / "atnas-5way1shot-second.json").read_text())
    base = json.loads((RESULTS / "base-adaptation.json").read_text())
    natural = json.loads((RESULTS / "base-natural.json").read_text())
    return {
        **SECONDS.result,
        "AT-NAS": float(np.mean([each["seconds"]["meta-training"] for each in atnas])),
        "BASE": float(np.mean([each["meta_seconds"] for each in base["base"]])),
        NATURAL_BASE: float(np.mean([each["meta_seconds"] for each in natural["natural"]])),
    }


STUDIES = [
    CATCH_TRAINING,
    *PRETRAINING.values(),
    *SEARCHES.values(),
    CELLS,
    ATNAS_ADAPTED,
    ADAPTED,
    SECONDS,
]

# -- page -----------------------------------------------------------------------------------------

NEEDS = {
    "CATCH": "results of architectures on other data sets",
    "L2NAS": "a search on another data set",
    "MP-NAS": "results, latency and energy of architectures on other data sets and devices",
    "AT-NAS": "labelled images of other classes",
    "BASE": "labelled images of other classes",
    NATURAL_BASE: "labelled images of other classes",
    "random search": "nothing",
    "REA": "nothing",
    "TPE": "nothing",
}
"""What a system needs in addition to the queries on the target."""


def target_rows(target: str) -> list[list[str]]:
    """Return the regret of every system by number of queries, and its final reported value."""
    rows = []
    for name, entries in SEARCHES[target].result["systems"].items():
        regrets = [mean_with_interval(entries[str(count)]["regret"]) for count in QUERIES]
        final = mean_with_interval(entries[str(QUERIES[-1])]["report"])
        rows.append([name, "", *regrets, final])
    for name, found in CELLS.result.items():
        if target not in found:
            continue
        entry = found[target]
        empty = [""] * len(QUERIES)
        regret, report = (mean_with_interval(entry[metric]) for metric in ("regret", "report"))
        rows.append([name, regret, *empty, report])
    for name, entry in ADAPTED.result.items() if target == "cifar10" else ():
        regret, report = (mean_with_interval(entry[metric]) for metric in ("regret", "report"))
        rows.append([f"{name}, adapted to images", regret, *[""] * len(QUERIES), report])
    return rows


def overview_rows() -> list[list[str]]:
    """Return the regret with which each system ends, by target, next to the ceiling."""
    rows = []
    for name in NEEDS:
        row = [name]
        for target, study in SEARCHES.items():
            known = CELLS.result.get(name)
            if known and target not in known:
                row.append("")
                continue
            found = known[target] if known else study.result["systems"][name][str(QUERIES[-1])]
            row.append(mean_with_interval(found["regret"]))
        rows.append(row)
    environments = [next(iter(each.result["environments"].values())) for each in SEARCHES.values()]
    rows.append(["median of all cells", *(f"{each['median_regret']:.2f}" for each in environments)])
    rows.append(["ceiling", *(f"{each['ceiling']['regret']:.2f}" for each in environments)])
    return rows


def cost_rows() -> list[list[str]]:
    """Return what each system needs, and its CPU seconds before and during a search."""
    seconds = meta_training_seconds()
    rows = []
    for name, needs in NEEDS.items():
        agent = agents("darcy").get(name)
        during = ""
        if agent is not None:
            (env,) = SEARCHES["darcy"].result["environments"].values()
            during = f"{env['agents'][agent]['agent_seconds']:.2g}"
        before = f"{seconds[name]:.0f}" if name in seconds else "0"
        queries = "0" if agent is None else str(QUERIES[-1])
        adapted = ADAPTED.result.get(name)
        images = "" if adapted is None else f"{adapted['seconds']:.1f}"
        rows.append([name, needs, queries, before, images, during])
    return rows


def draw() -> Mapping[str, Figure]:
    """Return the figure of the regrets of the systems that make queries."""
    names = list(agents("darcy"))
    looks = styles(names)
    with figure_panels(len(TARGETS), names, looks, "") as (figure, axes):
        for panel, (target, title) in zip(axes, TARGETS.items(), strict=True):
            for name, entries in SEARCHES[target].result["systems"].items():
                found = [entries[str(count)]["regret"] for count in QUERIES]
                mean, low, high = ([each[k] for each in found] for k in ("mean", "low", "high"))
                look = looks[name]
                panel.plot(QUERIES, mean, color=look.color, linestyle=look.dashes)
                panel.fill_between(QUERIES, low, high, color=look.color, alpha=0.18, linewidth=0)
            panel.set(title=title, xlabel="queries", ylabel="regret", ylim=(0, None))
    return {"five-systems.png": figure}


def blocks() -> Mapping[str, str]:
    """Return the generated blocks of the page."""
    headers = ["system", "0 queries", *(f"{count} queries" for count in QUERIES), "final value"]
    tables = "\n\n".join(
        f"{title}:\n\n{markdown_table(headers, target_rows(target))}"
        for target, title in TARGETS.items()
    )
    cost = ["system", "needs", "queries", "CPU s before", "CPU s on images of CIFAR-10"]
    cost += ["s of the agent per trial"]
    return {
        "overview": markdown_table(["system", *TARGETS.values()], overview_rows()),
        "targets": tables,
        "cost": markdown_table(cost, cost_rows()),
        "commands": "\n\n".join([code_block(CATCH_TRAINING.commands), command_blocks(STUDIES[1:])]),
    }


PAGE = Page("results/five-systems.md", STUDIES, blocks, draw)
