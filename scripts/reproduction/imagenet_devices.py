"""Searches for accuracy and speed on one device: CATCH on a new device, and the networks found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nas_gym.evaluators.surrogate import surrogate_evaluator
from nas_gym.experiments.records import TrialResults
from reproduction.imagenet_surrogate import ENV, SURROGATE, TABLE, describe_network
from reproduction.pages import markdown_table, value_with_interval
from reproduction.studies import FIRST_SEED, ComparisonStudy, MetaTrainingRun, MetaTrainingStudy

DEVICES = ("zcu102", "vck190", "a100", "3090", "tpuv2", "tpuv3")
SPEEDS = {
    device: f"{device}-latency" if device in ("zcu102", "vck190") else f"{device}-throughput"
    for device in DEVICES
}
"""Metric of the speed on each device."""

REWARDS = {
    "zcu102": "latency(column=zcu102-latency,target=5.725,weight=-0.05)",
    "vck190": "latency(column=vck190-latency,target=3.589,weight=-0.05)",
    "a100": "latency(column=a100-throughput,target=8171,weight=0.05)",
    "3090": "latency(column=3090-throughput,target=5554,weight=0.05)",
    "tpuv2": "latency(column=tpuv2-throughput,target=668.6,weight=0.05)",
    "tpuv3": "latency(column=tpuv3-throughput,target=1209,weight=0.05)",
}
"""Reward of each device: section 4.3 of the CATCH paper with the median speed as the target."""

# -- adaptation of CATCH ---------------------------------------------------------------------------

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


def adaptation_study(device: str) -> ComparisonStudy:
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
ADAPTATION_STUDIES = {device: adaptation_study(device) for device in DEVICES}

# -- networks for each device ----------------------------------------------------------------------

SEARCH_AGENTS = {"rea": "regularized evolution (`rea`)", "l2nas": "L2NAS (`l2nas`)"}


def describe_best_network(trials: Sequence[TrialResults]) -> dict[str, Any]:
    """Return the network with the highest reward of all trials of all agents."""
    evaluator = surrogate_evaluator(TABLE)
    best = max(trials, key=lambda one: float(one.curves.rewards.max()))
    place = np.unravel_index(best.curves.rewards.argmax(), best.curves.rewards.shape)
    genotypes = evaluator.space.decode(best.curves.indices[place][None])
    return {
        "best": {
            "agent": best.agent,
            "arch": evaluator.space.to_text(genotypes)[0],
            "outside": bool(evaluator.surrogate.extrapolates("top1", genotypes)[0]),
            **describe_network(evaluator, genotypes),
        }
    }


def search_study(device: str) -> ComparisonStudy:
    """Return the search for accurate networks that are fast on a device."""
    return ComparisonStudy(
        f"imagenet-search-{device}",
        envs=[ENV],
        agents=list(SEARCH_AGENTS),
        queries=500,
        seeds=8,
        first_seed=FIRST_SEED,
        env_arguments={"reward": REWARDS[device]},
        statistics=describe_best_network,
    )


SEARCH_STUDIES = {device: search_study(device) for device in DEVICES}

STUDIES = [META_TRAINING, *ADAPTATION_STUDIES.values(), *SEARCH_STUDIES.values()]

# -- page ------------------------------------------------------------------------------------------


def adaptation_table() -> str:
    """Return the table of rewards after 50 queries on each device."""
    rows = []
    for device, study in ADAPTATION_STUDIES.items():
        agents = study.result["environments"][ENV]["agents"]
        reports = [agents[agent]["at_queries"]["50"]["report"] for agent in agents]
        rows.append(
            [device, *(value_with_interval(r["mean"], r["mean_interval"], 2) for r in reports)]
        )
    return markdown_table(["device", *ADAPTATION_AGENTS.values(), "CATCH, meta-learned"], rows)


def reward_table() -> str:
    """Return the table of rewards after 500 queries on each device."""
    rows = []
    for device, study in SEARCH_STUDIES.items():
        agents = study.result["environments"][ENV]["agents"]
        reports = [agents[agent]["at_queries"]["500"]["report"] for agent in SEARCH_AGENTS]
        rows.append(
            [device, *(value_with_interval(r["mean"], r["mean_interval"], 2) for r in reports)]
        )
    return markdown_table(["device", *SEARCH_AGENTS.values()], rows)


def network_table() -> str:
    """Return the table of the best network of each device next to EfficientNet-B0."""
    reference, rows = SURROGATE.result["efficientnet_b0"], []
    for device, study in SEARCH_STUDIES.items():
        best, speed = study.result["best"], SPEEDS[device]
        rows.append(
            [
                f"`{speed}`",
                f"{best['top1@half2']:.2f}",
                f"{best['top1@half2'] - reference['top1@half2']:+.2f}",
                f"{best[speed]:.4g}",
                f"{reference[speed]:.4g}",
                f"{best['macs']:.4g}",
                f"{best['params']:.4g}",
                f"`{best['arch']}`",
            ]
        )
    headers = ["speed", "`top1@half2`", "difference", "speed of the network",
               "speed of EfficientNet-B0", "MACs, M", "parameters, M", "network"]  # fmt: skip
    return markdown_table(headers, rows)
