"""The figures of comparisons: what is on them, that it is not cut off, and that they are stable."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

import nas_gym
from nas_gym.experiments.axes import log_spaced_integers, log_ticks
from nas_gym.experiments.figures import (
    curves_figure,
    improvement_figure,
    profile_figure,
    styles,
    to_png,
    to_svg,
)
from nas_gym.experiments.records import TrialResults
from nas_gym.experiments.statistics import summarize_comparison
from nas_gym.recording.curves import compute_curves
from nas_gym.tasks import make_task

NAMES = [f"agent_{i}(population_size={10 * i})" for i in range(12)]


def trials(task, agent, indices, env="E-v0"):
    indices = np.asarray(indices, np.int64)
    return TrialResults(
        env,
        env,
        agent,
        task,
        list(range(indices.shape[1])),
        compute_curves(task, indices, task.reward(indices)),
        {},
    )


@pytest.fixture
def nb201(open_table):
    open_table("analog-nasbench")
    return make_task(table="analog-nasbench", dataset="cifar10")


@pytest.fixture
def tiny(cache, write_csv):
    nas_gym.import_table(write_csv(), "Tiny", signal="val", report="test", minimize=["val", "test"])
    return make_task(table="Tiny", dataset="Tiny")


def made(task, agents, count=6, queries=80, env="E-v0"):
    rng = np.random.default_rng(0)
    size = task.space.size
    return [trials(task, name, rng.integers(size, size=(queries, count)), env) for name in agents]


def drawn(found):
    """Every figure of the trials of one environment."""
    style = styles(one.agent for one in found)
    improvements = summarize_comparison(found)["environments"]["E-v0"]["probability_of_improvement"]
    return [
        curves_figure(found, style, title="E-v0"),
        profile_figure([found], style),
        improvement_figure(improvements),
    ]


def inside(figure):
    """Whether nothing that is drawn reaches out of the figure; sizes are in inches."""
    box = figure.get_tightbbox(figure.canvas.get_renderer())
    width, height = figure.get_size_inches()
    return min(box.x0, box.y0) > -0.02 and box.x1 < width + 0.02 and box.y1 < height + 0.02


def overlapping(axis):
    """Pairs of an axis's tick labels that overlap."""
    renderer = axis.figure.canvas.get_renderer()
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
    boxes = [label.get_window_extent(renderer) for at, label in ticks if low <= at <= high]
    return [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]


@pytest.mark.parametrize("agents", [1, 2, 4, 10, 12])
def test_nothing_is_cut_off_and_no_ticks_overlap(nb201, agents):
    curve, profile, matrix = drawn(made(nb201, NAMES[:agents]))
    for figure in (curve, profile, matrix):
        assert inside(figure)
    for axes in (*curve.axes, *profile.axes):
        assert not overlapping(axes.xaxis)
        assert not overlapping(axes.yaxis)


def test_twelve_agents_have_twelve_styles():
    found = styles(NAMES)
    assert len({(style.color, str(style.dashes)) for style in found.values()}) == 12
    assert [style.number for style in found.values()] == list(range(12))


def test_an_agent_has_the_same_style_in_every_figure(nb201):
    found = made(nb201, ["a", "b"])
    style = styles(["a", "b"])
    both, alone = curves_figure(found, style), curves_figure(found[1:], style)
    colors = [[line.get_color() for line in f.axes[1].lines] for f in (both, alone)]
    assert colors[0][1:] == colors[1] == [style["b"].color]


def test_curves_show_means_and_their_intervals(nb201):
    (one,) = made(nb201, ["a"], queries=200)
    axes = curves_figure([one], styles(["a"])).axes[1]
    x, y = axes.lines[0].get_data()
    assert (x[0], x[-1]) == (10, 200)
    np.testing.assert_allclose(y, one.curves.regrets.mean(axis=1)[x - 1])
    assert axes.get_ylim()[0] <= y.min()
    assert axes.get_ylim()[1] >= y.max()


def test_the_optimum_is_visible_for_both_directions(nb201, tiny):
    for task in (nb201, tiny):
        axes = curves_figure(made(task, ["a"]), styles(["a"])).axes[0]
        low, high = axes.get_ylim()
        assert low < task.optimum < high


def test_regret_axis_includes_zero_if_a_trial_reaches_it(nb201):
    best = int(np.argmin(nb201.regret(np.arange(nb201.space.size))))
    indices = np.random.default_rng(0).integers(nb201.space.size, size=(50, 4))
    indices[30:] = best
    axes = curves_figure([trials(nb201, "a", indices)], styles(["a"])).axes[1]
    assert axes.get_ylim()[0] < 0 < axes.get_ylim()[1]
    assert "0" in [label.get_text() for label in axes.get_yticklabels()]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("queries", [1, 2, 30])
def test_small_runs_in_a_tiny_space(tiny, count, queries):
    for figure in drawn(made(tiny, ["a", "b"], count, queries)):
        assert inside(figure)
        assert to_png(figure).startswith(b"\x89PNG")


def test_all_optimal(tiny):
    for figure in drawn([trials(tiny, name, np.zeros((20, 3))) for name in "ab"]):
        assert inside(figure)


def test_only_agents_in_all_environments_are_aggregated(nb201, tiny):
    one, two = made(nb201, ["a", "b"]), made(tiny, ["a", "b"])
    two[1] = trials(tiny, "b", np.empty((80, 0)))
    figure = profile_figure([one, two], styles("ab"))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a"]


def test_svg_is_xml_without_addresses_dates_and_shared_ids(nb201):
    found = made(nb201, ["a$b$", "<b>"])
    texts = [to_svg(figure, f"name-{i}", "what <it> is") for i, figure in enumerate(drawn(found))]
    ids = [each for text in texts for each in re.findall(r'\bid="([^"]+)"', text)]
    assert len(ids) == len(set(ids))
    for i, text in enumerate(texts):
        # viewers other than browsers want the prefix declared
        root = ElementTree.fromstring(
            text.replace("<svg", '<svg xmlns:xlink="http://www.w3.org/1999/xlink"', 1)
        )
        assert root.get("aria-label") == "what <it> is"
        assert "http" not in text
        assert set(re.findall(r'href="(.)', text)) <= {"#"}
        for target in re.findall(r'(?:href="#|url\(#)([^")]+)', text):
            assert target in ids
            assert target.startswith(f"name-{i}-")
    for number in (0, 1):  # a line and a band in each panel
        assert texts[0].count(f'class="agent-{number}"') == 4
        assert texts[1].count(f'class="agent-{number}"') == 2


def test_figures_are_reproducible(nb201):
    first, second = (drawn(made(nb201, ["a", "b"])) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert to_png(one) == to_png(other)
        assert to_svg(one, "name", "") == to_svg(other, "name", "")


@pytest.mark.parametrize(("low", "high"), [(10, 500), (1, 20), (0.03, 0.04), (1e-4, 3), (7, 7)])
def test_ticks_are_round_few_and_inside(low, high):
    ticks = log_ticks(low, high)
    assert all(low <= tick <= high * 1.001 for tick in ticks)
    assert len(ticks) <= 7
    if high > low:
        assert len(ticks) >= 2


def test_log_spaced_integers_include_both_ends():
    points = log_spaced_integers(10, 1000)
    assert points[0] == 10
    assert points[-1] == 1000
    assert len(points) <= 200
    assert (np.diff(points) > 0).all()
    assert log_spaced_integers(1, 5).tolist() == [1, 2, 3, 4, 5]


def test_few_trials_have_no_band_and_curves_show_values(nb201):
    rng = np.random.default_rng(0)
    for count, bands in ((4, 0), (5, 1)):
        one = trials(nb201, "a", rng.integers(0, nb201.space.size, (12, count)))
        (axes, _) = (figure := curves_figure([one], styles(["a"]))).axes
        polygons = [each for each in axes.collections if "Poly" in type(each).__name__]
        assert len(polygons) == bands
    svg = to_svg(figure, "a", "b")
    assert "<title>a, 12 queries: " in svg
    assert 'class="agent-0 hover"' in svg
    assert "hover|" not in svg


def test_bands_of_many_agents_are_omitted(nb201):
    for agents, bands in ((6, 6), (7, 0)):
        members = made(nb201, NAMES[:agents], queries=12)
        figure = curves_figure(members, styles(NAMES), ["regrets"])
        polygons = [each for each in figure.axes[0].collections if "Poly" in type(each).__name__]
        assert len(polygons) == bands
    assert re.search(r"12 queries: \S+ \[", to_svg(figure, "a", "b"))  # intervals on hovering
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert max(map(len, names)) <= 25


def test_twelve_agents_have_colours_of_their_own():
    assert len({style.color for style in styles(map(str, range(12))).values()}) == 12
