"""The statistics of comparisons, against loops, SciPy-free definitions and simulations."""

from __future__ import annotations

import json

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nas_gym
from nas_gym.agents import LocalSearch, RandomSearch
from nas_gym.envs.curves import curves
from nas_gym.experiments.bootstrap import improvement, interval, resampled_counts
from nas_gym.experiments.records import Trials
from nas_gym.experiments.statistics import (
    performance_profile,
    regret_unit,
    statistics,
    summarize,
)
from nas_gym.tasks import Task

numbers = st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=40).map(np.array)


def trimmed_mean(values):
    ordered, cut = sorted(values), len(values) // 4
    return np.mean(ordered[cut : len(ordered) - cut])


@given(numbers)
def test_averages_and_intervals_hold_together(values):
    found = statistics(values)
    assert found["iqm"] == pytest.approx(trimmed_mean(values), abs=1e-9)
    assert found["mean"] == pytest.approx(np.mean(values))
    for name in ("mean", "iqm"):
        low, high = found[f"{name}_interval"]
        assert values.min() - 1e-9 <= low <= high <= values.max() + 1e-9
    if len(set(values)) == 1:
        assert found["mean_interval"] == [values[0]] * 2


def test_resampled_averages_against_a_loop():
    values = np.random.default_rng(0).gamma(2, size=23)
    for estimate, of in (("mean", np.mean), ("iqm", trimmed_mean)):
        drawn = [of(np.repeat(values, count.astype(int))) for count in resampled_counts((23,))]
        expected = np.quantile(drawn, [0.025, 0.975])
        np.testing.assert_allclose(interval(values, estimate), expected, rtol=1e-6)


@pytest.mark.parametrize("estimate", ["mean", "iqm"])
def test_intervals_cover_what_they_say(estimate):
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(1000, 60))  # mean and interquartile mean are 0
    low, high = interval(samples, estimate)
    covered = ((low <= 0) & (high >= 0)).mean()
    assert 0.92 < covered < 0.97  # 0.95, and a little less, as of percentile intervals


def test_strata_are_resampled_within_themselves():
    counts = resampled_counts((3, 5))
    assert (counts[:, :3].sum(axis=1) == 3).all()
    assert (counts[:, 3:].sum(axis=1) == 5).all()
    far_apart = np.concatenate([np.zeros(3), np.full(5, 100.0)])
    low, high = interval(far_apart, "mean", (3, 5))
    assert low == high == 62.5
    low, high = interval(far_apart, "mean")
    assert low < 62.5 < high


def test_same_trials_same_interval_whatever_stands_beside_them():
    values = np.random.default_rng(0).random((4, 30))
    np.testing.assert_array_equal(interval(values, "iqm")[:, 2], interval(values[2], "iqm"))


def test_improvement_against_a_loop():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 12).astype(float), rng.integers(0, 7, 9).astype(float)
    wins = [(x < y) + 0.5 * (x == y) for x in a for y in b]
    probability, (low, high) = improvement([a], [b])
    assert probability == pytest.approx(np.mean(wins))
    assert low < probability < high
    back, (back_low, back_high) = improvement([b], [a])
    assert probability + back == pytest.approx(1)
    assert improvement([a], [a])[0] == 0.5
    assert back_low < back < back_high


def test_improvement_is_the_mean_over_environments():
    better, worse = np.zeros(5), np.ones(8)
    probability, ends = improvement([better, worse], [worse, better])
    assert probability == 0.5
    np.testing.assert_allclose(ends, 0.5)


def test_profile():
    regrets = np.array([0.0, 0.0, 1.0, 3.0])
    share, low, high = performance_profile(regrets, np.array([0.0, 0.5, 1.0, 3.0]))
    np.testing.assert_allclose(share, [0.5, 0.5, 0.75, 1.0])
    assert (low <= share).all()
    assert (share <= high).all()
    assert low[-1] == 1.0


def trials(env="NB201-cifar10", agent=RandomSearch, name="random", seeds=6, queries=160, **task):
    envs = gym.make_vec(f"{env}-alpha-v0", num_envs=seeds, **task)
    found = agent(envs, seed=0).learn(queries)
    made = curves(found.task, envs.history.indices)
    return Trials(env, name, found.task, list(range(seeds)), made, {})


def test_summary_against_the_curves():
    one, two = trials(), trials(agent=LocalSearch, name="local", seeds=4)
    summary = summarize([one, two])
    text = json.dumps(summary, allow_nan=False)
    assert text == json.dumps(summarize([one, two]))
    found = summary["environments"]["NB201-cifar10"]
    assert found["optimum"] == one.task.optimum
    entry = found["agents"]["random"]
    assert list(entry["at_queries"]) == ["50", "100", "150", "160"]
    assert entry["at_queries"]["100"]["regret"]["mean"] == one.curves.regrets[99].mean()
    assert entry["at_queries"]["160"]["unique_queries"] == one.curves.unique[-1].mean()
    assert entry["seeds"] == list(range(6))
    assert summary["aggregate"] is None
    pairs = found["probability_of_improvement"]
    assert pairs["random"]["local"]["probability"] == pytest.approx(
        1 - pairs["local"]["random"]["probability"]
    )


def test_ranks_reached_count_ties_and_the_metrics_direction(tmp_path, cache):
    rows = [f"{a}{b},{a},{a}" for a in range(4) for b in range(2)]  # each loss occurs twice
    (tmp_path / "t.csv").write_text("arch,loss,report\n" + "\n".join(rows) + "\n")
    nas_gym.import_table(
        tmp_path / "t.csv", "Loss", signal="loss", report="report", minimize=["loss", "report"]
    )
    task = Task("Loss", "Loss")
    order = np.argsort(task.reported(np.arange(8)), kind="stable")

    def reached(last):
        made = curves(task, np.array([[last]]))
        found = summarize([Trials("Loss", "x", task, [0], made, {})])
        return found["environments"]["Loss"]["agents"]["x"]["reached"]

    assert reached(order[1]) == {"best": 1, "top_3": 1, "top_10": 1}  # as good as the first
    assert reached(order[3]) == {"best": 0, "top_3": 1, "top_10": 1}  # as good as the third
    assert reached(order[4]) == {"best": 0, "top_3": 0, "top_10": 1}
    assert reached(order[7])["top_10"] == 1  # the space has fewer than ten


def test_failed_agents_have_nulls():
    whole = trials()
    none = Trials(
        whole.env, "failed", whole.task, [], whole.curves.of(slice(0)), {0: "ValueError: x"}
    )
    other = trials("NBGraph-cora")
    others_none = Trials(other.env, "failed", other.task, [], other.curves.of(slice(0)), {})
    summary = summarize([whole, none, other, others_none])
    json.dumps(summary, allow_nan=False)
    entry = summary["environments"]["NB201-cifar10"]["agents"]["failed"]
    assert entry["trials"] == 0
    assert entry["failures"] == {"0": "ValueError: x"}
    assert entry["agent_seconds"] is None
    assert summary["aggregate"]["agents"]["failed"]["normalized_regret"]["iqm"] is None
    assert summary["aggregate"]["agents"]["random"]["normalized_regret"]["iqm"] > 0


def test_unit_of_normalized_regret():
    task = Task("analog-nasbench", "cifar10")
    regrets = task.regret(np.arange(task.space.size))
    assert regret_unit(task) == np.median(regrets)


def test_unit_of_regret_where_everything_is_optimal(tmp_path, cache):
    (tmp_path / "t.csv").write_text("arch,acc\n0,1\n1,1\n2,1\n")
    nas_gym.import_table(tmp_path / "t.csv", "Flat")
    assert regret_unit(Task("Flat", "Flat")) == 1.0
