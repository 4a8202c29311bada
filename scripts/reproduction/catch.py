"""CATCH: meta-training and adaptation on image tasks, conflicting tasks and graph data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.experiments.figures import styles
from nas_gym.experiments.records import TrialResults
from nas_gym.tasks import Task, task_sets
from reproduction.baselines import SMALL_REA
from reproduction.pages import (
    Page,
    code_block,
    command_blocks,
    markdown_table,
    mean_with_interval,
    tables_by_count,
)
from reproduction.studies import (
    GRAPH_TARGETS,
    ComparisonStudy,
    MetaTrainingRun,
    MetaTrainingStudy,
    mean_over_seeds,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

META_SEEDS = 50
FIRST_SEED = 10_000
"""Seed of the first trial, a multiple of META_SEEDS: the trial of seed ``s`` starts from the agent
of meta-seed ``s % META_SEEDS``."""

BUDGETS = (5, 10, 15, 20, 50)
"""Numbers of queries at which ranks are computed."""

VARIANTS = ("meta", "zero", "random")
"""Meta-trained variants of CATCH."""

FROM_SCRATCH = "catch(variant=sfs)"
NO_SECOND_OPINION = "second_opinion=false"
IMAGES = ("cifar10", "cifar100", "ImageNet16-120")
CONFLICTING = "nb201-conflicting"
SB3 = ("ppo", "maskableppo", "recurrentppo", "a2c", "dqn", "qrdqn", "ddpg", "td3", "sac", "tqc")
DRAWN = ("random", SMALL_REA, "reinforce", "l2nas")
"""Agents that figures show in addition to the variants of CATCH."""


def meta_training(task_set: str, variant: str, epochs: int) -> MetaTrainingRun:
    """Return the meta-training of a variant on a task set."""
    settings = {"variant": variant}
    return MetaTrainingRun("catch", task_set, variant, settings, epochs, META_SEEDS, FIRST_SEED)


RUNS_BY_TASK_SET = {
    **{
        f"nb201-images/{name}": [
            meta_training(f"nb201-images/{name}", variant, 25) for variant in VARIANTS
        ]
        for name in IMAGES
    },
    CONFLICTING: [meta_training(CONFLICTING, variant, 100) for variant in VARIANTS],
    **{f"nbgraph/{name}": [meta_training(f"nbgraph/{name}", "meta", 25)] for name in GRAPH_TARGETS},
}


def adapted(task_set: str, variant: str, *settings: str) -> str:
    """Return the name of a meta-trained agent on the command line."""
    (run,) = (run for run in RUNS_BY_TASK_SET[task_set] if run.variant == variant)
    chosen = [*settings, f"pretrained={run.checkpoint}"]
    if variant != "meta":
        chosen.insert(0, f"variant={variant}")
    return f"catch({','.join(chosen)})"


def all_rewards(task: Task) -> NDArray[np.float64]:
    """Return the reward of every architecture of a task, in index order."""
    return task.reward(np.arange(task.space.size))


def ranks(trials: TrialResults) -> dict[str, Any]:
    """Return the ranks, by reward in the whole space, of the best architectures that trials found.

    Returns:
        For each number of queries: the share of trials that found the best architecture (``top1``),
        the share that found one of the best three (``top3``), the mean of log10(1 + rank) with rank
        0 for the best (``log10_rank``), the same mean for each meta-seed, the share of meta-seeds
        with no trial that found the best architecture, and the median rank. Intervals are over
        meta-seeds.
    """
    best = np.maximum.accumulate(trials.curves.rewards, axis=0)
    descending = -np.sort(-all_rewards(trials.task))
    found = np.searchsorted(-descending, -best, side="left")  # number of better architectures
    entries = {}
    for queries in (each for each in BUDGETS if each <= len(found)):
        rank = found[queries - 1]
        top = (rank[:, None] < np.array([1, 3])).astype(float)
        top_by_seed = top.reshape(-1, META_SEEDS, 2).mean(axis=0)
        logs = np.log10(1 + rank).reshape(-1, META_SEEDS).mean(axis=0)
        entries[str(queries)] = {
            "top1": mean_over_seeds(top_by_seed[:, 0]),
            "top3": mean_over_seeds(top_by_seed[:, 1]),
            "log10_rank": mean_over_seeds(logs),
            "log10_rank_by_meta_seed": logs.round(4).tolist(),
            "failing_meta_seeds": float((top_by_seed[:, 0] == 0).mean()),
            "median_rank": float(np.median(rank)),
        }
    return entries


def ranks_by_agent(trials: Sequence[TrialResults]) -> dict[str, Any]:
    """Return the ranks of each agent, as the entry ``ranks`` of a result."""
    return {"ranks": {each.agent: ranks(each) for each in trials}}


def draw_sorted_trials(trials: Sequence[TrialResults]) -> dict[str, Figure]:
    """Draw the best reward of each trial, with the trials of each agent sorted by this reward."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.8, 5.2), layout="constrained")
    axes = figure.subplots()
    drawn = [each for each in trials if each.agent.startswith("catch") or each.agent in DRAWN]
    looks = styles(each.agent for each in drawn)
    for each in drawn:
        best = np.sort(each.curves.rewards.max(axis=0))
        look = looks[each.agent]
        axes.plot(best, label=label(each.agent).strip("`"), color=look.color, linestyle=look.dashes)
    rewards = all_rewards(trials[0].task)
    low = np.sort(rewards)[-400]
    axes.set_ylim(low, rewards.max() + 0.03 * (rewards.max() - low))
    axes.set_xlabel("trials, sorted")
    axes.set_ylabel(f"{trials[0].task.dataset}: best accuracy found, %")
    figure.legend(fontsize=8, ncols=2, loc="outside lower center")
    return {"sorted": figure}


TRAINING = MetaTrainingStudy(
    "catch-meta-training", [run for runs in RUNS_BY_TASK_SET.values() for run in runs]
)
ON_IMAGES = {
    target: ComparisonStudy(
        name=f"catch-{target}",
        envs=[f"NB201-{target}-v0"],
        agents=[
            *(adapted(f"nb201-images/{target}", variant) for variant in VARIANTS),
            adapted(f"nb201-images/{target}", "meta", NO_SECOND_OPINION),
            FROM_SCRATCH, "l2nas", "random", "rea", SMALL_REA, "reinforce", "local", "tpe",
        ],
        queries=50,
        seeds=500,
        first_seed=FIRST_SEED,
        env_arguments={"table": "nats-bench"},
        statistics=ranks_by_agent,
        draw=draw_sorted_trials,
    )
    for target in IMAGES
}  # fmt: skip
SB3_ON_IMAGES = {
    target: replace(study, name=f"{study.name}-sb3", agents=SB3, seeds=META_SEEDS, draw=None)
    for target, study in ON_IMAGES.items()
}
ON_CONFLICTING = {
    name: ComparisonStudy(
        name=f"catch-conflicting-{name}",
        envs=["NB201-cifar10-v0"],
        agents=[*(adapted(CONFLICTING, variant) for variant in VARIANTS), FROM_SCRATCH],
        queries=50,
        seeds=200,
        first_seed=FIRST_SEED,
        env_arguments={key: value for key, value in arguments.items() if key != "dataset"},
        statistics=ranks_by_agent,
    )
    for name, arguments in task_sets.load_task_set(CONFLICTING).test.items()
}
ON_GRAPHS = {
    target: ComparisonStudy(
        name=f"catch-nbgraph-{target}",
        envs=[f"NBGraph-{target}-v0"],
        agents=[
            adapted(f"nbgraph/{target}", "meta"),
            adapted(f"nbgraph/{target}", "meta", NO_SECOND_OPINION),
            FROM_SCRATCH,
        ],
        queries=20,
        seeds=500,
        first_seed=FIRST_SEED,
        statistics=ranks_by_agent,
    )
    for target in GRAPH_TARGETS
}


def percentage(entry: Mapping[str, float]) -> str:
    """Return a share with its interval, in %."""
    return mean_with_interval(entry, 1, factor=100)


def label(agent: str) -> str:
    """Return the name of an agent in tables and figures, without the path of its checkpoint."""
    if not agent.startswith("catch("):
        return f"`{agent}`"
    variant = next((v for v in (*VARIANTS[1:], "sfs") if f"variant={v}" in agent), "meta")
    return f"CATCH-{variant}" + (" without second opinion" if NO_SECOND_OPINION in agent else "")


def top_rows(top: str) -> list[list[str]]:
    """Return the share of trials in the top 1 or top 3 after 50 queries, for every agent."""
    found = [
        study.result["ranks"] | SB3_ON_IMAGES[target].result["ranks"]
        for target, study in ON_IMAGES.items()
    ]
    return [
        [
            label(agents[0]),
            *(
                percentage(ranks[agent]["50"][top])
                for ranks, agent in zip(found, agents, strict=True)
            ),
        ]
        for agents in zip(*found, strict=True)
    ]


def gain_rows() -> list[list[str]]:
    """Return how often CATCH-meta finds the best architecture, and its lead over CATCH-sfs."""
    rows = []
    for target, study in ON_IMAGES.items():
        found = study.result["ranks"]
        meta = found[adapted(f"nb201-images/{target}", "meta")]["50"]
        gain = 100 * (meta["top1"]["mean"] - found[FROM_SCRATCH]["50"]["top1"]["mean"])
        failing = f"{100 * meta['failing_meta_seeds']:.0f}"
        rows.append([target, percentage(meta["top1"]), failing, f"{gain:.0f}"])
    return rows


def conflicting_rows(queries: int) -> list[list[str]]:
    """Return the mean log10(1 + rank) on each conflicting task, and over all of these tasks."""
    results = {name: study.result["ranks"] for name, study in ON_CONFLICTING.items()}
    agents = [*(adapted(CONFLICTING, variant) for variant in VARIANTS), FROM_SCRATCH]
    rows = [
        [name, *(mean_with_interval(ranks[agent][str(queries)]["log10_rank"]) for agent in agents)]
        for name, ranks in results.items()
    ]
    over_tasks = [
        np.mean(
            [ranks[agent][str(queries)]["log10_rank_by_meta_seed"] for ranks in results.values()],
            axis=0,
        )
        for agent in agents
    ]
    means = [mean_with_interval(mean_over_seeds(values)) for values in over_tasks]
    return [*rows, ["**all**", *means]]


def graph_rows(queries: int) -> list[list[str]]:
    """Return the mean log10(1 + rank) on each graph data set, and CATCH-meta minus CATCH-sfs."""
    rows = []
    for target, study in ON_GRAPHS.items():
        found = [ranks[str(queries)] for ranks in study.result["ranks"].values()]
        logs = [np.array(each["log10_rank_by_meta_seed"]) for each in found]
        errors = [each.std(ddof=1) / len(each) ** 0.5 for each in logs]
        excess, error = logs[0].mean() - logs[2].mean(), float(np.hypot(errors[0], errors[2]))
        means = [mean_with_interval(each["log10_rank"]) for each in found]
        rows.append([target, *means, f"{excess:+.2f} ± {error:.2f}"])
    return rows


def tables_after(
    queries: Iterable[int], headers: Sequence[str], rows: Callable[[int], list[list[str]]]
) -> str:
    """Return a table for each number of queries."""
    tables = {count: markdown_table(headers, rows(count)) for count in queries}
    return tables_by_count("After {} queries:", tables)


def blocks() -> Mapping[str, str]:
    """Return the generated blocks of the page."""
    return {
        "gain": markdown_table(
            [
                "target",
                "CATCH-meta, %",
                "failing meta-seeds, %",
                "percentage points above CATCH-sfs",
            ],
            gain_rows(),
        ),
        "top-1": markdown_table(["agent", *IMAGES], top_rows("top1")),
        "top-3": markdown_table(["agent", *IMAGES], top_rows("top3")),
        "conflicting": tables_after(
            (10, 20, 50),
            ["task", *(f"CATCH-{variant}" for variant in (*VARIANTS, "sfs"))],
            conflicting_rows,
        ),
        "graphs": tables_after(
            (5, 15),
            ["data set", "CATCH-meta", "without second opinion", "CATCH-sfs", "meta - sfs"],
            graph_rows,
        ),
        "meta-training-commands": code_block(TRAINING.commands),
        "commands": command_blocks(PAGE.studies[1:]),
    }


PAGE = Page(
    "results/catch.md",
    [
        TRAINING,
        *ON_IMAGES.values(),
        *ON_CONFLICTING.values(),
        *ON_GRAPHS.values(),
        *SB3_ON_IMAGES.values(),
    ],
    blocks,
)
