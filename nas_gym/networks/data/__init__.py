"""Image data sets: what is there by name, and folders of one's own."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from nas_gym.networks.data.images import ImageData, Split, from_published_splits, split_by_class
from nas_gym.utils.errors import MissingDataError

__all__ = ["DATA_SETS", "DOWNLOADABLE", "ImageData", "Split", "fetch_images", "load_images"]

DOWNLOADABLE = ("cifar10", "cifar100")
"""Whose images :func:`fetch_images` downloads."""

DATA_SETS = ("digits", "cifar10", "cifar100", "ImageNet16-120")


def fetch_images(name: str) -> None:
    """Download the images of a data set of CIFAR, ``"cifar10"`` or ``"cifar100"``.

    Raises:
        DataError: the network or the cache folder does not let us.
        DamagedDataError: what arrived is not what was pinned.
    """
    from nas_gym.networks.data import cifar
    from nas_gym.utils import download

    kind = {"cifar10": cifar.CIFAR10, "cifar100": cifar.CIFAR100}[name]
    download.fetch_files([kind.archive])


def load_images(name: str, size: int | None = None) -> ImageData:
    """A data set by name, or a folder or zip file of images.

    ``digits`` comes with scikit-learn. The others are looked for in the folders of
    ``NAS_GYM_DATA`` and among what ``nas-gym data fetch`` brought:

    - ``cifar10``: ``cifar-10-python.tar.gz`` or ``cifar-10-binary.tar.gz`` as published, or
      ``cifar10_train.zip`` and ``cifar10_test.zip`` with an image folder each;
    - ``cifar100``: ``cifar-100-python.tar.gz`` or ``cifar-100-binary.tar.gz``;
    - ``ImageNet16-120``: a folder ``ImageNet16`` with the pickles of NAS-Bench-201's authors.

    An image folder has ``<class>/<image>``; half of each class is for training, a quarter each for
    validation and test. Divisions are the same on every machine.

    Args:
        name: one of :data:`DATA_SETS`, or a path.
        size: images of a folder are scaled to so many pixels in height and width.

    Raises:
        ValueError: a size below 1, or for a data set whose images have one of their own.
        MissingDataError: it is not on this machine.
        DamagedDataError: a file that cannot be read, or a class without images.
    """
    if size is not None and name in DATA_SETS:
        raise ValueError(
            f"Images of {name} have a size of their own; size is for folders of images."
        )
    return _load(name, size)


@cache
def _load(name: str, size: int | None) -> ImageData:
    if name == "digits":
        from nas_gym.networks.data import digits

        return digits.read_digits()
    if name in ("cifar10", "cifar100"):
        return _cifar(name)
    if name == "ImageNet16-120":
        return _imagenet16()
    return _folder(Path(name), size)


def _cifar(name: str) -> ImageData:
    from nas_gym.networks.data import cifar, folder
    from nas_gym.utils.download import find_file

    kind = {"cifar10": cifar.CIFAR10, "cifar100": cifar.CIFAR100}[name]
    for file in (kind.archive.name, kind.binary):
        path = find_file(file)
        if path is not None:
            return cifar.read_cifar(path, kind)
    zips = [find_file(f"{name}_{part}.zip") for part in ("train", "test")]
    if zips[0] is None or zips[1] is None:
        raise MissingDataError(
            f"The images of {name} are not on this machine. Run `nas-gym data fetch "
            f"{name}-images`, or set NAS_GYM_DATA to a folder that holds {kind.archive.name}."
        )
    training, classes = folder.read_image_folder(zips[0])
    test, _ = folder.read_image_folder(zips[1])
    return from_published_splits(name, classes, training, test)


def _imagenet16() -> ImageData:
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


def _folder(path: Path, size: int | None) -> ImageData:
    from nas_gym.networks.data import folder

    if not path.exists():
        raise MissingDataError(
            f"{str(path)!r} is neither a data set ({', '.join(DATA_SETS)}) nor a folder or zip "
            "file of images."
        )
    if size is not None and size < 1:
        raise ValueError(f"size is at least 1 pixel, got {size}.")
    whole, classes = folder.read_image_folder(path, size)
    train, valid, test = (
        whole.part(rows) for rows in split_by_class(whole.labels, (0.5, 0.25, 0.25))
    )
    name = f"{path.stem}-folder" if path.stem in DATA_SETS else path.stem  # it is another data set
    return ImageData(name, classes, train, valid, test)
