"""Few-shot prediction with MP-NAS: the functions that the jobs of the studies call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents import MPNAS
from nas_gym.agents.mpnas import known_architectures
from nas_gym.spaces.graphs import NODES, Graphs, to_graphs
from nas_gym.tables import load_table
from nas_gym.utils.ranks import spearman
from reproduction.pages import mean_with_interval
from reproduction.studies import MetaTrainingRun, mean_over_seeds

if TYPE_CHECKING:
    from nas_gym.predictors.predictor import Predictor
    from nas_gym.spaces import SearchSpace

META_SEEDS = 5
FIRST_SEED = 10_000
"""Seed of the first trial, a multiple of META_SEEDS: the trial of seed ``s`` starts from the
predictor of meta-seed ``s % META_SEEDS``."""

SHOTS = (5, 25, 50)
"""Numbers of labelled architectures."""

NUM_DRAWS = 10
"""Number of draws of labelled architectures for each meta-seed and number of shots."""

NUM_TESTED = 3000
"""Number of architectures that the correlation is computed on. No predictor learns from them."""

TARGETS = {
    "cifar10": ("nats-bench:cifar10-test",),
    "cifar100": ("nats-bench:cifar100-test",),
    "ImageNet16-120": ("nats-bench:ImageNet16-120-test",),
    "cpu": ("help-latency:gold_6226", "help-latency:silver_4114"),
    "gpu": ("help-latency:1080ti_1", "help-latency:1080ti_256"),
}
"""Columns to predict for each target. The task set ``nb201-metrics/<target>`` leaves them out."""

VARIANTS: dict[str, dict[str, Any]] = {
    "mpnas": {},
    "joint": {"joint": 1.0, "algorithm": "maml"},
    "boil-alone": {"joint": 0.0},
    "maml": {"algorithm": "maml"},
    "anil": {"algorithm": "anil"},
    "first-order": {"first_order": True},
}
"""Settings of each meta-trained variant."""

EPOCHS = {"joint": 45}
"""Numbers of epochs that differ from the default. An epoch of joint pre-training is cheaper, so the
variant gets more epochs, for the same total time."""

GRAPHS_START = "cifar10"
"""Target of the meta-training whose predictor is transferred to graph networks."""

Correlations = dict[str, list[float]]
"""Spearman correlation of each draw, by number of shots."""


def meta_training(target: str, variant: str) -> MetaTrainingRun:
    """Return the meta-training of a variant on the task set that leaves out a target."""
    return MetaTrainingRun(
        "mpnas",
        f"nb201-metrics/{target}",
        variant,
        VARIANTS[variant],
        EPOCHS.get(variant, MPNAS.meta_epochs),
        META_SEEDS,
        FIRST_SEED,
    )


@dataclass(frozen=True)
class Architectures:
    """Architectures of a search space, split into a pool to draw shots from and a test part.

    Attributes:
        graphs: Graphs of all architectures.
        pool: Rows that shots are drawn from.
        tested: Rows that the correlation is computed on.
    """

    graphs: Graphs
    pool: NDArray[np.int64]
    tested: NDArray[np.int64]

    @classmethod
    def split(cls, space: SearchSpace, seed: int, known: NDArray[np.int64]) -> Architectures:
        """Split those architectures of a space that a predictor has not learned from.

        Args:
            space: Search space.
            seed: Seed of the split.
            known: Indices of the architectures that the predictor has learned from.
        """
        others = np.setdiff1d(np.arange(space.size), known)
        order = np.random.default_rng([seed, 2]).permutation(others)
        return cls(all_graphs(space), order[NUM_TESTED:], order[:NUM_TESTED])

    def correlations(
        self, predictor: Predictor, values: NDArray[np.float64], seed: int, shots: Sequence[int]
    ) -> Correlations:
        """Return Spearman's correlation without fine-tuning ("0") and after each number of shots.

        Args:
            predictor: Predictor that is fine-tuned.
            values: Labels of all architectures.
            seed: Seed of the draws.
            shots: Numbers of labelled architectures.
        """
        rng = np.random.default_rng([seed, 3])
        tested, truth = rows_of(self.graphs, self.tested), values[self.tested]
        found = {"0": [spearman(predictor.predict(tested), truth)]}
        for count in shots:
            found[str(count)] = []
            for _ in range(NUM_DRAWS):
                drawn = rng.choice(self.pool, count, replace=False)
                fitted = predictor.fit(rows_of(self.graphs, drawn), values[drawn])
                found[str(count)].append(spearman(fitted.predict(tested), truth))
        return found


def all_graphs(space: SearchSpace) -> Graphs:
    """Return the graphs of all architectures of a space, in index order."""
    return to_graphs(space, space.decode(np.arange(space.size)))


def rows_of(graphs: Graphs, rows: NDArray[np.int64]) -> Graphs:
    """Return the graphs with the given row numbers."""
    return Graphs(graphs.adjacency[rows], graphs.nodes[rows], graphs.node_types)


def table_column(name: str) -> NDArray[np.float64]:
    """Return a column of a table.

    Args:
        name: Name of the column, ``table:metric``.
    """
    table, _, metric = name.partition(":")
    return load_table(table).column(metric)


def split_nb201(seed: int) -> tuple[Architectures, NDArray[np.int64]]:
    """Return the split of NAS-Bench-201's cells, and the indices that a meta-seed learns from."""
    space = load_table("nats-bench").space
    known = known_architectures(space.size, seed, MPNAS.meta_queries)
    return Architectures.split(space, seed, known), known


def random_predictor(seed: int, node_types: tuple[str, ...] = NODES) -> Predictor:
    """Return an untrained predictor that is fine-tuned in all layers."""
    from nas_gym.predictors.config import PredictorConfig
    from nas_gym.predictors.predictor import Predictor

    return Predictor(PredictorConfig(algorithm="maml"), seed, node_types)


def initial_predictor(target: str, variant: str, index: int) -> Predictor:
    """Return the predictor of a meta-seed before fine-tuning.

    Args:
        target: Target that the meta-training left out.
        variant: Key of :data:`VARIANTS`, or ``"random"`` for an untrained predictor.
        index: Number of the meta-seed, from 0.
    """
    import gymnasium as gym

    if variant == "random":
        return random_predictor(FIRST_SEED + index)
    envs = gym.make_vec("NB201-cifar10-v0", num_envs=META_SEEDS)
    settings = VARIANTS[variant] | {"pretrained": str(meta_training(target, variant).checkpoint)}
    return MPNAS(envs, seed=FIRST_SEED, **settings).start[index]


def transfer(target: str, variant: str, index: int) -> dict[str, Correlations]:
    """Return how well the predictor of a meta-seed ranks each column of a target."""
    seed = FIRST_SEED + index
    architectures, _ = split_nb201(seed)
    predictor = initial_predictor(target, variant, index)
    return {
        name: architectures.correlations(predictor, table_column(name), seed, SHOTS)
        for name in TARGETS[target]
    }


def naive_transfer(source: str, index: int) -> dict[str, Correlations]:
    """Return how well a predictor of one column ranks by the columns of all other targets."""
    seed = FIRST_SEED + index
    architectures, known = split_nb201(seed)
    labels = table_column(TARGETS[source][0])[known]
    predictor = meta_trained(
        rows_of(architectures.graphs, known), labels[None], seed,
        {"algorithm": "maml"}, {"epochs": 15, "joint": 1.0},
    )  # fmt: skip
    return {
        name: architectures.correlations(predictor, table_column(name), seed, SHOTS[:1])
        for target, names in TARGETS.items()
        for name in names
        if target != source
    }


def meta_trained(
    graphs: Graphs,
    labels: NDArray[np.float64],
    seed: int,
    settings: dict[str, Any],
    schedule: dict[str, Any],
) -> Predictor:
    """Return a predictor that learned from labelled graphs.

    Args:
        graphs: Graphs of ``n`` architectures.
        labels: Labels of each task, ``(tasks, n)``.
        seed: Seed of the initial weights and of the random choices in training.
        settings: Settings of the predictor.
        schedule: Settings of the meta-training.
    """
    from nas_gym.predictors.config import MetaTrainingConfig, PredictorConfig
    from nas_gym.predictors.gcn import to_tensors
    from nas_gym.predictors.meta_training import MetaTraining, MetricSource

    source = MetricSource(to_tensors(graphs), labels)
    training = MetaTraining(
        PredictorConfig(**settings),
        MetaTrainingConfig(**schedule),
        [source],
        seed,
        graphs.node_types,
    )
    for _ in range(training.config.epochs):
        training.run_epoch()
    return training.current_predictor


def merge_by_column(arguments: Sequence[tuple[Any, ...]], results: list[Any]) -> dict[str, Any]:
    """Merge the results of jobs ``(target, variant, meta-seed)``.

    Returns:
        ``{column: {variant: {shots: [[correlation of each draw] of each meta-seed]}}}``.
    """
    merged: dict[str, dict[str, dict[str, list[list[float]]]]] = {}
    for (_, variant, _), found in zip(arguments, results, strict=True):
        for column, by_shots in found.items():
            entry = merged.setdefault(column, {}).setdefault(variant, {})
            for shots, values in by_shots.items():
                entry.setdefault(shots, []).append(np.round(values, 4).tolist())
    return merged


def seed_means(draws: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return, for each meta-seed, the mean over its draws."""
    return np.array([np.mean(each) for each in draws])


def seeds_with_interval(values: NDArray[np.float64]) -> str:
    """Return the mean over meta-seeds and the interval of this mean, as text."""
    return mean_with_interval(mean_over_seeds(values), 3)


def graph_networks(dataset: str, variant: str, index: int) -> Correlations:
    """Return how well a predictor that learned from image networks ranks graph networks."""
    seed = FIRST_SEED + index
    table = load_table(f"nas-bench-graph-{dataset}")
    architectures = Architectures.split(table.space, seed, np.empty(0, np.int64))
    values = table.column(table.objectives[dataset].signal)
    predictor = initial_predictor(GRAPHS_START, variant, index)
    return architectures.correlations(predictor, values, seed, SHOTS)


NUM_RUNS = 40
"""Number of runs of each setting of the synthetic tasks."""

NUM_LEARNED = 256
"""Number of architectures that the predictor learns from in the synthetic tasks."""


def synthetic_tasks(correlation: float, count: int, uncorrelated: int) -> Correlations:
    """Return Spearman's correlation after 5 shots on a synthetic task, for each run.

    The labels of a task are CIFAR-100's accuracies with Gaussian noise (section 4.1 of the MP-NAS
    paper).

    Args:
        correlation: Correlation between any two of the tasks.
        count: Number of tasks to learn from.
        uncorrelated: Number of additional tasks to learn from whose labels are noise only.

    Returns:
        Correlations of the meta-trained predictor (``"mpnas"``) and of an untrained predictor
        (``"random"``).
    """
    space = load_table("nats-bench").space
    graphs = all_graphs(space)
    accuracy = table_column("nats-bench:cifar100-test")
    found: Correlations = {"mpnas": [], "random": []}
    for seed in range(FIRST_SEED, FIRST_SEED + NUM_RUNS):
        rng = np.random.default_rng([seed, 4])
        tasks = with_noise(accuracy, correlation, count + 1, rng)
        noise = rng.normal(size=(uncorrelated, space.size))
        order = rng.permutation(space.size)
        known, shots, tested = np.split(
            order[: NUM_LEARNED + 5 + NUM_TESTED], [NUM_LEARNED, NUM_LEARNED + 5]
        )
        labels = np.concatenate([tasks[:-1], noise])[:, known]
        predictors = {
            "mpnas": meta_trained(
                rows_of(graphs, known), labels, seed, {}, {"epochs": 6, "steps": 50}
            ),
            "random": random_predictor(seed),
        }
        for name, predictor in predictors.items():
            fitted = predictor.fit(rows_of(graphs, shots), tasks[-1, shots])
            scores = fitted.predict(rows_of(graphs, tested))
            found[name].append(round(spearman(scores, tasks[-1, tested]), 4))
    return found


def with_noise(
    values: NDArray[np.float64], correlation: float, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return values with Gaussian noise (Eq. 8 of MP-NAS), ``(count, n)``, one row per task.

    Args:
        values: Values without noise, ``(n,)``.
        correlation: Correlation between any two rows.
        count: Number of rows.
        rng: Source of the noise.
    """
    deviation = values.std() * np.sqrt(1 / correlation - 1)
    noisy: NDArray[np.float64] = values + deviation * rng.normal(size=(count, len(values)))
    return noisy
