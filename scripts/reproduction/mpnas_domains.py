"""MP-NAS across domains: few-shot prediction and search on images, NinaPro, Darcy and devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents import MPNAS
from nas_gym.experiments.records import TrialResults
from nas_gym.utils.ranks import spearman
from reproduction.few_shot import (
    FIRST_SEED,
    META_SEEDS,
    Correlations,
    merge_by_column,
    rows_of,
    seed_means,
    seeds_with_interval,
    split_nb201,
    table_column,
)
from reproduction.pages import code_block, command_blocks, markdown_table, mean_with_interval
from reproduction.studies import (
    ComparisonStudy,
    JobStudy,
    MetaTrainingRun,
    MetaTrainingStudy,
    mean_over_seeds,
)

if TYPE_CHECKING:
    from nas_gym.predictors.mixture import MixturePredictor
    from nas_gym.predictors.predictor import Predictor

SHOTS = (5, 10, 50)
"""Numbers of labelled architectures."""

COLUMNS = {
    "cifar10": "nats-bench:cifar10-test",
    "cifar100": "nats-bench:cifar100-test",
    "ImageNet16-120": "nats-bench:ImageNet16-120-test",
    "ninapro": "hw-nas-bench-360:ninapro-test",
    "darcy": "hw-nas-bench-360:darcy-test",
    "cpu": "help-latency:gold_6226",
    "gpu": "help-latency:1080ti_1",
}
"""Column to predict for each target. The task set ``nb201-domains/<target>`` leaves it out."""

PAPER = {
    "cifar10": 0.92, "cifar100": 0.93, "ImageNet16-120": 0.89, "ninapro": 0.32, "darcy": 0.73,
    "cpu": 0.80, "gpu": 0.73,
}  # fmt: skip
"""Spearman correlation after 5 shots (MP-NAS paper, Table 4)."""

LABELS = {
    "mixture": "`mpnas-mixture`",
    "joint": "joint pre-training",
    "naive": "naive transfer",
    "random": "random start",
    "boil": "`mpnas` (BOIL)",
}
"""Names of the variants in tables."""

SEARCHED = ("darcy", "ninapro")
"""Targets that are searched, and for which ``mpnas`` is meta-trained with BOIL too."""

QUERIES = (10, 20, 30, 50)
"""Numbers of queries after which regrets are reported."""

PAPER_NINAPRO = 92.85
"""Test accuracy in % on NinaPro after 30 queries (MP-NAS paper, Table 5)."""


def meta_training(target: str, variant: str) -> MetaTrainingRun:
    """Return the meta-training of ``mixture`` or ``boil`` without a target."""
    agent, name = ("mpnas", "mpnas") if variant == "boil" else ("mpnas-mixture", "mixture")
    task_set = f"nb201-domains/{target}"
    return MetaTrainingRun(agent, task_set, name, {}, MPNAS.meta_epochs, META_SEEDS, FIRST_SEED)


TRAINING = MetaTrainingStudy(
    "mpnas-domains-meta-training",
    [
        *(meta_training(target, "mixture") for target in COLUMNS),
        *(meta_training(target, "boil") for target in SEARCHED),
    ],
)

# -- few-shot prediction --------------------------------------------------------------------------


def trained_predictor(target: str, variant: str, index: int) -> Predictor:
    """Return the meta-trained predictor of a meta-seed."""
    import gymnasium as gym

    from nas_gym.agents.registry import find_agent

    run = meta_training(target, variant)
    envs = gym.make_vec("NB201-cifar10-v0", num_envs=META_SEEDS)
    agent = find_agent(run.agent).make_agent(
        envs, {"pretrained": str(run.checkpoint)}, seed=FIRST_SEED
    )
    assert isinstance(agent, MPNAS)
    return agent.start[index]


def with_one_task(predictor: MixturePredictor, weights: NDArray[np.float64]) -> MixturePredictor:
    """Return a predictor that knows a single task, the weighted mean of the earlier tasks.

    Args:
        predictor: Predictor of several tasks.
        weights: Weight of each task, ``(tasks,)``; the sum is 1.
    """
    arrays = predictor.state_arrays()
    mean = {
        name: (weights @ arrays[name])[None].astype(np.float32)
        for name in ("head.weight", "head.bias")
    }
    return predictor.with_state_arrays(arrays | mean | {"prior": np.ones(1, np.float32)})


def initial_predictors(
    target: str, variant: str, index: int, known: NDArray[np.int64]
) -> Iterator[Predictor]:
    """Yield the predictors of a variant before they see labels.

    Naive transfer has one predictor per other target, the head that has learned the column of this
    target; all other variants have one predictor.

    Args:
        target: Target that the meta-training left out.
        variant: Key of :data:`LABELS`.
        index: Number of the meta-seed, from 0.
        known: Indices of the architectures of meta-training.
    """
    from nas_gym.predictors.mixture import MixturePredictor

    predictor = trained_predictor(target, variant, index)
    if variant in ("mixture", "boil"):
        yield predictor
        return
    assert isinstance(predictor, MixturePredictor)
    if variant == "random":
        yield MixturePredictor(predictor.config, seed=FIRST_SEED + index)
    elif variant == "joint":
        yield with_one_task(predictor, predictor.reference.prior.astype(np.float64))
    else:
        architectures, _ = split_nb201(FIRST_SEED + index)
        heads = predictor.task_scores(rows_of(architectures.graphs, known)).T
        for source in COLUMNS:
            if source != target:
                truth = table_column(COLUMNS[source])[known]
                best = np.argmax([spearman(scores, truth) for scores in heads])
                yield with_one_task(predictor, np.eye(len(heads))[best])


def transfer_between_domains(target: str, variant: str, index: int) -> dict[str, Correlations]:
    """Return how well a variant ranks the column of a target that it has not learned from."""
    seed = FIRST_SEED + index
    architectures, known = split_nb201(seed)
    values = table_column(COLUMNS[target])
    found = [
        architectures.correlations(each, values, seed, SHOTS)
        for each in initial_predictors(target, variant, index, known)
    ]
    means = {shots: np.mean([each[shots] for each in found], axis=0).tolist() for shots in found[0]}
    return {COLUMNS[target]: means}


TRANSFER = JobStudy(
    "mpnas-domains-transfer",
    transfer_between_domains,
    [
        *product(COLUMNS, ("mixture", "joint", "naive", "random"), range(META_SEEDS)),
        *product(SEARCHED, ("boil",), range(META_SEEDS)),
    ],
    merge_by_column,
)


def five_shot_rows() -> list[list[str]]:
    """Return the correlations after 5 shots by target, and their mean over targets."""
    rows, means = [], []
    for target, column in COLUMNS.items():
        found = TRANSFER.result[column]
        values = {name: seed_means(found[name]["5"]) for name in LABELS if name in found}
        means.append({name: each for name, each in values.items() if name != "boil"})
        cells = [seeds_with_interval(values[name]) if name in values else "" for name in LABELS]
        rows.append([f"`{column}`", f"{PAPER[target]:.2f}", *cells])
    overall = [
        seeds_with_interval(np.mean([each[name] for each in means], axis=0))
        for name in LABELS
        if name != "boil"
    ]
    return [*rows, ["**mean of seven**", f"{np.mean(list(PAPER.values())):.2f}", *overall, ""]]


def shot_rows() -> list[list[str]]:
    """Return the correlations of all variants by number of shots."""
    counts = [str(count) for count in (0, *SHOTS)]
    return [
        [
            f"`{column}`",
            LABELS[name],
            *(f"{seed_means(found[name][count]).mean():.3f}" for count in counts),
        ]
        for column, found in TRANSFER.result.items()
        for name in LABELS
        if name in found
    ]


# -- search ---------------------------------------------------------------------------------------


def adapted(target: str, variant: str) -> str:
    """Return the name of a meta-trained agent on the command line."""
    run = meta_training(target, variant)
    return f"{run.agent}(pretrained={run.checkpoint})"


def by_meta_seed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each meta-seed, ``(META_SEEDS,)``, of values ``(trials,)``."""
    means: NDArray[np.float64] = values.reshape(-1, META_SEEDS).mean(axis=0)
    return means


def statistics_by_agent(trials: Sequence[TrialResults]) -> dict[str, Any]:
    """Return the entry ``domains`` of a result: statistics by agent and number of queries.

    ``regret`` is the regret by the reported metric and ``signal`` the best value found of the
    search signal. ``_by_meta_seed`` holds the mean of each meta-seed; intervals are over them.
    """
    found: dict[str, Any] = {}
    for each in trials:
        curves = each.curves
        for queries in QUERIES:
            entry = found.setdefault(each.agent, {}).setdefault(str(queries), {})
            values = {"regret": curves.regrets, "signal": curves.incumbent_rewards}
            for name, array in values.items():
                means = by_meta_seed(array[queries - 1])
                entry[name] = mean_over_seeds(means)
                entry[f"{name}_by_meta_seed"] = means.round(5).tolist()
    return {"domains": found}


SEARCHES = {
    target: ComparisonStudy(
        name=f"mpnas-domains-search-{target}",
        envs=[f"NB201-{target}-v0"],
        agents=[
            adapted(target, "mixture"),
            adapted(target, "boil"),
            "mpnas-mixture", "mpnas", "random",
        ],
        queries=50,
        seeds=4 * META_SEEDS,
        first_seed=FIRST_SEED,
        env_arguments={"report": f"{target}-test:denoised"},
        statistics=statistics_by_agent,
    )
    for target in SEARCHED
}  # fmt: skip


def label(agent: str) -> str:
    """Return the name of an agent in tables, without the path of its checkpoint."""
    name, _, settings = agent.partition("(")
    return f"`{name}`, {'meta-learned' if settings else 'from scratch'}"


def search_rows(target: str) -> list[list[str]]:
    """Return the regret of each agent, and the regret minus that of ``mpnas-mixture``."""
    found = SEARCHES[target].result["domains"]
    first = _regrets(found, adapted(target, "mixture"))
    rows = []
    for agent, entries in found.items():
        excess = mean_over_seeds(_regrets(found, agent) - first)
        name = "`random`" if agent == "random" else label(agent)
        numbers = [mean_with_interval(entries[str(count)]["regret"], 3) for count in QUERIES]
        rows.append([name, *numbers, mean_with_interval(excess, 3)])
    return rows


def _regrets(found: Mapping[str, Any], agent: str) -> NDArray[np.float64]:
    return np.array(found[agent]["50"]["regret_by_meta_seed"])


def ninapro_rows() -> list[list[str]]:
    """Return the best test accuracy found on NinaPro, next to the paper's."""
    return [
        [
            "`random`" if agent == "random" else label(agent),
            str(PAPER_NINAPRO) if agent == adapted("ninapro", "boil") else "",
            *(mean_with_interval(entries[count]["signal"]) for count in ("30", "50")),
        ]
        for agent, entries in SEARCHES["ninapro"].result["domains"].items()
    ]


STUDIES = [TRAINING, TRANSFER, *SEARCHES.values()]


def blocks() -> dict[str, str]:
    """Return the generated blocks of these studies, by name."""
    shots = [f"{count} shots" for count in (0, *SHOTS)]
    counts = [f"{count} queries" for count in QUERIES]
    regrets = ["agent", *counts, "agent - meta-learned `mpnas-mixture`, 50 queries"]
    return {
        "domains-five-shots": markdown_table(
            ["column", "paper", *LABELS.values()], five_shot_rows()
        ),
        "domains-shots": markdown_table(["column", "initial predictor", *shots], shot_rows()),
        **{f"domains-{name}": markdown_table(regrets, search_rows(name)) for name in SEARCHED},
        "domains-accuracy": markdown_table(
            ["agent", "paper, 30 queries", "30 queries", "50 queries"], ninapro_rows()
        ),
        "domains-commands": "\n\n".join(
            [code_block(TRAINING.commands), command_blocks(list(SEARCHES.values()))]
        ),
    }
