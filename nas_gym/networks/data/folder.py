"""Image folders ``<class>/<image>``, also in a zip file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np

from nas_gym.networks.data.images import Pixels, Split
from nas_gym.utils.errors import DamagedDataError, MissingDataError

_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".webp"}


class _Files(Protocol):
    def names(self) -> list[str]:
        """Return the names of all files, and those of folders with a slash at the end."""

    def read(self, name: str) -> bytes: ...


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        return [
            path.relative_to(self._path).as_posix() + "/" * path.is_dir()
            for path in self._path.rglob("*")
        ]

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()


class _Zip:
    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file

    def names(self) -> list[str]:
        return self._file.namelist()

    def read(self, name: str) -> bytes:
        try:
            return self._file.read(name)
        except RuntimeError as error:  # encrypted, or an unsupported compression
            raise DamagedDataError(f"{name} in {self._file.filename}: {error}.") from error


@contextmanager
def _open(path: Path) -> Iterator[_Files]:
    if path.is_dir():
        yield _Folder(path)
        return
    if not path.exists():
        raise MissingDataError(f"There is no folder or zip file {path}.")
    try:
        with zipfile.ZipFile(path) as file:
            yield _Zip(file)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DamagedDataError(f"{path} is not a whole zip file: {error}.") from error


def read_image_folder(path: Path, size: int | None = None) -> tuple[Split, tuple[str, ...]]:
    """Return all images of a folder or zip file, and the names of their classes.

    The class of an image is the name of its folder. Classes and images are in alphabetical order.
    Hidden files are ignored. If some images have colours, grey images are converted to colours.

    Args:
        path: Path of the folder or zip file.
        size: Height and width to which images are scaled, in pixels; by default, they keep their
            size.

    Raises:
        MissingDataError: If there is no such file, or it holds no images.
        DamagedDataError: If the file is no zip file, if an image cannot be read, if images differ
            in size and no ``size`` is given, or if a class folder is empty.
    """
    with _open(path) as files:
        found = files.names()
        names = sorted(filter(_is_image, found))
        if not names:
            raise MissingDataError(
                f"{path} holds no images. Put them at <class>/<image>, with one of the endings "
                f"{', '.join(sorted(_ENDINGS))}."
            )
        if empty := _empty_classes(found, names):
            raise DamagedDataError(
                f"{path} has no images of class {', '.join(empty)}. Delete empty folders."
            )
        classes = sorted({PurePosixPath(name).parent.name for name in names})
        images = [_image(files.read(name), f"{name} in {path}", size) for name in names]
    if any(len(image) == 3 for image in images):
        images = [np.broadcast_to(image, (3, *image.shape[1:])) for image in images]
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise DamagedDataError(
            f"{path} holds images of different shapes, such as {sorted(shapes)[:3]}. Give a size "
            "to scale all images to."
        )
    numbers = {name: number for number, name in enumerate(classes)}
    labels = [numbers[PurePosixPath(name).parent.name] for name in names]
    return Split(np.stack(images), np.array(labels, np.int64)), tuple(classes)


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    is_file = path.suffix.lower() in _ENDINGS and not name.endswith("/")
    return is_file and bool(path.parent.name) and not _is_hidden(path)


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _empty_classes(found: list[str], images: list[str]) -> list[str]:
    """Return the names of folders without images, next to the folders of classes."""
    folders = {folder for name in images for folder in PurePosixPath(name).parents}
    parents = {PurePosixPath(name).parent.parent for name in images}
    without_images = {PurePosixPath(name) for name in found if name.endswith("/")} - folders
    return sorted(
        each.name for each in without_images if each.parent in parents and not _is_hidden(each)
    )


def _image(content: bytes, name: str, size: int | None) -> Pixels:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(content)) as file:
            image = file.convert("L" if file.mode in ("1", "L") else "RGB")
    except UnidentifiedImageError as error:
        raise DamagedDataError(f"{name} could not be read as an image: no known format.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DamagedDataError(f"{name} could not be read as an image: {error}.") from error
    if size is not None:
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.uint8)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
