"""Measured latency: repeatability, order of the cells, and the learned model.

    PYTHONPATH=scripts python -m reproduction.measured_latency

The command measures 200 cells of NAS-Bench-201 in two processes and prints the results as JSON. A
process measures all cells one after another, in five rounds of different order. The latency of a
cell is its first measurement, the median of the five, or their minimum; the results show which
agrees best between the processes. The command takes about ten minutes on an idle machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from nas_gym.evaluators.latency import LatencyEvaluator
from nas_gym.evaluators.latency_model import LatencyModel
from nas_gym.spaces import SearchSpace
from nas_gym.tables import load_table

CELLS = 200
ROUNDS = 5
"""Number of measurements of each cell in a process."""

STATISTICS: dict[str, Callable[[Any], Any]] = {
    "first": lambda rounds: rounds[0],
    "median": lambda rounds: np.median(rounds, axis=0),
    "minimum": lambda rounds: np.min(rounds, axis=0),
}
"""Functions from measurements ``(ROUNDS, CELLS)`` to the latencies of the cells."""

CPUS = ("gold_6226", "gold_6240", "silver_4114", "silver_4210r", "raspi4")
"""Columns of the table help-latency that were measured on CPUs."""


def measure_latencies() -> dict[str, Any]:
    """Measure 200 random cells of NAS-Bench-201 in two processes, and describe the results."""
    load = os.getloadavg()[0]
    rounds = [_measure_in_new_process() for _ in range(2)]
    with TemporaryDirectory() as folder:
        evaluator = LatencyEvaluator("NB201", folder=Path(folder))
    genotypes = evaluator.space.decode(_cells())
    return {
        **evaluator.provenance()["latency"],
        "load_before": load,
        "cells": CELLS,
        "rounds": ROUNDS,
        **{
            name: _describe(evaluator.space, genotypes, *map(function, rounds))
            for name, function in STATISTICS.items()
        },
    }


def _describe(space: SearchSpace, genotypes: Any, first: Any, second: Any) -> dict[str, Any]:
    """Return the agreement of the latencies of two processes, and that of the learned models."""
    table, repeated = load_table("help-latency"), _rank_correlation(first, second)
    few = LatencyModel(space, genotypes[:50], first[:50])
    models = [LatencyModel(space, genotypes, each) for each in (first, second)]
    return {
        "median_latency": float(np.median(first)),
        "median_relative_difference": float(np.median(np.abs(second - first) / first)),
        "repeated": repeated,
        # the correlation with latencies without noise, if both processes have as much noise
        "ceiling": float(np.sqrt(max(repeated, 0.0))),
        "devices": {cpu: _rank_correlation(first, table.column(cpu)[_cells()]) for cpu in CPUS},
        "models": [{"spearman": each.correlation, "error": each.error} for each in models],
        "model_of_50": _rank_correlation(few.predict(genotypes[50:]), first[50:]),
    }


def _cells() -> Any:
    """Return the indices of the measured cells."""
    return np.random.default_rng(0).permutation(15_625)[:CELLS]


def _measure_in_new_process() -> Any:
    """Return the latencies of all rounds, ``(ROUNDS, CELLS)``, measured in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure).result()


def _measure() -> Any:
    with TemporaryDirectory() as folder:
        evaluator = LatencyEvaluator("NB201", folder=Path(folder))
    genotypes, rng = evaluator.space.decode(_cells()), np.random.default_rng(1)
    found = np.empty((ROUNDS, CELLS))
    for each in found:
        for cell in rng.permutation(CELLS):
            each[cell] = evaluator.measure(genotypes[cell])["median"]
    return found


def _rank_correlation(first: Any, second: Any) -> float:
    return float(spearmanr(first, second).statistic)


if __name__ == "__main__":
    print(json.dumps(measure_latencies(), indent=1))
