"""The surrogate of MnasNet-like networks: its quality, speed, and agreement of its halves."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from nas_gym.evaluators.surrogate import SurrogateEvaluator, surrogate_evaluator
from nas_gym.predictors.surrogate import HALVES, Surrogate
from nas_gym.spaces import SearchSpace
from nas_gym.tables import Table, load_table
from reproduction.pages import markdown_table
from reproduction.studies import Measurement

ENV = "MnasNet-ImageNet-v0"
TABLE = "accel-nasbench"
EFFICIENTNET_B0 = "e1k3l1se-e6k3l2se-e6k5l2se-e6k3l3se-e6k5l3se-e6k5l4se-e6k3l1se"

HELD_OUT = ("top1", "zcu102-latency", "a100-throughput")
"""Metrics of which a tenth is held out."""

SPLITS = 5
POOL = 1_000_000
"""Random architectures, the best of which show whether both halves rank them alike."""

BEST, RANDOM = 100, 1000
SIMULATIONS = 20
BATCH, REPEATS = 20_000, 5
"""Random architectures whose metrics are predicted at once, and number of timings."""


def measure_surrogate() -> dict[str, Any]:
    """Return the quality of the surrogate."""
    evaluator = surrogate_evaluator(TABLE)
    table = load_table(TABLE)
    held_out = [_held_out(table, evaluator.space, seed) for seed in range(SPLITS)]
    return {
        "cards": {name: vars(card) for name, card in evaluator.cards.items()},
        "held_out": {
            metric: {
                name: [split[metric][name] for split in held_out] for name in ("r2", "kendall")
            }
            for metric in HELD_OUT
        },
        "efficientnet_b0": describe_network(
            evaluator, evaluator.space.from_text([EFFICIENTNET_B0])
        ),
    }


def _held_out(table: Table, space: SearchSpace, seed: int) -> dict[str, dict[str, float]]:
    """Return R² and Kendall's tau on a random tenth of the table, by metric."""
    order = np.random.default_rng(seed).permutation(table.space.size)
    test, train = np.split(order, [len(order) // 10])
    every = table.space.decode(np.arange(table.space.size))
    part = table.space.subset(every[train], table.name)
    values = table.values[table.space.encode(part.decode(np.arange(part.size)))]
    metrics = [table.position(metric) for metric in HELD_OUT]
    smaller = Table(
        table.name,
        part,
        tuple(replace(table.metrics[m], seconds="") for m in metrics),
        values[:, metrics],
        {},
    )
    predicted = Surrogate.fit(smaller, space).predict(every[test], {m: m for m in HELD_OUT})
    found = {}
    for metric, predictions in predicted.items():
        measured = table.lookup(test, metric)
        known = np.isfinite(measured)
        errors = (predictions - measured)[known]
        found[metric] = {
            "r2": 1.0 - float((errors**2).mean() / measured[known].var()),
            "kendall": float(kendalltau(predictions[known], measured[known]).statistic),
        }
    return found


def _training_noise(table: Table) -> dict[str, float]:
    """Return the noise of one training, and the R² that it allows a prediction to have."""
    first, second = (table.column(f"top1@{training}") for training in (0, 1))
    differences = (first - second)[np.isfinite(second)]
    deviation = float(np.sqrt((differences**2).mean() / 2))
    return {
        "networks": len(differences),
        "deviation": deviation,
        "r2": 1.0 - deviation**2 / float(np.nanvar(table.column("top1"))),
    }


def measure_agreement() -> dict[str, Any]:
    """Return the noise of trainings, and how both halves rank the best of a random pool.

    The best networks are those with the highest accuracy by the first half.

    Two simulations show what restricts the correlation of the best. In both, the mean of the halves
    is the true accuracy, to which independent normal errors are added twice: errors as large as
    those of the halves (``simulated``), or the noise of one training (``trainings``).
    """
    evaluator = surrogate_evaluator(TABLE)
    genotypes = evaluator.space.sample(POOL, np.random.default_rng(0))
    signal, report = (evaluator.values(f"top1@{half}", genotypes) for half in HALVES)
    best = np.argsort(-signal)[:BEST]
    truth, error = (signal + report) / 2, float((signal - report).std() / np.sqrt(2))
    noise = _training_noise(load_table(TABLE))
    return {
        "noise": noise,
        "spearman": float(spearmanr(signal[best], report[best]).statistic),
        "random": float(spearmanr(signal[:RANDOM], report[:RANDOM]).statistic),
        "simulated": _simulate_agreement(truth, error),
        "trainings": _simulate_agreement(truth, noise["deviation"]),
        "error": error,
        "deviation": {
            "all": float(truth.std()),
            "best": float(truth[best].std()),
        },
        "signal": float(signal[best].mean()),
        "report": float(report[best].mean()),
        "outside": float(evaluator.surrogate.extrapolates("top1", genotypes[best]).mean()),
    }


def _simulate_agreement(truth: NDArray[np.float64], deviation: float) -> float:
    """Return the mean correlation of two noisy accuracies among the best by the first.

    Args:
        truth: True accuracies, ``(n,)``.
        deviation: Standard deviation of the errors.
    """
    rng = np.random.default_rng(1)
    found = []
    for _ in range(SIMULATIONS):
        signal = truth + deviation * rng.normal(size=len(truth))
        best = np.argsort(-signal)[:BEST]
        report = truth[best] + deviation * rng.normal(size=BEST)
        found.append(spearmanr(signal[best], report).statistic)
    return float(np.mean(found))


def describe_network(
    evaluator: SurrogateEvaluator, genotypes: NDArray[np.int64]
) -> dict[str, float]:
    """Return the metrics of one architecture, predicted or computed."""
    values = evaluator.evaluate(genotypes)
    return {name: float(each[0]) for name, each in values.items()}


def measure_speed() -> dict[str, Any]:
    """Return how fast the surrogate is fitted and predicts, in seconds of one core.

    The times do not include other processes. Of the repeated predictions, the fastest counts.
    """
    from threadpoolctl import threadpool_limits

    table, evaluator = load_table(TABLE), surrogate_evaluator(TABLE)
    with threadpool_limits(1):
        fits = [_timed(lambda: Surrogate.fit(table, evaluator.space)) for _ in range(2)]
        genotypes = evaluator.space.sample(BATCH, np.random.default_rng(0))
        seconds = {
            "accuracy": _fastest(lambda: evaluator.values("top1@half1", genotypes)),
            "all": _fastest(lambda: evaluator.evaluate(genotypes)),
        }
    digests = {_digest(surrogate) for _, surrogate in fits}
    return {
        "fit_seconds": max(own for own, _ in fits),
        "same_bits": len(digests) == 1 and _digest(evaluator.surrogate) in digests,
        "genotypes_per_second": {name: BATCH / own for name, own in seconds.items()},
    }


def _timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of processor time of a call, and its result."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def _fastest(function: Callable[[], Any]) -> float:
    """Return the fewest seconds of processor time of repeated calls."""
    return min(_timed(function)[0] for _ in range(REPEATS))


def _digest(surrogate: Surrogate) -> str:
    """Return a digest of all weights of a surrogate and of its cards."""
    arrays = surrogate.to_arrays()
    digest = hashlib.sha256(arrays["weights"].tobytes())
    digest.update(str(arrays["cards"]).encode())
    return digest.hexdigest()


SURROGATE = Measurement("imagenet-surrogate", measure_surrogate)
AGREEMENT = Measurement("imagenet-agreement", measure_agreement)
SPEED = Measurement("imagenet-speed", measure_speed)
STUDIES = [SURROGATE, AGREEMENT, SPEED]

# -- page ------------------------------------------------------------------------------------------


def card_table() -> str:
    """Return the table of the quality of each metric in cross-validation."""
    rows = [
        [f"`{name}`", f"{card['r2']:.4f}", f"{card['kendall']:.3f}", f"{card['error']:.4g}"]
        for name, card in SURROGATE.result["cards"].items()
    ]
    return markdown_table(["metric", "R²", "Kendall's τ", "mean absolute error"], rows)


def held_out_table() -> str:
    """Return the table of the quality on held-out networks."""
    rows = [
        [f"`{metric}`"]
        + [f"{np.mean(found[m]):.4f} ({min(found[m]):.4f})" for m in ("r2", "kendall")]
        for metric, found in SURROGATE.result["held_out"].items()
    ]
    return markdown_table(["metric", "R²", "Kendall's τ"], rows)


def agreement_table() -> str:
    """Return the table of the agreement of both halves."""
    found = AGREEMENT.result
    noise = found["noise"]
    return markdown_table(
        ["quantity", "value"],
        [
            ["Spearman correlation of the halves, 1,000 random networks", f"{found['random']:.3f}"],
            ["the same, 100 best networks by the first half", f"{found['spearman']:.3f}"],
            ["the same, simulated with the errors of the halves", f"{found['simulated']:.3f}"],
            ["the same, simulated with one training each", f"{found['trainings']:.3f}"],
            ["standard deviation of accuracy, all networks", f"{found['deviation']['all']:.3f}"],
            ["the same, 100 best networks", f"{found['deviation']['best']:.3f}"],
            ["error of one half (from their differences)", f"{found['error']:.3f}"],
            [f"noise of one training ({noise['networks']} pairs)", f"{noise['deviation']:.3f}"],
            ["largest possible R² of predictions", f"{noise['r2']:.4f}"],
            ["mean accuracy of the 100 best, first half", f"{found['signal']:.2f}"],
            ["mean accuracy of the 100 best, second half", f"{found['report']:.2f}"],
        ],
    )


def speed_table() -> str:
    """Return the table of the surrogate's speed on one core."""
    found = SPEED.result
    rates = found["genotypes_per_second"]
    return markdown_table(
        ["quantity", "value"],
        [
            ["fit of all metrics, s", f"{found['fit_seconds']:.1f}"],
            ["same bits after every fit", "yes" if found["same_bits"] else "no"],
            ["architectures/s, accuracy (`top1@half1`)", f"{rates['accuracy']:,.0f}"],
            ["architectures/s, all metrics of both halves", f"{rates['all']:,.0f}"],
        ],
    )
