"""Measured latency: repeatability, order of the cells, and the learned model.

    PYTHONPATH=scripts python -m reproduction.measured_latency

The command measures 200 cells of NAS-Bench-201 twice, in two processes, and prints the results as
JSON. It takes about two minutes on an idle machine.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from nas_gym.evaluators.latency import LatencyEvaluator
from nas_gym.evaluators.latency_model import LatencyModel
from nas_gym.tables import load_table

CELLS = 200
CPUS = ("gold_6226", "gold_6240", "silver_4114", "silver_4210r", "raspi4")
"""Columns of the table help-latency that were measured on CPUs."""


def measure_latencies() -> dict[str, Any]:
    """Measure 200 random cells of NAS-Bench-201 in two processes, and describe the results."""
    load = os.getloadavg()[0]
    first, second = (_measure_in_new_process() for _ in range(2))
    with TemporaryDirectory() as folder:
        evaluator = LatencyEvaluator("NB201", folder=Path(folder))
    space = evaluator.space
    genotypes, table = space.decode(_cells()), load_table("help-latency")
    model, few = (
        LatencyModel(space, genotypes, first),
        LatencyModel(space, genotypes[:50], first[:50]),
    )
    return {
        **evaluator.provenance()["latency"],
        "load_before": load,
        "cells": CELLS,
        "median_latency": float(np.median(first)),
        "median_relative_difference": float(np.median(np.abs(second - first) / first)),
        "repeated": _rank_correlation(first, second),
        "devices": {cpu: _rank_correlation(first, table.column(cpu)[_cells()]) for cpu in CPUS},
        "model": {"spearman": model.correlation, "error": model.error},
        "model_of_50": _rank_correlation(few.predict(genotypes[50:]), first[50:]),
    }


def _cells() -> Any:
    """Return the indices of the measured cells."""
    return np.random.default_rng(0).permutation(15_625)[:CELLS]


def _measure_in_new_process() -> Any:
    """Return the median latency of each cell, measured without the cache in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure).result()


def _measure() -> Any:
    with TemporaryDirectory() as folder:
        evaluator = LatencyEvaluator("NB201", folder=Path(folder))
        return evaluator.values("median", evaluator.space.decode(_cells()))


def _rank_correlation(first: Any, second: Any) -> float:
    return float(spearmanr(first, second).statistic)


if __name__ == "__main__":
    print(json.dumps(measure_latencies(), indent=1))
