"""CIFAR from archives in both published forms, and from JPEG files."""

from __future__ import annotations

import io
import os
import pickle
import tarfile

import numpy as np
import pytest
from networks.small import random_images

from nas_gym.networks import data
from nas_gym.networks.data import cifar
from nas_gym.tables.sources import pickles
from nas_gym.utils.errors import DamagedDataError, MissingDataError

RNG = np.random.default_rng(0)


def add(archive, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def cifar_batches(archives):
    """Return pixels and labels of each batch of an archive, and the number of classes."""
    classes = 10 if archives is cifar.CIFAR_ARCHIVES["cifar10"] else 100
    names = (*archives.training, archives.test)
    labels = {name: RNG.permutation(np.repeat(np.arange(classes), 4)) for name in names}
    return {name: (random_images(len(each)), each) for name, each in labels.items()}, classes


def write_python(path, archives, batches, classes):
    with tarfile.open(path, "w:gz") as archive:
        for name, (images, labels) in batches.items():
            batch = {b"data": images.reshape(len(labels), -1), archives.labels: labels.tolist()}
            add(archive, f"cifar/{name}", pickle.dumps(batch, protocol=2))
        names = {archives.classes[0]: [b"class%d" % number for number in range(classes)]}
        add(archive, f"cifar/{archives.classes[1]}", pickle.dumps(names, protocol=2))


def write_binary(path, archives, batches, classes):
    coarse = archives.label_bytes == 2
    with tarfile.open(path, "w:gz") as archive:
        for name, (images, labels) in batches.items():
            rows = [images.reshape(len(labels), -1)]
            rows = [labels[:, None].astype(np.uint8), *rows]
            rows = [np.zeros((len(labels), 1), np.uint8), *rows] if coarse else rows
            add(archive, f"cifar/{name}.bin", np.concatenate(rows, axis=1).tobytes())
        meta = "fine_label_names.txt" if coarse else "batches.meta.txt"
        text = "".join(f"class{number}\n" for number in range(classes))
        add(archive, f"cifar/{meta}", text.encode())


@pytest.mark.parametrize("archives", cifar.CIFAR_ARCHIVES.values(), ids=lambda each: each.name)
@pytest.mark.parametrize("form", ["python", "binary"])
def test_cifar_archives(archives, form, found_in):
    batches, classes = cifar_batches(archives)
    if form == "python":
        write_python(found_in / archives.python.name, archives, batches, classes)
    else:
        write_binary(found_in / archives.binary, archives, batches, classes)
    found = data.load_images(archives.name)
    assert found.classes == tuple(f"class{number}" for number in range(classes))
    images, labels = batches[archives.test]
    expected = {(each.tobytes(), label) for each, label in zip(images, labels, strict=True)}
    pairs = zip(found.test.images, found.test.labels, strict=True)
    assert {(each.tobytes(), label) for each, label in pairs} == expected
    training = np.concatenate([batches[name][0] for name in archives.training])
    together = np.concatenate([found.train.images, found.valid.images])
    assert len(found.train) == len(found.valid) == len(training) // 2
    assert {each.tobytes() for each in together} == {each.tobytes() for each in training}


# {'x': np.arange(3, dtype=np.uint8)} as Python 2 pickled it, with str as bytes
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

    archives = cifar.CIFAR_ARCHIVES["cifar10"]
    with tarfile.open(found_in / archives.python.name, "w:gz") as archive:
        for name in (*archives.training, archives.test, archives.classes[1]):
            add(archive, name, pickle.dumps(Evil()))
    with pytest.raises(DamagedDataError, match="was refused"):
        data.load_images("cifar10")
    assert not (found_in / "ran").exists()


def test_damaged_cifar(found_in):
    archives = cifar.CIFAR_ARCHIVES["cifar10"]
    path = found_in / archives.python.name
    batches, classes = cifar_batches(archives)
    write_python(path, archives, batches, classes)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedDataError, match="get it again"):
        data.load_images("cifar10")
    path.write_bytes(b"no archive")
    with pytest.raises(DamagedDataError, match="get it again"):
        data.load_images("cifar10")
    del batches["data_batch_3"]
    write_python(path, archives, batches, classes)
    with pytest.raises(DamagedDataError, match="lacks data_batch_3"):
        data.load_images("cifar10")
    batches, classes = cifar_batches(archives)
    batches["test_batch"] = (batches["test_batch"][0], np.full(40, 10))
    write_python(path, archives, batches, classes)
    with pytest.raises(DamagedDataError, match="labels from 10 to 10"):
        data.load_images("cifar10")


@pytest.mark.long
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
    # the usual normalization of CIFAR-10
    np.testing.assert_allclose(mean, [125.3, 123.0, 113.9], atol=0.7)
    np.testing.assert_allclose(deviation, [63.0, 62.1, 66.7], atol=0.7)
