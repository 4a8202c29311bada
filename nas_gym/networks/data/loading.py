"""Find, download and load image data sets."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from nas_gym.networks.data.images import ImageData, from_published_splits, split_by_class
from nas_gym.networks.data.imported import is_imported, load_imported_images
from nas_gym.utils.errors import MissingDataError
from nas_gym.utils.limits import check_pixels

DATA_SETS = ("digits", "cifar10", "cifar100", "ImageNet16-120")
"""Names of the data sets that :func:`load_images` knows."""

DOWNLOADABLE = ("cifar10", "cifar100", "omniglot")
"""Data sets that :func:`fetch_images` downloads."""


def fetch_images(name: str) -> None:
    """Download the images of a data set into the cache.

    Args:
        name: One of :data:`DOWNLOADABLE`.

    Raises:
        DataError: If the download fails, or the cache folder cannot be written.
        DamagedDataError: If the downloaded file does not have the expected sha256.
    """
    from nas_gym.networks.data.cifar import CIFAR_ARCHIVES
    from nas_gym.networks.data.omniglot import ALL_RUNS, SMALL_SETS
    from nas_gym.utils.download import fetch_files

    omniglot = (*SMALL_SETS, ALL_RUNS)
    fetch_files(omniglot if name == "omniglot" else [CIFAR_ARCHIVES[name].python])


def load_images(name: str, size: int | None = None) -> ImageData:
    """Return an image data set by name, or the data set of a folder or zip file of images.

    Images that :func:`nas_gym.import_images` imported are found by their name.

    ``digits`` comes with scikit-learn. The other data sets are read from the folders of the
    environment variable ``NAS_GYM_DATA`` and from the downloads of ``nas-gym data fetch``:

    - ``cifar10``: ``cifar-10-python.tar.gz`` or ``cifar-10-binary.tar.gz`` as published, or
      ``cifar10_train.zip`` and ``cifar10_test.zip``, each with an image folder;
    - ``cifar100``: ``cifar-100-python.tar.gz`` or ``cifar-100-binary.tar.gz``;
    - ``ImageNet16-120``: the folder ``ImageNet16`` with the pickles of NAS-Bench-201's authors.

    An image folder holds files ``<class>/<image>``. Half of each class is for training, a quarter
    for validation and a quarter for testing. The splits are the same on every machine.

    Args:
        name: One of :data:`DATA_SETS`, the name of imported images, or a path.
        size: Height and width to which the images of a folder are scaled, in pixels; by default,
            images keep their size.

    Raises:
        ValueError: If the name is empty, if ``size`` is below 1, or if ``size`` is given for a data
            set of :data:`DATA_SETS` or for imported images.
        MissingDataError: If the data set is not on this machine.
        DamagedDataError: If a file cannot be read, or a class has no images.
        DataError: If images are larger than :mod:`nas_gym.utils.limits` allows.
    """
    if not name:
        raise ValueError(f"Name the images: {', '.join(DATA_SETS)}, or a folder or zip file.")
    imported = name not in DATA_SETS and is_imported(name)
    if size is not None and (imported or name in DATA_SETS):
        raise ValueError(
            f"The images of {name} have a fixed size. Leave size out, or give a folder of images."
            + f" For a folder of this name, write ./{name}." * imported
        )
    return load_imported_images(name) if imported else _load_cached(name, size)


def check_image_size(size: int | None) -> None:
    """Raise an error if images cannot be scaled to a size.

    Raises:
        ValueError: If the size is below 1.
        DataError: If an image of this size has more pixels than :mod:`nas_gym.utils.limits` allows.
    """
    if size is not None:
        if size < 1:
            raise ValueError(f"size is at least 1 pixel, got {size}.")
        check_pixels(size, size, f"size={size}: a scaled image")


def clear_image_cache() -> None:
    """Clear the cache of loaded images so that changed files are read again."""
    _load_cached.cache_clear()


@cache
def _load_cached(name: str, size: int | None) -> ImageData:
    if name == "digits":
        from nas_gym.networks.data.digits import read_digits

        return read_digits()
    if name in ("cifar10", "cifar100"):
        return _load_cifar(name)
    if name == "ImageNet16-120":
        return _load_imagenet16()
    return _load_folder(Path(name), size)


def _load_cifar(name: str) -> ImageData:
    from nas_gym.networks.data.cifar import CIFAR_ARCHIVES, read_cifar
    from nas_gym.networks.data.folder import read_image_folder
    from nas_gym.utils.download import find_file

    archives = CIFAR_ARCHIVES[name]
    for file in (archives.python.name, archives.binary):
        path = find_file(file)
        if path is not None:
            return read_cifar(path, archives)
    zips = [find_file(f"{name}_{part}.zip") for part in ("train", "test")]
    if zips[0] is None or zips[1] is None:
        raise MissingDataError(
            f"The images of {name} are not on this machine. Run `nas-gym data fetch "
            f"{name}-images`, or set NAS_GYM_DATA to a folder that holds {archives.python.name}."
        )
    training, classes = read_image_folder(zips[0])
    test, _ = read_image_folder(zips[1])
    return from_published_splits(name, classes, training, test)


def _load_imagenet16() -> ImageData:
    from nas_gym.networks.data import imagenet16
    from nas_gym.utils.download import find_file

    path = find_file(imagenet16.FOLDER)
    if path is None:
        raise MissingDataError(
            "The images of ImageNet16-120 are not on this machine. Set NAS_GYM_DATA to a folder "
            f"that holds {imagenet16.FOLDER}, the folder of pickles that NAS-Bench-201's authors "
            "publish."
        )
    return imagenet16.read_imagenet16(path)


def _load_folder(path: Path, size: int | None) -> ImageData:
    from nas_gym.networks.data.folder import read_image_folder

    if not os.path.exists(path):
        raise MissingDataError(
            f"{str(path)!r} is neither a data set ({', '.join(DATA_SETS)}) nor a folder or zip "
            "file of images."
        )
    check_image_size(size)
    whole, classes = read_image_folder(path, size)
    rows = split_by_class(whole.labels, (0.5, 0.25, 0.25))
    train, valid, test = (whole.part(each) for each in rows)
    # a folder called "digits" must not be mistaken for the data set of this name
    name = f"{path.stem}-folder" if path.stem in DATA_SETS else path.stem
    return ImageData(name, classes, train, valid, test)
