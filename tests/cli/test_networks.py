"""``nas-gym train-supernet`` and ``nas-gym audit`` on images of the user."""

from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pytest
from PIL import Image

SMALL = ("--set", "channels=2", "--set", "cells=1", "--set", "batch_size=8")


@pytest.fixture
def photos(tmp_path):
    """A folder of 2 x 8 images of 9 x 9 pixels."""
    rng = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(0, 256, (9, 9, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def suggested(text):
    """Return the arguments of the search that train-supernet suggests."""
    command = shlex.split(re.search(r"Search with it: nas-gym (.*)", text)[1])
    assert command[0] == "search"
    return command[1:]


def test_the_suggested_search_on_photos_works(cli, tmp_path, photos):
    text = cli(
        "train-supernet", "NB201", "photos", "--size", 8, "--epochs", 1, "--out", "mine", *SMALL
    )
    env, *options = suggested(text)
    assert env == "NB201-digits-v0"
    assert options == ["--dataset", "photos", "--size", "8", "--supernet", "mine.safetensors"]
    few = ("--queries", 3, "--seeds", 1)
    cli("search", env, *options, "--agent", "random", *few, "--out", "one")
    assert json.loads((tmp_path / "one/summary.json").read_text())["task"]["dataset"] == "photos"
    cli("compare", env, *options, "--agents", "random", *few, "--out", "several")
    assert (tmp_path / "several/report.html").exists()
    text = cli("audit", env, "supernet", "valid_accuracy", *options, "--sample", 3)
    assert "Over 3 architectures." in text
    message = cli("search", env, "--supernet", "mine.safetensors", *few, fails=True)
    assert "--dataset" in message


def test_predict_on_photos(cli, photos, open_table):
    open_table("nats-bench")
    cli("meta-train", "NB201-cifar10-v0", "--test", "NB201-cifar100-v0", "--agent", "mpnas",
        "--queries", 300, "--epochs", 1, "--set", "width=16", "--set", "steps=2", "--out",
        "mp")  # fmt: skip
    _, *options = suggested(
        cli("train-supernet", "NB201", "photos", "--epochs", 1, "--out", "mine", *SMALL)
    )
    few = ("--pretrained", "mp.safetensors", "--shots", 2, "--top", 3)
    text = cli("predict", "NB201-digits-v0", *options, *few)
    assert "2 shots" in text
    assert "Spearman" not in text  # nothing but the shots and the shown ones is evaluated
    assert text.count("|nor_conv") + text.count("|none") + text.count("|skip") >= 3


def test_a_supernet_in_the_cache_needs_no_file(cli, photos, monkeypatch):
    from nas_gym.networks import plans, supernet

    def small_plan(space, data, seed=0):
        plan = plans.supernet_plan(space, data, seed)
        return plan.with_settings(epochs=1, channels=2, cells=1, batch_size=8)

    monkeypatch.setattr(supernet, "supernet_plan", small_plan)
    monkeypatch.setattr("nas_gym.experiments.train_supernet.supernet_plan", small_plan)
    env, *options = suggested(cli("train-supernet", "NB201", "photos"))
    assert options == ["--dataset", "photos"]
    cli("search", env, *options, "--agent", "random", "--queries", 2, "--seeds", 1)
    assert suggested(cli("train-supernet", "NB201", "digits")) == ["NB201-digits-v0"]


def test_the_suggested_few_shot_search_works(cli, tmp_path, few_shot_files):
    images = str(few_shot_files["images"])
    small = (
        "epochs=2",
        "updates=1",
        "tasks=1",
        "warmup=1",
        "population=2",
        "channels=2",
        "fitness_tasks=1",
    )
    settings = [word for each in (*small, "queries=1") for word in ("--set", each)]
    command = ("train-supernet", "NB201", images, "--ways", 3, "--out", "mine", *settings)
    text = cli(*command)
    assert "3-way 1-shot tasks, best validation accuracy" in text
    assert list((tmp_path / "mine").glob("events.out.tfevents.*"))
    env, *options = suggested(text)
    assert env == "NB201-omniglot-5way1shot-v0"
    assert options == [
        "--evaluator", "few-shot(ways=3,shots=1)", "--dataset", images, "--supernet",
        "mine.safetensors",
    ]  # fmt: skip
    options[1] = "few-shot(ways=3,shots=1,tasks=2,test_tasks=2)"
    cli("search", env, *options, "--agent", "random", "--queries", 2, "--seeds", 1, "--out", "one")
    task = json.loads((tmp_path / "one/summary.json").read_text())["task"]
    assert task["evaluator"] == options[1]
    message = cli(*command[:3], "--ways", 9, fails=True)
    assert "signs/valid has 4 classes, too few for 9-way tasks" in message
    message = cli(*command[:3], "--ways", 3, "--shots", 14, fails=True)
    assert "fewer than 14 + 5 images" in message
    message = cli("train-supernet", "NB201", "digits", "--shots", 2, fails=True)
    assert "neither a few-shot data set" in message


def test_the_suggested_search_with_a_meta_network_works(cli, tmp_path, few_shot_files):
    small = ("epochs=2", "updates=1", "tasks=1", "steps=1", "valid_tasks=1", "channels=2")
    settings = [word for each in (*small, "queries=1") for word in ("--set", each)]
    images = str(few_shot_files["images"])
    command = ("train-supernet", "NB201", images, "--method", "base", "--ways", 3, *settings)
    text = cli(*command, "--out", "meta")
    assert "3-way 1-shot tasks" in text
    (events,) = (tmp_path / "meta").glob("events.out.tfevents.*")
    for name in (b"alpha_entropy", b"agreement", b"skipped_tasks", b"valid_accuracy"):
        assert events.read_bytes().count(b"supernet/" + name) == 2
    env, *options = suggested(text)
    assert [env, *options] == [
        "NB201-cifar10-v0", "--agent", "base", "--pretrained", "meta.safetensors",
    ]  # fmt: skip
    cli("search", env, *options, "--set", "steps=0", "--queries", 2, "--seeds", 1, "--out", "one")
    summary = json.loads((tmp_path / "one/summary.json").read_text())
    assert summary["at_queries"]["2"]["unique_queries"] == 2
    message = cli(*command[:3], "--method", "maml", fails=True)
    assert "method is one of atnas, base, base-paper, got 'maml'" in message


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("digits", "--set", "channels=1000000"), "channels is at least 1 and at most 4,096"),
        (("digits", "--set", "channels=4096", "--set", "cells=100"), "at most 500,000,000"),
        (("digits", "--set", "channels=" + "[" * 100_000), "channels is of type int"),
        (("digits", "--set", "width=3"), "no setting 'width'"),
        (("digits", "--set", "epochs"), "A setting must be written NAME=VALUE"),
        (("digits", "--epochs", 2, "--set", "epochs=3"), "'epochs' is given twice"),
        (("digits", "--epochs", 10**30), "epochs and batch_size of 1 to 1,000,000"),
        (("digits", "--seed", 99999999999999999999), "seed is 0 to 2^63 - 1"),
        (("digits", "--seed", -1), "seed is 0 to 2^63 - 1"),
        (("digits", "--size", 8), "have a fixed size"),
        (("digits", "--device", "cuda:99999999999"), "There is no device"),
        (("digits", "--device", "abacus"), "There is no device"),
        (("digits", "--out", ""), "An argument after --out is empty"),
        (("digits", "--out", "/"), "is not the name of a file"),
        (("digits", "--out", "/dev/null/x"), "Could not write"),
        (("digits", "--out", "x" * 300), "Could not write"),
        (("photos", "--size", 0), "size is at least 1 pixel"),
        (("photos", "--size", 10**9), "NAS_GYM_MAX_PIXELS"),
        (("photos", "--size", 2**80), "NAS_GYM_MAX_PIXELS"),
        (("",), "An argument is empty"),
        (("x" * 300,), "neither a data set"),
        (("photos/ant/0.png",), "is not a complete zip file"),
        (("loop",), "neither a data set"),
        (("/dev/zero",), "neither a folder nor a zip file"),
    ],
)
def test_malformed_command_lines_have_no_traceback(arguments, says, cli, tmp_path, photos):
    (tmp_path / "loop").symlink_to("loop")
    message = cli("train-supernet", "NB201", *arguments, fails=True)
    assert says in message
    assert message.startswith("nas-gym: ")
    assert len(message) < 2000
    assert not (tmp_path / "cache" / "supernets").exists()


@pytest.mark.parametrize("file", ["photos", "loop", "/dev/null", "x" * 300, "nowhere"])
def test_supernets_that_are_no_files(file, cli, tmp_path, photos):
    (tmp_path / "loop").symlink_to("loop")
    few = ("--agent", "random", "--queries", 2, "--seeds", 1, "--out", "out")
    message = cli("search", "NB201-digits-v0", "--supernet", file, *few, fails=True)
    assert "There is no supernet" in message
