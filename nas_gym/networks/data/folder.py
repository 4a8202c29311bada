"""Reading of image folders ``<class>/<image>``, also in zip files."""

from __future__ import annotations

import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nas_gym.networks.data.images import Pixels, Split
from nas_gym.utils.errors import DamagedDataError, DataError, MissingDataError, list_names
from nas_gym.utils.limits import check_pixels, check_unpacked_size

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".gif": "GIF", ".ppm": "PPM",
    ".webp": "WEBP",
}  # fmt: skip
"""Pillow's formats by file extension. Other formats are never tried, because Pillow's plugin for
EPS starts Ghostscript."""


class ImageFiles(Protocol):
    """Files in a folder or zip file."""

    def names(self) -> list[str]:
        """Return the names of all files and folders; names of folders end with a slash."""

    def check_size(self, names: list[str]) -> None:
        """Raise an error if files unpack to much more than the size of the zip file."""

    def read(self, name: str) -> bytes:
        """Check the size of a file and return its content."""


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        return [
            path.relative_to(self._path).as_posix() + "/" * path.is_dir()
            for path in self._path.rglob("*")
        ]

    def check_size(self, names: list[str]) -> None:
        """Do nothing, because files in a folder are not compressed."""

    def read(self, name: str) -> bytes:
        path = self._path / name
        try:
            if path.exists() and not path.is_file():  # opening a pipe would wait for ever
                raise DamagedDataError(f"{path} is not a regular file.")
            check_unpacked_size(path.stat().st_size, str(path))
            return path.read_bytes()
        except OSError as error:
            raise DamagedDataError(f"{path} could not be read: {error.strerror}.") from error


class _Zip:
    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file

    def names(self) -> list[str]:
        found = self._file.namelist()
        for name in found:
            if name.startswith("/") or ".." in PurePosixPath(name).parts:
                raise DamagedDataError(
                    f"{self._file.filename} has a file {name!r:.200}, whose path leaves the zip "
                    "file. Make the zip file again, from inside the folder of images."
                )
        return found

    def check_size(self, names: list[str]) -> None:
        members = [self._file.getinfo(name) for name in names]
        packed = sum(member.compress_size for member in members)
        unpacked = sum(member.file_size for member in members)
        check_unpacked_size(unpacked, str(self._file.filename), 2 * packed)

    def read(self, name: str) -> bytes:
        member = self._file.getinfo(name)
        check_unpacked_size(member.file_size, f"{name} in {self._file.filename}")
        try:
            with self._file.open(member) as file:
                # a wrong size in the header cannot unpack more than this
                return file.read(member.file_size)
        except (RuntimeError, OSError, lzma.LZMAError) as error:  # encrypted, or damaged
            raise DamagedDataError(f"{name} in {self._file.filename}: {error}.") from error


@contextmanager
def open_image_files(path: Path) -> Iterator[ImageFiles]:
    """Open a folder or zip file for reading.

    Raises:
        MissingDataError: If there is no such file.
        DamagedDataError: If the file is no complete zip file.
        DataError: If the file cannot be read.
    """
    if path.is_dir():
        yield _Folder(path)
        return
    if not os.path.exists(path):
        raise MissingDataError(f"There is no folder or zip file {path}.")
    if not path.is_file():  # opening a pipe would wait for ever
        raise DamagedDataError(f"{path} is neither a folder nor a zip file.")
    try:
        with zipfile.ZipFile(path) as file:
            yield _Zip(file)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DamagedDataError(f"{path} is not a complete zip file: {error}.") from error
    except OSError as error:
        raise DataError(f"{path} could not be read: {error.strerror or error}.") from error


def read_image_folder(path: Path, size: int | None = None) -> tuple[Split, tuple[str, ...]]:
    """Return all images of a folder or zip file, and the names of their classes.

    The class of an image is the name of its folder. Classes and images are in alphabetical order.

    Args:
        path, size: See :func:`read_named_images`.

    Raises:
        MissingDataError, DamagedDataError, DataError: See :func:`read_named_images`.
    """
    images, names = read_named_images(path, size)
    folders = [PurePosixPath(name).parent.name for name in names]
    classes = sorted(set(folders))
    numbers = {name: number for number, name in enumerate(classes)}
    return Split(images, np.array([numbers[each] for each in folders], np.int64)), tuple(classes)


def read_named_images(path: Path, size: int | None = None) -> tuple[Pixels, list[str]]:
    """Return all images ``<class>/<image>`` of a folder or zip file, and their names.

    Images are in alphabetical order of their names. Hidden files are ignored. If some images have
    colours, grey images are converted to colours. See :func:`to_pixels` for other kinds of images.

    Args:
        path: Path of the folder or zip file.
        size: Height and width to which images are scaled, in pixels; by default, images keep their
            size.

    Returns:
        Pixels, ``(n, channels, height, width)`` uint8, and the path of each image in the folder.

    Raises:
        MissingDataError: If there is no such file, or it holds no images.
        DamagedDataError: If the file is no zip file, if images cannot be read (the message lists
            them), if images differ in size and no ``size`` is given, or if a class folder is empty.
        DataError: If an image has more pixels, or all images together have more bytes, than
            :mod:`nas_gym.utils.limits` allows.
    """
    with open_image_files(path) as files:
        found = files.names()
        names = sorted(filter(_is_class_image, found))
        if not names:
            raise MissingDataError(
                f"{path} holds no images. Put them at <class>/<image>, with one of the endings "
                f"{', '.join(sorted(_FORMATS))}."
            )
        if empty := _empty_classes(found, names):
            raise DamagedDataError(
                f"{path} has no images of class {', '.join(empty)}. Delete empty folders."
            )
        files.check_size(names)
        images, total, errors = [], 0, []
        for name in names:
            try:
                image = decode_image(files.read(name), f"{name} in {path}", size)
            except DamagedDataError as error:
                errors.append(str(error))
                continue
            total += image.nbytes
            check_unpacked_size(total, f"The images in {path}")
            images.append(image)
        if errors:
            raise DamagedDataError(_list_errors(errors))
    if any(len(image) == 3 for image in images):
        images = [np.broadcast_to(image, (3, *image.shape[1:])) for image in images]
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise DamagedDataError(
            f"{path} holds images of different shapes, such as {sorted(shapes)[:3]}. Give a size "
            "to scale all images to."
        )
    return np.stack(images), names


def _list_errors(errors: list[str]) -> str:
    """Return one message about images that cannot be read."""
    if len(errors) == 1:
        return errors[0]
    sentences = [error.removesuffix(".") for error in errors]
    return f"{len(errors):,} images could not be read: {list_names(sentences, limit=5)}."


def is_image_name(name: str) -> bool:
    """Return whether a name has the ending of an image, and is neither hidden nor a folder."""
    path = PurePosixPath(name)
    return path.suffix.lower() in _FORMATS and not name.endswith("/") and not _is_hidden(path)


def _is_class_image(name: str) -> bool:
    return is_image_name(name) and bool(PurePosixPath(name).parent.name)


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


def decode_image(content: bytes, name: str, size: int | None) -> Pixels:
    """Return the pixels of an encoded image, ``(channels, height, width)`` uint8.

    Args:
        content: Bytes of the image file.
        name: Name of the image, for messages.
        size: Height and width to which the image is scaled, in pixels; ``None`` keeps its size.

    Raises:
        DamagedDataError: If the image cannot be read.
        DataError: If the image has more pixels than :mod:`nas_gym.utils.limits` allows.
    """
    return to_pixels(open_image(content, name), None if size is None else (size, size))


def open_image(content: bytes, name: str) -> Image.Image:
    """Return an encoded image, converted by :func:`to_8_bits`.

    Args:
        content: Bytes of the image file.
        name: Name of the image, for messages.

    Raises:
        DamagedDataError: If the image cannot be read.
        DataError: If the image has more pixels than :mod:`nas_gym.utils.limits` allows.
    """
    from PIL import Image, UnidentifiedImageError

    formats = tuple(set(_FORMATS.values()))
    try:
        with _without_pixel_limit(), Image.open(BytesIO(content), formats=formats) as file:
            check_pixels(*file.size, name)  # before the pixels are decoded
            return to_8_bits(file)
    except UnidentifiedImageError as error:
        raise DamagedDataError(f"{name} could not be read as an image: no known format.") from error
    except DataError:
        raise
    except Exception as error:  # a damaged image can raise any error
        raise DamagedDataError(f"{name} could not be read as an image: {error}.") from error


def to_8_bits(image: Image.Image) -> Image.Image:
    """Return an upright image, in mode ``L`` if it is grey, else in mode ``RGB``.

    An image is rotated as its EXIF entry demands. Transparent parts become white. The values of
    16-bit images are scaled to 8 bits.
    """
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits
        values = np.clip(np.asarray(image), 0, 2**16 - 1) // 257
        image = Image.fromarray(values.astype(np.uint8))
    mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), opaque)
    return image.convert(mode)


def to_pixels(image: Image.Image, size: tuple[int, int] | None) -> Pixels:
    """Return the pixels of an image of mode ``L`` or ``RGB``, ``(channels, height, width)`` uint8.

    Args:
        image: Image.
        size: Width and height to which the image is scaled, in pixels; ``None`` keeps its size.
    """
    from PIL import Image

    if size is not None:
        image = image.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.uint8)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)


@contextmanager
def _without_pixel_limit() -> Iterator[None]:
    """Disable Pillow's own limit, which cannot be raised by an option."""
    from PIL import Image

    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit
