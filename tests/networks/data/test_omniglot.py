"""Omniglot: published files, their split, and the official one-shot evaluation."""

from __future__ import annotations

import shutil
import zipfile

import numpy as np
import pytest
from networks.data.class_folders import write_classes

from nas_gym.networks.data import fetch_images, omniglot
from nas_gym.networks.data.few_shot import clear_few_shot_cache, load_few_shot
from nas_gym.utils.download import find_file
from nas_gym.utils.errors import DamagedDataError, DataError
from nas_gym.utils.files import sha256


@pytest.fixture(autouse=True)
def _afresh():
    clear_few_shot_cache()
    yield
    clear_few_shot_cache()


def published(name):
    path = find_file(name)
    if path is None:
        pytest.skip(f"{name} of Omniglot is not on this machine.")
    return path


def write_runs(path, broken=None, runs=20):
    """Write runs with random drawings; ``broken`` replaces the labels of run 7."""
    rng = np.random.default_rng(1)
    for run in range(1, runs + 1):
        folder = path / f"run{run:02}"
        write_classes(folder, ["training", "test"], images=0)
        order = rng.permutation(20)
        pairs = []
        for number in range(1, 21):
            for kind, name in (("training", "class"), ("test", "item")):
                from PIL import Image

                pixels = rng.integers(0, 256, (8, 8), np.uint8)
                Image.fromarray(pixels).save(folder / kind / f"{name}{number:02}.png")
            target = f"run{run:02}/training/class{order[number - 1] + 1:02}.png"
            pairs.append(f"run{run:02}/test/item{number:02}.png {target}\n")
        text = broken if broken is not None and run == 7 else "".join(pairs)
        (folder / "class_labels.txt").write_text(text)
    return path


def test_the_published_minimal_sets():
    for file in omniglot.SMALL_SETS:
        published(file.name)
    data = load_few_shot("omniglot")
    assert [len(each) for each in data.splits.values()] == [114, 22, 106]
    assert all((each.counts == 20).all() for each in data.splits.values())
    assert data.shape == (1, 28, 28)
    alphabets = {
        split: sorted({name.partition("/")[0] for name in each.classes})
        for split, each in data.splits.items()
    }
    assert alphabets == {
        "train": ["Balinese", "Greek", "Korean", "Latin"],
        "valid": ["Early_Aramaic"],
        "test": ["Japanese_(katakana)", "Sanskrit", "Tagalog"],
    }


def test_the_downloads_are_pinned(monkeypatch):
    fetched = []
    monkeypatch.setattr("nas_gym.utils.download.fetch_files", fetched.extend)
    fetch_images("omniglot")
    assert [file.name for file in fetched] == [
        "images_background_small1.zip", "images_background_small2.zip", "all_runs.zip",
    ]  # fmt: skip
    for file in fetched:
        assert sha256(published(file.name)) == file.sha256


def test_the_published_sets_overlap():
    paths = [published(file.name) for file in omniglot.SMALL_SETS]
    first, second = (omniglot.read_class_images(path, 28) for path in paths)
    shared = sorted(set(first.classes) & set(second.classes))
    assert len(shared) == 50
    assert first.select("", shared).digest == second.select("", shared).digest
    with pytest.raises(DamagedDataError, match=r"Greek/character01 .* is in train and in test"):
        omniglot.FewShotData("both", first, first.select("none", []), second)


def test_the_published_runs():
    published(omniglot.ALL_RUNS.name)
    runs = load_few_shot("omniglot-oneshot").runs
    assert runs.support.shape == runs.query.shape == (20, 20, 1, 28, 28)
    assert (np.sort(runs.labels) == np.arange(20)).all()
    # the first lines of run01/class_labels.txt
    assert runs.labels[0, :4].tolist() == [7, 8, 1, 18]
    # the baseline of the authors (modified Hausdorff distance) errs on 38.8 %; pixels are worse
    flat = [each.reshape(20, 20, -1).astype(float) for each in (runs.query, runs.support)]
    distance = ((flat[0][:, :, None] - flat[1][:, None]) ** 2).sum(axis=-1)
    error = (distance.argmin(axis=2) != runs.labels).mean()
    assert 0.388 < error < 0.95


def test_runs(found_in):
    folder = write_runs(found_in / "all_runs")
    shutil.make_archive(str(folder), "zip", folder)
    one, other = (
        omniglot.read_one_shot_runs(path, 4) for path in (folder, folder.with_suffix(".zip"))
    )
    np.testing.assert_array_equal(one.query, other.query)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.support.shape == (20, 20, 1, 4, 4)


@pytest.mark.parametrize("broken", ["", "a b\n", "\xff\n", "run07/test/item01.png\n" * 20])
def test_damaged_labels(found_in, broken):
    write_runs(found_in / "all_runs", broken)
    with pytest.raises(DamagedDataError, match=r"run07/class_labels.txt .* does not assign 20"):
        omniglot.read_one_shot_runs(found_in / "all_runs")


def test_labels_outside_the_runs(found_in):
    lines = "".join(f"../item{n} ../../class{n}\n" for n in range(20))
    write_runs(found_in / "all_runs", lines)
    with pytest.raises(DamagedDataError, match=r"lacks \.\./\.\./class0"):
        omniglot.read_one_shot_runs(found_in / "all_runs")


def test_missing_runs_and_bombs(found_in, monkeypatch):
    folder = write_runs(found_in / "all_runs", runs=3)
    with pytest.raises(DamagedDataError, match=r"no file run04/class_labels.txt"):
        omniglot.read_one_shot_runs(folder)
    with zipfile.ZipFile(found_in / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("run01/class_labels.txt", b"0" * 10**6)
    monkeypatch.setenv("NAS_GYM_MAX_BYTES", "100000")
    with pytest.raises(DataError, match=r"unpacks to 1,000,000 bytes"):
        omniglot.read_one_shot_runs(found_in / "bomb.zip")


def test_the_full_sets(found_in):
    """Files in the format of the full sets, which are not published as a whole here."""
    alphabets = ["Greek", "Latin", "Sanskrit", "Syriac", "Tagalog", "Tibetan", "Tifinagh"]
    for name, groups in (
        ("images_background", alphabets),
        ("images_evaluation", ["Ge_ez", "Oriya"]),
    ):
        seed = len(groups)  # other drawings in each set
        names = [f"{group}/character0{number}" for group in groups for number in (1, 2)]
        write_classes(found_in / name / name, names, seed=seed)
        shutil.make_archive(str(found_in / name), "zip", found_in / name, name)
        shutil.rmtree(found_in / name)
    data = load_few_shot("omniglot-full")
    assert [len(each) for each in data.splits.values()] == [4, 10, 4]
    assert data.test.classes[:2] == ("Ge_ez/character01", "Ge_ez/character02")


def test_a_file_without_an_alphabet(found_in):
    for file in omniglot.SMALL_SETS:
        name = file.name.removesuffix(".zip")
        write_classes(found_in / name / name, ["Greek/character01", "Latin/character01"])
        shutil.make_archive(str(found_in / name), "zip", found_in / name, name)
    with pytest.raises(DamagedDataError, match=r"small1.zip has no alphabet Early_Aramaic"):
        load_few_shot("omniglot")
