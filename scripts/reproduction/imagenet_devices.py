"""Searches for accuracy and speed on one device: CATCH on a new device, and the networks found."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.registry import find_agent
from nas_gym.envs import SequentialVectorEnv
from nas_gym.evaluators.surrogate import surrogate_evaluator
from nas_gym.tasks import Task
from nas_gym.tasks.make import make_task
from reproduction.imagenet_surrogate import ENV, SURROGATE, TABLE, describe_network
from reproduction.pages import markdown_table, value_with_interval
from reproduction.studies import (
    FIRST_SEED,
    ComparisonStudy,
    Measurement,
    MetaTrainingRun,
    MetaTrainingStudy,
)

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

SEARCH_QUERIES, SEARCH_TRIALS = 500, 8


def make_device_task(**arguments: Any) -> Task:
    """Return the task of the environment with other arguments, such as a reward."""
    return make_task(table=TABLE, dataset="ImageNet", evaluator="surrogate", **arguments)


def run_trials(task: Task, agent: str, queries: int, trials: int) -> NDArray[np.int64]:
    """Return the architectures that an agent queries, as indices ``(queries, trials)``."""
    envs = SequentialVectorEnv(trials, task=task)
    search = find_agent(agent).make_agent(envs, {}, seed=FIRST_SEED)
    found = []
    for _ in range(queries):
        genotypes = search.ask()
        found.append(task.space.encode(genotypes))
        search.tell(genotypes, task.reward(found[-1]))
    return np.stack(found)


def find_networks() -> dict[str, Any]:
    """Return, for each device, the network with the highest reward of all trials."""
    evaluator, found = surrogate_evaluator(TABLE), {}
    for device in DEVICES:
        task = make_device_task(reward=REWARDS[device])
        indices = run_trials(task, "rea", SEARCH_QUERIES, SEARCH_TRIALS).ravel()
        best = evaluator.space.decode(indices[[task.reward(indices).argmax()]])
        found[device] = {
            "arch": evaluator.space.to_text(best)[0],
            **describe_network(evaluator, best),
        }
    return found


NETWORKS = Measurement("imagenet-device-networks", find_networks)
STUDIES = [META_TRAINING, *ADAPTATION_STUDIES.values(), NETWORKS]

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


def network_table() -> str:
    """Return the table of the best network of each device next to EfficientNet-B0."""
    reference, rows = SURROGATE.result["efficientnet_b0"], []
    for device, best in NETWORKS.result.items():
        speed = SPEEDS[device]
        rows.append(
            [
                f"`{speed}`",
                f"{best['top1@half2']:.2f}",
                f"{best['top1@half2'] - reference['top1@half2']:+.2f}",
                f"{best[speed]:.5g}",
                f"{reference[speed]:.5g}",
                f"{best['macs']:.4g}",
                f"{best['params']:.4g}",
                f"`{best['arch']}`",
            ]
        )
    headers = ["speed", "`top1@half2`", "difference", "speed of the network",
               "speed of EfficientNet-B0", "MACs, M", "parameters, M", "network"]  # fmt: skip
    return markdown_table(headers, rows)
