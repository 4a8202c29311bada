"""Run the studies behind docs/reproduction-mpnas.md, and write it.

    python scripts/reproduce_mpnas.py                        # all; goes on where it was cut off
    python scripts/reproduce_mpnas.py --only mpnas-transfer  # one study, and the page
    python scripts/reproduce_mpnas.py --only page            # the page alone

Results go to docs/results/<study>.json, figures to docs/figures/.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from numpy.typing import NDArray
from studies import (
    DOCS,
    RUNS,
    MetaTraining,
    Result,
    Study,
    Trainings,
    clustered,
    command,
    reproduce,
    table,
)

from nas_gym import tables
from nas_gym.agents import MPNAS
from nas_gym.agents.mpnas import known_architectures
from nas_gym.experiments.figures import png
from nas_gym.experiments.jobs import cores
from nas_gym.spaces.graphs import Graphs, to_graphs
from nas_gym.tasks import task_sets
from nas_gym.utils.files import write_atomically
from nas_gym.utils.ranks import spearman

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nas_gym.predictors.predictor import Predictor
    from nas_gym.spaces import SearchSpace

META_SEEDS = 5
FIRST_SEED = 10_000  # a multiple of the meta-seeds: trial s begins with the network of s mod 5
DRAWS = 10  # of shots
SHOTS = (5, 25, 50)
TESTED = 3000  # architectures that were neither meta-learned from nor shots
TARGETS = {
    "cifar10": ("nats-bench:cifar10-test",),
    "cifar100": ("nats-bench:cifar100-test",),
    "ImageNet16-120": ("nats-bench:ImageNet16-120-test",),
    "cpu": ("help-latency:gold_6226", "help-latency:silver_4114"),
    "gpu": ("help-latency:1080ti_1", "help-latency:1080ti_256"),
}
"""What is left out of each task set, and which of its columns are predicted."""

MAIN = [columns[0] for columns in TARGETS.values()]
BARS = dict(zip(MAIN, (0.92, 0.92, 0.89, 0.80, 0.73), strict=True))
PAPER = dict(zip(MAIN, ("0.92", "0.93", "0.89", "", ""), strict=True))
VARIANTS: dict[str, dict[str, Any]] = {
    "mpnas": {},
    "joint": {"joint": 1.0, "algorithm": "maml"},
    "boil-alone": {"joint": 0.0},
    "maml": {"algorithm": "maml"},
    "anil": {"algorithm": "anil"},
    "first-order": {"first_order": True},
}
COMPARED = ("mpnas", "joint")  # on all targets
ABLATED = ("cifar10", "gpu")  # the targets of the others, an accuracy and a latency
TRAINED = [
    (target, variant)
    for variant in VARIANTS
    for target in (TARGETS if variant in COMPARED else ABLATED)
]
EPOCHS = {"joint": 45}  # joint pre-training is cheaper: as long as the others on the clock
NAMES = {
    "mpnas": "MP-NAS",
    "joint": "joint pre-training",
    "boil-alone": "BOIL alone",
    "maml": "MAML",
    "anil": "ANIL",
    "first-order": "BOIL, first order",
    "random": "random initialization",
}

Correlations = dict[str, list[list[float]]]  # by shots: of each meta-seed, of each draw


def training(target: str, variant: str) -> MetaTraining:
    """That of a variant on the task set that leaves out a target."""
    return MetaTraining(
        "mpnas",
        f"nb201-metrics/{target}",
        variant,
        VARIANTS[variant],
        EPOCHS.get(variant, MPNAS.meta_epochs),
        META_SEEDS,
        FIRST_SEED,
    )


def predictors(target: str, variant: str) -> list[Predictor]:
    """The networks of each meta-seed where fine-tuning begins."""
    import gymnasium as gym

    envs = gym.make_vec("NB201-cifar10-v0", num_envs=META_SEEDS)
    settings = VARIANTS[variant] | {"pretrained": str(training(target, variant).path)}
    return MPNAS(envs, seed=FIRST_SEED, **settings).start


# -- few-shot prediction --------------------------------------------------------------------------


def part_of(graphs: Graphs, rows: NDArray[np.int64]) -> Graphs:
    """Some of the graphs."""
    return Graphs(graphs.adjacency[rows], graphs.nodes[rows])


@dataclass(frozen=True)
class Audience:
    """Architectures that shots are drawn from, and others that predictions are judged on."""

    graphs: Graphs
    pool: NDArray[np.int64]
    tested: NDArray[np.int64]

    @classmethod
    def unknown(cls, space: SearchSpace, seed: int) -> Audience:
        """Those of NAS-Bench-201 that a meta-seed's predictor did not learn from."""
        known = known_architectures(space.size, seed, MPNAS.meta_queries)
        others = np.random.default_rng([seed, 2]).permutation(
            np.setdiff1d(np.arange(space.size), known)
        )
        graphs = to_graphs(space, space.decode(np.arange(space.size)))
        return cls(graphs, others[TESTED:], others[:TESTED])

    def judge(
        self, predictor: Predictor, values: NDArray[np.float64], seed: int, shots: Sequence[int]
    ) -> dict[str, list[float]]:
        """Spearman's correlation without shots, and with so many, of each draw of them."""
        rng = np.random.default_rng([seed, 3])
        tested, truth = part_of(self.graphs, self.tested), values[self.tested]
        found = {"0": [spearman(predictor.predict(tested), truth)]}
        for count in shots:
            found[str(count)] = []
            for _ in range(DRAWS):
                drawn = rng.choice(self.pool, count, replace=False)
                fitted = predictor.fit(part_of(self.graphs, drawn), values[drawn])
                found[str(count)].append(spearman(fitted.predict(tested), truth))
        return found


def column(name: str) -> NDArray[np.float64]:
    """A column ``table:metric``."""
    of, _, metric = name.partition(":")
    return tables.load_table(of).column(metric)


def random_start(seed: int) -> Predictor:
    """A network that learned nothing; all of it is fine-tuned."""
    from nas_gym.predictors.config import PredictorConfig
    from nas_gym.predictors.predictor import Predictor

    return Predictor(PredictorConfig(algorithm="maml"), seed=seed)


def start(target: str, variant: str, index: int) -> Predictor:
    """Where fine-tuning begins for a meta-seed."""
    if variant == "random":
        return random_start(FIRST_SEED + index)
    return predictors(target, variant)[index]


def transfer(target: str, variant: str, index: int) -> dict[str, dict[str, list[float]]]:
    """How well a meta-seed's predictor ranks each of a target's columns."""
    quiet()
    seed = FIRST_SEED + index
    audience = Audience.unknown(tables.load_table("nats-bench").space, seed)
    begun = start(target, variant, index)
    return {each: audience.judge(begun, column(each), seed, SHOTS) for each in TARGETS[target]}


def naive(source: str, index: int) -> dict[str, dict[str, list[float]]]:
    """How well a predictor of one column alone ranks the columns of all other targets."""
    from nas_gym.predictors.config import MetaTrainingConfig, PredictorConfig
    from nas_gym.predictors.gcn import to_tensors
    from nas_gym.predictors.meta_training import MetaTraining as Training
    from nas_gym.predictors.meta_training import MetricSource

    quiet()
    seed = FIRST_SEED + index
    space = tables.load_table("nats-bench").space
    known = known_architectures(space.size, seed, MPNAS.meta_queries)
    audience = Audience.unknown(space, seed)
    labels = column(TARGETS[source][0])[known]
    learning = Training(
        PredictorConfig(algorithm="maml"),
        MetaTrainingConfig(epochs=15, joint=1.0),
        [MetricSource(to_tensors(part_of(audience.graphs, known)), labels[None])],
        seed,
    )
    for _ in range(learning.schedule.epochs):
        learning.run_epoch()
    return {
        each: audience.judge(learning.learned, column(each), seed, SHOTS[:1])
        for target, columns in TARGETS.items()
        for each in columns
        if target != source
    }


def quiet() -> None:
    """One core for each process."""
    import torch

    torch.set_num_threads(1)


@dataclass(frozen=True)
class Parallel(Result):
    """A study of many independent jobs, each kept as it ends.

    Attributes:
        job: called with each of ``arguments``.
        arguments: of the jobs.
        merge: of their results, in order, into what is kept with the documentation.
    """

    job: Callable[..., Any]
    arguments: Sequence[tuple[Any, ...]]
    merge: Callable[[Sequence[tuple[Any, ...]], list[Any]], Any] = field(repr=False)

    def run(self) -> None:
        """Run what is missing over the cores."""
        with ProcessPoolExecutor(cores()) as pool:
            results = list(pool.map(self._one, self.arguments))
        self.keep(self.merge(self.arguments, results), indent=None)

    def _one(self, arguments: tuple[Any, ...]) -> Any:
        kept = RUNS / self.name / ("-".join(map(str, arguments)) + ".json")
        if not kept.exists():
            write_atomically(kept, json.dumps(self.job(*arguments)).encode())
        return json.loads(kept.read_text())


def by_column(arguments: Sequence[tuple[Any, ...]], results: list[Any]) -> dict[str, Any]:
    """``{column: {variant: {shots: [[correlation of each draw] of each meta-seed]}}}``."""
    merged: dict[str, dict[str, Correlations]] = {}
    for (_, variant, _), found in zip(arguments, results, strict=True):
        for name, by_shots in found.items():
            entry = merged.setdefault(name, {}).setdefault(variant, {})
            for shots, values in by_shots.items():
                entry.setdefault(shots, []).append(np.round(values, 4).tolist())
    return merged


def by_source(arguments: Sequence[tuple[Any, ...]], results: list[Any]) -> dict[str, Any]:
    """As :func:`by_column`, with sources in the place of variants."""
    return by_column([(None, *each) for each in arguments], results)


TRAINING = Trainings(
    "mpnas-meta-training",
    [training(target, variant) for target, variant in TRAINED],
)
TRANSFER = Parallel(
    "mpnas-transfer",
    transfer,
    [
        (*each, seed)
        for each in (*TRAINED, *product(TARGETS, ["random"]))
        for seed in range(META_SEEDS)
    ],
    by_column,
)
NAIVE = Parallel("mpnas-naive", naive, list(product(TARGETS, range(META_SEEDS))), by_source)


# -- to another search space ----------------------------------------------------------------------


def graphs(dataset: str, variant: str, index: int) -> dict[str, list[float]]:
    """How well what was learned on cells of image networks ranks graph networks."""
    quiet()
    seed = FIRST_SEED + index
    found = tables.load_table(f"nas-bench-graph-{dataset}")
    everything = np.arange(found.space.size)
    order = np.random.default_rng([seed, 2]).permutation(everything)
    unified = to_graphs(found.space, found.space.decode(everything))
    audience = Audience(unified, order[TESTED:], order[:TESTED])
    values = found.column(found.objectives[dataset].signal)
    return audience.judge(start(ON_GRAPHS, variant, index), values, seed, SHOTS)


COMPARED_ON_GRAPHS = ("mpnas", "random")
ON_GRAPHS = "cifar10"  # any of the meta-trainings will do: none has seen graphs
DATASETS = [name.removeprefix("nbgraph/") for name in task_sets.TASK_SETS if "nbgraph/" in name]


def by_dataset(arguments: Sequence[tuple[Any, ...]], results: list[Any]) -> dict[str, Any]:
    """As :func:`by_column`, with data sets in the place of columns."""
    named = [{dataset: found} for (dataset, *_), found in zip(arguments, results, strict=True)]
    return by_column(arguments, named)


GRAPHS = Parallel(
    "mpnas-nbgraph",
    graphs,
    list(product(DATASETS, COMPARED_ON_GRAPHS, range(META_SEEDS))),
    by_dataset,
)


# -- synthetic tasks (section 4.1) ----------------------------------------------------------------

RUNS_OF_EACH = 40
LEARNED_FROM = 256  # architectures
CORRELATIONS = (0.2, 0.4, 0.6, 0.8, 0.95)
COUNTS = (1, 2, 5, 10, 20)
UNCORRELATED = (0, 5, 10, 50, 100)
MIDDLE = (0.8, 10, 0)  # correlation, tasks and uncorrelated tasks, where they do not vary
SETTINGS = list(
    dict.fromkeys(
        [(each, *MIDDLE[1:]) for each in CORRELATIONS]
        + [(MIDDLE[0], each, MIDDLE[2]) for each in COUNTS]
        + [(*MIDDLE[:2], each) for each in UNCORRELATED]
    )
)


def synthetic(correlation: float, count: int, uncorrelated: int) -> dict[str, list[float]]:
    """Spearman's correlation after 5 shots on a task of CIFAR-100's accuracies and noise, meta-
    trained on others of the kind; and from a random network."""
    from nas_gym.predictors.config import MetaTrainingConfig, PredictorConfig
    from nas_gym.predictors.gcn import to_tensors
    from nas_gym.predictors.meta_training import MetaTraining as Training
    from nas_gym.predictors.meta_training import MetricSource

    quiet()
    space = tables.load_table("nats-bench").space
    unified = to_graphs(space, space.decode(np.arange(space.size)))
    accuracy = column("nats-bench:cifar100-test")
    found: dict[str, list[float]] = {"mpnas": [], "random": []}
    for run in range(RUNS_OF_EACH):
        rng = np.random.default_rng([FIRST_SEED + run, 4])
        tasks = noisy(accuracy, correlation, count + 1, rng)
        noise = rng.normal(size=(uncorrelated, space.size))
        order = rng.permutation(space.size)
        known, shots, tested = np.split(
            order[: LEARNED_FROM + 5 + TESTED], [LEARNED_FROM, LEARNED_FROM + 5]
        )
        labels = np.concatenate([tasks[:-1], noise])[:, known]
        learning = Training(
            PredictorConfig(),
            MetaTrainingConfig(epochs=6, steps=50),
            [MetricSource(to_tensors(part_of(unified, known)), labels)],
            FIRST_SEED + run,
        )
        for _ in range(learning.schedule.epochs):
            learning.run_epoch()
        begun = {"mpnas": learning.learned, "random": random_start(FIRST_SEED + run)}
        for name, predictor in begun.items():
            fitted = predictor.fit(part_of(unified, shots), tasks[-1, shots])
            scores = fitted.predict(part_of(unified, tested))
            found[name].append(round(spearman(scores, tasks[-1, tested]), 4))
    return found


def noisy(
    values: NDArray[np.float64], correlation: float, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The values with Gaussian noise (Eq. 8), ``(count, n)``; any two correlate so."""
    deviation = values.std() * np.sqrt(1 / correlation - 1)
    return values + deviation * rng.normal(size=(count, len(values)))


def by_setting(arguments: Sequence[tuple[Any, ...]], results: list[Any]) -> dict[str, Any]:
    """``{"correlation, tasks, uncorrelated": {variant: [correlation of each run]}}``."""
    return {
        ", ".join(map(str, each)): found for each, found in zip(arguments, results, strict=True)
    }


SYNTHETIC = Parallel("mpnas-synthetic", synthetic, SETTINGS, by_setting)


# -- search ---------------------------------------------------------------------------------------

QUERIES = (1, 5, 10, 20, 30)
REA_10 = "rea(population_size=10,sample_size=3)"


def agent(target: str, variant: str) -> str:
    """A meta-trained agent as the command line names it."""
    settings = VARIANTS[variant] | {"pretrained": training(target, variant).path}
    return f"mpnas({','.join(f'{name}={value}' for name, value in settings.items())})"


@dataclass(frozen=True)
class FewQueries(Study):
    """A comparison after few queries, counted by meta-seed."""

    def run(self) -> None:
        """Run it, and keep how agents stood after few queries."""
        super().run()
        kept = self.result
        kept["reports"] = {}
        for trials in self.trials():
            at = {}
            for queries in QUERIES:
                reports = trials.curves.reports[queries - 1]
                groups = META_SEEDS if "pretrained" in trials.agent else len(reports)
                at[str(queries)] = clustered(reports.reshape(-1, groups).mean(axis=0))
            kept["reports"][trials.agent] = at
        self._keep(kept)


IMAGES = ("cifar10", "cifar100", "ImageNet16-120")
SEARCH_BARS = dict(zip(IMAGES, (94.3, 73.4, 47.0), strict=True))
SEARCH_PAPER = dict(zip(IMAGES, (94.37, 73.49, 47.2), strict=True))
SEARCHES = {
    target: FewQueries(
        f"mpnas-search-{target}",
        [f"NB201-{target}-v0"],
        ",".join(
            [*(agent(target, each) for each in COMPARED), "mpnas", "l2nas", "random", REA_10, "tpe"]
        ),
        30, 50, FIRST_SEED,
        {"table": "nats-bench"},
    )
    for target in IMAGES
}  # fmt: skip
STUDIES = (TRAINING, TRANSFER, NAIVE, GRAPHS, SYNTHETIC, *SEARCHES.values())


# -- the page -------------------------------------------------------------------------------------


def by_seed(draws: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """The mean over the draws of each meta-seed."""
    return np.array([np.mean(each) for each in draws])


def number(values: NDArray[np.float64]) -> str:
    """A mean over meta-seeds with its 95 % interval."""
    entry = clustered(values)
    return f"{entry['mean']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"


def over_targets(
    variant: str, shots: str, targets: Sequence[str] = tuple(TARGETS)
) -> NDArray[np.float64]:
    """The mean over the main columns of targets, of each meta-seed."""
    found = TRANSFER.result
    columns = [TARGETS[target][0] for target in targets]
    return np.mean([by_seed(found[each][variant][shots]) for each in columns], axis=0)


def bar_rows() -> list[list[str]]:
    """What MP-NAS is held to after 5 shots, beside random initialization."""
    rows = []
    for each in MAIN:
        found = TRANSFER.result[each]
        ours, random = (by_seed(found[name]["5"]) for name in ("mpnas", "random"))
        verdict = "held" if ours.mean() >= BARS[each] else "missed"
        rows.append(
            [
                f"`{each}`", f"{BARS[each]:.2f} {verdict}", PAPER[each] or "-", number(ours),
                number(random), f"{ours.mean() - random.mean():+.2f}",
            ]
        )  # fmt: skip
    return rows


def shot_rows(variants: Sequence[str], shots: Sequence[str]) -> list[list[str]]:
    """Correlations of all columns, and the mean over the main ones."""
    found = TRANSFER.result
    rows = [
        [f"`{each}`", NAMES[name], *(f"{by_seed(found[each][name][k]).mean():.3f}" for k in shots)]
        for each in found
        for name in variants
    ]
    means = [["**mean of five**", *row] for row in mean_rows(variants, shots, tuple(TARGETS))]
    return [*rows, *means]


def mean_rows(
    variants: Sequence[str], shots: Sequence[str], targets: Sequence[str]
) -> list[list[str]]:
    """The means over the main columns of targets."""
    return [
        [NAMES[name], *(number(over_targets(name, k, targets)) for k in shots)] for name in variants
    ]


def naive_rows() -> list[list[str]]:
    """Naive transfer after 5 shots: mean over sources, and the best of them."""
    rows = []
    for each in MAIN:
        sources = {name: by_seed(found["5"]) for name, found in NAIVE.result[each].items()}
        best = max(sources, key=lambda name: float(sources[name].mean()))
        ours = by_seed(TRANSFER.result[each]["mpnas"]["5"])
        mean = np.mean(list(sources.values()), axis=0)
        rows.append([f"`{each}`", number(ours), number(mean), f"{number(sources[best])} ({best})"])
    return rows


def graph_rows() -> list[list[str]]:
    """From cells of image networks to graph networks."""
    rows = []
    for dataset, found in GRAPHS.result.items():
        for shots in ("5", "25", "50"):
            ours, random = (by_seed(found[name][shots]) for name in ("mpnas", "random"))
            gain = f"{(ours - random).mean():+.2f}"
            rows.append([dataset, shots, number(ours), number(random), gain])
    return [*rows, *mean_graph_rows()]


def mean_graph_rows() -> list[list[str]]:
    """The mean over the data sets, with an interval of the gain."""
    rows = []
    for shots in ("5", "25", "50"):
        ours, random = (
            np.mean([by_seed(found[name][shots]) for found in GRAPHS.result.values()], axis=0)
            for name in ("mpnas", "random")
        )
        gain = clustered(ours - random)
        text = f"{gain['mean']:+.2f} [{gain['low']:+.2f}, {gain['high']:+.2f}]"
        rows.append(["**mean**", shots, number(ours), number(random), text])
    return rows


def search_rows() -> list[list[str]]:
    """What agents reported after few queries."""
    rows = []
    for target, study in SEARCHES.items():
        for name, at in study.result["reports"].items():
            shown = [f"{at[str(q)]['mean']:.2f} [{at[str(q)]['low']:.2f}, {at[str(q)]['high']:.2f}]"
                     for q in QUERIES]  # fmt: skip
            rows.append([target, label(name), *shown])
    return rows


def label(name: str) -> str:
    """An agent without the path that it was pre-trained in."""
    if "pretrained" not in name:
        return f"`{name}`"
    return NAMES["joint"] if "joint=1.0" in name else "MP-NAS"


def search_bars() -> list[list[str]]:
    """What MP-NAS is held to after 30 queries."""
    rows = []
    for target, study in SEARCHES.items():
        found = study.result["reports"][agent(target, "mpnas")]["30"]
        verdict = "held" if found["mean"] >= SEARCH_BARS[target] else "missed"
        rows.append(
            [
                target, f"{SEARCH_BARS[target]} {verdict}", str(SEARCH_PAPER[target]),
                f"{found['mean']:.2f} [{found['low']:.2f}, {found['high']:.2f}]",
            ]
        )  # fmt: skip
    return rows


def draw_synthetic() -> None:
    """The paper's Figure 2: what transfer depends on."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    panels = (("correlation between tasks", 0, CORRELATIONS), ("tasks learned from", 1, COUNTS),
              ("uncorrelated tasks besides", 2, UNCORRELATED))  # fmt: skip
    for axes, (name, place, values) in zip(figure.subplots(1, 3, sharey=True), panels, strict=True):
        settings = [(*MIDDLE[:place], value, *MIDDLE[place + 1 :]) for value in values]
        _draw_panel(axes, values, settings)
        axes.set_xlabel(name)
    figure.axes[0].set_ylabel("Spearman correlation, 5 shots")
    figure.axes[0].legend(fontsize=8)
    write_atomically(DOCS / "figures" / "mpnas-synthetic.png", png(figure))


def _draw_panel(axes: Axes, values: Sequence[float], settings: Sequence[tuple[Any, ...]]) -> None:
    found = [SYNTHETIC.result[", ".join(map(str, each))] for each in settings]
    for name in ("mpnas", "random"):
        means = [np.mean(each[name]) for each in found]
        errors = [np.std(each[name], ddof=1) / len(each[name]) ** 0.5 for each in found]
        axes.errorbar(range(len(values)), means, errors, label=NAMES[name], capsize=2, marker="o")
    axes.set_xticks(range(len(values)), [str(each) for each in values])


def draw_shots() -> None:
    """Correlation against shots, the mean over the five left-out targets."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 3.2), layout="constrained")
    axes = figure.subplots()
    shots = [0, *SHOTS]
    for name in (*COMPARED, "random"):
        means = [over_targets(name, str(k)).mean() for k in shots]
        axes.plot(range(len(shots)), means, label=NAMES[name], marker="o", markersize=3)
    axes.set_xticks(range(len(shots)), [str(k) for k in shots])
    axes.set_xlabel("labelled architectures")
    axes.set_ylabel("Spearman correlation")
    axes.legend(fontsize=7)
    write_atomically(DOCS / "figures" / "mpnas-shots.png", png(figure))


def page() -> str:
    """docs/reproduction-mpnas.md."""
    draw_synthetic()
    draw_shots()
    template = (Path(__file__).parent / "reproduction-mpnas.md.jinja").read_text()
    shots = ["0", *map(str, SHOTS)]
    headers = ["column", "begun with", *(f"{k} shots" for k in shots)]
    synthetic = [
        [key, *(f"{np.mean(found[name]):.3f}" for name in ("mpnas", "random"))]
        for key, found in SYNTHETIC.result.items()
    ]
    return jinja2.Template(template, keep_trailing_newline=True).render(
        bars=table(
            ["column", "bar", "paper", "MP-NAS", "random initialization", "gain"], bar_rows()
        ),
        shots=table(headers, shot_rows(("mpnas", "joint", "random"), shots)),
        ablations=table(headers[1:], mean_rows((*VARIANTS, "random"), shots, ABLATED)),
        naive=table(["column", "MP-NAS", "mean over sources", "best source"], naive_rows()),
        graphs=table(
            ["data set", "shots", "MP-NAS", "random initialization", "gain"],
            graph_rows(),
        ),
        synthetic=table(["correlation, tasks, uncorrelated", "MP-NAS", "random"], synthetic),
        search_bars=table(["task", "bar", "paper", "MP-NAS after 30 queries"], search_bars()),
        searches=table(["task", "agent", *(f"{q} queries" for q in QUERIES)], search_rows()),
        trainings="\n".join(TRAINING.commands),
        commands=[command(study) for study in SEARCHES.values()],
    )


if __name__ == "__main__":
    reproduce(__doc__, STUDIES, "reproduction-mpnas.md", page)
