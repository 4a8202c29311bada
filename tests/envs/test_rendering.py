"""Rendering: images have one size, and differ between architectures, in every mode."""

from __future__ import annotations

import gymnasium as gym
import matplotlib
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import nas_gym  # noqa: F401
from nas_gym.envs.rendering import (
    HEIGHT,
    NO_ARCHITECTURE,
    WIDTH,
    draw_architecture,
    write_architecture,
)
from nas_gym.envs.rendering.graph import assign_layers, place_members
from nas_gym.envs.rendering.page import Page
from nas_gym.spaces import CategoricalSpace, DARTSSpace, NB201Space, NBGraphSpace
from nas_gym.spaces.darts import OPERATIONS

SPACES = {
    "NB201": NB201Space(),
    "NBGraph": NBGraphSpace(),
    "DARTS": DARTSSpace(),
    "three": CategoricalSpace([("conv", "$pool$"), ("relu", "tanh"), ("1", "2", "3")], name="mine"),
    "sixty": CategoricalSpace([("a long label", "b")] * 60, name="a long name " * 9),
}
IDS = [f"{task}{mode}-v0" for task in ("NB201-cifar10", "NBGraph-cora")
       for mode in ("", "-alpha", "-population")]  # fmt: skip


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_every_frame_has_one_shape_and_its_own_content(space):
    genotypes = space.sample(2, np.random.default_rng(0))
    pictures = [draw_architecture(space, None, "")]
    pictures += [draw_architecture(space, genotype, "accuracy 93 %") for genotype in genotypes]
    pictures += [draw_architecture(space, genotypes[0, :depth], "") for depth in range(3)]
    for i, picture in enumerate(pictures):
        assert (picture.shape, picture.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
        assert (picture[0] == 255).all()  # the border stays empty
        for other in pictures[:i]:
            assert (picture != other).any()


def test_same_architecture_same_frame():
    space = SPACES["NB201"]
    genotype = np.array([3, 4, 0, 1, 2, 3])
    frames = [draw_architecture(space, genotype, "x") for _ in range(2)]
    np.testing.assert_array_equal(*frames)


def test_operations_differ_in_color():
    space = SPACES["NB201"]
    for operation in range(5):
        picture = draw_architecture(space, np.full(6, operation), "")
        colors = {tuple(pixel) for pixel in picture.reshape(-1, 3).tolist()}
        strong = {c for c in colors if max(c) - min(c) > 80}
        assert bool(strong) == (operation != 0)  # `none` is grey


def test_images_of_different_links_differ():
    space = SPACES["NBGraph"]
    pictures = {
        draw_architecture(space, np.array([link, 0, 1, 2, 3]), "").tobytes() for link in range(9)
    }
    assert len(pictures) == 9


class RecordingPage(Page):
    """A page that also lists its texts and counts its arrows."""

    def __init__(self):
        super().__init__()
        self.texts, self.num_arrows = [], 0

    def text(self, at, words, *args, **style):
        self.texts.append(words)
        super().text(at, words, *args, **style)

    def arrow(self, *args):
        self.num_arrows += 1
        super().arrow(*args)


def test_an_architecture_of_darts_is_drawn_as_two_cells(monkeypatch):
    space, pages = SPACES["DARTS"], []

    def new_page():
        pages.append(RecordingPage())
        return pages[-1]

    monkeypatch.setattr("nas_gym.envs.rendering.architecture.Page", new_page)
    (genotype,) = space.sample(1, np.random.default_rng(0))
    draw_architecture(space, genotype, "")
    (whole,) = pages
    for label in ("normal", "reduce"):
        assert whole.texts.count(label) == 1
    for label in ("-2", "-1", "0", "1", "2", "3", "out"):
        assert whole.texts.count(label) == 2
    (notation,) = space.to_notation(genotype)
    operations = sorted(name for name, _ in notation.normal + notation.reduce)
    assert sorted(text for text in whole.texts if text in OPERATIONS) == operations
    assert whole.num_arrows == 2 * (8 + 8 + 1)  # to and from each operation, and to the output

    draw_architecture(space, genotype[:12], "")  # the normal cell and one operation
    assert sum(text in OPERATIONS for text in pages[1].texts) == 9
    assert pages[1].texts.count("?") == 7
    assert pages[1].num_arrows == 2 * (8 + 8 + 1) - 6  # the inputs of three nodes are undecided


def test_images_of_different_inputs_in_darts_differ():
    space = SPACES["DARTS"]
    pictures = set()
    for pair in range(10):
        genotype = np.zeros(22, np.int64)
        genotype[19] = pair  # of the last node of the reduction cell
        pictures.add(draw_architecture(space, genotype, "").tobytes())
    assert len(pictures) == 10


def test_edges_that_cross_layers_have_places_of_their_own():
    parents = [[], [0], [0, 1], [2], [0, 1, 3]]
    layers = assign_layers(parents)
    assert [(v, v) in layer for v, layer in enumerate(layers)] == [True] * 5
    places = place_members(layers, parents, step=100.0, gap=50.0)
    points = [point for route in places.values() for point in route]
    assert len(points) == len(set(points)) == 5 + 1 + 3 + 2  # nodes, and crossings of layers


def test_the_users_matplotlib_style_has_no_effect():
    space, genotype = SPACES["NBGraph"], np.array([4, 0, 1, 2, 3])
    expected = draw_architecture(space, genotype, "accuracy 93 %")
    dark = {"text.color": "w", "font.family": "serif", "lines.linewidth": 5, "savefig.dpi": 300}
    with matplotlib.rc_context(dark):
        np.testing.assert_array_equal(draw_architecture(space, genotype, "accuracy 93 %"), expected)


def test_text():
    space = SPACES["NB201"]
    whole = write_architecture(space, np.array([3, 4, 0, 1, 2, 3]), "accuracy 93 %")
    assert whole.splitlines() == [*space.to_text([[3, 4, 0, 1, 2, 3]]), "accuracy 93 %"]
    part = write_architecture(space, np.array([3, 4]), "")
    assert "0->2: avg_pool_3x3" in part
    assert "1->2" in part.splitlines()[-1]
    assert write_architecture(space, None, "") == NO_ARCHITECTURE


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("render_mode", ["ansi", "rgb_array"])
def test_environments_render_each_step(env_id, render_mode):
    env = gym.make(env_id, render_mode=render_mode)
    env.reset(seed=0)
    env.action_space.seed(0)
    frames = [env.render()]
    for _ in range(5):
        env.step(env.action_space.sample())
        frames.append(env.render())
    assert len({np.asarray(frame).tobytes() for frame in frames}) == 6


def test_last_frame_shows_the_reported_accuracy():
    env = gym.make("NB201-cifar10-v0", render_mode="ansi", report="analog_accuracy")
    env.reset(seed=0)
    for action in (3, 1, 3, 0, 3, 3):
        *_, info = env.step(action)
    assert f"analog_accuracy {info['metrics']['analog_accuracy']:.4g} %" in env.render()
    assert info["arch"] in env.render()


def test_last_frame_shows_a_reward_of_several_metrics():
    """The caption shows the combination with the reported metric, as info does."""
    reward = "latency(column=latency,target=0.02,weight=-0.5)"
    env = gym.make("NBGraph-proteins-v0", render_mode="ansi", reward=reward)
    env.reset(seed=0)
    for action in (0, 1, 2, 3, 0):
        *_, info = env.step(action)
    assert f"reward {info['incumbent_report']:.4g}" in env.render().splitlines()
    assert info["incumbent_report"] != info["metrics"]["perf"]


def test_vector_environments_render_every_search():
    envs = gym.make_vec("NB201-cifar10-alpha-v0", num_envs=3, render_mode="ansi")
    envs.reset(seed=0)
    *_, infos = envs.step(envs.action_space.sample())
    assert [frame.splitlines()[0] for frame in envs.render()] == infos["arch"].tolist()
    pictures = gym.make_vec("NB201-cifar10-v0", num_envs=2, render_mode="rgb_array")
    pictures.reset(seed=0)
    assert [frame.shape for frame in pictures.render()] == [(HEIGHT, WIDTH, 3)] * 2


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.filterwarnings("error")
def test_gymnasiums_checker_renders(env_id):
    check_env(gym.make(env_id, render_mode="rgb_array").unwrapped)


def test_lists_of_frames_for_videos():
    env = gym.make("NB201-cifar10-v0", render_mode="rgb_array_list")
    env.reset(seed=0)
    for action in range(3):
        env.step(action)
    assert [frame.shape for frame in env.render()] == [(HEIGHT, WIDTH, 3)] * 4


def test_render_without_a_mode_warns():
    env = gym.make("NB201-cifar10-v0")
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode='rgb_array'"):
        assert env.unwrapped.render() is None


def test_rendering_does_not_import_pyplot(run_python):
    run_python(
        "import sys, gymnasium as gym, nas_gym\n"
        "env = gym.make('NB201-cifar10-v0', render_mode='rgb_array')\n"
        "env.reset(seed=0); env.render()\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
