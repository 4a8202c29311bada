"""L2NAS against other agents, its ablations, and transfer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.tables.catalog import GRAPH_DATASETS
from reproduction.baselines import SMALL_REA
from reproduction.pages import (
    Page,
    command_blocks,
    markdown_table,
    mean_and_deviation,
    quoted,
    tables_by_count,
    value_with_interval,
)
from reproduction.studies import CURVES, ComparisonStudy, SearchStudy

CIFAR10, CIFAR100, IMAGENET = (
    f"NB201-{dataset}-v0" for dataset in ("cifar10", "cifar100", "ImageNet16-120")
)
NATS_REPORT = {"report": "nats-bench:cifar10-test"}
"""Report of the CIFAR-10 studies, whose signal comes from another training (analog-nasbench)."""

ON_CIFAR10 = ComparisonStudy(
    name="l2nas-cifar10",
    envs=[CIFAR10],
    agents=["l2nas", "random", "rea", SMALL_REA, "reinforce"],
    queries=500,
    seeds=100,
    env_arguments=NATS_REPORT,
)
ON_OTHERS = replace(
    ON_CIFAR10,
    name="l2nas-noise-0.3",
    envs=[CIFAR100, IMAGENET],
    env_arguments={"noise": 0.3},
    figures=CURVES,
)
NOISIER = replace(ON_OTHERS, name="l2nas-noise-1.0", env_arguments={"noise": 1.0}, figures="")
MAIN = (ON_CIFAR10, ON_OTHERS, NOISIER)


def on_images(suffix: str, agents: Sequence[str], queries: int) -> tuple[ComparisonStudy, ...]:
    """Return two studies of other agents: on CIFAR-10, and on CIFAR-100 and ImageNet16-120."""
    return tuple(
        replace(study, name=f"{study.name}-{suffix}", agents=agents, queries=queries, figures="")
        for study in (ON_CIFAR10, ON_OTHERS)
    )


ABLATIONS = {
    "l2nas": "default settings",
    "l2nas(scaling=standard)": "rewards standardized instead of ranked",
    "l2nas(scaling=none)": "unscaled rewards",
    "l2nas(revisits=true)": "architectures may be queried again",
    "l2nas(num_candidates=1)": "one candidate, so the critic has no choice",
    "l2nas(noise=1000.0)": "uniform candidates, independent of the actor",
    "l2nas(quantile=0.5)": "median critic",
    "l2nas(loss=squared)": "mean critic",
    "l2nas(num_critics=3)": "mean of three critics",
    "l2nas(min_batches=1)": "fewer batches while the buffer fills",
}
"""Explanation of each variant of the default settings."""

BLACK_BOX = on_images("blackbox", ["tpe", "ddpg", "td3", "sac", "tqc"], 200)
PAPER = on_images("paper", ["l2nas-paper", "random"], 1000)
ABLATED = on_images("ablations", list(ABLATIONS), 150)
TWELVE_EPOCHS = tuple(
    ComparisonStudy(
        name=f"l2nas-12epochs-{dataset}",
        envs=[env],
        agents=["l2nas", "random", SMALL_REA],
        queries=150,
        seeds=100,
        env_arguments={"table": "nats-bench", "signal": f"nb201-12epochs:{dataset}-val"},
    )
    for env, dataset in ((CIFAR10, "cifar10"), (CIFAR100, "cifar100"), (IMAGENET, "ImageNet16-120"))
)
GRAPHS = ComparisonStudy(
    name="l2nas-graphs",
    envs=[f"NBGraph-{dataset}-v0" for dataset in GRAPH_DATASETS],
    agents=["l2nas", "random", "rea", SMALL_REA],
    queries=150,
    seeds=100,
)
TUNED_ON = ("NBGraph-cora-v0", "NBGraph-photo-v0")
"""Environments whose validation performance the settings were tuned on."""

PRETRAINING = SearchStudy(
    name="l2nas-pretraining",
    envs=[CIFAR10],
    agents=["l2nas"],
    queries=200,
    seeds=100,
    env_arguments={"reward": "rescaled(best=0.94)"},
)
PRETRAINED = f"l2nas(pretrained={PRETRAINING.folder}/agent.safetensors,num_random=0)"
TRANSFER = replace(
    ON_OTHERS, name="l2nas-transfer", agents=["l2nas", PRETRAINED], queries=200, figures=""
)
STATE = SearchStudy(
    name="l2nas-state",
    envs=[CIFAR10],
    agents=["l2nas"],
    queries=500,
    seeds=1,
    env_arguments=NATS_REPORT,
    figures="in_common.png",
)

PUBLISHED = {
    500: [(94.11, 0.16), (72.69, 0.58), (46.74, 0.39)],
    1000: [(94.28, 0.08), (73.09, 0.35), (47.03, 0.27)],
}
"""Test accuracy in % (mean, standard deviation) on CIFAR-10, CIFAR-100 and ImageNet16-120 by number
of queries, from Table 1 of the L2NAS paper."""

Column = tuple[ComparisonStudy, str]
"""Column of a table: a study and one of its environments."""


def columns(studies: Iterable[ComparisonStudy]) -> list[Column]:
    """Return a column for each environment of each study."""
    return [(study, env) for study in studies for env in study.envs]


def accuracy_rows(
    studies: Sequence[ComparisonStudy], agents: Sequence[str], budgets: Sequence[int]
) -> list[list[str]]:
    """Return the rows of a table of reported accuracies and numbers of unique queries."""
    rows = []
    for agent in agents:
        for queries in budgets:
            found = [study.at(env, agent, queries) for study, env in columns(studies)]
            reports = [mean_and_deviation(each["report"]) for each in found]
            unique = " / ".join(f"{each['unique_queries']:.0f}" for each in found)
            rows.append([f"`{agent}`", str(queries), *reports, unique])
    return rows


def iqm(regret: Mapping[str, Any]) -> str:
    """Return the interquartile mean of a regret and the interval of this mean, as text."""
    return value_with_interval(regret["iqm"], regret["iqm_interval"], 3)


def iqm_against(regret: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """Return the IQM regret of an agent, marked unless the regret of L2NAS is clearly lower."""
    if ours["iqm"] >= regret["iqm"]:
        return f"{iqm(regret)} **lower**"
    apart = ours["iqm_interval"][1] < regret["iqm_interval"][0]
    return iqm(regret) + ("" if apart else " overlap")


def share_of_trials(found: Mapping[str, Any]) -> str:
    """Return the share of trials that made enough unique queries, or an empty string if all did."""
    complete = found["complete"]
    return "" if complete == 1 else f", {100 * complete:.0f} % of trials"


def unique_rows(studies: Sequence[ComparisonStudy], unique: int) -> list[list[str]]:
    """Return the IQM regret of each agent after a number of unique queries, L2NAS first."""
    ours = [study.at(env, "l2nas", unique, "at_unique_queries") for study, env in columns(studies)]
    rows = [["`l2nas`", *(iqm(each["regret"]) for each in ours)]]
    everything = (*studies, *BLACK_BOX)
    others = dict.fromkeys(agent for study in everything for agent in study.agents)
    del others["l2nas"]
    for agent in others:
        row = [f"`{agent}`"]
        for (column, env), mine in zip(columns(studies), ours, strict=True):
            same_task = [
                study
                for study in everything
                if env in study.envs
                and agent in study.agents
                and study.env_arguments == column.env_arguments
            ]
            if not same_task:
                row.append("")
                continue
            found = same_task[0].at(env, agent, unique, "at_unique_queries")
            row.append(iqm_against(found["regret"], mine["regret"]) + share_of_trials(found))
        rows.append(row)
    return rows


def paper_rows() -> list[list[str]]:
    """Return the published accuracies, and our accuracies with the settings of the paper."""
    rows = []
    for queries, published in PUBLISHED.items():
        for (study, env), (mean, std) in zip(columns(PAPER), published, strict=True):
            ours, random = (study.at(env, agent, queries) for agent in ("l2nas-paper", "random"))
            rows.append(
                [
                    str(queries),
                    env,
                    f"{mean:.2f} ± {std:.2f}",
                    mean_and_deviation(ours["report"]),
                    f"{ours['unique_queries']:.0f}",
                    mean_and_deviation(random["report"]),
                ]
            )
    return rows


def graph_rows() -> list[list[str]]:
    """Return the mean regret on each graph data set, and the agents' mean ranks by this regret."""
    rows, means = [], []
    for env in GRAPHS.envs:
        found = [GRAPHS.at(env, agent, 150)["regret"] for agent in GRAPHS.agents]
        means.append([each["mean"] for each in found])
        regrets = [value_with_interval(each["mean"], each["mean_interval"], 5) for each in found]
        rows.append([f"{env} *" if env in TUNED_ON else env, *regrets])
    ranks = ranks_in_rows(np.array(means))
    untuned = [env not in TUNED_ON for env in GRAPHS.envs]
    for label, part in (("mean rank", ranks), ("mean rank without *", ranks[untuned])):
        rows.append([label, *(f"{rank:.2f}" for rank in part.mean(axis=0))])
    return rows


def ranks_in_rows(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of each value within its row, from 1; equal values have their mean rank."""
    less = (values[:, None, :] < values[:, :, None]).sum(axis=2)
    equal = (values[:, None, :] == values[:, :, None]).sum(axis=2)
    ranks: NDArray[np.float64] = less + (equal + 1) / 2
    return ranks


def ablation_rows(unique: int) -> list[list[str]]:
    """Return the IQM regret of each variant after a number of unique queries."""
    rows = []
    for agent, explanation in ABLATIONS.items():
        found = [
            study.at(env, agent, unique, "at_unique_queries") for study, env in columns(ABLATED)
        ]
        regrets = [iqm(each["regret"]) + share_of_trials(each) for each in found]
        rows.append([explanation, f"`{agent}`", *regrets])
    return rows


def transfer_rows() -> list[list[str]]:
    """Return the accuracy of fine-tuned agents, and of agents that start from scratch."""
    cases = ((PRETRAINED, 50), (PRETRAINED, 100), ("l2nas", 200))
    return [
        [env, *(mean_and_deviation(TRANSFER.at(env, *case)["report"]) for case in cases)]
        for env in TRANSFER.envs
    ]


def blocks() -> Mapping[str, str]:
    """Return the generated blocks of the page."""
    noisy = ["CIFAR-10", "CIFAR-100, σ 0.3", "ImageNet16-120, σ 0.3"]
    noisier = [*noisy, "CIFAR-100, σ 1.0", "ImageNet16-120, σ 1.0"]
    return {
        "equal-queries": markdown_table(
            ["agent", "queries", *noisier, "unique"],
            accuracy_rows(MAIN, ON_CIFAR10.agents, [150, 500]),
        ),
        "equal-unique-queries": tables_by_count(
            "After {} unique queries:",
            {
                unique: markdown_table(["agent", *noisier], unique_rows(MAIN, unique))
                for unique in (50, 100, 150)
            },
        ),
        "paper": markdown_table(
            ["queries", "environment", "paper", "l2nas-paper", "unique", "random"], paper_rows()
        ),
        "twelve-epochs": markdown_table(
            ["agent", "queries", "CIFAR-10", "CIFAR-100", "ImageNet16-120", "unique"],
            accuracy_rows(TWELVE_EPOCHS, TWELVE_EPOCHS[0].agents, [150]),
        ),
        "graphs": markdown_table(["environment", *quoted(GRAPHS.agents)], graph_rows()),
        "ablations": tables_by_count(
            "After {} unique queries:",
            {
                unique: markdown_table(["variant", "settings", *noisy], ablation_rows(unique))
                for unique in (50, 150)
            },
        ),
        "transfer": markdown_table(
            ["environment", "fine-tuned, 50 queries", "fine-tuned, 100", "from scratch, 200"],
            transfer_rows(),
        ),
        "commands": command_blocks(PAGE.studies),
    }


PAGE = Page(
    "results/l2nas.md",
    [*MAIN, *BLACK_BOX, *PAPER, *TWELVE_EPOCHS, GRAPHS, *ABLATED, PRETRAINING, TRANSFER, STATE],
    blocks,
)
