"""Run the studies behind docs/reproduction-catch.md, and write it.

    python scripts/reproduce_catch.py                      # all; goes on where it was cut off
    python scripts/reproduce_catch.py --only catch-cifar10 # one study, and the page
    python scripts/reproduce_catch.py --only page          # the page alone

Results go to docs/results/<study>.json, figures to docs/figures/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from studies import (
    DOCS,
    MetaTraining,
    Study,
    Trainings,
    clustered,
    command,
    reproduce,
    saved_agent,
    table,
)

from nas_gym.experiments.figures import png, styles
from nas_gym.experiments.records import Trials
from nas_gym.tasks import task_sets
from nas_gym.utils.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINING = "catch-meta-training"
META_SEEDS = 50
FIRST_SEED = 10_000  # a multiple of the meta-seeds: trial s begins with the networks of s mod 50
BUDGETS = (5, 10, 15, 20, 50)
LEARNED = ("meta", "zero", "random")
TRUSTING = "second_opinion=false"  # the ablation that never doubts what was learned
REA_10 = "rea(population_size=10,sample_size=3)"
SFS = "catch(variant=sfs)"
_PICTURED = ("random", REA_10, "reinforce", "l2nas")  # beside CATCH's variants


def checkpoint(set_name: str, variant: str) -> Path:
    """Where the meta-trained agents of a task set are."""
    return saved_agent(TRAINING, set_name, variant)


def agent(set_name: str, variant: str, *settings: str) -> str:
    """A variant as the command line names it."""
    chosen = [*settings, f"pretrained={checkpoint(set_name, variant)}"]
    if variant != "meta":
        chosen.insert(0, f"variant={variant}")
    return f"catch({','.join(chosen)})"


@dataclass(frozen=True)
class Adaptation(Study):
    """A comparison on a test task, counted by meta-seed."""

    def run(self) -> None:
        """Run it, and keep how often each agent found the best ones."""
        super().run()
        kept = self.result
        trials = self.trials()
        kept["ranks"] = {each.agent: ranks(each) for each in trials}
        self._keep(kept)
        if self.pictured:
            write_atomically(
                DOCS / "figures" / f"{self.name}-sorted.png", png(sorted_trials(trials))
            )

    def _keep_pictures(self, pattern: str) -> None:
        """Curves of mean regret say little here."""


def ranks(trials: Trials) -> dict[str, Any]:
    """How the best architectures that trials found rank by reward in the whole space, from 0."""
    best = np.maximum.accumulate(trials.curves.rewards, axis=0)
    falling = -np.sort(-trials.task.rewards)
    found = np.searchsorted(-falling, -best, side="left")  # how many are better
    at = {}
    for queries in (each for each in BUDGETS if each <= len(found)):
        rank = found[queries - 1]
        top = (rank[:, None] < np.array([1, 3])).astype(float)
        by_seed = top.reshape(-1, META_SEEDS, 2).mean(axis=0)  # trials of one meta-seed together
        logs = np.log10(1 + rank).reshape(-1, META_SEEDS).mean(axis=0)
        at[str(queries)] = {
            "top1": clustered(by_seed[:, 0]),
            "top3": clustered(by_seed[:, 1]),
            "log10_rank": clustered(logs),
            "log10_rank_by_meta_seed": logs.round(4).tolist(),
            "failing_meta_seeds": float((by_seed[:, 0] == 0).mean()),
            "median_rank": float(np.median(rank)),
        }
    return at


def sorted_trials(found: Sequence[Trials]) -> Figure:
    """The accuracy of each trial's best architecture, each agent's trials sorted by it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.8, 5.2), layout="constrained")
    axes = figure.subplots()
    shown = [each for each in found if each.agent.startswith("catch") or each.agent in _PICTURED]
    looks = styles(each.agent for each in shown)
    for trials in shown:
        best = np.sort(trials.curves.rewards.max(axis=0))
        look = looks[trials.agent]
        axes.plot(
            best, label=label(trials.agent).strip("`"), color=look.color, linestyle=look.dashes
        )
    top = found[0].task.rewards
    low = np.sort(top)[-400]
    axes.set_ylim(low, top.max() + 0.03 * (top.max() - low))
    axes.set_xlabel("trials, sorted")
    axes.set_ylabel(f"{found[0].task.dataset}: best accuracy found, %")
    figure.legend(fontsize=8, ncols=2, loc="outside lower center")
    return figure


SB3 = (
    "ppo", "maskableppo", "recurrentppo", "a2c", "dqn", "qrdqn", "ddpg", "td3", "sac", "tqc"
)  # fmt: skip
IMAGES = ("cifar10", "cifar100", "ImageNet16-120")
ON_IMAGES = {
    target: Adaptation(
        f"catch-{target}",
        [f"NB201-{target}-v0"],
        ",".join(
            [
                *(agent(f"nb201-images/{target}", variant) for variant in LEARNED),
                agent(f"nb201-images/{target}", "meta", TRUSTING),
                SFS, "l2nas", "random", "rea", REA_10, "reinforce", "local", "tpe",
            ]
        ),
        50, 500, FIRST_SEED,
        {"table": "nats-bench"},
    )
    for target in IMAGES
}  # fmt: skip
SB3_ON_IMAGES = {
    target: replace(
        study, name=f"{study.name}-sb3", agents=",".join(SB3), seeds=META_SEEDS, pictured=False
    )
    for target, study in ON_IMAGES.items()
}
CONFLICTING = "nb201-conflicting"
PREFERENCES = task_sets.load(CONFLICTING).test
ON_CONFLICTING = {
    name: Adaptation(
        f"catch-conflicting-{name}",
        ["NB201-cifar10-v0"],
        ",".join([*(agent(CONFLICTING, variant) for variant in LEARNED), SFS]),
        50, 200, FIRST_SEED,
        {key: value for key, value in arguments.items() if key != "dataset"},
        pictured=False,
    )
    for name, arguments in PREFERENCES.items()
}  # fmt: skip
GRAPHS = [name.removeprefix("nbgraph/") for name in task_sets.TASK_SETS if "nbgraph/" in name]
ON_GRAPHS = {
    target: Adaptation(
        f"catch-nbgraph-{target}",
        [f"NBGraph-{target}-v0"],
        ",".join(
            [
                agent(f"nbgraph/{target}", "meta"),
                agent(f"nbgraph/{target}", "meta", TRUSTING),
                SFS,
            ]
        ),
        20, 500, FIRST_SEED,
        pictured=False,
    )
    for target in GRAPHS
}  # fmt: skip


def training(set_name: str, variant: str, epochs: int) -> MetaTraining:
    """That of a variant on a task set."""
    return MetaTraining(
        "catch", set_name, variant, {"variant": variant}, epochs, META_SEEDS, FIRST_SEED
    )


TRAININGS = [
    *(training(f"nb201-images/{target}", v, 25) for target in IMAGES for v in LEARNED),
    *(training(CONFLICTING, variant, 100) for variant in LEARNED),
    *(training(f"nbgraph/{target}", "meta", 25) for target in GRAPHS),
]


TRAINED = Trainings(TRAINING, TRAININGS)
STUDIES = (
    TRAINED, *ON_IMAGES.values(), *ON_CONFLICTING.values(), *ON_GRAPHS.values(),
    *SB3_ON_IMAGES.values(),
)  # fmt: skip

# what CATCH-meta is held to after 50 queries: the share of trials that find the best
BARS = {"cifar10": 0.88, "cifar100": 0.86, "ImageNet16-120": 0.55}


def share(entry: dict[str, float]) -> str:
    """A share in %, with its interval."""
    low, high = (100 * entry[end] for end in ("low", "high"))
    return f"{100 * entry['mean']:.1f} [{low:.1f}, {high:.1f}]"


def number(entry: dict[str, float]) -> str:
    """A mean with its interval."""
    return f"{entry['mean']:.2f} [{entry['low']:.2f}, {entry['high']:.2f}]"


def label(name: str) -> str:
    """An agent without the path that it was pre-trained in."""
    if not name.startswith("catch("):
        return f"`{name}`"
    variant = next((v for v in (*LEARNED[1:], "sfs") if f"variant={v}" in name), "meta")
    return f"CATCH-{variant}" + (" without second opinion" if TRUSTING in name else "")


def image_rows(of: str) -> list[list[str]]:
    """A share of every agent on the three image tasks after 50 queries."""
    found = [
        study.result["ranks"] | SB3_ON_IMAGES[target].result["ranks"]
        for target, study in ON_IMAGES.items()
    ]
    return [
        [
            label(names[0]),
            *(share(ranks[name]["50"][of]) for ranks, name in zip(found, names, strict=True)),
        ]
        for names in zip(*found, strict=True)
    ]


def bar_rows() -> list[list[str]]:
    """What CATCH-meta is held to, beside CATCH-sfs."""
    rows = []
    for target, study in ON_IMAGES.items():
        found = study.result["ranks"]
        meta = found[agent(f"nb201-images/{target}", "meta")]["50"]
        scratch = found[SFS]["50"]["top1"]["mean"]
        gain = 100 * (meta["top1"]["mean"] - scratch)
        held = "held" if meta["top1"]["mean"] >= BARS[target] else "missed"
        rows.append(
            [
                target, f"{100 * BARS[target]:.0f} {held}", share(meta["top1"]),
                f"{100 * meta['failing_meta_seeds']:.0f}", f"{gain:.0f}",
            ]
        )  # fmt: skip
    return rows


def conflicting_rows(queries: str) -> list[list[str]]:
    """Mean log10 of 1 + the best one's rank, on each conflicting task, and over all of them."""
    names = [*(agent(CONFLICTING, variant) for variant in LEARNED), SFS]
    rows = [
        [test, *(number(study.result["ranks"][name][queries]["log10_rank"]) for name in names)]
        for test, study in ON_CONFLICTING.items()
    ]
    return [
        *rows,
        ["**all**", *(number(mean_over(ON_CONFLICTING, name, queries)) for name in names)],
    ]


def mean_over(studies: Mapping[str, Study], name: str, queries: str) -> dict[str, float]:
    """The mean log10 rank over tasks, its interval over meta-seeds."""
    found = [
        study.result["ranks"][name][queries]["log10_rank_by_meta_seed"]
        for study in studies.values()
    ]
    return clustered(np.mean(found, axis=0))


def graph_rows(queries: str) -> list[list[str]]:
    """Mean log10 of 1 + the best one's rank on each graph data set, meta against sfs."""
    rows = []
    for target, study in ON_GRAPHS.items():
        found = [study.result["ranks"][name][queries] for name in study.result["ranks"]]
        logs = [np.array(each["log10_rank_by_meta_seed"]) for each in found]
        errors = [each.std(ddof=1) / len(each) ** 0.5 for each in logs]
        excess, error = logs[0].mean() - logs[2].mean(), float(np.hypot(errors[0], errors[2]))
        verdict = f"{excess:+.2f} ± {error:.2f}, {'held' if excess <= error else 'missed'}"
        rows.append([target, *(number(each["log10_rank"]) for each in found), verdict])
    return rows


def page() -> str:
    """docs/reproduction-catch.md."""
    template = (Path(__file__).parent / "reproduction-catch.md.jinja").read_text()
    names = list(IMAGES)
    variants = ["task", *(f"CATCH-{variant}" for variant in (*LEARNED, "sfs"))]
    return jinja2.Template(template, keep_trailing_newline=True).render(
        bars=table(
            ["target", "bar, %", "CATCH-meta, %", "failing meta-seeds, %", "points above sfs"],
            bar_rows(),
        ),
        top1=table(["agent", *names], image_rows("top1")),
        top3=table(["agent", *names], image_rows("top3")),
        conflicting={q: table(variants, conflicting_rows(q)) for q in ("10", "20", "50")},
        graphs={
            q: table(
                ["data set", "CATCH-meta", "without second opinion", "CATCH-sfs", "meta - sfs"],
                graph_rows(q),
            )
            for q in ("5", "15")
        },
        trainings="\n".join(TRAINED.commands),
        commands=[command(study) for study in STUDIES[1:]],
    )  # fmt: skip


if __name__ == "__main__":
    reproduce(__doc__, STUDIES, "reproduction-catch.md", page)
