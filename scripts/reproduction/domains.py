"""Search across domains: noise and ceilings of the tables, and searches after learning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import NB201Space
from nas_gym.tables import load_table
from nas_gym.tables.training_noise import (
    average_classes,
    column_noise,
    estimate_noise,
    expected_values,
)
from nas_gym.tasks import make_task
from nas_gym.tasks.ceiling import compute_ceiling
from reproduction import domain_search
from reproduction.pages import Page, markdown_table
from reproduction.studies import Measurement

COLUMNS = [  # table, data set, metric
    ("analog-nasbench", "cifar10", "baseline_accuracy"),
    ("analog-nasbench", "cifar10", "analog_accuracy"),
    ("nats-bench", "cifar10", "cifar10-test"),
    ("nats-bench", "cifar100", "cifar100-test"),
    ("nats-bench", "ImageNet16-120", "ImageNet16-120-test"),
    ("nb201-12epochs", "cifar10", "cifar10-val"),
    ("nb201-12epochs", "cifar100", "cifar100-val"),
    ("nb201-12epochs", "ImageNet16-120", "ImageNet16-120-val"),
    ("hw-nas-bench-360", "ninapro", "ninapro-test"),
    ("hw-nas-bench-360", "darcy", "darcy-test"),
]
REPETITIONS = 100  # of each simulation

DEVELOPMENT = ("cifar100-test", "ImageNet16-120-test", "darcy-test")
"""Metrics on which the estimate of the ceiling was developed, with their own noise."""


def measure_noise() -> list[dict[str, Any]]:
    """Return the noise and the ceiling of each of :data:`COLUMNS`, as signal and as report."""
    rows = []
    for name, dataset, metric in COLUMNS:
        table = load_table(name)
        values = table.column(metric)
        noise = column_noise(table, metric)
        ceiling = compute_ceiling(
            make_task(table=name, dataset=dataset, signal=metric, report=metric)
        )
        assert noise is not None
        assert ceiling is not None
        best = values >= np.quantile(values, 0.9)
        rows.append(
            {
                "table": name,
                "metric": metric,
                "noise": noise.near_best,
                "overall": noise.overall,
                "spread": float(values[best].std()),
                "best": float(values.max()),
                "ceiling": ceiling.regret,
            }
        )
    return rows


@cache
def cell_classes() -> NDArray[np.int64]:
    """Return the isomorphism class of each cell of NAS-Bench-201."""
    return NB201Space().isomorphism_classes()


@dataclass(frozen=True)
class KnownTable:
    """A table whose expected values are known, to which noise is added.

    Attributes:
        name: Name of the metric or, for random expected values, of their distribution: ``normal``
            or ``skewed``, with a sharp upper end.
        noise: Standard deviation of the noise.
        developed: Whether the estimate of the ceiling was developed on this table.
        metric_means: Expected values of all architectures; ``None`` draws them for each simulation.
    """

    name: str
    noise: float
    developed: bool
    metric_means: NDArray[np.float64] | None = None

    def expected(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the expected values of all architectures."""
        if self.metric_means is not None:
            return self.metric_means
        classes = cell_classes()
        drawn = rng.normal(size=classes.max() + 1)
        network: NDArray[np.float64] = drawn if self.name == "normal" else -np.exp(0.8 * drawn)
        return network[classes]


def known_tables() -> Iterator[KnownTable]:
    """Yield the tables to simulate."""
    for name, _, metric in COLUMNS:
        table = load_table(name)
        noise = column_noise(table, metric)
        assert noise is not None
        means = average_classes(table.column(metric), cell_classes())
        for factor in (1.0, 2.0) if metric in DEVELOPMENT else (1.0,):
            developed = metric in DEVELOPMENT and factor == 1
            yield KnownTable(metric, factor * noise.near_best, developed, means)
    yield KnownTable("normal", 0.3, True)
    yield KnownTable("normal", 1.0, False)
    yield KnownTable("skewed", 0.3, True)


def simulate_table(known: KnownTable) -> dict[str, Any]:
    """Return the true and the estimated noise and luck of a table, as means over simulations.

    The luck is the difference between the best observed value and the expected value of its
    architecture. ``error`` is the standard error of the mean difference of both lucks.
    ``single_error`` is the root mean square of this difference, and ``smallest_error`` is the same
    for an estimate that knows the distribution of the expected values.
    """
    classes = cell_classes()
    sizes = np.bincount(classes)
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(REPETITIONS):
        expected = known.expected(rng)
        values = expected + known.noise * rng.normal(size=len(expected))
        best = values.argmax()
        noise = estimate_noise(values, classes)
        assert noise is not None
        network = np.zeros(len(sizes))
        network[classes] = expected
        mean = average_classes(values, classes)[best]
        scaled = (mean - network) / known.noise * sizes[classes[best]] ** 0.5
        likelihood = np.exp(-0.5 * scaled**2)
        rows.append(
            (
                noise.near_best,
                values[best] - expected[best],
                values[best] - expected_values(values, classes, noise.near_best)[best],
                values[best] - likelihood @ network / likelihood.sum(),
            )
        )
    noises, truth, estimate, informed = np.array(rows).T
    difference = estimate - truth
    return {
        "table": known.name,
        "noise": known.noise,
        "developed": known.developed,
        "estimated_noise": noises.mean(),
        "luck": truth.mean(),
        "estimated_luck": estimate.mean(),
        "error": difference.std(ddof=1) / len(rows) ** 0.5,
        "single_error": (difference**2).mean() ** 0.5,
        "smallest_error": ((informed - truth) ** 2).mean() ** 0.5,
    }


def simulate() -> list[dict[str, Any]]:
    """Return the results of :func:`simulate_table` for each table."""
    return [simulate_table(known) for known in known_tables()]


NOISE = Measurement("domains-noise", measure_noise)
SIMULATION = Measurement("domains-simulation", simulate)


SIMULATION_HEADERS = [
    "expected values", "noise", "noise, estimate / truth", "luck / noise", "luck, estimate / truth",
    "error in one table", "smallest possible error",
]  # fmt: skip


def noise_rows() -> list[list[str]]:
    """Return the noise and the ceiling of each column."""
    return [
        [
            f"`{row['table']}`",
            f"`{row['metric']}`",
            f"{row['best']:.2f}",
            f"{row['noise']:.2f}",
            f"{row['overall']:.2f}",
            f"{row['spread']:.2f}",
            f"{row['ceiling']:.2f}",
        ]
        for row in NOISE.result
    ]


def simulation_rows(developed: bool) -> list[list[str]]:
    """Return the estimates of each simulated table, divided by the true values.

    Args:
        developed: Whether to return the tables on which the estimate was developed, or the others.
    """
    return [
        [
            row["table"],
            f"{row['noise']:.2f}",
            f"{row['estimated_noise'] / row['noise']:.2f}",
            f"{row['luck'] / row['noise']:.2f}",
            f"{row['estimated_luck'] / row['luck']:.2f} ± {1.96 * row['error'] / row['luck']:.2f}",
            f"{row['single_error'] / row['luck']:.2f}",
            f"{row['smallest_error'] / row['luck']:.2f}",
        ]
        for row in SIMULATION.result
        if row["developed"] == developed
    ]


def blocks() -> Mapping[str, str]:
    """Return the generated blocks of the page."""
    return {
        "noise": markdown_table(
            [
                "table", "metric", "best value, %", "noise near the best, %",
                "noise of all cells, %", "spread of the best tenth, %", "ceiling, points",
            ],
            noise_rows(),
        ),
        "simulation": markdown_table(SIMULATION_HEADERS, simulation_rows(False)),
        "simulation-development": markdown_table(SIMULATION_HEADERS, simulation_rows(True)),
        **domain_search.blocks(),
    }  # fmt: skip


PAGE = Page("results/domains.md", [NOISE, SIMULATION, *domain_search.STUDIES], blocks)
