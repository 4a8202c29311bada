"""Run the studies behind docs/reproduction-catch.md, and write it.

    python scripts/reproduce_catch.py                      # all; goes on where it was cut off
    python scripts/reproduce_catch.py --only catch-cifar10 # one study, and the page
    python scripts/reproduce_catch.py --only page          # the page alone

Results go to docs/results/<study>.json, figures to docs/figures/.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from studies import DOCS, RUNS, Study

from nas_gym import task_sets
from nas_gym.experiments import bootstrap
from nas_gym.experiments.compare import Comparison, contenders
from nas_gym.experiments.jobs import cores
from nas_gym.experiments.records import Trials

META_SEEDS = 50
FIRST_SEED = 10_000  # a multiple of the meta-seeds: trial s begins with the networks of s mod 50
BUDGETS = (5, 10, 15, 20, 50)
LEARNED = ("meta", "zero", "random")
REA_10 = "rea(population_size=10,sample_size=3)"
SFS = "catch(variant=sfs)"


def checkpoint(set_name: str, variant: str) -> Path:
    """Where the meta-trained agents of a task set are."""
    return RUNS / "catch-meta-training" / f"{set_name.replace('/', '-')}-{variant}.safetensors"


def agent(set_name: str, variant: str) -> str:
    """A variant as the command line names it."""
    settings = "" if variant == "meta" else f"variant={variant},"
    return f"catch({settings}pretrained={checkpoint(set_name, variant)})"


@dataclass(frozen=True)
class MetaTraining:
    """One call of ``nas-gym meta-train``."""

    set_name: str
    variant: str
    epochs: int

    @property
    def command(self) -> str:
        """The command line."""
        words = f"nas-gym meta-train {self.set_name} --epochs {self.epochs} --seeds {META_SEEDS}"
        words += f" --first-seed {FIRST_SEED} --set variant={self.variant}"
        return f"{words} --out {checkpoint(self.set_name, self.variant)}"

    def run(self) -> None:
        """Run it, on one core."""
        import torch

        from nas_gym.experiments.meta_train import meta_train

        torch.set_num_threads(1)
        meta_train(
            task_sets.load(self.set_name),
            "catch",
            checkpoint(self.set_name, self.variant),
            epochs=self.epochs,
            queries=20,
            seeds=META_SEEDS,
            first_seed=FIRST_SEED,
            settings={"variant": self.variant},
            progress_bar=False,
        )


@dataclass(frozen=True)
class Adaptation(Study):
    """A comparison on a test task, counted by meta-seed."""

    pictured: bool = False

    def run(self) -> None:
        """Run it, and keep how often each agent found the best ones."""
        super().run()
        kept = self.result
        kept["ranks"] = {each.agent: ranks(each) for each in self.trials()}
        self._keep(kept)

    def trials(self) -> list[Trials]:
        """All trials, as they were kept."""
        wanted = Comparison(
            self.envs, self.agents, self.queries, self.seeds, self.first_seed, self.env_arguments
        )
        return [contender.trials() for contender in contenders(wanted, RUNS / self.name)]


def ranks(trials: Trials) -> dict[str, Any]:
    """How the best architectures that trials found rank by reward in the whole space, from 0."""
    best = np.maximum.accumulate(trials.curves.rewards, axis=0)
    falling = -np.sort(-trials.task.rewards)
    found = np.searchsorted(-falling, -best, side="left")  # how many are better
    at = {}
    for queries in BUDGETS:
        rank = found[queries - 1]
        top = (rank[:, None] < np.array([1, 3])).astype(float)
        by_seed = top.reshape(-1, META_SEEDS, 2).mean(axis=0)  # trials of one meta-seed together
        logs = np.log10(1 + rank).reshape(-1, META_SEEDS).mean(axis=0)
        at[str(queries)] = {
            "top1": clustered(by_seed[:, 0]),
            "top3": clustered(by_seed[:, 1]),
            "log10_rank": clustered(logs),
            "failing_meta_seeds": float((by_seed[:, 0] == 0).mean()),
            "median_rank": float(np.median(rank)),
        }
    return at


def clustered(by_seed: NDArray[np.float64]) -> dict[str, float]:
    """The mean over meta-seeds, and its 95 % bootstrap interval."""
    low, high = bootstrap.interval(by_seed, "mean")
    return {"mean": float(by_seed.mean()), "low": float(low), "high": float(high)}


IMAGES = ("cifar10", "cifar100", "ImageNet16-120")
ON_IMAGES = {
    target: Adaptation(
        f"catch-{target}",
        [f"NB201-{target}-v0"],
        ",".join(
            [
                *(agent(f"nb201-images/{target}", variant) for variant in LEARNED),
                SFS, "l2nas", "random", "rea", REA_10, "reinforce", "local",
            ]
        ),
        50, 500, FIRST_SEED,
        {"table": "nats-bench"},
    )
    for target in IMAGES
}  # fmt: skip
CONFLICTING = "nb201-conflicting"
PREFERENCES = task_sets.load(CONFLICTING).test
ON_CONFLICTING = {
    name: Adaptation(
        f"catch-conflicting-{name}",
        ["NB201-cifar10-v0"],
        ",".join([*(agent(CONFLICTING, variant) for variant in LEARNED), SFS]),
        50, 200, FIRST_SEED,
        {key: value for key, value in arguments.items() if key != "dataset"},
    )
    for name, arguments in PREFERENCES.items()
}  # fmt: skip
TRAININGS = [
    *(MetaTraining(f"nb201-images/{target}", v, 25) for target in IMAGES for v in LEARNED),
    *(MetaTraining(CONFLICTING, variant, 100) for variant in LEARNED),
]


@dataclass(frozen=True)
class Trainings:
    """All meta-trainings, over the cores."""

    name: str = "catch-meta-training"

    def run(self) -> None:
        """Run what is missing."""
        (RUNS / self.name).mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(cores()) as pool:
            list(pool.map(MetaTraining.run, TRAININGS))
        self.result_file.parent.mkdir(parents=True, exist_ok=True)
        commands = [training.command for training in TRAININGS]
        self.result_file.write_text(json.dumps({"commands": commands}, indent=1) + "\n")

    @property
    def result_file(self) -> Path:
        """Where its commands are kept."""
        return DOCS / "results" / f"{self.name}.json"


if __name__ == "__main__":
    import sys

    Trainings().run()
    for study in (*ON_IMAGES.values(), *ON_CONFLICTING.values()):
        if len(sys.argv) == 1 or study.name in sys.argv:
            study.run()
