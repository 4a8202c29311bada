"""Limits on the content that is read from files of other people.

A small file can unpack to a size that fills the memory or the disk, and a server can send a file
without end. The package unpacks or downloads at most 2 GiB of one file, and decodes images of at
most 64 megapixels. The environment variables ``NAS_GYM_MAX_BYTES`` and ``NAS_GYM_MAX_PIXELS`` set
other limits.
"""

from __future__ import annotations

import os

from nas_gym.utils.errors import DataError

VARIABLE = "NAS_GYM_MAX_BYTES"
DEFAULT_BYTES = 2 * 2**30
PIXELS_VARIABLE = "NAS_GYM_MAX_PIXELS"
DEFAULT_PIXELS = 64 * 2**20


def max_bytes() -> int:
    """Return the largest number of bytes that are unpacked from one file, or downloaded.

    Raises:
        DataError: If ``NAS_GYM_MAX_BYTES`` is not a positive whole number.
    """
    return _limit(VARIABLE, DEFAULT_BYTES, "bytes")


def max_pixels() -> int:
    """Return the largest number of pixels that an image may have.

    Raises:
        DataError: If ``NAS_GYM_MAX_PIXELS`` is not a positive whole number.
    """
    return _limit(PIXELS_VARIABLE, DEFAULT_PIXELS, "pixels")


def _limit(variable: str, default: int, unit: str) -> int:
    text = os.environ.get(variable, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) == 0:
        raise DataError(
            f"{variable} is {text!r:.60}. A number of {unit} was expected, such as {default}."
        )
    return int(text)


def check_unpacked_size(size: int, name: str, packed: int = 0) -> None:
    """Raise an error if the content of a file is too large to be unpacked.

    Args:
        size: Size of the unpacked content in bytes, or the part of it that was counted so far.
        name: Name of the file, for the message.
        packed: Size of the file itself in bytes; content of at most this size is always accepted.

    Raises:
        DataError: If the content is larger than the limit; the message says how to raise it.
    """
    limit = max_bytes()
    if size > max(limit, packed):
        raise DataError(
            f"{name} unpacks to {size:,} bytes or more; at most {limit:,} are read, so that a "
            "small file cannot fill the memory. If you trust the file, raise the limit: set the "
            f"environment variable {VARIABLE}={size} or higher."
        )


def check_downloaded_size(size: int, url: str) -> None:
    """Raise an error if a file is too large to be downloaded.

    Args:
        size: Number of bytes that have been received so far.
        url: URL of the file, for the message.

    Raises:
        DataError: If the file is larger than the limit; the message says how to raise it.
    """
    limit = max_bytes()
    if size > limit:
        raise DataError(
            f"{url} has {size:,} bytes or more; at most {limit:,} are downloaded, so that a server "
            "cannot fill the disk. If you trust it, raise the limit: set the environment variable "
            f"{VARIABLE}, in bytes."
        )


def check_pixels(width: int, height: int, name: str) -> None:
    """Raise an error if an image is too large to be decoded.

    Args:
        width, height: Size of the image in pixels, as its header states it.
        name: Name of the image, for the message.

    Raises:
        DataError: If the image is larger than the limit; the message says how to raise it.
    """
    limit = max_pixels()
    if width * height > limit:
        raise DataError(
            f"{name} has {width:,} x {height:,} pixels; images of at most {limit:,} pixels are "
            "decoded, so that a small file cannot fill the memory. If you trust the file, raise "
            f"the limit: set the environment variable {PIXELS_VARIABLE}={width * height} or higher."
        )
