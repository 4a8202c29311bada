"""CATCH and L2NAS across domains: searches on NinaPro and Darcy Flow after learning elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.experiments.records import TrialResults
from reproduction.baselines import SMALL_REA
from reproduction.pages import (
    code_block,
    command_blocks,
    markdown_table,
    mean_with_interval,
    tables_by_count,
)
from reproduction.studies import (
    ComparisonStudy,
    MetaTrainingRun,
    MetaTrainingStudy,
    SearchStudy,
    mean_over_seeds,
)

META_SEEDS = 10
FIRST_SEED = 10_000
"""Seed of the first trial, a multiple of META_SEEDS: the trial of seed ``s`` starts from the agent
of meta-seed ``s % META_SEEDS``."""

TARGETS = {"darcy": "Darcy Flow", "ninapro": "NinaPro"}
"""Data sets that are searched, and their names in tables."""

BUDGETS = (10, 20, 30, 50)
"""Numbers of queries at which regrets and ranks are computed."""

VARIANTS = ("meta", "zero", "random")
FROM_SCRATCH = "catch(variant=sfs)"
CONFLICTING = {
    "test": "result",
    "pixel-litert-latency": "low latency",
    "pi5-onnx-energy": "low energy",
}
"""Metrics of a target that ``nb201-domains-conflicting`` tests on, and their names in tables."""


def meta_training(task_set: str, variant: str, epochs: int) -> MetaTrainingRun:
    """Return the meta-training of a variant of CATCH on a task set."""
    settings = {"variant": variant}
    return MetaTrainingRun("catch", task_set, variant, settings, epochs, META_SEEDS, FIRST_SEED)


ON_RESULTS = {target: meta_training(f"nb201-results/{target}", "meta", 25) for target in TARGETS}
ON_EVERYTHING = {
    (target, variant): meta_training(f"nb201-domains-conflicting/{target}", variant, 40)
    for target, variant in product(TARGETS, VARIANTS)
}
TRAINING = MetaTrainingStudy(
    "domains-meta-training", [*ON_RESULTS.values(), *ON_EVERYTHING.values()]
)


def adapted(run: MetaTrainingRun, *settings: str) -> str:
    """Return the name of a meta-trained agent on the command line."""
    variant = [] if run.variant == "meta" else [f"variant={run.variant}"]
    return f"catch({','.join([*variant, *settings, f'pretrained={run.checkpoint}'])})"


NO_SECOND_OPINION = "second_opinion=false"
L2NAS_PRETRAINING = SearchStudy(
    name="domains-l2nas-pretraining",
    envs=["NB201-cifar100-v0"],
    agents=["l2nas"],
    queries=200,
    seeds=META_SEEDS,
    first_seed=FIRST_SEED,
    env_arguments={"table": "nats-bench"},
)
L2NAS_FINE_TUNED = f"l2nas(pretrained={L2NAS_PRETRAINING.folder}/agent.safetensors,num_random=0)"


def by_meta_seed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each meta-seed, ``(META_SEEDS,)``, of values ``(trials,)``."""
    means: NDArray[np.float64] = values.reshape(-1, META_SEEDS).mean(axis=0)
    return means


def statistics(trials: TrialResults) -> dict[str, Any]:
    """Return statistics of an agent's incumbents at each of :data:`BUDGETS`.

    Returns:
        For each number of queries: the mean ``regret`` by the reported metric, and the mean
        ``log10_rank``, log10(1 + rank) by reward in the whole space. Intervals are over
        meta-seeds; ``_by_meta_seed`` holds the mean of each meta-seed.
    """
    curves = trials.curves
    descending = -np.sort(-trials.task.reward(np.arange(trials.task.space.size)))
    rank = np.searchsorted(-descending, -curves.incumbent_rewards, side="left")
    entries: dict[str, Any] = {}
    for queries in (each for each in BUDGETS if each <= len(rank)):
        values = {
            "regret": curves.regrets[queries - 1],
            "log10_rank": np.log10(1 + rank[queries - 1]),
        }
        entry = entries[str(queries)] = {}
        for name, each in values.items():
            means = by_meta_seed(each)
            entry[name] = mean_over_seeds(means)
            entry[f"{name}_by_meta_seed"] = means.round(5).tolist()
    return entries


def statistics_by_agent(trials: Sequence[TrialResults]) -> dict[str, Any]:
    """Return the statistics of each agent, as the entry ``domains`` of a result."""
    return {"domains": {each.agent: statistics(each) for each in trials}}


ON_TARGETS = {
    target: ComparisonStudy(
        name=f"domains-search-{target}",
        envs=[f"NB201-{target}-v0"],
        agents=[
            adapted(ON_RESULTS[target]),
            adapted(ON_RESULTS[target], NO_SECOND_OPINION),
            FROM_SCRATCH,
            L2NAS_FINE_TUNED, "l2nas", "tpe", "local", SMALL_REA, "random",
        ],
        queries=50,
        seeds=100,
        first_seed=FIRST_SEED,
        env_arguments={"report": f"{target}-test:denoised"},
        statistics=statistics_by_agent,
    )
    for target in TARGETS
}  # fmt: skip


def conflicting_agents(target: str) -> list[str]:
    """Return the variants of CATCH that learned from conflicting tasks."""
    runs = [ON_EVERYTHING[target, variant] for variant in VARIANTS]
    return [*map(adapted, runs), adapted(runs[0], NO_SECOND_OPINION)]


ON_CONFLICTING = {
    (target, metric): ComparisonStudy(
        name=f"domains-conflicting-{target}-{metric}",
        envs=[f"NB201-{target}-v0"],
        agents=conflicting_agents(target),
        queries=20,
        seeds=50,
        first_seed=FIRST_SEED,
        env_arguments={"signal": f"{target}-{metric}", "report": f"{target}-{metric}"},
        statistics=statistics_by_agent,
    )
    for target, metric in product(TARGETS, CONFLICTING)
}
STUDIES = [TRAINING, L2NAS_PRETRAINING, *ON_TARGETS.values(), *ON_CONFLICTING.values()]


def label(agent: str) -> str:
    """Return the name of an agent in tables, without the path of its checkpoint."""
    if "pretrained" in agent and agent.startswith("l2nas"):
        return "fine-tuned L2NAS"
    if not agent.startswith("catch("):
        return f"`{agent}`"
    variant = next((v for v in (*VARIANTS[1:], "sfs") if f"variant={v}" in agent), "meta")
    return f"CATCH-{variant}" + (" without second opinion" if NO_SECOND_OPINION in agent else "")


def excess(found: Mapping[str, Any], agent: str, base: str, queries: int, name: str) -> str:
    """Return the mean of an agent minus the mean of another, with the interval over meta-seeds."""
    values = [np.array(found[each][str(queries)][f"{name}_by_meta_seed"]) for each in (agent, base)]
    return mean_with_interval(mean_over_seeds(values[0] - values[1]), 3)


def search_rows(target: str) -> list[list[str]]:
    """Return the regret of every agent on a target, and CATCH-meta's lead after 50 queries."""
    found = ON_TARGETS[target].result["domains"]
    meta = adapted(ON_RESULTS[target])
    return [
        [
            label(agent),
            *(mean_with_interval(entries[str(count)]["regret"], 3) for count in BUDGETS),
            "" if agent == meta else excess(found, meta, agent, 50, "regret"),
        ]
        for agent, entries in found.items()
    ]


def gain_rows() -> list[list[str]]:
    """Return the regret after learning elsewhere minus the regret from scratch, in each target."""
    rows = []
    for target, study in ON_TARGETS.items():
        found = study.result["domains"]
        for agent, base in (
            (adapted(ON_RESULTS[target]), FROM_SCRATCH),
            (adapted(ON_RESULTS[target], NO_SECOND_OPINION), FROM_SCRATCH),
            (L2NAS_FINE_TUNED, "l2nas"),
        ):
            differences = [excess(found, agent, base, count, "regret") for count in BUDGETS]
            rows.append([TARGETS[target], f"{label(agent)} minus {label(base)}", *differences])
    return rows


def conflicting_rows(queries: int) -> list[list[str]]:
    """Return the mean log10(1 + rank) on each conflicting task, by target, and over all tasks."""
    rows = []
    by_target = {}
    for target, name in TARGETS.items():
        by_metric = {metric: log10_ranks(target, metric, queries) for metric in CONFLICTING}
        for metric, ranks in by_metric.items():
            rows.append([f"{name}, {CONFLICTING[metric]}", *mean_cells(ranks)])
        by_target[target] = np.mean(list(by_metric.values()), axis=0)
    overall = np.mean(list(by_target.values()), axis=0)
    for name, ranks in zip([*TARGETS.values(), "all"], [*by_target.values(), overall], strict=True):
        rows.append([f"**{name}**", *mean_cells(ranks)])
        rows.append([f"{name}, CATCH-meta minus agent", "", *mean_cells(ranks[0] - ranks[1:])])
    return rows


def log10_ranks(target: str, metric: str, queries: int) -> NDArray[np.float64]:
    """Return the mean log10(1 + rank) on a conflicting task, ``(agents, META_SEEDS)``."""
    found = ON_CONFLICTING[target, metric].result["domains"]
    agents = conflicting_agents(target)
    return np.array([found[each][str(queries)]["log10_rank_by_meta_seed"] for each in agents])


def mean_cells(values: NDArray[np.float64]) -> list[str]:
    """Return the mean of each row, with its interval over meta-seeds, as cells of a table."""
    return [mean_with_interval(mean_over_seeds(row)) for row in values]


def blocks() -> dict[str, str]:
    """Return the generated blocks of these studies, by name."""
    counts = [f"{count} queries" for count in BUDGETS]
    headers = ["agent", *counts, "CATCH-meta minus agent, 50 queries"]
    agents = [label(agent) for agent in conflicting_agents("darcy")]
    tables = {
        count: markdown_table(["task", *agents], conflicting_rows(count)) for count in (10, 20)
    }
    return {
        **{f"search-{target}": markdown_table(headers, search_rows(target)) for target in TARGETS},
        "search-gain": markdown_table(["target", "difference", *counts], gain_rows()),
        "conflicting": tables_by_count("After {} queries:", tables),
        "search-commands": "\n\n".join(
            [code_block(TRAINING.commands), command_blocks(STUDIES[1:])]
        ),
    }
