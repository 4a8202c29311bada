"""Images: what is published, read back from files of its format; divisions; damaged files."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from nas_gym.networks import data
from nas_gym.networks.batches import default_augmentation
from nas_gym.networks.data import cifar, folder, imagenet16
from nas_gym.networks.data.images import ImageData, Split, split_by_class
from nas_gym.tables.sources import pickles
from nas_gym.utils.errors import DamagedDataError, MissingDataError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _afresh():
    data._load.cache_clear()
    yield
    data._load.cache_clear()


@pytest.fixture
def found_in(tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_GYM_DATA", str(tmp_path))
    monkeypatch.setenv("NAS_GYM_CACHE", str(tmp_path / "cache"))
    return tmp_path


def random_images(n, side=32):
    return RNG.integers(0, 256, (n, 3, side, side), np.uint8)


def test_digits():
    digits = data.load_images("digits")
    assert data.load_images("digits", None) is digits
    assert digits.shape == (1, 8, 8)
    assert [len(split) for split in digits.splits.values()] == [898, 449, 450]
    assert digits.digest.startswith("5426159cb237")  # the same on every machine
    together = np.concatenate([split.images for split in digits.splits.values()])
    assert len(np.unique(together.reshape(1797, -1), axis=0)) == 1797
    for split in digits.splits.values():
        counts = np.bincount(split.labels)
        assert counts.max() - counts.min() <= 6
    mean, deviation = digits.moments
    pixels = digits.train.images.astype(float)
    np.testing.assert_allclose([mean[0], deviation[0]], [pixels.mean(), pixels.std()], rtol=1e-5)


def test_divisions_are_disjoint_and_keep_the_classes():
    labels = RNG.integers(0, 5, 1000)
    parts = split_by_class(labels, (0.5, 0.3, 0.2))
    assert sorted(np.concatenate(parts)) == list(range(1000))
    for part, share in zip(parts, (0.5, 0.3, 0.2), strict=True):
        counts, whole = np.bincount(labels[part]), np.bincount(labels)
        np.testing.assert_allclose(counts, share * whole, atol=1)
    for part in parts:  # the first of a part are a sample of it
        assert len(np.unique(labels[part[:50]])) == 5
    np.testing.assert_array_equal(parts[0], split_by_class(labels, (0.5, 0.3, 0.2))[0])
    assert not np.array_equal(parts[0], split_by_class(labels, (0.5, 0.3, 0.2), seed=1)[0])


# -- CIFAR, written as its publisher does ---------------------------------------------------------


def add(archive, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def cifar_batches(kind):
    """The content of an archive's batches: pixels and labels."""
    classes = 10 if kind is cifar.CIFAR10 else 100
    names = (*kind.training, kind.test)
    labels = {name: RNG.permutation(np.repeat(np.arange(classes), 4)) for name in names}
    return {name: (random_images(len(each)), each) for name, each in labels.items()}, classes


def write_python(path, kind, batches, classes):
    with tarfile.open(path, "w:gz") as archive:
        for name, (images, labels) in batches.items():
            batch = {b"data": images.reshape(len(labels), -1), kind.labels: labels.tolist()}
            add(archive, f"cifar/{name}", pickle.dumps(batch, protocol=2))
        names = {kind.classes[0]: [b"class%d" % number for number in range(classes)]}
        add(archive, f"cifar/{kind.classes[1]}", pickle.dumps(names, protocol=2))


def write_binary(path, kind, batches, classes):
    coarse = kind.label_bytes == 2
    with tarfile.open(path, "w:gz") as archive:
        for name, (images, labels) in batches.items():
            rows = [images.reshape(len(labels), -1)]
            rows = [labels[:, None].astype(np.uint8), *rows]
            rows = [np.zeros((len(labels), 1), np.uint8), *rows] if coarse else rows
            add(archive, f"cifar/{name}.bin", np.concatenate(rows, axis=1).tobytes())
        meta = "fine_label_names.txt" if coarse else "batches.meta.txt"
        text = "".join(f"class{number}\n" for number in range(classes))
        add(archive, f"cifar/{meta}", text.encode())


@pytest.mark.parametrize("kind", [cifar.CIFAR10, cifar.CIFAR100], ids=lambda kind: kind.name)
@pytest.mark.parametrize("form", ["python", "binary"])
def test_cifar_archives(kind, form, found_in):
    batches, classes = cifar_batches(kind)
    if form == "python":
        write_python(found_in / kind.archive.name, kind, batches, classes)
    else:
        write_binary(found_in / kind.binary, kind, batches, classes)
    found = data.load_images(kind.name)
    assert found.classes == tuple(f"class{number}" for number in range(classes))
    images, labels = batches[kind.test]
    expected = {(each.tobytes(), label) for each, label in zip(images, labels, strict=True)}
    pairs = zip(found.test.images, found.test.labels, strict=True)
    assert {(each.tobytes(), label) for each, label in pairs} == expected
    training = np.concatenate([batches[name][0] for name in kind.training])
    together = np.concatenate([found.train.images, found.valid.images])
    assert len(found.train) == len(found.valid) == len(training) // 2
    assert {each.tobytes() for each in together} == {each.tobytes() for each in training}


# {'x': np.arange(3, dtype=np.uint8)} as Python 2 and its NumPy wrote it, texts as texts of bytes
PYTHON_2 = (
    b"(dp0\nS'x'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\n"
    b"S'b'\np5\ntp6\nRp7\n(I1\n(I3\ntp8\ncnumpy\ndtype\np9\n(S'u1'\np10\nI0\nI1\ntp11\nRp12\n(I3\n"
    b"S'|'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\nS'\\x00\\x01\\x02'\np15\ntp16\nbs."
)


def test_a_python_2_pickle_is_read():
    read = pickles.load_pickle(PYTHON_2, pickles.NUMPY, encoding="bytes")
    assert read[b"x"].tolist() == [0, 1, 2]


def test_cifar_pickles_run_nothing(found_in):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {found_in / 'ran'}",)

    kind = cifar.CIFAR10
    with tarfile.open(found_in / kind.archive.name, "w:gz") as archive:
        for name in (*kind.training, kind.test, kind.classes[1]):
            add(archive, name, pickle.dumps(Evil()))
    with pytest.raises(DamagedDataError, match="was refused"):
        data.load_images("cifar10")
    assert not (found_in / "ran").exists()


def test_damaged_cifar(found_in):
    kind = cifar.CIFAR10
    path = found_in / kind.archive.name
    batches, classes = cifar_batches(kind)
    write_python(path, kind, batches, classes)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedDataError, match="get it again"):
        data.load_images("cifar10")
    path.write_bytes(b"no archive")
    with pytest.raises(DamagedDataError, match="get it again"):
        data.load_images("cifar10")
    del batches["data_batch_3"]
    write_python(path, kind, batches, classes)
    with pytest.raises(DamagedDataError, match="lacks data_batch_3"):
        data.load_images("cifar10")
    batches, classes = cifar_batches(kind)
    batches["test_batch"] = (batches["test_batch"][0], np.full(40, 10))
    write_python(path, kind, batches, classes)
    with pytest.raises(DamagedDataError, match="labels from 10 to 10"):
        data.load_images("cifar10")


# -- image folders --------------------------------------------------------------------------------


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
    data._load.cache_clear()
    assert data.load_images(str(tmp_path / "mine")).digest == plain
    assert data.load_images(str(as_zip(tmp_path / "mine"))).digest == plain


def test_grey_images_among_colours(tmp_path):
    write_folder(tmp_path / "mine")
    Image.new("L", (8, 8), 77).save(tmp_path / "mine" / "ant" / "grey.png")
    found = data.load_images(str(tmp_path / "mine"))
    assert found.shape == (3, 8, 8)
    images = np.concatenate([split.images for split in found.splits.values()])
    assert (images == 77).all(axis=(1, 2, 3)).sum() == 1


def test_a_folder_named_like_a_data_set_is_none(tmp_path):
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
    with pytest.raises(MissingDataError, match="neither a data set"):
        data.load_images(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingDataError, match="holds no images"):
        data.load_images(str(tmp_path / "empty"))
    (tmp_path / "no.zip").write_bytes(b"no zip")
    with pytest.raises(DamagedDataError, match="not a whole zip file"):
        data.load_images(str(tmp_path / "no.zip"))
    with pytest.raises(DamagedDataError, match="not a whole zip file"):
        folder.read_image_folder(tmp_path / "no.zip")
    deflated = as_zip(tmp_path / "mine", zipfile.ZIP_DEFLATED)
    content = bytearray(deflated.read_bytes())
    content[60:72] = b"x" * 12
    deflated.write_bytes(content)
    with pytest.raises(DamagedDataError, match="not a whole zip file"):
        folder.read_image_folder(deflated)
    with pytest.raises(ValueError, match="size is at least 1 pixel"):
        data.load_images(str(tmp_path / "mine"), 0)
    shutil.rmtree(tmp_path / "mine" / "bee")
    with pytest.raises(DamagedDataError, match="class ant only: there is nothing to tell apart"):
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
    split = Split(random_images(4), np.array([0, 1, 0, 1]))
    with pytest.raises(DamagedDataError, match="different shapes"):
        ImageData("x", ("a", "b"), split, split, Split(random_images(4, 16), split.labels))


def test_missing_names_the_command(found_in):
    with pytest.raises(MissingDataError, match="nas-gym data fetch cifar100-images"):
        data.load_images("cifar100")
    with pytest.raises(MissingDataError, match="ImageNet16"):
        data.load_images("ImageNet16-120")


# -- ImageNet16 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 4])
def test_imagenet16(protocol, found_in):
    files = found_in / imagenet16.FOLDER
    files.mkdir()
    names = [f"train_data_batch_{number}" for number in range(1, 11)]
    for name in (*names, "val_data"):
        labels = np.repeat(np.arange(1, 131), 4 if name == "val_data" else 1)
        content = {"data": random_images(len(labels), 16).reshape(len(labels), -1)}
        content["labels"] = labels.tolist()
        (files / name).write_bytes(pickle.dumps(content, protocol=protocol))
    found = data.load_images("ImageNet16-120")
    assert len(found.classes) == 120
    assert [len(split) for split in found.splits.values()] == [1200, 240, 240]
    assert found.shape == (3, 16, 16)
    (files / "val_data").unlink()
    data._load.cache_clear()
    with pytest.raises(MissingDataError, match="lacks val_data"):
        data.load_images("ImageNet16-120")


# -- the real images ------------------------------------------------------------------------------


def test_cifar10_as_jpeg():
    try:
        found = data.load_images("cifar10")
    except MissingDataError as error:
        pytest.skip(str(error))
    assert found.classes[0] == "airplane"
    assert found.classes[-1] == "truck"
    assert [len(split) for split in found.splits.values()] == [25_000, 25_000, 10_000]
    for split in found.splits.values():
        assert len(set(np.bincount(split.labels))) == 1
    mean, deviation = found.moments
    # as the field normalizes CIFAR-10
    np.testing.assert_allclose(mean, [125.3, 123.0, 113.9], atol=0.7)
    np.testing.assert_allclose(deviation, [63.0, 62.1, 66.7], atol=0.7)
