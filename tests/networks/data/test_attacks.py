"""Attacks on image files: other formats, bombs, damaged archives and files that are none."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from nas_gym.networks import data
from nas_gym.networks.data import cifar
from nas_gym.utils.errors import DamagedDataError, DataError

RNG = np.random.default_rng(0)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"


def png(width=8, height=8, pixels=None):
    """Return a PNG file; its header may claim a size that its pixels do not have."""
    if pixels is None:
        pixels = b"".join(b"\0" + RNG.bytes(width) for _ in range(height))

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.fixture
def images(tmp_path):
    """A folder of 2 x 8 grey images."""
    for name in ("ant", "bee"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(8):
            (tmp_path / "images" / name / f"{number}.png").write_bytes(png())
    return tmp_path / "images"


def as_zip(folder):
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, file.relative_to(folder))
    return target


@pytest.mark.parametrize("ending", ["png", "jpg", "ppm", "webp"])
@pytest.mark.parametrize("zipped", [False, True])
def test_an_eps_file_with_another_ending_starts_nothing(ending, zipped, images, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", pytest.fail)
    (images / "bee" / f"3.{ending}").write_bytes(EPS)
    path = as_zip(images) if zipped else images
    with pytest.raises(DamagedDataError, match=rf"bee/3\.{ending} in .*: no known format"):
        data.load_images(str(path))


def test_an_image_of_11000_squared_is_refused_before_it_is_decoded(images, monkeypatch):
    (images / "bee" / "3.png").write_bytes(png(11_000, 11_000, b""))
    monkeypatch.setattr(Image.Image, "convert", pytest.fail)
    (images / "ant").rename(images.parent / "ant")
    for file in (images / "bee").iterdir():
        if file.name != "3.png":
            file.unlink()
    with pytest.raises(DataError, match=r"11,000 x 11,000 pixels.*NAS_GYM_MAX_PIXELS=121000000"):
        data.load_images(str(images), 8)


@pytest.mark.parametrize("side", [20_000, 2**31 - 1])
def test_bombs_of_pixels(side, images):
    (images / "bee" / "3.png").write_bytes(png(side, side, b""))
    with pytest.raises(DataError, match=r"NAS_GYM_MAX_PIXELS"):
        data.load_images(str(images), 8)


def test_the_limit_of_pixels_can_be_changed(images, monkeypatch):
    monkeypatch.setenv("NAS_GYM_MAX_PIXELS", "63")
    with pytest.raises(DataError, match=r"8 x 8 pixels; images of at most 63 pixels"):
        data.load_images(str(images))
    monkeypatch.setenv("NAS_GYM_MAX_PIXELS", "64")
    assert data.load_images(str(images)).shape == (1, 8, 8)
    with pytest.raises(DataError, match=r"size=9: a scaled image has 9 x 9 pixels"):
        data.load_images(str(images), 9)
    monkeypatch.setenv("NAS_GYM_MAX_PIXELS", "many")
    with pytest.raises(DataError, match="A number of pixels was expected"):
        data.load_images(str(images), 7)


def test_all_images_together_have_a_limit(images, monkeypatch):
    monkeypatch.setenv("NAS_GYM_MAX_BYTES", "1000")
    with pytest.raises(DataError, match=r"The images in .*NAS_GYM_MAX_BYTES=1024"):
        data.load_images(str(images))


def test_bombs_in_zip_files(images, monkeypatch):
    (images / "bee" / "3.png").write_bytes(png() + bytes(20_000_000))
    path = as_zip(images)
    assert path.stat().st_size < 100_000
    monkeypatch.setenv("NAS_GYM_MAX_BYTES", "10000000")
    with pytest.raises(DataError, match=r"images\.zip unpacks to 20,0.*NAS_GYM_MAX_BYTES"):
        data.load_images(str(path))


def test_a_zip_file_that_hides_the_size_of_a_member(images):
    (images / "bee" / "3.png").write_bytes(png() + bytes(20_000_000))
    path = as_zip(images)
    size = (images / "bee" / "3.png").stat().st_size
    content = path.read_bytes().replace(struct.pack("<I", size), struct.pack("<I", 100))
    path.write_bytes(content)
    with pytest.raises(DamagedDataError, match="not a complete zip file: Bad CRC"):
        data.load_images(str(path))


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_zip_files(kind, images):
    path = images.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", kind) as archive:
        for file in sorted(images.rglob("*.png")):
            archive.write(file, file.relative_to(images))
    whole = path.read_bytes()
    refused = 0
    for position in range(0, len(whole), 41):
        content = bytearray(whole)
        content[position] ^= 0xFF
        path.write_bytes(content)
        data.clear_image_cache()
        try:
            data.load_images(str(path))
        except DataError:
            refused += 1
    assert refused > 20


def test_damaged_images(images):
    for number, name in enumerate(("JPEG", "PNG", "BMP", "GIF", "PPM", "WEBP")):
        buffer = io.BytesIO()
        Image.fromarray(RNG.integers(0, 256, (8, 8, 3), np.uint8)).save(buffer, name)
        whole = buffer.getvalue()
        for position in range(0, len(whole), max(len(whole) // 40, 1)):
            content = bytearray(whole)
            content[position] ^= 0xFF
            for damaged in (content, whole[:position]):
                (images / "bee" / f"{number}.png").write_bytes(damaged)
                data.clear_image_cache()
                with contextlib.suppress(DataError):
                    data.load_images(str(images), 8)
        (images / "bee" / f"{number}.png").write_bytes(whole)


def test_files_that_are_none(images):
    target = images / "bee" / "3.png"
    target.unlink()
    target.symlink_to(target)
    with pytest.raises(DamagedDataError, match=r"3\.png could not be read: Too many levels"):
        data.load_images(str(images))
    target.unlink()
    os.mkfifo(target)
    with pytest.raises(DamagedDataError, match=r"3\.png is not a regular file"):
        data.load_images(str(images))
    with pytest.raises(DamagedDataError, match="neither a folder nor a zip file"):
        data.load_images(str(target))
    for name in ("x" * 300, "/dev/null", "a\0b"):
        with pytest.raises(DataError):
            data.load_images(name)
    with pytest.raises(ValueError, match="Name the images"):
        data.load_images("")


# -- archives of CIFAR -----------------------------------------------------------------------------


def write_archive(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def archive(found_in):
    """The path of a CIFAR-10 archive, and its members."""
    archives = cifar.CIFAR_ARCHIVES["cifar10"]
    batch = {b"data": RNG.integers(0, 256, (40, 3072), np.uint8),
             b"labels": list(range(10)) * 4}  # fmt: skip
    members = {name: pickle.dumps(batch) for name in (*archives.training, archives.test)}
    names = {b"label_names": [b"class%d" % number for number in range(10)]}
    members["batches.meta"] = pickle.dumps(names)
    path = found_in / archives.python.name
    write_archive(path, members)
    return path, members


def test_damaged_cifar_archives(archive):
    path, _ = archive
    whole = path.read_bytes()
    for position in [*range(20), *range(20, len(whole), len(whole) // 30)]:
        content = bytearray(whole)
        content[position] ^= 0xFF
        for damaged in (content, whole[:position]):
            path.write_bytes(damaged)
            data.clear_image_cache()
            with contextlib.suppress(DamagedDataError):
                data.load_images("cifar10")


@pytest.mark.parametrize(
    "meta",
    [None, 3, [], {}, {b"label_names": 3}, {b"label_names": ["text"]}, {b"label_names": [b"\xff"]}],
)
def test_class_names_of_another_form(meta, archive):
    path, members = archive
    write_archive(path, members | {"batches.meta": pickle.dumps(meta)})
    with pytest.raises(DamagedDataError):
        data.load_images("cifar10")


@pytest.mark.parametrize(
    "batch",
    [
        None, [], {}, {b"data": [[300]], b"labels": [0]}, {b"data": [[0] * 3072], b"labels": 3},
        {b"data": [[0] * 3072], b"labels": [2**70]}, {b"data": [[0] * 3072], b"labels": [[0, 1]]},
        {b"data": [[0] * 3072], b"labels": [-1]},
    ],
)  # fmt: skip
def test_batches_of_another_form(batch, archive):
    path, members = archive
    write_archive(path, members | {"data_batch_2": pickle.dumps(batch)})
    with pytest.raises(DamagedDataError):
        data.load_images("cifar10")


def test_a_bomb_in_a_cifar_archive(archive, monkeypatch):
    path, members = archive
    monkeypatch.setenv("NAS_GYM_MAX_BYTES", "5000000")
    write_archive(path, members | {"zeros": bytes(6_000_000)})
    with pytest.raises(DataError, match="NAS_GYM_MAX_BYTES"):
        data.load_images("cifar10")
