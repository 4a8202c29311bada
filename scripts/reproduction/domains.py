"""Search across domains: noise and ceilings of the tables, and searches after learning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
REPETITIONS = 40  # of each simulation


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


def known_tables(
    rng: np.random.Generator,
) -> Iterator[tuple[str, NDArray[np.float64], float]]:
    """Yield the name, the expected values and the noise of tables to simulate."""
    classes = NB201Space().isomorphism_classes()
    for name, _, metric in COLUMNS[2:5] + COLUMNS[8:]:
        table = load_table(name)
        noise = column_noise(table, metric)
        assert noise is not None
        yield metric, average_classes(table.column(metric), classes), noise.near_best
    quality = rng.normal(size=classes.max() + 1)
    for deviation in (0.3, 1.0):
        yield f"normal, noise {deviation}", quality[classes], deviation
        yield f"skewed, noise {deviation}", -np.exp(0.8 * quality)[classes], deviation


def simulate() -> dict[str, dict[str, float]]:
    """Return the true and the estimated noise and luck, as means over simulations.

    The luck is the difference between the best observed value and the expected value of its
    architecture. ``error`` is the standard error of the mean difference of both lucks.
    """
    classes = NB201Space().isomorphism_classes()
    rng = np.random.default_rng(0)
    found: dict[str, list[tuple[float, ...]]] = {}
    for _ in range(REPETITIONS):
        for name, expected, deviation in known_tables(rng):
            values = expected + deviation * rng.normal(size=len(expected))
            best = values.argmax()
            noise = estimate_noise(values, classes)
            assert noise is not None
            estimated = expected_values(values, classes, noise.near_best)[best]
            row = (
                deviation,
                noise.near_best,
                values[best] - expected[best],
                values[best] - estimated,
            )
            found.setdefault(name, []).append(row)
    keys = ("noise", "estimated_noise", "luck", "estimated_luck")
    result = {}
    for name, rows in found.items():
        result[name] = dict(zip(keys, np.mean(rows, axis=0).tolist(), strict=True))
        differences = [estimate - truth for _, _, truth, estimate in rows]
        result[name]["error"] = float(np.std(differences, ddof=1) / len(rows) ** 0.5)
    return result


NOISE = Measurement("domains-noise", measure_noise)
SIMULATION = Measurement("domains-simulation", simulate)


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


def simulation_rows() -> list[list[str]]:
    """Return the estimates of each simulated table, divided by the true values."""
    return [
        [
            name,
            f"{row['noise']:.2f}",
            f"{row['estimated_noise'] / row['noise']:.2f}",
            f"{row['luck'] / row['noise']:.2f}",
            f"{row['estimated_luck'] / row['luck']:.2f} ± {1.96 * row['error'] / row['luck']:.2f}",
        ]
        for name, row in SIMULATION.result.items()
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
        "simulation": markdown_table(
            ["expected values", "noise", "noise, estimate / truth", "luck / noise",
             "luck, estimate / truth"],
            simulation_rows(),
        ),
        **domain_search.blocks(),
    }  # fmt: skip


PAGE = Page("results/domains.md", [NOISE, SIMULATION, *domain_search.STUDIES], blocks)
