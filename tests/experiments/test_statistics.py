"""The statistics of comparisons: against plain loops, SciPy, and what is known of the data."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

import nas_gym
from nas_gym.experiments.bootstrap import (
    RESAMPLES,
    confidence_interval,
    probability_of_improvement,
    resampled_counts,
)
from nas_gym.experiments.records import TrialResults
from nas_gym.experiments.statistics import (
    at_unique_queries,
    describe_values,
    performance_profile,
    summarize_comparison,
)
from nas_gym.recording.curves import compute_curves
from nas_gym.tasks import make_task

RNG = np.random.default_rng(0)


def trials(task, agent, indices, env="E-v0", failures=None):
    indices = np.asarray(indices, np.int64)
    seeds = list(range(indices.shape[1]))
    return TrialResults(
        env,
        env,
        agent,
        task,
        seeds,
        compute_curves(task, indices, task.reward(indices)),
        failures or {},
    )


@pytest.fixture
def nb201(open_table):
    open_table("analog-nasbench")
    return make_task(table="analog-nasbench", dataset="cifar10")


@pytest.fixture
def tiny(cache, write_csv):
    """Six architectures whose reported metric is 0, 2, 4, 9, 11, 13, and less is better."""
    nas_gym.import_table(write_csv(), "Tiny", signal="val", report="test", minimize=["val", "test"])
    return make_task(table="Tiny", dataset="Tiny")


def middle_mean(values):
    ordered, cut = sorted(values), len(values) // 4
    return np.mean(ordered[cut : len(ordered) - cut])


# -- averages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 11, 300])
def test_averages_against_plain_definitions(count):
    values = RNG.normal(size=count)
    found = describe_values(values)
    assert found["mean"] == pytest.approx(values.mean())
    assert found["median"] == pytest.approx(np.median(values))
    assert found["iqm"] == pytest.approx(middle_mean(values))
    assert found["std"] == (pytest.approx(values.std(ddof=1)) if count > 1 else 0.0)
    for name in ("mean", "iqm"):
        low, high = found[f"{name}_interval"]
        assert low <= found[name] + 1e-12
        assert found[name] <= high + 1e-12


def test_no_trials_have_no_averages():
    assert set(describe_values(np.empty(0)).values()) == {None}


def test_equal_values_have_an_interval_of_width_zero():
    found = describe_values(np.full(20, 94.0664))
    assert found["mean_interval"] == found["iqm_interval"] == [94.0664, 94.0664]


@pytest.mark.parametrize(("estimate", "plain"), [("mean", np.mean), ("iqm", "trimmed")])
@pytest.mark.parametrize("strata", [None, (7, 12, 4)])
def test_interval_against_a_plain_loop(estimate, plain, strata):
    values = RNG.normal(size=23).round(1)  # with ties
    plain = plain if callable(plain) else lambda resample: middle_mean(resample)
    counts = resampled_counts(strata or (23,)).astype(int)
    resampled = [plain(np.repeat(values, one)) for one in counts]
    expected = np.quantile(resampled, [0.025, 0.975])
    np.testing.assert_allclose(confidence_interval(values, estimate, strata), expected, atol=1e-12)


def test_resamples_are_stratified_unbiased_and_independent_between_streams():
    strata = (5, 9)
    counts = resampled_counts(strata)
    assert counts.shape == (RESAMPLES, 14)
    assert (counts[:, :5].sum(axis=1) == 5).all()
    assert (counts[:, 5:].sum(axis=1) == 9).all()
    assert np.abs(counts.mean(axis=0) - 1).max() < 5 / np.sqrt(RESAMPLES)
    other = resampled_counts(strata, 1)
    correlation = np.corrcoef(counts[:, 0], other[:, 0])[0, 1]
    assert abs(correlation) < 5 / np.sqrt(RESAMPLES)


@pytest.mark.parametrize("estimate", ["mean", "iqm"])
def test_coverage_of_intervals(estimate):
    """Of 50 trials, the percentile bootstrap holds it a little less often than 95 %."""
    rng = np.random.default_rng(1)
    samples = rng.normal(size=(600, 50))
    low, high = confidence_interval(samples, estimate)
    share = ((low <= 0) & (high >= 0)).mean()
    # 0.935 is what it is expected to be; three standard errors of 600 draws are 0.03
    assert 0.90 <= share <= 0.97


def test_rows_do_not_depend_on_each_other():
    rows = RNG.normal(size=(3, 4, 30))
    together = confidence_interval(rows, "iqm")
    assert together.shape == (2, 3, 4)
    for i, j in product(range(3), range(4)):
        np.testing.assert_array_equal(together[:, i, j], confidence_interval(rows[i, j], "iqm"))


# -- who is better --------------------------------------------------------------------------------


def test_improvement_against_a_plain_loop():
    first = [np.array([0.0, 1, 1, 3]), np.array([2.0, 2])]
    second = [np.array([1.0, 0, 5]), np.array([2.0, 3, 1])]
    shares = [
        np.mean([1.0 if x < y else 0.5 if x == y else 0.0 for x, y in product(a, b)])
        for a, b in zip(first, second, strict=True)
    ]
    probability, (low, high) = probability_of_improvement(first, second)
    assert probability == pytest.approx(np.mean(shares))
    assert 0 <= low <= probability <= high <= 1


def test_improvement_interval_against_a_plain_loop():
    a, b = RNG.integers(5, size=9).astype(float), RNG.integers(4, size=7).astype(float)
    pairs = zip(resampled_counts((9,), 0), resampled_counts((7,), 1), strict=True)
    resampled = []
    for of_a, of_b in pairs:
        x, y = np.repeat(a, of_a.astype(int)), np.repeat(b, of_b.astype(int))
        resampled.append(((x[:, None] < y) + 0.5 * (x[:, None] == y)).mean())
    expected = np.quantile(resampled, [0.025, 0.975])
    np.testing.assert_allclose(probability_of_improvement([a], [b])[1], expected, atol=1e-9)


def test_both_directions_add_up_to_one(nb201):
    made = [trials(nb201, name, RNG.integers(15625, size=(60, n))) for name, n in
            [("a", 9), ("b", 14), ("c", 1)]]  # fmt: skip
    table = summarize_comparison(made)["environments"]["E-v0"]["probability_of_improvement"]
    for a, b in [("a", "b"), ("a", "c"), ("b", "c")]:
        one, other = table[a][b], table[b][a]
        assert one["probability"] + other["probability"] == pytest.approx(1, abs=1e-12)
        assert one["interval"][0] + other["interval"][1] == pytest.approx(1, abs=1e-12)
    assert list(table["b"]) == ["a", "c"]


def test_the_same_trials_tie(nb201):
    indices = RNG.integers(15625, size=(5, 8))
    found = summarize_comparison([trials(nb201, name, indices) for name in "ab"])
    table = found["environments"]["E-v0"]["probability_of_improvement"]
    low, high = table["a"]["b"]["interval"]
    assert low <= table["a"]["b"]["probability"] == 0.5 <= high


# -- profiles -------------------------------------------------------------------------------------


def test_profile_against_a_plain_definition():
    regrets, taus = np.array([0.0, 0, 1, 2]), np.array([0.0, 0.5, 1, 2])
    share, low, high = performance_profile(regrets, taus)
    np.testing.assert_allclose(share, [0.5, 0.5, 0.75, 1])
    assert (low <= share).all()
    assert (share <= high).all()
    assert low[-1] == high[-1] == 1
    assert (np.diff(share) >= 0).all()


# -- summaries ------------------------------------------------------------------------------------


def test_budgets_and_numbers(nb201):
    one = trials(nb201, "a", RNG.integers(15625, size=(120, 6)), failures={9: "ValueError: x"})
    found = summarize_comparison([one])["environments"]["E-v0"]
    entry = found["agents"]["a"]
    assert found["queries"] == 120
    assert found["optimum"] == nb201.optimum
    assert found["task"] == nb201.describe()
    assert list(entry["at_queries"]) == ["50", "100", "120"]
    at = entry["at_queries"]["100"]
    assert at["regret"] == describe_values(one.curves.regrets[99])
    assert at["report"] == describe_values(one.curves.reports[99])
    assert at["log_rank"] == describe_values(nb201.log_rank(one.curves.incumbents[99]))
    assert found["ceiling"]["noise"] < found["ceiling"]["regret"] < nb201.regret_unit
    assert at["unique_queries"] == one.curves.unique[99].mean()
    assert entry["trials"] == 6
    assert entry["seeds"] == [0, 1, 2, 3, 4, 5]
    assert entry["failures"] == {"9": "ValueError: x"}
    assert entry["unique_queries"] == one.curves.unique[-1].mean()
    assert summarize_comparison([one])["aggregate"] is None


def test_ranks_reached(nb201):
    ranked = np.argsort(nb201.regret(np.arange(15625)), kind="stable")
    # one trial each that ends at rank 1, 2, 3, 4, 10 and 500
    indices = ranked[[0, 1, 2, 3, 9, 499]][None]
    entry = summarize_comparison([trials(nb201, "a", indices)])["environments"]["E-v0"]["agents"][
        "a"
    ]
    assert entry["reached"] == {"best": 1 / 6, "top_3": 3 / 6, "top_10": 5 / 6}


def test_a_tiny_space_with_a_minimized_metric(tiny):
    assert tiny.optimum == 0
    every = np.arange(6)[None]
    entry = summarize_comparison([trials(tiny, "a", every)])["environments"]["E-v0"]["agents"]["a"]
    assert entry["reached"] == {"best": 1 / 6, "top_3": 3 / 6, "top_10": 1.0}
    assert entry["at_queries"]["1"]["report"]["mean"] == pytest.approx(
        np.mean([0, 2, 4, 9, 11, 13])
    )
    best = summarize_comparison([trials(tiny, "a", [[5], [0]])])["environments"]["E-v0"]["agents"][
        "a"
    ]
    assert best["reached"]["best"] == 1
    assert best["at_queries"]["2"]["regret"]["mean"] == 0


def test_ties_with_the_best_reach_it(cache, tmp_path):
    file = tmp_path / "ties.csv"
    file.write_text("op0,val\na,5\nb,5\nc,5\nd,1\n")
    nas_gym.import_table(file, "Ties", signal="val", report="val")
    task = make_task(table="Ties", dataset="Ties")
    entry = summarize_comparison([trials(task, "a", [[0, 1, 2, 3]])])["environments"]["E-v0"][
        "agents"
    ]["a"]
    assert entry["reached"] == {"best": 0.75, "top_3": 0.75, "top_10": 1.0}
    assert task.regret_unit == 1  # the median architecture is optimal: the mean regret


def test_a_space_of_equals_has_a_unit(cache, tmp_path):
    file = tmp_path / "equal.csv"
    file.write_text("op0,val\na,5\nb,5\n")
    nas_gym.import_table(file, "Equal", signal="val", report="val")
    assert make_task(table="Equal", dataset="Equal").regret_unit == 1


def test_over_environments(nb201, tiny):
    made = [
        trials(nb201, "a", RNG.integers(15625, size=(20, 8)), env="One-v0"),
        trials(nb201, "b", RNG.integers(15625, size=(20, 5)), env="One-v0"),
        trials(tiny, "a", [[1, 2, 3]], env="Two-v0"),
        trials(tiny, "b", [[0, 5]], env="Two-v0"),
    ]
    found = summarize_comparison(made)
    units = [np.median(task.regret(np.arange(task.space.size))) for task in (nb201, tiny)]
    pooled = np.concatenate(
        [made[i].curves.regrets[-1] / unit for i, unit in zip((0, 2), units, strict=True)]
    )
    entry = found["aggregate"]["agents"]["a"]["normalized_regret"]
    assert entry["iqm"] == pytest.approx(middle_mean(pooled))
    assert entry["iqm_interval"] == confidence_interval(pooled, "iqm", [8, 3]).tolist()
    one, two = (
        found["environments"][env]["probability_of_improvement"]["a"]["b"]["probability"]
        for env in ("One-v0", "Two-v0")
    )
    both = found["aggregate"]["probability_of_improvement"]["a"]["b"]
    assert both["probability"] == pytest.approx((one + two) / 2)


def test_failed_trials_give_null_instead_of_nan(nb201, tiny):
    failed = trials(nb201, "b", np.empty((20, 0)), env="One-v0", failures={0: "x"})
    made = [
        trials(nb201, "a", RNG.integers(15625, size=(20, 1)), env="One-v0"),
        failed,
        trials(tiny, "a", [[1]], env="Two-v0"),
        trials(tiny, "b", [[0, 5]], env="Two-v0"),
    ]
    found = summarize_comparison(made)
    json.dumps(found, allow_nan=False)
    entry = found["environments"]["One-v0"]["agents"]["b"]
    assert entry["trials"] == 0
    assert entry["reached"] == {"best": None, "top_3": None, "top_10": None}
    assert entry["at_queries"]["20"]["regret"]["mean"] is None
    assert found["aggregate"]["agents"]["b"]["normalized_regret"]["iqm"] is None
    assert found["aggregate"]["probability_of_improvement"]["a"]["b"]["probability"] is None
    nothing = replace(
        failed, curves=compute_curves(nb201, np.empty((0, 0), np.int64), np.empty((0, 0)))
    )
    json.dumps(summarize_comparison([nothing]), allow_nan=False)


def test_summaries_do_not_depend_on_other_agents(nb201):
    indices = {name: RNG.integers(15625, size=(60, 7)) for name in "abc"}
    made = {name: trials(nb201, name, found) for name, found in indices.items()}
    alone = summarize_comparison([made["b"]])["environments"]["E-v0"]["agents"]["b"]
    resampled_counts.cache_clear()
    among = summarize_comparison(list(made.values()))["environments"]["E-v0"]["agents"]["b"]
    assert alone == among


def test_300_trials_of_10_agents_take_seconds(nb201):
    made = [trials(nb201, f"agent {i}", RNG.integers(15625, size=(1000, 300))) for i in range(10)]
    started = time.perf_counter()
    summarize_comparison(made)
    assert time.perf_counter() - started < 10  # 0.7 s on an idle core


def test_at_unique_queries(nb201):
    # the second trial asks for the same architecture again and again
    indices = np.stack([np.arange(120), np.arange(120) // 2], axis=1)
    found = compute_curves(nb201, indices, nb201.reward(indices))
    at = at_unique_queries(found)
    assert list(at) == ["50", "100"]
    assert (at["50"]["queries"], at["50"]["complete"]) == ((50 + 99) / 2, 1.0)
    regrets = nb201.regret(found.incumbents)
    assert at["50"]["regret"]["mean"] == pytest.approx((regrets[49, 0] + regrets[98, 1]) / 2)
    assert at["100"]["complete"] == 0.5  # the second one ends with 60
    assert at["100"]["queries"] == (100 + 120) / 2
    assert at["100"]["regret"]["mean"] == pytest.approx((regrets[99, 0] + regrets[119, 1]) / 2)
