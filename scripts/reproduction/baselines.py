"""Baselines of NAS-Bench-201, regularized evolution, stable-baselines3 and TPE."""

from __future__ import annotations

from collections.abc import Mapping

from reproduction.pages import (
    Page,
    command_blocks,
    markdown_table,
    mean_and_deviation,
    quoted,
)
from reproduction.studies import CURVES, ComparisonStudy

IMAGE_TASKS = {
    "NB201-cifar10-v0": "CIFAR-10",
    "NB201-cifar100-v0": "CIFAR-100",
    "NB201-ImageNet16-120-v0": "ImageNet16-120",
}
NATS_BENCH = {"table": "nats-bench"}
SMALL_REA = "rea(population_size=10,sample_size=3)"
LARGE_REA = "rea(population_size=100,sample_size=25)"

TWELVE_EPOCHS = ComparisonStudy(
    name="nb201-12epochs",
    envs=list(IMAGE_TASKS),
    agents=["random", SMALL_REA, "reinforce", "reinforce(learning_rate=0.05)"],
    queries=100,
    seeds=500,
    env_arguments={**NATS_BENCH, "signal": "nb201-12epochs:cifar10-val"},
    figures=CURVES,
)
NOISE_FREE = ComparisonStudy(
    name="nb201-500queries",
    envs=list(IMAGE_TASKS),
    agents=["random", "local", "rea", SMALL_REA, "reinforce"],
    queries=500,
    seeds=500,
    env_arguments=NATS_BENCH,
    figures=CURVES,
)
SB3 = ComparisonStudy(
    name="sb3",
    envs=["NB201-cifar10-v0"],
    agents=[
        "random", "rea", "reinforce", "ppo", "a2c", "maskableppo", "recurrentppo", "dqn", "qrdqn",
        "ddpg", "td3", "sac", "tqc",
    ],
    queries=1000,
    seeds=20,
    figures=CURVES,
)  # fmt: skip
TPE = ComparisonStudy(
    name="tpe",
    envs=["NB201-cifar10-v0"],
    agents=["random", "tpe"],
    queries=500,
    seeds=20,
    figures=CURVES,
)
REA_GRAPHS = ComparisonStudy(
    name="rea-graphs",
    envs=["NBGraph-cora-v0", "NBGraph-photo-v0"],
    agents=["random", SMALL_REA, "rea", LARGE_REA],
    queries=500,
    seeds=200,
    first_seed=0,
    env_arguments={"signal": "valid_perf", "report": "valid_perf"},
    figures=CURVES,
)
REA_DRIFT = ComparisonStudy(
    name="rea-drift",
    envs=["NB201-cifar10-v0"],
    agents=["random", SMALL_REA, "rea", LARGE_REA],
    queries=500,
    seeds=200,
    first_seed=0,
    env_arguments={"signal": "analog_drift_86400", "report": "analog_drift_86400"},
    figures=CURVES,
)

PUBLISHED = {
    "random": ("RS", [(93.70, 0.36), (71.04, 1.07), (44.57, 1.25)]),
    SMALL_REA: ("REA", [(93.92, 0.30), (71.84, 0.99), (45.54, 1.03)]),
    "reinforce": ("REINFORCE", [(93.85, 0.37), (71.71, 1.09), (45.24, 1.18)]),
    "reinforce(learning_rate=0.05)": (
        "REINFORCE, rate 0.05",
        [(93.85, 0.37), (71.71, 1.09), (45.24, 1.18)],
    ),
}
"""Test accuracy in % (mean, standard deviation) on each of :data:`IMAGE_TASKS`, from Table 1 of
L2NAS (Mills et al., 2021), which quotes NAS-Bench-201 (Dong and Yang, 2020)."""


def published_rows() -> list[list[str]]:
    """Return the published test accuracies next to the measured accuracies."""
    rows = []
    for agent, (name, published) in PUBLISHED.items():
        for (env, dataset), (mean, std) in zip(IMAGE_TASKS.items(), published, strict=True):
            ours = TWELVE_EPOCHS.at(env, agent, 100)["report"]
            low, high = (end - mean for end in ours["mean_interval"])
            difference = f"{ours['mean'] - mean:+.2f} [{low:+.2f}, {high:+.2f}]"
            within = "yes" if abs(ours["mean"] - mean) <= std else "no"
            paper = f"{mean:.2f} ± {std:.2f}"
            rows.append([name, dataset, paper, mean_and_deviation(ours), difference, within])
    return rows


def noise_free_rows() -> list[list[str]]:
    """Return the test accuracy and the unique queries of every agent after 500 queries."""
    rows = []
    for agent in NOISE_FREE.agents:
        found = [NOISE_FREE.at(env, agent, 500) for env in IMAGE_TASKS]
        accuracies = [mean_and_deviation(each["report"]) for each in found]
        unique = " / ".join(f"{each['unique_queries']:.0f}" for each in found)
        rows.append([*quoted([agent]), *accuracies, unique])
    return rows


def regret_table(study: ComparisonStudy) -> str:
    """Return a table of the regret of each agent, with a comparison to random search."""
    (env,) = study.envs
    low, _ = study.at(env, "random", study.queries)["regret"]["mean_interval"]
    rows = []
    for agent in study.agents:
        entry = study.result["environments"][env]["agents"][agent]
        found = study.at(env, agent, study.queries)
        better = "yes" if found["regret"]["mean_interval"][1] < low else "no"
        rows.append(
            [
                f"`{agent}`",
                mean_and_deviation(found["regret"], 3),
                "" if agent == "random" else better,
                f"{100 * entry['reached']['best']:.0f} %",
                f"{found['unique_queries']:.0f}",
                f"{entry['agent_seconds']:.2g}",
            ]
        )
    headers = ["agent", "regret [95 %]", "below random search", "best found", "unique", "s"]
    return markdown_table(headers, rows)


def rea_rows() -> list[list[str]]:
    """Return the regret of regularized evolution, for several sizes, on the tuning tasks."""
    columns = [(REA_DRIFT, env, 3) for env in REA_DRIFT.envs]
    columns += [(REA_GRAPHS, env, 4) for env in REA_GRAPHS.envs]
    return [
        [f"`{agent}`"]
        + [
            mean_and_deviation(study.at(env, agent, 500)["regret"], digits)
            for study, env, digits in columns
        ]
        for agent in REA_DRIFT.agents
    ]


def blocks() -> Mapping[str, str]:
    """Return the generated blocks of the page."""
    return {
        "published": markdown_table(
            ["method", "data set", "paper", "ours", "difference", "within one standard deviation"],
            published_rows(),
        ),
        "published-command": command_blocks([TWELVE_EPOCHS]),
        "noise-free": markdown_table(
            ["agent", *IMAGE_TASKS.values(), "unique queries"], noise_free_rows()
        ),
        "noise-free-command": command_blocks([NOISE_FREE]),
        "sb3": regret_table(SB3),
        "sb3-command": command_blocks([SB3]),
        "rea": markdown_table(
            ["agent", "analog_drift_86400 (%)", "cora, validation", "photo, validation"],
            rea_rows(),
        ),
        "rea-commands": command_blocks([REA_DRIFT, REA_GRAPHS]),
        "tpe": regret_table(TPE),
        "tpe-command": command_blocks([TPE]),
    }


PAGE = Page(
    "results/baselines.md", [TWELVE_EPOCHS, NOISE_FREE, SB3, TPE, REA_GRAPHS, REA_DRIFT], blocks
)
