"""Searches for accuracy among MnasNet-like networks, with 500 and with 10,000 queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas_gym.evaluators.surrogate import surrogate_evaluator
from nas_gym.experiments.records import TrialResults
from nas_gym.spaces import MnasNetSpace
from nas_gym.spaces.mnasnet import BLOCKS, EXPANSIONS
from nas_gym.tables import load_table
from reproduction.imagenet_surrogate import ENV, SURROGATE, TABLE, describe_network
from reproduction.pages import markdown_table, value_with_interval
from reproduction.studies import FIRST_SEED, ComparisonStudy, Measurement

AGENTS = {
    "random": "random search",
    "rea": "regularized evolution (`rea`)",
    "tpe": "TPE (`tpe`)",
    "local": "local search (`local`)",
    "l2nas": "L2NAS (`l2nas`)",
    "maskableppo": "PPO with masks (`maskableppo`)",
    "ddpg": "DDPG (`ddpg`)",
    "td3": "TD3 (`td3`)",
    "sac": "SAC (`sac`)",
}
LONG_AGENTS = {name: AGENTS[name] for name in ("random", "rea", "local", "l2nas")}
"""Agents with 10,000 queries. TPE is left out: its proposals take time proportional to the number
of queries, about ten minutes for one trial."""


def describe_best(trials: Sequence[TrialResults]) -> dict[str, Any]:
    """Return the best architectures of each agent, and their expansions."""
    evaluator = surrogate_evaluator(TABLE)
    space = MnasNetSpace()
    found = {}
    for one in trials:
        last = one.curves.rewards.argmax(axis=0)
        best = space.decode(one.curves.indices[last, np.arange(len(last))])
        metrics = evaluator.evaluate(best)
        chosen = int(np.argmax(one.curves.rewards.max(axis=0)))
        blocks = space.blocks(best)
        found[one.agent] = {
            "metrics": {
                name: {"mean": float(values.mean()), "std": float(values.std(ddof=1))}
                for name, values in metrics.items()
            },
            "outside": float(evaluator.surrogate.extrapolates("top1", best).mean()),
            "expansion": blocks.expansion.mean(axis=0).tolist(),
            "largest_expansion": (blocks.expansion == 6).mean(axis=0).tolist(),
            "layers": blocks.layers.mean(axis=0).tolist(),
            "se": blocks.se.mean(axis=0).tolist(),
            "kernel": blocks.kernel.mean(axis=0).tolist(),
            "archs": space.to_text(best),
            "best": {
                "arch": space.to_text(best[[chosen]])[0],
                **describe_network(evaluator, best[[chosen]]),
            },
        }
    return {"best": found}


def search_study(name: str, agents: Mapping[str, str], queries: int, seeds: int) -> ComparisonStudy:
    """Return a comparison of agents in the search for accuracy."""
    return ComparisonStudy(
        name,
        envs=[ENV],
        agents=list(agents),
        queries=queries,
        seeds=seeds,
        first_seed=FIRST_SEED,
        statistics=describe_best,
    )


SEARCH = search_study("imagenet-search", AGENTS, 500, 8)
LONG_SEARCH = search_study("imagenet-search-long", LONG_AGENTS, 10_000, 3)


def measure_effects() -> dict[str, list[float]]:
    """Return the mean accuracy of the table's networks by expansion, for each block."""
    table = load_table(TABLE)
    expansions = MnasNetSpace().blocks(table.space.decode(np.arange(table.space.size))).expansion
    accuracies = table.column("top1")
    return {
        str(value): [float(accuracies[own == value].mean()) for own in expansions.T]
        for value in EXPANSIONS
    }


EFFECTS = Measurement("imagenet-effects", measure_effects)
STUDIES = [SEARCH, LONG_SEARCH, EFFECTS]

# -- page ------------------------------------------------------------------------------------------


def search_table(study: ComparisonStudy, agents: Mapping[str, str]) -> str:
    """Return the table of the accuracies that a search reached."""
    rows = []
    for agent, label in agents.items():
        report = study.at(ENV, agent, study.queries)["report"]
        metrics = study.result["best"][agent]["metrics"]
        rows.append(
            [
                label,
                f"{metrics['top1@half1']['mean']:.2f}",
                value_with_interval(report["mean"], report["mean_interval"], 2),
                f"{metrics['macs']['mean']:.0f}",
            ]
        )
    return markdown_table(["agent", "signal, %", "report, % [95 % interval]", "MACs, M"], rows)


def expansion_table(study: ComparisonStudy, agents: Mapping[str, str]) -> str:
    """Return the table of how often the best networks have the largest expansion."""
    rows = [
        [
            label,
            *(f"{100 * share:.0f}" for share in study.result["best"][agent]["largest_expansion"]),
        ]
        for agent, label in agents.items()
    ]
    return markdown_table(["agent", *(f"block {b + 1}" for b in range(BLOCKS))], rows)


def effect_table() -> str:
    """Return the table of the mean measured accuracy by the expansion of each block."""
    rows = [
        [expansion, *(f"{value:.2f}" for value in means)]
        for expansion, means in EFFECTS.result.items()
    ]
    return markdown_table(["expansion", *(f"block {b + 1}" for b in range(BLOCKS))], rows)


def network_table() -> str:
    """Return the table of the network with the highest signal of each agent."""
    networks = {"EfficientNet-B0": SURROGATE.result["efficientnet_b0"]}
    networks |= {label: SEARCH.result["best"][agent]["best"] for agent, label in AGENTS.items()}
    metrics = ("top1@half2", "macs", "params", "zcu102-latency", "vck190-latency",
               "a100-throughput", "tpuv3-throughput")  # fmt: skip
    rows = [[label, *(f"{own[m]:.4g}" for m in metrics)] for label, own in networks.items()]
    return markdown_table(["network", *(f"`{metric}`" for metric in metrics)], rows)
