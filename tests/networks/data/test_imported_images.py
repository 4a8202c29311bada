"""Import of images: splits, duplicates, the store, and bad input."""

from __future__ import annotations

import io
import json
import unicodedata
import zipfile

import gymnasium as gym
import numpy as np
import pytest
from networks.data.class_folders import write_classes
from PIL import Image

import nas_gym
from nas_gym.networks import data
from nas_gym.networks.data import folder, imported
from nas_gym.networks.data.divided_folder import count_duplicates, read_divided_folder
from nas_gym.utils.errors import DamagedDataError, DataError, MissingDataError

NAMES = ("ant", "bee")


@pytest.fixture
def photos(tmp_path):
    return write_classes(tmp_path / "photos", NAMES, images=8)


def counts(found):
    return [len(split) for split in found.splits.values()]


# -- splits ----------------------------------------------------------------------------------------


def test_a_folder_without_splits_is_divided_by_class(photos):
    found = read_divided_folder(photos, "photos")
    assert counts(found) == [8, 4, 4]
    assert found.digest == data.load_images(str(photos)).digest  # as everywhere
    assert {tuple(np.bincount(each.labels)) for each in found.splits.values()} == {(4, 4), (2, 2)}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"train": 4, "valid": 2, "test": 2}, [8, 4, 4]),
        ({"Training": 4, "val": 2, "testing": 3}, [8, 4, 6]),
        ({"train": 6, "test": 2}, [6, 6, 4]),
        ({"train": 4, "validation": 4}, [8, 4, 4]),
        ({"train": 8}, [8, 4, 4]),
    ],
)
@pytest.mark.parametrize("below", ["", "inside/deeper"])
def test_given_splits_are_kept_and_missing_ones_divided_off(parts, expected, below, tmp_path):
    for seed, (name, images) in enumerate(parts.items()):
        write_classes(tmp_path / "photos" / below / name, NAMES, images=images, seed=seed)
    found = read_divided_folder(tmp_path / "photos", "photos")
    assert counts(found) == expected
    assert found.classes == NAMES
    train = folder.read_named_images(tmp_path / "photos" / below / next(iter(parts)))[0]
    kept = {each.tobytes() for each in train}
    assert all(each.tobytes() in kept for each in found.train.images)
    if "test" in parts:
        test = folder.read_named_images(tmp_path / "photos" / below / "test")[0]
        assert {each.tobytes() for each in found.test.images} == {each.tobytes() for each in test}


def test_classes_can_be_called_train_and_test(tmp_path):
    write_classes(tmp_path / "photos", ("train", "test"), images=8)
    assert read_divided_folder(tmp_path / "photos", "photos").classes == ("test", "train")


def test_a_split_without_a_class(tmp_path):
    write_classes(tmp_path / "photos" / "train", NAMES, images=4)
    write_classes(tmp_path / "photos" / "test", ["ant", "cat"], images=4)
    with pytest.raises(DamagedDataError, match="no train images of class cat"):
        read_divided_folder(tmp_path / "photos", "photos")


def test_duplicates_across_splits_are_counted(photos, cache):
    assert count_duplicates(read_divided_folder(photos, "photos")) == {"valid": 0, "test": 0}
    for name in NAMES:
        same = (photos / name / "0.png").read_bytes()
        for number in range(8):
            (photos / name / f"{number}.png").write_bytes(same)
    with pytest.warns(UserWarning, match="validation: 4, test: 4"):
        nas_gym.import_images(photos, "photos")
    assert imported.describe_imported_images("photos")["duplicates"] == {"valid": 4, "test": 4}


def test_names_with_spaces_and_letters_of_every_kind(tmp_path, cache):
    for form, split in (("NFC", "train"), ("NFD", "test")):
        name = unicodedata.normalize(form, "Käfer, groß & 虫")
        write_classes(tmp_path / "my photos" / split, [name, "b b"], images=4)
    with pytest.warns(
        UserWarning, match=r"validation: \d, test: 8"
    ):  # both folders have the same images
        nas_gym.import_images(tmp_path / "my photos", "bugs")
    assert data.load_images("bugs").classes == ("Käfer, groß & 虫", "b b")


# -- the store -------------------------------------------------------------------------------------


def test_imported_images_are_tasks_in_every_later_process(photos, cache, run_python):
    ids = nas_gym.import_images(photos, "photos", size=8)
    modes = ("", "-alpha", "-population")
    spaces = ("NB201", "DARTS", "MnasNet")
    assert ids == [f"{space}-photos{mode}-v0" for space in spaces for mode in modes]
    assert all(each in gym.registry for each in ids)
    assert data.load_images("photos").digest == read_divided_folder(photos, "x", 8).digest
    found = run_python(f"import gymnasium, nas_gym; print({ids} == [i for i in {ids} "
                       "if i in gymnasium.registry])")  # fmt: skip
    assert found == "True"


def test_a_name_is_taken_once(photos, cache):
    nas_gym.import_images(photos, "photos")
    with pytest.raises(ValueError, match="already images 'photos'"):
        nas_gym.import_images(photos, "photos")
    before = data.load_images("photos").digest
    write_classes(photos, ["cat"], images=8, seed=1)
    nas_gym.import_images(photos, "photos", replace=True)
    assert data.load_images("photos").digest != before
    assert len(data.load_images("photos").classes) == 3
    with pytest.raises(ValueError, match="fixed size"):
        data.load_images("photos", 8)
    for name in ("digits", "omniglot", "nats-bench"):
        with pytest.raises(ValueError, match="data set or table"):
            nas_gym.import_images(photos, name)
    for name in ("../x", "a b", "x-v0", ""):
        with pytest.raises(ValueError, match="cannot be a name"):
            nas_gym.import_images(photos, name)
    with pytest.raises(ValueError, match="NB201-cifar10-supernet-v0"):
        nas_gym.import_images(photos, "cifar10-supernet")


def test_tables_and_images_have_different_names(photos, cache, write_csv):
    nas_gym.import_images(photos, "Mine")
    with pytest.raises(ValueError, match="imported images"):
        nas_gym.import_table(write_csv(), "Mine", signal="val", report="test")
    nas_gym.import_table(write_csv(), "Other", signal="val", report="test")
    with pytest.raises(ValueError, match="table"):
        nas_gym.import_images(photos, "Other")


def test_nothing_is_stored_if_an_image_is_damaged(photos, cache):
    for number in (1, 2):
        (photos / "bee" / f"{number}.png").write_bytes(b"no image")
    with pytest.raises(DamagedDataError, match=r"2 images could.*bee/1\.png.*bee/2\.png"):
        nas_gym.import_images(photos, "photos")
    assert imported.imported_images() == []
    assert "NB201-photos-v0" not in gym.registry


def test_damaged_files_of_imported_images(photos, cache):
    nas_gym.import_images(photos, "photos")
    path = imported.imported_images_path("photos")
    whole = path.read_bytes()
    for content in (b"", whole[:-1], whole[:200] + b"#" + whole[201:], whole[:-1] + b"#"):
        path.write_bytes(content)
        with pytest.raises(DamagedDataError, match="nas-gym data remove photos"):
            data.load_images("photos")
    imported.remove_imported_images("photos")
    with pytest.raises(MissingDataError):
        data.load_images("photos")


def test_an_interrupted_import_leaves_nothing(photos, cache, monkeypatch):
    nas_gym.import_images(photos, "photos")
    before = data.load_images("photos").digest
    write_classes(photos, ["cat"], images=8, seed=1)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", stop)
        for name in ("photos", "other"):
            with pytest.raises(KeyboardInterrupt):
                nas_gym.import_images(photos, name, replace=True)
    assert imported.imported_images() == ["photos"]
    assert data.load_images("photos").digest == before
    assert [each.name for each in (cache / "images-v1").iterdir()] == ["photos.safetensors"]
    nas_gym.import_images(photos, "photos", replace=True)
    assert data.load_images("photos").digest == read_divided_folder(photos, "photos").digest


def test_an_unwritable_cache(photos, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NAS_GYM_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="Could not write"):
        nas_gym.import_images(photos, "photos")


# -- kinds of images -------------------------------------------------------------------------------


def encoded(image, kind="PNG", **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def decoded(image, kind="PNG", **options):
    return folder.decode_image(encoded(image, kind, **options), "x", None)


def test_images_are_rotated_as_exif_demands():
    upright = np.zeros((4, 8), np.uint8)
    upright[0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate clockwise
    stored = Image.fromarray(np.rot90(upright).copy())
    np.testing.assert_array_equal(decoded(stored, exif=exif)[0], upright)


def test_images_of_16_bits_are_scaled():
    values = np.array([[0, 257, 65535, 1000]], np.uint16)
    np.testing.assert_array_equal(decoded(Image.fromarray(values)), [[[0, 1, 255, 3]]])


@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 3), ("LA", 1), ("P", 3)])
def test_transparent_pixels_are_white(mode, channels):
    if mode == "P":
        image = Image.new("P", (2, 2), 0)
        image.info["transparency"] = 0
        options = {"transparency": 0}
    else:
        image, options = Image.new(mode, (2, 2), (0,) * len(mode)), {}
    np.testing.assert_array_equal(decoded(image, **options), np.full((channels, 2, 2), 255))


def test_opaque_pixels_keep_their_colour():
    image = Image.new("RGBA", (1, 1), (1, 2, 3, 255))
    assert decoded(image).ravel().tolist() == [1, 2, 3]
    assert decoded(Image.new("CMYK", (1, 1)), "JPEG").shape == (3, 1, 1)


def test_one_class_only(tmp_path):
    write_classes(tmp_path / "photos", ["ant"], images=8)
    with pytest.raises(DamagedDataError, match="at least two classes"):
        read_divided_folder(tmp_path / "photos", "photos")


@pytest.mark.parametrize("name", ["../ant/0.png", "/ant/0.png", "ant/../../bee/0.png"])
def test_paths_that_leave_a_zip_file(name, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr(name, encoded(Image.new("L", (2, 2))))
    with pytest.raises(DamagedDataError, match="leaves the zip file"):
        read_divided_folder(tmp_path / "photos.zip", "photos")


def test_a_description_holds_counts_and_origin(photos, cache):
    nas_gym.import_images(photos, "photos")
    found = imported.describe_imported_images("photos")
    assert found["counts"] == {"train": [4, 4], "valid": [2, 2], "test": [2, 2]}
    assert found["source"] == str(photos)
    assert found["digest"] == data.load_images("photos").digest
    assert json.loads(json.dumps(found)) == found
