"""Image folders and zip files."""

from __future__ import annotations

import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from nas_gym.networks import data
from nas_gym.networks.batches import default_augmentation
from nas_gym.networks.data import folder
from nas_gym.utils.errors import DamagedDataError, MissingDataError

RNG = np.random.default_rng(0)


def write_folder(path, per_class=8, side=8, mode="RGB"):
    for name in ("ant", "bee"):
        (path / name).mkdir(parents=True)
        for number in range(per_class):
            shape = (side, side, 3) if mode == "RGB" else (side, side)
            pixels = RNG.integers(0, 256, shape, np.uint8)
            Image.fromarray(pixels, mode).save(path / name / f"{number}.png")
    (path / "ant" / "notes.txt").write_text("no image")


def as_zip(path, compression=zipfile.ZIP_STORED):
    target = path.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", compression) as archive:
        for file in sorted(path.rglob("*")):
            archive.write(file, file.relative_to(path))
    return target


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_folder_and_its_zip_are_the_same(mode, tmp_path):
    write_folder(tmp_path / "mine", mode=mode)
    one, other = (
        data.load_images(str(tmp_path / "mine")),
        data.load_images(str(as_zip(tmp_path / "mine"))),
    )
    assert one.digest == other.digest
    assert one.classes == ("ant", "bee")
    assert one.shape == (3 if mode == "RGB" else 1, 8, 8)
    assert [len(split) for split in one.splits.values()] == [8, 4, 4]
    first = np.asarray(Image.open(tmp_path / "mine" / "bee" / "3.png"))
    first = np.moveaxis(first, 2, 0) if mode == "RGB" else first[None]
    everything = np.concatenate([split.images for split in one.splits.values()])
    assert any(np.array_equal(first, each) for each in everything)


def test_sizes(tmp_path):
    write_folder(tmp_path / "mine")
    Image.new("RGB", (9, 9)).save(tmp_path / "mine" / "ant" / "odd.png")
    with pytest.raises(DamagedDataError, match="Give a size"):
        data.load_images(str(tmp_path / "mine"))
    assert data.load_images(str(tmp_path / "mine"), 4).shape == (3, 4, 4)


def test_hidden_files_and_folders_with_endings_are_no_images(tmp_path):
    write_folder(tmp_path / "mine")
    plain = data.load_images(str(tmp_path / "mine")).digest
    (tmp_path / "mine" / "ant" / "._0.png").write_bytes(b"of macOS")
    (tmp_path / "mine" / "ant" / "folder.png").mkdir()
    (tmp_path / "mine" / "__MACOSX" / "ant").mkdir(parents=True)
    (tmp_path / "mine" / "__MACOSX" / "ant" / "0.png").write_bytes(b"of macOS")
    data.clear_image_cache()
    assert data.load_images(str(tmp_path / "mine")).digest == plain
    assert data.load_images(str(as_zip(tmp_path / "mine"))).digest == plain


def test_grey_images_among_colours(tmp_path):
    write_folder(tmp_path / "mine")
    Image.new("L", (8, 8), 77).save(tmp_path / "mine" / "ant" / "grey.png")
    found = data.load_images(str(tmp_path / "mine"))
    assert found.shape == (3, 8, 8)
    images = np.concatenate([split.images for split in found.splits.values()])
    assert (images == 77).all(axis=(1, 2, 3)).sum() == 1


def test_a_folder_named_like_a_data_set_is_another_one(tmp_path):
    write_folder(tmp_path / "digits")
    found = data.load_images(str(tmp_path / "digits"))
    assert found.name == "digits-folder"
    assert default_augmentation(found.name).flip


def test_damaged_folders(tmp_path):
    write_folder(tmp_path / "mine")
    (tmp_path / "mine" / "bee" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    with pytest.raises(
        DamagedDataError, match=r"bee/3\.png in .* could not be read .*: no known format"
    ):
        data.load_images(str(tmp_path / "mine"))
    (tmp_path / "mine" / "bee" / "4.png").write_bytes(b"text")
    with pytest.raises(DamagedDataError, match=r"^2 images could not be read: .*no known format, "):
        data.load_images(str(tmp_path / "mine"))
    with pytest.raises(MissingDataError, match="neither a data set"):
        data.load_images(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingDataError, match="holds no images"):
        data.load_images(str(tmp_path / "empty"))
    (tmp_path / "no.zip").write_bytes(b"no zip")
    with pytest.raises(DamagedDataError, match="not a complete zip file"):
        data.load_images(str(tmp_path / "no.zip"))
    with pytest.raises(DamagedDataError, match="not a complete zip file"):
        folder.read_image_folder(tmp_path / "no.zip")
    deflated = as_zip(tmp_path / "mine", zipfile.ZIP_DEFLATED)
    content = bytearray(deflated.read_bytes())
    content[60:72] = b"x" * 12
    deflated.write_bytes(content)
    with pytest.raises(DamagedDataError, match="not a complete zip file"):
        folder.read_image_folder(deflated)
    with pytest.raises(ValueError, match="size is at least 1 pixel"):
        data.load_images(str(tmp_path / "mine"), 0)
    shutil.rmtree(tmp_path / "mine" / "bee")
    with pytest.raises(
        DamagedDataError, match=r"class ant only\. Classification needs at least two"
    ):
        data.load_images(str(tmp_path / "mine"))


def test_a_class_without_images(tmp_path):
    write_folder(tmp_path / "empty")
    (tmp_path / "empty" / "cat").mkdir()
    for path in (tmp_path / "empty", as_zip(tmp_path / "empty")):
        with pytest.raises(DamagedDataError, match="has no images of class cat"):
            data.load_images(str(path))
    write_folder(tmp_path / "mine", per_class=1)
    with pytest.raises(DamagedDataError, match=r"has no .* images of class ant, bee"):
        data.load_images(str(tmp_path / "mine"))
