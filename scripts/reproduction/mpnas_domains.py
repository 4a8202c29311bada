"""MP-NAS across domains: few-shot prediction and search on images, NinaPro, Darcy and devices."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents import MPNAS
from nas_gym.experiments.records import TrialResults
from nas_gym.utils.ranks import rank_scores, spearman
from reproduction.few_shot import (
    FIRST_SEED,
    META_SEEDS,
    NUM_DRAWS,
    Architectures,
    Correlations,
    merge_by_column,
    seed_means,
    seeds_with_interval,
    split_nb201,
    table_column,
)
from reproduction.pages import code_block, command_blocks, markdown_table, mean_with_interval
from reproduction.studies import (
    RESULTS,
    ComparisonStudy,
    JobStudy,
    MetaTrainingRun,
    MetaTrainingStudy,
    mean_over_seeds,
)

if TYPE_CHECKING:
    from nas_gym.predictors.mixture import Embedding, MixturePredictor

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

VARIANTS = {
    "mixture": "`mpnas-mixture`",
    "joint": "joint pre-training",
    "naive": "naive transfer",
    "random": "random start",
}
"""Names of the variants in tables."""

SEARCHED = ("darcy", "ninapro")
"""Targets that are searched."""

QUERIES = (10, 20, 30, 50)
"""Numbers of queries after which regrets are reported."""

PAPER_NINAPRO = 92.85
"""Test accuracy in % on NinaPro after 30 queries (MP-NAS paper, Table 5)."""


def meta_training(target: str) -> MetaTrainingRun:
    """Return the meta-training of ``mpnas-mixture`` without a target."""
    return MetaTrainingRun(
        "mpnas-mixture",
        f"nb201-domains/{target}",
        "mixture",
        {},
        MPNAS.meta_epochs,
        META_SEEDS,
        FIRST_SEED,
    )


TRAINING = MetaTrainingStudy(
    "mpnas-domains-meta-training", [meta_training(target) for target in COLUMNS]
)

# -- few-shot prediction --------------------------------------------------------------------------


def trained_predictor(target: str, index: int) -> MixturePredictor:
    """Return the meta-trained predictor of a meta-seed."""
    import gymnasium as gym

    from nas_gym.agents.registry import find_agent
    from nas_gym.predictors.mixture import MixturePredictor

    run = meta_training(target)
    envs = gym.make_vec("NB201-cifar10-v0", num_envs=META_SEEDS)
    settings = {"pretrained": str(run.checkpoint)}
    agent = find_agent(run.agent).make_agent(envs, settings, seed=FIRST_SEED)
    assert isinstance(agent, MPNAS)
    predictor = agent.start[index]
    assert isinstance(predictor, MixturePredictor)
    return predictor


def transfer_between_domains(target: str, index: int) -> dict[str, Correlations]:
    """Return how well each variant ranks the column of a target that it has not learned from.

    All variants adapt to the labels by the same Gaussian process. They differ in the earlier tasks:
    ``mixture`` weights all of them, ``joint`` knows their mean, ``naive`` knows the head of one of
    the other six columns (means over these columns), and ``random`` is an untrained network.
    """
    from nas_gym.predictors.gcn import to_tensors
    from nas_gym.predictors.mixture import MixturePredictor

    seed = FIRST_SEED + index
    architectures, known = split_nb201(seed)
    predictor = trained_predictor(target, index)
    inputs = to_tensors(architectures.graphs)
    trained = predictor.embed(*inputs)
    prior = predictor.reference.prior.astype(np.float64)
    sources = [table_column(column) for name, column in COLUMNS.items() if name != target]
    heads = [nearest_head(trained.scores[known], truth[known]) for truth in sources]
    starts = {
        "mixture": [(trained, prior)],
        "joint": [(with_one_task(trained, prior), np.ones(1))],
        "naive": [(with_one_task(trained, head), np.ones(1)) for head in heads],
        "random": [(MixturePredictor(predictor.config, seed).embed(*inputs), np.ones(1))],
    }
    values = table_column(COLUMNS[target])
    return {
        variant: mean_correlations(
            [correlations(architectures, *start, values, seed) for start in each]
        )
        for variant, each in starts.items()
    }


def nearest_head(scores: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the one-hot weights of the head that ranks by ``values``, ``(tasks,)``."""
    agreement = [spearman(each, values) for each in scores.T]
    weights: NDArray[np.float64] = np.eye(len(agreement))[np.argmax(agreement)]
    return weights


def with_one_task(embedding: Embedding, weights: NDArray[np.float64]) -> Embedding:
    """Return an embedding that knows a single task, a weighted mean of the earlier tasks."""
    return replace(embedding, scores=(embedding.scores @ weights)[:, None])


def correlations(
    architectures: Architectures,
    embedding: Embedding,
    prior: NDArray[np.float64],
    values: NDArray[np.float64],
    seed: int,
) -> Correlations:
    """Return Spearman's correlation by number of shots; see :meth:`Architectures.correlations`.

    Args:
        architectures: Split of the search space.
        embedding: All architectures of the search space.
        prior: Prior probability of each task of the embedding.
        values: Labels of all architectures.
        seed: Seed of the draws.
    """
    from nas_gym.predictors.mixture import Posterior, infer_task

    rng = np.random.default_rng([seed, 3])
    tested, truth = embedding.select(architectures.tested), values[architectures.tested]
    found = {"0": [spearman(Posterior(prior).mean(tested), truth)]}
    for count in SHOTS:
        found[str(count)] = []
        for _ in range(NUM_DRAWS):
            drawn = rng.choice(architectures.pool, count, replace=False)
            labels = rank_scores(values[drawn][None])[0]
            posterior = infer_task(prior, embedding.select(drawn), labels)
            found[str(count)].append(spearman(posterior.mean(tested), truth))
    return found


def mean_correlations(found: Sequence[Correlations]) -> Correlations:
    """Return the mean of the correlations of several predictors."""
    return {shots: np.mean([each[shots] for each in found], axis=0).tolist() for shots in found[0]}


def merge_by_variant(arguments: Sequence[tuple[Any, ...]], results: list[Any]) -> dict[str, Any]:
    """Merge the results of jobs ``(target, meta-seed)`` as :func:`merge_by_column` does."""
    named, columns = [], []
    for (target, index), found in zip(arguments, results, strict=True):
        for variant, each in found.items():
            named.append((target, variant, index))
            columns.append({COLUMNS[target]: each})
    return merge_by_column(named, columns)


TRANSFER = JobStudy(
    "mpnas-domains-transfer",
    transfer_between_domains,
    list(product(COLUMNS, range(META_SEEDS))),
    merge_by_variant,
)


FIRST_CONFIGURATION = RESULTS / "mpnas-domains-first-configuration.json"
"""Correlations of ``mpnas-mixture`` after 5 shots before task sets had related data sets, in the
form of the result of :data:`TRANSFER`. Commit bb31663 computes them."""


def five_shot_rows() -> list[list[str]]:
    """Return the correlations after 5 shots by target, and their mean over targets."""
    rows, means = [], []
    for target, column in COLUMNS.items():
        found = TRANSFER.result[column]
        values = {name: seed_means(found[name]["5"]) for name in VARIANTS}
        means.append(values)
        cells = [seeds_with_interval(each) for each in values.values()]
        rows.append([f"`{column}`", f"{PAPER[target]:.2f}", *cells])
    paper = f"{np.mean(list(PAPER.values())):.2f}"
    overall = [np.mean([each[name] for each in means], axis=0) for name in VARIANTS]
    return [*rows, ["**mean of seven**", paper, *map(seeds_with_interval, overall)]]


def configuration_rows() -> list[list[str]]:
    """Return the correlations of ``mpnas-mixture`` after 5 shots in both configurations."""
    both = [json.loads(FIRST_CONFIGURATION.read_text()), TRANSFER.result]
    found = {
        target: [seed_means(each[column]["mixture"]["5"]) for each in both]
        for target, column in COLUMNS.items()
    }
    rows = [
        [f"`{COLUMNS[target]}`", f"{PAPER[target]:.2f}", *map(seeds_with_interval, values)]
        for target, values in found.items()
    ]
    paper = f"{np.mean(list(PAPER.values())):.2f}"
    means = np.mean(list(found.values()), axis=0)
    return [*rows, ["**mean of seven**", paper, *map(seeds_with_interval, means)]]


def shot_rows() -> list[list[str]]:
    """Return the correlations of all variants by number of shots."""
    counts = [str(count) for count in (0, *SHOTS)]
    return [
        [
            f"`{column}`",
            VARIANTS[name],
            *(f"{seed_means(found[name][count]).mean():.3f}" for count in counts),
        ]
        for column, found in TRANSFER.result.items()
        for name in VARIANTS
    ]


# -- search ---------------------------------------------------------------------------------------


def adapted(target: str) -> str:
    """Return the name of a meta-trained agent on the command line."""
    run = meta_training(target)
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
        agents=[adapted(target), "mpnas-mixture", "mpnas", "random"],
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
    first = _regrets(found, adapted(target))
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
            str(PAPER_NINAPRO) if agent == adapted("ninapro") else "",
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
            ["column", "paper", *VARIANTS.values()], five_shot_rows()
        ),
        "domains-configurations": markdown_table(
            ["column", "paper", "first configuration", "second configuration"],
            configuration_rows(),
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
