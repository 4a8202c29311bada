"""MP-NAS: few-shot prediction, transfer and search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.experiments.records import TrialResults
from reproduction import mpnas_domains
from reproduction.baselines import SMALL_REA
from reproduction.few_shot import (
    FIRST_SEED,
    META_SEEDS,
    SHOTS,
    TARGETS,
    VARIANTS,
    Correlations,
    graph_networks,
    merge_by_column,
    meta_training,
    naive_transfer,
    seed_means,
    seeds_with_interval,
    synthetic_tasks,
    transfer,
)
from reproduction.pages import (
    Page,
    code_block,
    command_blocks,
    markdown_table,
    mean_with_interval,
)
from reproduction.studies import (
    CURVES,
    GRAPH_TARGETS,
    ComparisonStudy,
    JobStudy,
    MetaTrainingStudy,
    mean_over_seeds,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAIN_COLUMNS = [columns[0] for columns in TARGETS.values()]
"""First column of each target, which tables of means use."""

MAIN_VARIANTS = ("mpnas", "joint")
"""Names of the variants that are meta-trained for all targets."""

ABLATION_TARGETS = ("cifar10", "gpu")
"""Targets for which the other variants are meta-trained: an accuracy and a latency."""

TRAINED = [
    (target, variant)
    for variant in VARIANTS
    for target in (TARGETS if variant in MAIN_VARIANTS else ABLATION_TARGETS)
]
"""Pairs of target and variant that are meta-trained."""

LABELS = {
    "mpnas": "MP-NAS",
    "joint": "joint pre-training",
    "boil-alone": "BOIL alone",
    "maml": "MAML",
    "anil": "ANIL",
    "first-order": "BOIL, first order",
    "random": "random initialization",
}
"""Names of the variants in tables and figures."""

# values of the three settings of the synthetic tasks; MIDDLE holds the two that do not vary
CORRELATIONS = (0.2, 0.4, 0.6, 0.8, 0.95)
TASK_COUNTS = (1, 2, 5, 10, 20)
UNCORRELATED = (0, 5, 10, 50, 100)
MIDDLE = (0.8, 10, 0)

QUERIES = (1, 5, 10, 20, 30)
"""Numbers of queries after which the accuracy is reported."""

IMAGES = ("cifar10", "cifar100", "ImageNet16-120")

PAPER_CORRELATIONS = dict(zip(MAIN_COLUMNS, ("0.92", "0.93", "0.89", "-", "-"), strict=True))
"""Spearman correlation after 5 shots, from the MP-NAS paper."""

PAPER_SEARCHES = dict(zip(IMAGES, (94.37, 73.49, 47.2), strict=True))
"""Test accuracy in % after 30 queries, from the MP-NAS paper."""


def merge_by_source(arguments: Sequence[tuple[Any, ...]], results: list[Any]) -> dict[str, Any]:
    """Merge the results of jobs ``(source, meta-seed)``; sources replace variants."""
    return merge_by_column([("", *each) for each in arguments], results)


def merge_by_dataset(arguments: Sequence[tuple[Any, ...]], results: list[Any]) -> dict[str, Any]:
    """Merge the results of jobs ``(data set, variant, meta-seed)``; data sets replace columns."""
    named = [{dataset: found} for (dataset, *_), found in zip(arguments, results, strict=True)]
    return merge_by_column(arguments, named)


def synthetic_key(setting: Sequence[float]) -> str:
    """Return the key, in the result file, of a setting of the synthetic tasks."""
    return ", ".join(map(str, setting))


def merge_by_setting(
    arguments: Sequence[tuple[Any, ...]], results: list[Correlations]
) -> dict[str, Correlations]:
    """Return the correlations of all runs by setting of the synthetic tasks."""
    return dict(zip(map(synthetic_key, arguments), results, strict=True))


def reports_by_agent(trials: Sequence[TrialResults]) -> dict[str, Any]:
    """Return the reported metric after a few queries, as the entry ``reports`` of a result.

    Intervals are over meta-seeds for pre-trained agents, and over trials for other agents.
    """
    reports: dict[str, Any] = {}
    for each in trials:
        reports[each.agent] = {}
        for queries in QUERIES:
            values = each.curves.reports[queries - 1]
            groups = META_SEEDS if "pretrained" in each.agent else len(values)
            by_seed = values.reshape(-1, groups).mean(axis=0)
            reports[each.agent][str(queries)] = mean_over_seeds(by_seed)
    return {"reports": reports}


def adapted(target: str, variant: str) -> str:
    """Return the name of a meta-trained agent on the command line."""
    settings = VARIANTS[variant] | {"pretrained": meta_training(target, variant).checkpoint}
    return f"mpnas({','.join(f'{name}={value}' for name, value in settings.items())})"


TRAINING = MetaTrainingStudy(
    "mpnas-meta-training", [meta_training(target, variant) for target, variant in TRAINED]
)
TRANSFER = JobStudy(
    "mpnas-transfer",
    transfer,
    [
        (target, variant, index)
        for target, variant in (*TRAINED, *product(TARGETS, ["random"]))
        for index in range(META_SEEDS)
    ],
    merge_by_column,
)
NAIVE = JobStudy(
    "mpnas-naive", naive_transfer, list(product(TARGETS, range(META_SEEDS))), merge_by_source
)
GRAPHS = JobStudy(
    "mpnas-nbgraph",
    graph_networks,
    list(product(GRAPH_TARGETS, ["mpnas", "random"], range(META_SEEDS))),
    merge_by_dataset,
)
SYNTHETIC = JobStudy(
    "mpnas-synthetic",
    synthetic_tasks,
    list(
        dict.fromkeys(
            [(each, *MIDDLE[1:]) for each in CORRELATIONS]
            + [(MIDDLE[0], each, MIDDLE[2]) for each in TASK_COUNTS]
            + [(*MIDDLE[:2], each) for each in UNCORRELATED]
        )
    ),
    merge_by_setting,
)
SEARCHES = {
    target: ComparisonStudy(
        name=f"mpnas-search-{target}",
        envs=[f"NB201-{target}-v0"],
        agents=[
            *(adapted(target, each) for each in MAIN_VARIANTS),
            "mpnas", "l2nas", "random", SMALL_REA, "tpe",
        ],
        queries=30,
        seeds=50,
        first_seed=FIRST_SEED,
        env_arguments={"table": "nats-bench"},
        figures=CURVES,
        statistics=reports_by_agent,
    )
    for target in IMAGES
}  # fmt: skip


def mean_over_targets(
    variant: str, shots: str, targets: Sequence[str] = tuple(TARGETS)
) -> NDArray[np.float64]:
    """Return, for each meta-seed, the mean correlation over the main columns of targets."""
    found = TRANSFER.result
    columns = [TARGETS[target][0] for target in targets]
    means = [seed_means(found[each][variant][shots]) for each in columns]
    return np.asarray(np.mean(means, axis=0))


def five_shot_rows() -> list[list[str]]:
    """Return the correlations after 5 shots, next to the correlations that the paper reports."""
    rows = []
    for column in MAIN_COLUMNS:
        found = TRANSFER.result[column]
        ours, random = (seed_means(found[name]["5"]) for name in ("mpnas", "random"))
        rows.append(
            [
                f"`{column}`",
                PAPER_CORRELATIONS[column],
                seeds_with_interval(ours),
                seeds_with_interval(random),
                f"{ours.mean() - random.mean():+.2f}",
            ]
        )
    return rows


def shot_rows(variants: Sequence[str], shots: Sequence[str]) -> list[list[str]]:
    """Return the correlations of all columns, and the mean over the main columns."""
    rows = [
        [
            f"`{column}`",
            LABELS[name],
            *(f"{seed_means(found[name][count]).mean():.3f}" for count in shots),
        ]
        for column, found in TRANSFER.result.items()
        for name in variants
    ]
    means = [["**mean of five**", *row] for row in mean_rows(variants, shots, tuple(TARGETS))]
    return [*rows, *means]


def mean_rows(
    variants: Sequence[str], shots: Sequence[str], targets: Sequence[str]
) -> list[list[str]]:
    """Return the mean over the main columns of targets, for each variant."""
    return [
        [
            LABELS[name],
            *(seeds_with_interval(mean_over_targets(name, count, targets)) for count in shots),
        ]
        for name in variants
    ]


def naive_rows() -> list[list[str]]:
    """Return correlations of naive transfer after 5 shots: mean over sources, and best source."""
    rows = []
    for column in MAIN_COLUMNS:
        sources = {name: seed_means(found["5"]) for name, found in NAIVE.result[column].items()}
        best = max(sources, key=lambda name: float(sources[name].mean()))
        ours = seed_means(TRANSFER.result[column]["mpnas"]["5"])
        mean = np.mean(list(sources.values()), axis=0)
        numbers = [seeds_with_interval(each) for each in (ours, mean, sources[best])]
        rows.append([f"`{column}`", *numbers[:2], f"{numbers[2]} ({best})"])
    return rows


def graph_rows() -> list[list[str]]:
    """Return the correlations on each graph data set, and the mean over data sets."""
    rows: list[list[str]] = []
    by_shots: dict[str, list[NDArray[np.float64]]] = {}
    counts = [str(count) for count in SHOTS]
    for dataset, found in GRAPHS.result.items():
        for shots in counts:
            both = np.array([seed_means(found[name][shots]) for name in ("mpnas", "random")])
            by_shots.setdefault(shots, []).append(both)
            gain = f"{(both[0] - both[1]).mean():+.2f}"
            rows.append([dataset, shots, *map(seeds_with_interval, both), gain])
    for shots in counts:
        both = np.mean(by_shots[shots], axis=0)
        gain = "{mean:+.2f} [{low:+.2f}, {high:+.2f}]".format(**mean_over_seeds(both[0] - both[1]))
        rows.append(["**mean**", shots, *map(seeds_with_interval, both), gain])
    return rows


def search_rows() -> list[list[str]]:
    """Return the reported accuracy of each agent after a few queries."""
    return [
        [target, label(agent), *(mean_with_interval(found[str(count)]) for count in QUERIES)]
        for target, study in SEARCHES.items()
        for agent, found in study.result["reports"].items()
    ]


def label(agent: str) -> str:
    """Return the name of an agent in tables, without the path of its checkpoint."""
    if "pretrained" not in agent:
        return f"`{agent}`"
    return LABELS["joint" if "joint=1.0" in agent else "mpnas"]


def paper_search_rows() -> list[list[str]]:
    """Return the accuracy of MP-NAS after 30 queries, next to the accuracy in the paper."""
    return [
        [
            target,
            str(PAPER_SEARCHES[target]),
            mean_with_interval(study.result["reports"][adapted(target, "mpnas")]["30"]),
        ]
        for target, study in SEARCHES.items()
    ]


def draw_synthetic() -> Figure:
    """Draw the correlation against each setting of the synthetic tasks (MP-NAS paper, Figure 2)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    panels: tuple[tuple[str, Sequence[float]], ...] = (
        ("correlation between tasks", CORRELATIONS),
        ("tasks to learn from", TASK_COUNTS),
        ("additional uncorrelated tasks", UNCORRELATED),
    )
    for place, axes in enumerate(figure.subplots(1, 3, sharey=True)):
        name, values = panels[place]
        settings = [(*MIDDLE[:place], value, *MIDDLE[place + 1 :]) for value in values]
        _draw_panel(axes, values, settings)
        axes.set_xlabel(name)
    figure.axes[0].set_ylabel("Spearman correlation, 5 shots")
    figure.axes[0].legend(fontsize=8)
    return figure


def _draw_panel(axes: Axes, values: Sequence[float], settings: Sequence[Sequence[float]]) -> None:
    found = [SYNTHETIC.result[synthetic_key(each)] for each in settings]
    for name in ("mpnas", "random"):
        means = [np.mean(each[name]) for each in found]
        errors = [np.std(each[name], ddof=1) / len(each[name]) ** 0.5 for each in found]
        axes.errorbar(range(len(values)), means, errors, label=LABELS[name], capsize=2, marker="o")
    axes.set_xticks(range(len(values)), [str(each) for each in values])


def draw_shots() -> Figure:
    """Draw the correlation against the number of shots, as a mean over the targets."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 3.2), layout="constrained")
    axes = figure.subplots()
    shots = [str(count) for count in (0, *SHOTS)]
    for name in (*MAIN_VARIANTS, "random"):
        means = [mean_over_targets(name, count).mean() for count in shots]
        axes.plot(range(len(shots)), means, label=LABELS[name], marker="o", markersize=3)
    axes.set_xticks(range(len(shots)), shots)
    axes.set_xlabel("labelled architectures")
    axes.set_ylabel("Spearman correlation")
    axes.legend(fontsize=7)
    return figure


def figures() -> Mapping[str, Figure]:
    """Return the figures of the page, by file name."""
    return {"mpnas-synthetic.png": draw_synthetic(), "mpnas-shots.png": draw_shots()}


def blocks() -> Mapping[str, str]:
    """Return the generated blocks of the page."""
    shots = [str(count) for count in (0, *SHOTS)]
    headers = ["initial predictor", *(f"{count} shots" for count in shots)]
    synthetic = [
        [key, *(f"{np.mean(found[name]):.3f}" for name in ("mpnas", "random"))]
        for key, found in SYNTHETIC.result.items()
    ]
    return {
        "five-shots": markdown_table(
            ["column", "paper", "MP-NAS", "random initialization", "gain"], five_shot_rows()
        ),
        "shots": markdown_table(["column", *headers], shot_rows((*MAIN_VARIANTS, "random"), shots)),
        "ablations": markdown_table(
            headers, mean_rows((*VARIANTS, "random"), shots, ABLATION_TARGETS)
        ),
        "naive": markdown_table(
            ["column", "MP-NAS", "mean over sources", "best source"], naive_rows()
        ),
        "graphs": markdown_table(
            ["data set", "shots", "MP-NAS", "random initialization", "gain"], graph_rows()
        ),
        "synthetic": markdown_table(
            [
                "correlation, number of tasks, number of uncorrelated tasks",
                "MP-NAS",
                "random initialization",
            ],
            synthetic,
        ),
        "search-paper": markdown_table(
            ["task", "paper", "MP-NAS after 30 queries"], paper_search_rows()
        ),
        "search": markdown_table(
            ["task", "agent", "1 query", *(f"{count} queries" for count in QUERIES[1:])],
            search_rows(),
        ),
        "meta-training-commands": code_block(TRAINING.commands),
        "commands": command_blocks(list(SEARCHES.values())),
        **mpnas_domains.blocks(),
    }


PAGE = Page(
    "results/mpnas.md",
    [TRAINING, TRANSFER, NAIVE, GRAPHS, SYNTHETIC, *SEARCHES.values(), *mpnas_domains.STUDIES],
    blocks,
    figures,
)
