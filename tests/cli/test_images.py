"""From a folder of images to a CSV file of predictions, on the command line."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from networks.data.class_folders import write_classes
from PIL import Image

from nas_gym.networks import plans, supernet
from nas_gym.networks.data import load_images

CELL = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
SMALL = ("--set", "channels=4", "--set", "cells=1", "--set", "batch_size=8")
NAMES = ("ant", "bee")
GUIDE = Path(__file__).parents[2] / "docs" / "images.md"


@pytest.fixture
def photos(tmp_path):
    return write_classes(tmp_path / "photos", NAMES, images=16, side=8)


@pytest.fixture
def small_supernets(monkeypatch):
    """Supernets that train in seconds."""

    def small_plan(space, data, seed=0):
        plan = plans.supernet_plan(space, data, seed)
        return plan.with_settings(epochs=2, channels=4, cells=1, batch_size=8)

    monkeypatch.setattr(supernet, "supernet_plan", small_plan)
    monkeypatch.setattr("nas_gym.experiments.train_supernet.supernet_plan", small_plan)


def accuracies(text):
    return [float(each) for each in re.findall(r"accuracy (\d+\.\d+) %", text)]


def commands_of_the_guide():
    """Return the words of the five commands that docs/images.md shows first."""
    block = re.search(r"```bash\n(.*?)```", GUIDE.read_text(), re.DOTALL)[1]
    return [shlex.split(line)[1:] for line in block.splitlines()]


@pytest.mark.long
def test_the_five_commands_of_the_guide(cli, tmp_path, photos, small_supernets):
    shutil.copytree(photos, tmp_path / "new-photos")
    imports, supernets, searches, trains, classifies = commands_of_the_guide()
    assert "NB201-photos-v0" in cli(*imports)
    text = re.sub(r"\s+", " ", cli(*supernets))
    assert "Search with it: nas-gym search NB201-photos-v0 " in text
    few = ("--queries", 6, "--seeds", 2)
    cli(*searches, *few, "--set", "population_size=4", "--set", "sample_size=2")
    text = cli(*trains, "--epochs", 3, *SMALL)
    (printed,) = accuracies(text)
    description = json.loads((tmp_path / "model/model.json").read_text())
    assert description["metrics"]["test_accuracy"] == pytest.approx(printed, abs=0.01)
    history = [json.loads(line) for line in (tmp_path / "runs/photos/history.jsonl").open()]
    best = max(each["reward"] for each in history)
    assert description["arch"] in {each["arch"] for each in history if each["reward"] == best}
    text = cli(*classifies)
    assert "32 images classified" in text
    rows = list(csv.DictReader((tmp_path / "predictions.csv").open()))
    assert [row["image"] for row in rows][:2] == ["ant/0.png", "ant/1.png"]
    right = [row["image"].startswith(row["class"]) for row in rows]
    assert accuracies(text) == [pytest.approx(100 * np.mean(right), abs=0.01)]
    # the other commands take the ID alone
    (small,) = (tmp_path / "cache/supernets").glob("*.safetensors")
    real = plans.supernet_plan("NB201", load_images("photos"))  # of worker processes
    shutil.copy(small, supernet.supernet_path(real, "photos"))
    cli("compare", "NB201-photos-v0", "--agents", "random", *few, "--out", "several")
    assert "Over 3 architectures" in cli(
        "audit", "NB201-photos-v0", "supernet", "valid_accuracy", "--sample", 3
    )
    cli("train", "runs/photos", "--epochs", 1, "--fine-tune", "--out", "tuned")
    tuned = json.loads((tmp_path / "tuned/model.json").read_text())
    assert tuned["training"]["start"].startswith("supernet")
    assert tuned["network"]["channels"] == 4


@pytest.mark.long
def test_mobile_networks_are_searched_and_trained_on_imported_images(
    cli, tmp_path, photos, monkeypatch
):
    monkeypatch.setattr(plans, "_SUPERNET_STEPS", 4)
    cli("data", "import", photos, "--name", "photos")
    text = re.sub(r"\s+", " ", cli("train-supernet", "MnasNet-photos-v0"))
    assert "Search with it: nas-gym search MnasNet-photos-v0 " in text
    cli("search", "MnasNet-photos-v0", "--queries", 4, "--seeds", 1, "--out", "found")
    cli("train", "found", "--epochs", 1, "--set", "channels=4", "--out", "model")
    description = json.loads((tmp_path / "model/model.json").read_text())
    history = [json.loads(line) for line in (tmp_path / "found/history.jsonl").open()]
    best = max(each["reward"] for each in history)
    assert description["arch"] in {each["arch"] for each in history if each["reward"] == best}
    assert "32 images classified" in cli("classify", "model", photos, "--out", "test.csv")


def test_classify_has_the_accuracy_that_train_prints(cli, tmp_path):
    for split, images in (("train", 12), ("valid", 4), ("test", 11)):
        write_classes(tmp_path / "signs" / split, NAMES, images=images, side=8, seed=images)
    cli("data", "import", "signs", "--name", "signs")
    text = cli("train", CELL, "--task", "NB201-signs-v0", "--epochs", 4, *SMALL, "--out", "model")
    classified = cli("classify", "model", "signs/test", "--out", "test.csv")
    assert accuracies(classified) == accuracies(text)
    (tmp_path / "mixed").mkdir()
    Image.new("RGBA", (30, 20), (9, 9, 9, 255)).save(tmp_path / "mixed" / "großes Bild, neu.png")
    (tmp_path / "mixed" / "broken.jpg").write_bytes(b"no image")
    text = cli("classify", "model", "mixed", "--out", "mixed.csv")
    assert "1 images classified, 1 could not be read" in text
    assert "accuracy" not in text
    broken, good = csv.DictReader((tmp_path / "mixed.csv").open())
    assert (broken["image"], broken["class"], broken["probability"]) == ("broken.jpg", "", "")
    assert "no known format" in broken["error"]
    assert good["class"] in NAMES
    assert 0.5 <= float(good["probability"]) <= 1


@pytest.mark.long
def test_a_zip_file_is_imported_listed_described_and_removed(cli, tmp_path, photos):
    shutil.make_archive(str(tmp_path / "photos"), "zip", photos)
    cli("data", "import", "photos.zip", "--name", "zipped")
    assert "2 classes, 32 grey images of 8 x 8 pixels" in cli("data", "list")
    text = cli("data", "info", "zipped")
    assert re.search(r"bee\s+8\s+4\s+4", text)
    sheet = Image.open(tmp_path / "cache/images-v1/zipped.png")
    assert sheet.height < sheet.width
    assert "NB201-zipped-v0" in cli("envs")
    assert "Deleted" in cli("data", "remove", "zipped")
    assert not list((tmp_path / "cache/images-v1").glob("zipped*"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("data", "import", "photos", "--name", "x", "--signal", "val"), "--signal is for tables"),
        (("data", "import", "x.csv", "--name", "x", "--size", 8), "--size is for images"),
        (("data", "import", "photos", "--name", "x", "--size", 0), "size is at least 1 pixel"),
        (("data", "import", "nothing.zip", "--name", "x"), "There is no folder or zip file"),
        (("data", "import", "empty", "--name", "x"), "has neither images in subfolders"),
        (("train", "photos", "--out", "m"), "holds no finished search"),
        (("train", CELL, "--out", "m"), "name the images: --task"),
        (("train", "abc", "--task", "NB201-digits", "--out", "m"), "abc"),
        (("train", CELL, "--task", "NB201-nowhere", "--out", "m"), "There is no environment"),
        (("train", CELL, "--task", "NBGraph-cora", "--out", "m"), "There are networks of"),
        (("train", CELL, "--task", "NB201-digits", "--set", "width=3", "--out", "m"), "'width'"),
        (("train", CELL, "--task", "NB201-digits", "--set", "pad=-1", "--out", "m"), "pad and"),
        (("train", CELL, "--task", "NB201-digits", "--supernet", "x", "--out", "m"), "--fine-tune"),
        (("train-supernet", "NB201"), "Name the images after NB201"),
        (("train-supernet", "NBGraph-cora-v0"), "has no supernet"),
        (("classify", "photos", "photos"), "holds no trained network"),
    ],
)
def test_mistakes_are_explained(arguments, says, cli, tmp_path, photos):
    (tmp_path / "empty").mkdir()
    message = cli(*arguments, fails=True)
    assert says in message
    assert not (tmp_path / "m" / "model.json").exists()
