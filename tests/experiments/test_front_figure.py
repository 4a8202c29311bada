"""Figures of Pareto fronts."""

import re

import pytest

import nas_gym
from nas_gym.experiments.figures import styles, to_svg
from nas_gym.experiments.front_figure import front_figure
from nas_gym.experiments.settings import SearchSettings
from nas_gym.experiments.stored_search import StoredSearch, run_missing

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
