"""Figures of Pareto fronts."""

import itertools
import re

import numpy as np
import pytest

import nas_gym
from nas_gym.experiments.figures import styles, to_svg
from nas_gym.experiments.front_figure import _limits, front_figure
from nas_gym.experiments.settings import SearchSettings
from nas_gym.experiments.stored_search import StoredSearch, run_missing
from nas_gym.recording.front_curves import median_attainment

pytest.importorskip("moocore")


def test_points_show_architectures(tmp_path):
    settings = SearchSettings("NBGraph-proteins-mo-v0", "random", 40, 2)
    results = run_missing([StoredSearch("random", settings, tmp_path)], progress_bar=False)
    task, curves = results[0].task, results[0].curves
    figure = front_figure(results, styles(["random"]))
    assert len(figure.axes) == 2  # two objectives against the first
    assert figure.axes[0].get_ylabel() == "nas-bench-graph-proteins:perf"  # the report
    svg = to_svg(figure, "front", "a front")
    titles = re.findall(r"<title>random: (.*?), nas-bench", svg)
    texts = task.space.to_text(task.space.decode(curves.indices[:, 0]))
    texts += task.space.to_text(task.space.decode(curves.indices[:, 1]))
    assert titles
    assert set(titles) <= set(texts)
    assert curves.fronts.shares.shape == curves.fronts.distances.shape == (40, 2)
    assert (curves.fronts.hypervolumes == curves.reports).all()
    assert nas_gym.__version__


def test_half_of_the_trials_attain_each_vector_of_the_median_curve():
    task = nas_gym.make_task(table="analog-nasbench", dataset="cifar10", objectives="signal,params")
    indices = np.random.default_rng(0).integers(task.space.size, size=(30, 5))
    vectors = task.reported_objectives(indices)
    curve = median_attainment(task, indices)

    def count(vector):
        return (vectors >= vector).all(axis=2).any(axis=0).sum()

    assert len(curve) > 2
    assert (np.diff(curve[:, 0]) < 0).all()
    for vector in curve:
        assert count(vector) >= 3
    # every vector between two neighbours is attained by less than half of the trials
    for better, worse in itertools.pairwise(curve):
        assert count(np.array([better[0], worse[1]])) < 3


def test_attainment_without_a_feasible_architecture():
    task = nas_gym.make_task(
        table="analog-nasbench", dataset="cifar10", objectives="signal,params",
        constraint="flops <= 9",
    )  # fmt: skip
    infeasible = np.flatnonzero(task.violations(np.arange(task.space.size)) > 0)[:4]
    assert median_attainment(task, infeasible[:, None]).shape == (0, 2)


def test_axes_leave_out_isolated_values():
    isolated = np.append(np.linspace(86, 94, 42), 10.0)
    assert _limits(isolated, (5, 99)) == pytest.approx((85.4, 94.4), abs=0.3)
    assert _limits(isolated[:-1], (5, 99)) == (5, 99)
    assert _limits(isolated[30:], (5, 99)) == (5, 99)  # 5 % of the values are less than one
    assert _limits(np.ones(43), (0, 2)) == (0, 2)
