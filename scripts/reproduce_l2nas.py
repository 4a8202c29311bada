"""Run the studies behind docs/reproduction-l2nas.md, and write it.

    python scripts/reproduce_l2nas.py                      # all; goes on where it was cut off
    python scripts/reproduce_l2nas.py --only l2nas-graphs  # one study, and the page
    python scripts/reproduce_l2nas.py --only page          # the page alone

Results go to docs/results/<study>.json, figures to docs/figures/.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray
from studies import RUNS, Search, Study, command, interval, reproduce, table

from nas_gym.experiments.settings import parse_agents
from nas_gym.tables.catalog import GRAPH_DATASETS

CIFAR10, CIFAR100, IMAGENET = (
    f"NB201-{dataset}-v0" for dataset in ("cifar10", "cifar100", "ImageNet16-120")
)
REA_10 = "rea(population_size=10,sample_size=3)"
INDEPENDENT = {"report": "nats-bench:cifar10-test"}  # of analog-nasbench, another training

ON_CIFAR10 = Study(
    "l2nas-cifar10", [CIFAR10], f"l2nas,random,rea,{REA_10},reinforce", 500, 100,
    env_arguments=INDEPENDENT, pictured=False,
)  # fmt: skip
ON_OTHERS = replace(
    ON_CIFAR10,
    name="l2nas-noise-0.3",
    envs=[CIFAR100, IMAGENET],
    env_arguments={"noise": 0.3},
    pictured=True,
)
NOISIER = replace(ON_OTHERS, name="l2nas-noise-1.0", env_arguments={"noise": 1.0}, pictured=False)
MAIN = (ON_CIFAR10, ON_OTHERS, NOISIER)
BLACK_BOX = tuple(
    replace(
        study,
        name=f"{study.name}-blackbox",
        agents="tpe,ddpg,td3,sac,tqc",
        queries=200,
        pictured=False,
    )
    for study in (ON_CIFAR10, ON_OTHERS)
)
PAPER = tuple(
    replace(
        study,
        name=f"{study.name}-paper",
        agents="l2nas-paper,random",
        queries=1000,
        pictured=False,
    )
    for study in (ON_CIFAR10, ON_OTHERS)
)
TWELVE_EPOCHS = tuple(
    Study(
        f"l2nas-12epochs-{dataset}", [env], f"l2nas,random,{REA_10}", 150, 100,
        env_arguments={"table": "nats-bench", "signal": f"nb201-12epochs:{dataset}-val"},
        pictured=False,
    )
    for env, dataset in ((CIFAR10, "cifar10"), (CIFAR100, "cifar100"), (IMAGENET, "ImageNet16-120"))
)  # fmt: skip
GRAPHS = Study(
    "l2nas-graphs", [f"NBGraph-{name}-v0" for name in GRAPH_DATASETS],
    f"l2nas,random,rea,{REA_10}", 150, 100,
    pictured=False,
)  # fmt: skip
TUNED_ON = ("NBGraph-cora-v0", "NBGraph-photo-v0")  # their validation, that is
ABLATIONS = {
    "l2nas": "the default",
    "l2nas(scaling=standard)": "rewards standardized instead of ranked",
    "l2nas(scaling=none)": "rewards as they are",
    "l2nas(revisits=true)": "pays again for what it has seen",
    "l2nas(num_candidates=1)": "no picking by the critic",
    "l2nas(noise=1000.0)": "uniform candidates in the actor's place",
    "l2nas(quantile=0.5)": "median critic",
    "l2nas(loss=squared)": "mean critic",
    "l2nas(num_critics=3)": "mean of three critics",
    "l2nas(min_batches=1)": "batches as the buffer fills",
}
ABLATED = tuple(
    replace(
        study,
        name=f"{study.name}-ablations",
        agents=",".join(ABLATIONS),
        queries=150,
        pictured=False,
    )
    for study in (ON_CIFAR10, ON_OTHERS)
)
PRETRAINING = Search(
    "l2nas-pretraining", [CIFAR10], "l2nas", 200, 100,
    env_arguments={"reward": "rescaled(best=0.94)"}, pictured=False,
)  # fmt: skip
PRETRAINED = f"l2nas(pretrained={RUNS / PRETRAINING.name}/agent.safetensors,num_random=0)"
TRANSFER = replace(
    ON_OTHERS, name="l2nas-transfer", agents=f"l2nas,{PRETRAINED}", queries=200, pictured=False
)
STATE = Search("l2nas-state", [CIFAR10], "l2nas", 500, 1, env_arguments=INDEPENDENT)
STUDIES = (
    *MAIN, *BLACK_BOX, *PAPER, *TWELVE_EPOCHS, GRAPHS, *ABLATED, PRETRAINING, TRANSFER, STATE
)  # fmt: skip

# L2NAS, Table 1: test accuracy, mean and standard deviation, in %
PUBLISHED = {
    500: [(94.11, 0.16), (72.69, 0.58), (46.74, 0.39)],
    1000: [(94.28, 0.08), (73.09, 0.35), (47.03, 0.27)],
}
# what the two configurations are held to
PAPER_BARS = {500: (94.1, 72.6, 46.5), 1000: (94.2, 73.0, 46.8)}
BARS = {150: (94.25, 73.0, 46.9), 500: (94.35, 73.3, 47.05)}

Cell = tuple[Study, str]
"""A column of a table: a study, and one of its environments."""


def cells(studies: Sequence[Study]) -> list[Cell]:
    """A column for each environment of studies."""
    return [(study, env) for study in studies for env in study.envs]


def accuracies(studies: Sequence[Study], agents: str, budgets: Sequence[int]) -> list[list[str]]:
    """Reported accuracies, and how many queries were unique."""
    rows = []
    for agent in parse_agents(agents):
        for queries in budgets:
            found = [study.at(env, agent, queries) for study, env in cells(studies)]
            unique = " / ".join(f"{each['unique_queries']:.0f}" for each in found)
            reports = [interval(each["report"]) for each in found]
            rows.append([f"`{agent}`", str(queries), *reports, unique])
    return rows


def iqm(regret: dict[str, Any], digits: int = 3) -> str:
    """Interquartile mean [interval]."""
    low, high = regret["iqm_interval"]
    return f"{regret['iqm']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def compared(regret: dict[str, Any], ours: dict[str, Any]) -> str:
    """IQM regret of another agent, and whether ours is below it."""
    if ours["iqm"] >= regret["iqm"]:
        return f"{iqm(regret)} **lower**"
    apart = ours["iqm_interval"][1] < regret["iqm_interval"][0]
    return iqm(regret) + ("" if apart else " overlap")


def so_far(found: dict[str, Any]) -> str:
    """How many trials saw so many distinct architectures, where not all did."""
    complete = found["complete"]
    return "" if complete == 1 else f", {100 * complete:.0f} % so far"


def unique_rows(studies: Sequence[Study], unique: int) -> list[list[str]]:
    """IQM regret after so many distinct architectures, ours first."""
    ours = [study.at(env, "l2nas", unique, "at_unique_queries") for study, env in cells(studies)]
    rows = [["`l2nas`", *(iqm(each["regret"]) for each in ours)]]
    others = (*studies, *BLACK_BOX)
    agents = dict.fromkeys(agent for study in others for agent in parse_agents(study.agents))
    for agent in list(agents)[1:]:
        row = [f"`{agent}`"]
        for (study, env), mine in zip(cells(studies), ours, strict=True):
            where = [s for s in others if env in s.envs and agent in parse_agents(s.agents)]
            where = [s for s in where if s.env_arguments == study.env_arguments]
            if not where:
                row.append("")
                continue
            found = where[0].at(env, agent, unique, "at_unique_queries")
            row.append(compared(found["regret"], mine["regret"]) + so_far(found))
        rows.append(row)
    return rows


def graph_rows() -> list[list[str]]:
    """Mean regrets on NAS-Bench-Graph at 150 queries, and the agents' mean ranks by them."""
    agents = list(parse_agents(GRAPHS.agents))
    rows, means = [], []
    for env in GRAPHS.envs:
        found = [GRAPHS.at(env, agent, 150)["regret"] for agent in agents]
        ends = [each["mean_interval"] for each in found]
        means.append([each["mean"] for each in found])
        texts = [f"{mean:.5f}" for mean in means[-1]]
        texts = [f"{t} [{low:.5f}, {high:.5f}]" for t, (low, high) in zip(texts, ends, strict=True)]
        rows.append([f"{env} *" if env in TUNED_ON else env, *texts])
    ranks = _ranks(np.array(means))
    untuned = [env not in TUNED_ON for env in GRAPHS.envs]
    for label, found in (("mean rank", ranks), ("mean rank of the others", ranks[untuned])):
        rows.append([label, *(f"{rank:.2f}" for rank in found.mean(axis=0))])
    return rows


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks within rows, from 1; equal values share theirs."""
    less = (values[:, None, :] < values[:, :, None]).sum(axis=2)
    equal = (values[:, None, :] == values[:, :, None]).sum(axis=2)
    ranks: NDArray[np.float64] = less + (equal + 1) / 2
    return ranks


def ablation_rows(unique: int) -> list[list[str]]:
    """IQM regret of each variant after so many distinct architectures."""
    rows = []
    for agent, what in ABLATIONS.items():
        found = [s.at(env, agent, unique, "at_unique_queries") for s, env in cells(ABLATED)]
        rows.append([what, f"`{agent}`", *(iqm(each["regret"]) + so_far(each) for each in found)])
    return rows


def paper_rows() -> list[list[str]]:
    """Table 1's rows beside ours."""
    rows = []
    for queries, published in PUBLISHED.items():
        names = (CIFAR10, CIFAR100, IMAGENET)
        for (study, env), bar in zip(cells(PAPER), PAPER_BARS[queries], strict=True):
            mean, std = published[names.index(env)]
            ours, rs = (study.at(env, agent, queries) for agent in ("l2nas-paper", "random"))
            rows.append(
                [
                    str(queries), env, f"{mean:.2f} ± {std:.2f}", interval(ours["report"]),
                    f"{bar} {'held' if ours['report']['mean'] >= bar else 'missed'}",
                    f"{ours['unique_queries']:.0f}", interval(rs["report"]),
                ]
            )  # fmt: skip
    return rows


def bar_rows() -> list[list[str]]:
    """What the default is held to."""
    rows = []
    for queries, bars in BARS.items():
        for (study, env), bar in zip(cells(MAIN[:2]), bars, strict=True):
            found = study.at(env, "l2nas", queries)["report"]
            held = "held" if found["mean"] >= bar else "missed"
            rows.append([str(queries), env, str(bar), interval(found, 3), held])
    return rows


def transfer_rows() -> list[list[str]]:
    """Fine-tuned with 100 queries, from scratch with 200."""
    rows = []
    for env in TRANSFER.envs:
        scratch, tuned = TRANSFER.at(env, "l2nas", 200), TRANSFER.at(env, PRETRAINED, 100)
        first = TRANSFER.at(env, PRETRAINED, 50)
        rows.append([env, *(interval(each["report"]) for each in (first, tuned, scratch))])
    return rows


def page() -> str:
    """docs/reproduction-l2nas.md."""
    columns = ["CIFAR-10", "CIFAR-100, σ 0.3", "ImageNet16-120, σ 0.3"]
    noisier = ["CIFAR-100, σ 1.0", "ImageNet16-120, σ 1.0"]
    images = ["CIFAR-10", "CIFAR-100", "ImageNet16-120"]
    agents = [f"`{agent}`" for agent in parse_agents(GRAPHS.agents)]
    names = ["agent", "queries"]
    template = Path(__file__).with_name("reproduction-l2nas.md.jinja").read_text()
    return jinja2.Template(template, keep_trailing_newline=True).render(
        seeds=ON_CIFAR10.seeds,
        black_box_queries=BLACK_BOX[0].queries,
        pretraining_queries=PRETRAINING.queries,
        bars=table(["queries", "environment", "bar", "l2nas", ""], bar_rows()),
        equal=table(
            [*names, *columns, *noisier, "unique"], accuracies(MAIN, ON_CIFAR10.agents, [150, 500])
        ),
        equal_unique={
            unique: table(["agent", *columns, *noisier], unique_rows(MAIN, unique))
            for unique in (50, 100, 150)
        },
        paper=table(
            ["queries", "environment", "paper", "l2nas-paper", "bar", "unique", "random"],
            paper_rows(),
        ),
        twelve_epochs=table(
            [*names, *images, "unique"],
            accuracies(TWELVE_EPOCHS, TWELVE_EPOCHS[0].agents, [150]),
        ),
        graphs=table(["environment", *agents], graph_rows()),
        ablations={
            unique: table(["variant", "settings", *columns], ablation_rows(unique))
            for unique in (50, 150)
        },
        transfer=table(
            ["environment", "fine-tuned, 50 queries", "fine-tuned, 100", "from scratch, 200"],
            transfer_rows(),
        ),
        commands="\n\n".join(command(study) for study in STUDIES),
    )


if __name__ == "__main__":
    reproduce(__doc__, STUDIES, "reproduction-l2nas.md", page)
