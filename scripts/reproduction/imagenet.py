"""MnasNet-like networks on ImageNet and six accelerators: surrogate, searches and adaptation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from nas_gym.evaluators.surrogate import SurrogateEvaluator, surrogate_evaluator
from nas_gym.experiments.records import TrialResults
from nas_gym.predictors.surrogate import HALVES, Surrogate
from nas_gym.spaces import MnasNetSpace, SearchSpace
from nas_gym.spaces.mnasnet import BLOCKS
from nas_gym.tables import Table, load_table
from reproduction.pages import Page, command_blocks, markdown_table, value_with_interval
from reproduction.studies import (
    FIRST_SEED,
    ComparisonStudy,
    Measurement,
    MetaTrainingRun,
    MetaTrainingStudy,
)

ENV = "MnasNet-ImageNet-v0"
TABLE = "accel-nasbench"
EFFICIENTNET_B0 = "e1k3l1se-e6k3l2se-e6k5l2se-e6k3l3se-e6k5l3se-e6k5l4se-e6k3l1se"

HELD_OUT = ("top1", "zcu102-latency", "a100-throughput")
"""Metrics of which a tenth is held out."""

SPLITS = 5
POOL = 1_000_000
"""Random architectures, the best of which show whether both halves rank them alike."""

BEST, RANDOM = 100, 1000
SIMULATIONS = 20
AGENTS = {
    "random": "random search",
    "rea": "regularized evolution (`rea`)",
    "tpe": "TPE (`tpe`)",
    "local": "local search (`local`)",
    "l2nas": "L2NAS (`l2nas`)",
    "maskableppo": "PPO with masks (`maskableppo`)",
}


# -- surrogate -------------------------------------------------------------------------------------


def measure_surrogate() -> dict[str, Any]:
    """Return the quality of the surrogate."""
    evaluator = surrogate_evaluator(TABLE)
    table = load_table(TABLE)
    held_out = [_held_out(table, evaluator.space, seed) for seed in range(SPLITS)]
    return {
        "cards": {name: vars(card) for name, card in evaluator.cards.items()},
        "held_out": {
            metric: {
                name: [split[metric][name] for split in held_out] for name in ("r2", "kendall")
            }
            for metric in HELD_OUT
        },
        "efficientnet_b0": describe_network(
            evaluator, evaluator.space.from_text([EFFICIENTNET_B0])
        ),
    }


def _held_out(table: Table, space: SearchSpace, seed: int) -> dict[str, dict[str, float]]:
    """Return R² and Kendall's tau on a random tenth of the table, by metric."""
    order = np.random.default_rng(seed).permutation(table.space.size)
    test, train = np.split(order, [len(order) // 10])
    every = table.space.decode(np.arange(table.space.size))
    part = table.space.subset(every[train], table.name)
    values = table.values[table.space.encode(part.decode(np.arange(part.size)))]
    metrics = [table.position(metric) for metric in HELD_OUT]
    smaller = Table(
        table.name,
        part,
        tuple(replace(table.metrics[m], seconds="") for m in metrics),
        values[:, metrics],
        {},
    )
    predicted = Surrogate.fit(smaller, space).predict(every[test], {m: m for m in HELD_OUT})
    found = {}
    for metric, predictions in predicted.items():
        measured = table.lookup(test, metric)
        known = np.isfinite(measured)
        errors = (predictions - measured)[known]
        found[metric] = {
            "r2": 1.0 - float((errors**2).mean() / measured[known].var()),
            "kendall": float(kendalltau(predictions[known], measured[known]).statistic),
        }
    return found


def _training_noise(table: Table) -> dict[str, float]:
    """Return the noise of one training, and the R² that it allows a prediction to have."""
    first, second = (table.column(f"top1@{training}") for training in (0, 1))
    differences = (first - second)[np.isfinite(second)]
    deviation = float(np.sqrt((differences**2).mean() / 2))
    return {
        "networks": len(differences),
        "deviation": deviation,
        "r2": 1.0 - deviation**2 / float(np.nanvar(table.column("top1"))),
    }


def measure_agreement() -> dict[str, Any]:
    """Return the noise of trainings, and how both halves rank the best of a random pool.

    The best networks are those with the highest accuracy by the first half.

    Two simulations show what restricts the correlation of the best. In both, the mean of the halves
    is the true accuracy, to which independent normal errors are added twice: errors as large as
    those of the halves (``simulated``), or the noise of one training (``trainings``).
    """
    evaluator = surrogate_evaluator(TABLE)
    genotypes = evaluator.space.sample(POOL, np.random.default_rng(0))
    signal, report = (evaluator.values(f"top1@{half}", genotypes) for half in HALVES)
    best = np.argsort(-signal)[:BEST]
    truth, error = (signal + report) / 2, float((signal - report).std() / np.sqrt(2))
    noise = _training_noise(load_table(TABLE))
    return {
        "noise": noise,
        "spearman": float(spearmanr(signal[best], report[best]).statistic),
        "random": float(spearmanr(signal[:RANDOM], report[:RANDOM]).statistic),
        "simulated": _simulate_agreement(truth, error),
        "trainings": _simulate_agreement(truth, noise["deviation"]),
        "error": error,
        "deviation": {
            "all": float(truth.std()),
            "best": float(truth[best].std()),
        },
        "signal": float(signal[best].mean()),
        "report": float(report[best].mean()),
        "outside": float(evaluator.surrogate.extrapolates("top1", genotypes[best]).mean()),
    }


def _simulate_agreement(truth: NDArray[np.float64], deviation: float) -> float:
    """Return the mean correlation of two noisy accuracies among the best by the first.

    Args:
        truth: True accuracies, ``(n,)``.
        deviation: Standard deviation of the errors.
    """
    rng = np.random.default_rng(1)
    found = []
    for _ in range(SIMULATIONS):
        signal = truth + deviation * rng.normal(size=len(truth))
        best = np.argsort(-signal)[:BEST]
        report = truth[best] + deviation * rng.normal(size=BEST)
        found.append(spearmanr(signal[best], report).statistic)
    return float(np.mean(found))


def describe_network(
    evaluator: SurrogateEvaluator, genotypes: NDArray[np.int64]
) -> dict[str, float]:
    """Return the metrics of one architecture, predicted or computed."""
    values = evaluator.evaluate(genotypes)
    return {name: float(each[0]) for name, each in values.items()}


# -- searches --------------------------------------------------------------------------------------


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
            "best": {
                "arch": space.to_text(best[[chosen]])[0],
                **describe_network(evaluator, best[[chosen]]),
            },
        }
    return {"best": found}


# -- adaptation to devices -------------------------------------------------------------------------

DEVICES = ("zcu102", "vck190", "a100", "3090", "tpuv2", "tpuv3")
REWARDS = {
    "zcu102": "latency(column=zcu102-latency,target=5.725,weight=-0.05)",
    "vck190": "latency(column=vck190-latency,target=3.589,weight=-0.05)",
    "a100": "latency(column=a100-throughput,target=8171,weight=0.05)",
    "3090": "latency(column=3090-throughput,target=5554,weight=0.05)",
    "tpuv2": "latency(column=tpuv2-throughput,target=668.6,weight=0.05)",
    "tpuv3": "latency(column=tpuv3-throughput,target=1209,weight=0.05)",
}
"""Reward of each device: section 4.3 of the CATCH paper with the median speed as the target."""

META_SEEDS = 8
META_EPOCHS = 10
META_FIRST_SEED = 10_000
"""A multiple of META_SEEDS: the trial of seed ``s`` starts from the agent of meta-seed
``s % META_SEEDS``."""

ADAPTATION_AGENTS = {
    "random": "random search",
    "rea": "regularized evolution (`rea`)",
    "l2nas": "L2NAS (`l2nas`)",
    "catch(variant=sfs)": "CATCH from scratch",
}


def device_meta_training(device: str) -> MetaTrainingRun:
    """Return the meta-training of CATCH on all devices except one."""
    return MetaTrainingRun(
        "catch", f"mnasnet-devices/{device}", "meta", {}, META_EPOCHS, META_SEEDS, META_FIRST_SEED
    )


def adapted_agent(device: str) -> str:
    """Return the name of the meta-trained agent of a device on the command line."""
    return f"catch(pretrained={device_meta_training(device).checkpoint})"


def device_study(device: str) -> ComparisonStudy:
    """Return the comparison of agents on a device that meta-training left out."""
    return ComparisonStudy(
        f"imagenet-device-{device}",
        envs=[ENV],
        agents=[*ADAPTATION_AGENTS, adapted_agent(device)],
        queries=50,
        seeds=2 * META_SEEDS,
        first_seed=META_FIRST_SEED,
        env_arguments={"reward": REWARDS[device]},
    )


META_TRAINING = MetaTrainingStudy(
    "imagenet-meta-training", [device_meta_training(device) for device in DEVICES]
)
DEVICE_STUDIES = {device: device_study(device) for device in DEVICES}
SURROGATE = Measurement("imagenet-surrogate", measure_surrogate)
AGREEMENT = Measurement("imagenet-agreement", measure_agreement)
SEARCH = ComparisonStudy(
    "imagenet-search",
    envs=[ENV],
    agents=list(AGENTS),
    queries=500,
    seeds=8,
    first_seed=FIRST_SEED,
    statistics=describe_best,
)


# -- page ------------------------------------------------------------------------------------------


def imagenet_blocks() -> dict[str, str]:
    """Return the generated blocks of the page."""
    return {
        "cards": _cards(),
        "held-out": _held_out_rows(),
        "agreement": _agreement(),
        "searches": _searches(),
        "expansions": _expansions(),
        "networks": _networks(),
        "devices": _devices(),
        "commands": command_blocks([SEARCH, META_TRAINING, *DEVICE_STUDIES.values()]),
    }


def _cards() -> str:
    rows = [
        [f"`{name}`", f"{card['r2']:.4f}", f"{card['kendall']:.3f}", f"{card['error']:.4g}"]
        for name, card in SURROGATE.result["cards"].items()
    ]
    return markdown_table(["metric", "R²", "Kendall's τ", "mean absolute error"], rows)


def _held_out_rows() -> str:
    rows = [
        [f"`{metric}`"]
        + [f"{np.mean(found[m]):.4f} ({min(found[m]):.4f})" for m in ("r2", "kendall")]
        for metric, found in SURROGATE.result["held_out"].items()
    ]
    return markdown_table(["metric", "R²", "Kendall's τ"], rows)


def _agreement() -> str:
    found = AGREEMENT.result
    noise = found["noise"]
    return markdown_table(
        ["quantity", "value"],
        [
            ["Spearman correlation of the halves, 1,000 random networks", f"{found['random']:.3f}"],
            ["the same, 100 best networks by the first half", f"{found['spearman']:.3f}"],
            ["the same, simulated with the errors of the halves", f"{found['simulated']:.3f}"],
            ["the same, simulated with one training each", f"{found['trainings']:.3f}"],
            ["standard deviation of accuracy, all networks", f"{found['deviation']['all']:.3f}"],
            ["the same, 100 best networks", f"{found['deviation']['best']:.3f}"],
            ["error of one half (from their differences)", f"{found['error']:.3f}"],
            [f"noise of one training ({noise['networks']} pairs)", f"{noise['deviation']:.3f}"],
            ["largest possible R² of predictions", f"{noise['r2']:.4f}"],
            ["mean accuracy of the 100 best, first half", f"{found['signal']:.2f}"],
            ["mean accuracy of the 100 best, second half", f"{found['report']:.2f}"],
        ],
    )


def _searches() -> str:
    agents = SEARCH.result["environments"][ENV]["agents"]
    rows = []
    for agent, label in AGENTS.items():
        report = agents[agent]["at_queries"]["500"]["report"]
        metrics = SEARCH.result["best"][agent]["metrics"]
        rows.append(
            [
                label,
                f"{metrics['top1@half1']['mean']:.2f}",
                value_with_interval(report["mean"], report["mean_interval"], 2),
                f"{metrics['macs']['mean']:.0f}",
            ]
        )
    return markdown_table(["agent", "signal, %", "report, % [95 % interval]", "MACs, M"], rows)


def _expansions() -> str:
    rows = [
        [
            label,
            *(f"{100 * share:.0f}" for share in SEARCH.result["best"][agent]["largest_expansion"]),
        ]
        for agent, label in AGENTS.items()
    ]
    return markdown_table(["agent", *(f"block {b + 1}" for b in range(BLOCKS))], rows)


def _networks() -> str:
    networks = {"EfficientNet-B0": SURROGATE.result["efficientnet_b0"]}
    networks |= {label: SEARCH.result["best"][agent]["best"] for agent, label in AGENTS.items()}
    metrics = ("top1@half2", "macs", "params", "zcu102-latency", "vck190-latency",
               "a100-throughput", "tpuv3-throughput")  # fmt: skip
    rows = [[label, *(f"{own[m]:.4g}" for m in metrics)] for label, own in networks.items()]
    return markdown_table(["network", *(f"`{metric}`" for metric in metrics)], rows)


def _devices() -> str:
    rows = []
    for device, study in DEVICE_STUDIES.items():
        agents = study.result["environments"][ENV]["agents"]
        reports = [agents[agent]["at_queries"]["50"]["report"] for agent in agents]
        rows.append(
            [device, *(value_with_interval(r["mean"], r["mean_interval"], 2) for r in reports)]
        )
    return markdown_table(["device", *ADAPTATION_AGENTS.values(), "CATCH, meta-learned"], rows)


PAGE = Page(
    "results/imagenet.md",
    [SURROGATE, AGREEMENT, SEARCH, META_TRAINING, *DEVICE_STUDIES.values()],
    imagenet_blocks,
)
