"""Sets of classes, their split and the check for leaks."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from networks.data.class_folders import write_classes

from nas_gym.networks.data.class_images import FewShotData, read_class_images, split_classes
from nas_gym.utils.errors import DamagedDataError

NAMES = [f"c{number:02}" for number in range(10)]


@pytest.fixture
def folder(found_in):
    return write_classes(found_in / "mine", NAMES)


def test_images_are_grouped_by_class(folder):
    whole = read_class_images(folder)
    assert whole.classes == tuple(NAMES)
    assert whole.images.shape == (60, 1, 8, 8)
    assert whole.counts.tolist() == [6] * 10
    part = whole.select("part", ["c07", "c02"])
    np.testing.assert_array_equal(part.images[6:], whole.images[12:18])
    np.testing.assert_array_equal(part.images[:6], whole.images[42:48])


def test_decoded_images_are_stored_until_a_file_changes(folder, monkeypatch):
    first = read_class_images(folder)
    monkeypatch.setattr(
        "nas_gym.networks.data.folder.decode_image", lambda *_: pytest.fail("again")
    )
    assert read_class_images(folder).digest == first.digest
    (cached,) = (folder.parent / "cache" / "few-shot").iterdir()
    monkeypatch.undo()
    monkeypatch.setenv("NAS_GYM_CACHE", str(folder.parent / "cache"))
    cached.write_bytes(cached.read_bytes()[:-9])  # damaged: read again and replaced
    assert read_class_images(folder).digest == first.digest
    shutil.copy(folder / "c00" / "0.png", folder / "c01" / "0.png")
    assert read_class_images(folder).digest != first.digest


def test_classes_of_groups_have_the_name_of_the_group(found_in):
    names = ["Greek/01", "Greek/02", "Latin/01"]
    assert read_class_images(write_classes(found_in / "a", names)).classes == tuple(names)
    shutil.make_archive(str(found_in / "b"), "zip", found_in, "a")  # one more folder above
    assert read_class_images(found_in / "b.zip").classes == tuple(names)


def test_a_class_folder_within_a_class_folder(found_in):
    folder = write_classes(found_in / "mine", ["ant", "ant/red", "bee"])
    assert read_class_images(folder).classes == ("ant", "ant/red", "bee")


def test_split_of_classes_is_disjoint_and_complete(folder):
    parts = split_classes(read_class_images(folder))
    assert [len(each) for each in parts] == [6, 2, 2]
    assert sorted(name for each in parts for name in each.classes) == NAMES
    again = split_classes(read_class_images(folder))
    assert [each.classes for each in again] == [each.classes for each in parts]


def test_published_split(found_in):
    names = ["train/ant", "train/bee", "val/cat", "val/dog", "test/eel", "test/fox"]
    parts = split_classes(read_class_images(write_classes(found_in / "mine", names)))
    assert [each.classes for each in parts] == [("ant", "bee"), ("cat", "dog"), ("eel", "fox")]


def test_an_incomplete_published_split(found_in):
    write_classes(found_in / "mine", ["train/ant", "train/bee", "test/cat", "test/dog"])
    with pytest.raises(DamagedDataError, match=r"has the folders test, train. Either put all"):
        split_classes(read_class_images(found_in / "mine"))


def test_too_few_classes(found_in):
    write_classes(found_in / "mine", NAMES[:5])
    with pytest.raises(DamagedDataError, match=r"has 5 classes: c00, .* need at least six"):
        split_classes(read_class_images(found_in / "mine"))


def test_images_of_different_sizes(folder, found_in):
    write_classes(folder, ["odd"], side=9)
    with pytest.raises(DamagedDataError, match=r"different shapes.*Give a size"):
        read_class_images(folder)
    assert read_class_images(folder, 4).shape == (1, 4, 4)


def test_a_class_in_two_splits(folder):
    train, valid, test = split_classes(read_class_images(folder))
    renamed = replace(test, classes=(train.classes[0], "other"))
    with pytest.raises(DamagedDataError, match=f"class {train.classes[0]} .* in train and in test"):
        FewShotData("mine", train, valid, renamed)


def test_one_image_in_two_splits(folder):
    train, valid, test = split_classes(read_class_images(folder))
    images = test.images.copy()
    images[3] = train.images[1]
    with pytest.raises(DamagedDataError, match=rf"in {train.classes[0]} \(train\) and in"):
        FewShotData("mine", train, valid, replace(test, images=images))
    FewShotData("mine", train, valid, test)


def test_one_class_in_two_groups(found_in):
    folder = write_classes(found_in / "mine", [f"Greek/{name}" for name in NAMES])
    shutil.copytree(folder / "Greek" / "c03", folder / "Latin" / "c01")
    whole = read_class_images(folder)
    rest = [name for name in whole.classes if name not in ("Greek/c03", "Latin/c01")]
    both, one, other = (
        whole.select(split, names)
        for split, names in (
            ("train", ["Greek/c03", "Latin/c01"]), ("valid", rest[:4]), ("test", rest[4:])
        )
    )  # fmt: skip
    with pytest.raises(DamagedDataError, match=r"Greek/c03 and Latin/c01 .* have the same images"):
        FewShotData("mine", both, one, other)
    first, second = (whole.select(name, [name]) for name in ("Greek/c03", "Latin/c01"))
    with pytest.raises(DamagedDataError, match=r"Greek/c03 and Latin/c01 .* have the same images"):
        FewShotData("mine", first, one, second)


def test_the_digest_does_not_depend_on_test_classes(folder):
    train, valid, test = split_classes(read_class_images(folder))
    first = FewShotData("mine", train, valid, test).digest
    assert FewShotData("mine", train, valid, test.select("less", [test.classes[0]])).digest == first
    assert FewShotData("mine", train, test, valid).digest != first
