"""MP-NAS across devices: the speed on a new device, predicted from few measured networks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces.graphs import to_graphs
from nas_gym.tables import Table, load_table
from nas_gym.utils.ranks import rank_scores, spearman
from reproduction.few_shot import (
    FIRST_SEED,
    META_SEEDS,
    Correlations,
    merge_by_column,
    meta_trained,
    random_predictor,
    rows_of,
    seed_means,
    seeds_with_interval,
)
from reproduction.imagenet_devices import SPEEDS
from reproduction.imagenet_surrogate import TABLE
from reproduction.pages import markdown_table
from reproduction.studies import JobStudy

SHOTS = (5, 10, 50)
"""Numbers of networks that were measured on the new device."""

NUM_KNOWN, NUM_POOL, NUM_TESTED = 2000, 1000, 1000
"""Numbers of networks for meta-training, for the draws of shots, and for the correlations."""

NUM_DRAWS = 1
"""Number of draws of shots for each meta-seed and number of shots."""

SCHEDULE: dict[str, Any] = {"epochs": 4, "steps": 40, "tasks": 3}
"""Settings of the meta-training. More steps, or more tasks in a step, were no better on a meta-seed
that is not reported."""

TARGETS = ("zcu102", "a100", "tpuv2", "vck190", "3090", "tpuv3")
"""Devices in the order of the runs: one of each kind first."""

PREDICTORS = {
    "mpnas": "MP-NAS, meta-trained",
    "start": "MP-NAS, no meta-training",
    "other-devices": "ridge regression on the other devices",
    "ridge": "ridge regression",
    "forest": "random forest",
}
Fit = Callable[[NDArray[np.int64], NDArray[np.float64]], NDArray[np.float64]]
"""Function from the rows and the speeds of the shots to the scores of the tested networks."""


def few_shot(device: str, index: int) -> dict[str, Correlations]:
    """Return how well each predictor ranks networks by their speed on a new device.

    Args:
        device: Device that meta-training leaves out.
        index: Number of the meta-seed, from 0.

    Returns:
        Spearman correlations by predictor; see :func:`reproduction.few_shot.transfer`.
    """
    seed, table = FIRST_SEED + index, load_table(TABLE)
    speeds = speed_columns(table)
    complete = np.flatnonzero(np.isfinite(list(speeds.values())).all(axis=0))
    order = np.random.default_rng([seed, 2]).permutation(complete)
    known, pool, tested = np.split(
        order[: NUM_KNOWN + NUM_POOL + NUM_TESTED], [NUM_KNOWN, NUM_KNOWN + NUM_POOL]
    )
    others = np.stack([each for name, each in speeds.items() if not name.startswith(device)])
    values = speeds[SPEEDS[device]]
    fits = {
        **_graph_fits(table, known, tested, others[:, known], seed),
        **_feature_fits(table, known, tested, others[:, known], seed),
    }
    return {name: _correlations(fit, pool, tested, values, seed) for name, fit in fits.items()}


def speed_columns(table: Table) -> dict[str, NDArray[np.float64]]:
    """Return all speeds by metric; latencies are negated, so that higher is faster."""
    names = [m.name for m in table.metrics if m.name.endswith(("-latency", "-throughput"))]
    return {
        name: table.column(name) * (1.0 if table.metric(name).maximize else -1.0) for name in names
    }


def _correlations(
    fit: Fit,
    pool: NDArray[np.int64],
    tested: NDArray[np.int64],
    values: NDArray[np.float64],
    seed: int,
) -> Correlations:
    """Return the correlation of each draw of shots, by number of shots."""
    rng = np.random.default_rng([seed, 3])
    found: Correlations = {}
    for count in SHOTS:
        found[str(count)] = []
        for _ in range(NUM_DRAWS):
            drawn = rng.choice(pool, count, replace=False)
            found[str(count)].append(spearman(fit(drawn, values[drawn]), values[tested]))
    return found


def _graph_fits(
    table: Table,
    known: NDArray[np.int64],
    tested: NDArray[np.int64],
    others: NDArray[np.float64],
    seed: int,
) -> dict[str, Fit]:
    """Return the graph predictors of MP-NAS.

    Args:
        table: Table of the networks.
        known: Rows for meta-training.
        tested: Rows to score.
        others: Speeds of ``known`` on the other devices, ``(metrics, NUM_KNOWN)``.
        seed: Seed of the networks.
    """
    graphs = to_graphs(table.space, table.space.decode(np.arange(table.space.size)))
    starts = {
        "mpnas": meta_trained(rows_of(graphs, known), others, seed, {}, SCHEDULE),
        "start": random_predictor(seed, graphs.node_types),
    }

    def fit_from(name: str) -> Fit:
        return lambda rows, values: (
            starts[name].fit(rows_of(graphs, rows), values).predict(rows_of(graphs, tested))
        )

    return {name: fit_from(name) for name in starts}


def _feature_fits(
    table: Table,
    known: NDArray[np.int64],
    tested: NDArray[np.int64],
    others: NDArray[np.float64],
    seed: int,
) -> dict[str, Fit]:
    """Return the predictors on the decisions of the networks; see :func:`_graph_fits`.

    Ridge regression on the other devices has the predicted speeds on these devices as features.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import Ridge, RidgeCV

    genotypes = table.space.decode(np.arange(table.space.size))
    decisions = table.space.one_hot(genotypes).astype(np.float64)
    on_others = Ridge().fit(decisions[known], rank_scores(others).T).predict(decisions)
    penalties = np.logspace(-2, 2, 9)

    def fit_with(make: Callable[[], Any], features: NDArray[np.float64]) -> Fit:
        return lambda rows, values: (
            make().fit(features[rows], rank_scores(values[None])[0]).predict(features[tested])
        )

    return {
        "other-devices": fit_with(lambda: RidgeCV(penalties), on_others),
        "ridge": fit_with(lambda: RidgeCV(penalties), decisions),
        "forest": fit_with(lambda: RandomForestRegressor(100, random_state=seed), decisions),
    }


def merge_devices(arguments: Any, results: list[Any]) -> dict[str, Any]:
    """Merge the results of jobs ``(device, meta-seed)``.

    Returns:
        ``{device: {predictor: {shots: [[correlation of each draw] of each meta-seed]}}}``.
    """
    jobs = [
        ((device, name, index), {device: found})
        for (device, index), by_name in zip(arguments, results, strict=True)
        for name, found in by_name.items()
    ]
    return merge_by_column([job for job, _ in jobs], [found for _, found in jobs])


FEW_SHOT = JobStudy(
    "imagenet-few-shot", few_shot, list(product(TARGETS, range(META_SEEDS))), merge_devices
)


def few_shot_table() -> str:
    """Return the table of the correlations of each predictor on each device."""
    found, counts = FEW_SHOT.result, [str(count) for count in SHOTS]
    rows = []
    for name, label in PREDICTORS.items():
        means = []
        for device in TARGETS:
            by_shots = [seed_means(found[device][name][count]) for count in counts]
            means.append(by_shots)
            rows.append([label, f"`{SPEEDS[device]}`", *map(seeds_with_interval, by_shots)])
        rows.append([label, "**mean**", *map(seeds_with_interval, np.mean(means, axis=0))])
    return markdown_table(["predictor", "speed", *(f"{each} networks" for each in counts)], rows)
