"""Limits on the content that is read from files of others.

A small file can unpack to a size that fills the memory or the disk. The package unpacks at most
2 GiB of one file. The environment variable ``NAS_GYM_MAX_BYTES`` sets another limit.
"""

from __future__ import annotations

import os

from nas_gym.utils.errors import DataError

VARIABLE = "NAS_GYM_MAX_BYTES"
DEFAULT_BYTES = 2 * 2**30


def max_bytes() -> int:
    """Return the largest number of bytes that one file may unpack to.

    Raises:
        DataError: If ``NAS_GYM_MAX_BYTES`` is not a positive whole number.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return DEFAULT_BYTES
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) == 0:
        raise DataError(
            f"{VARIABLE} is {text!r:.60}. A number of bytes was expected, such as {DEFAULT_BYTES}."
        )
    return int(text)


def check_unpacked_size(size: int, name: str, packed: int = 0) -> None:
    """Raise an error if the content of a file is too large to be unpacked.

    Args:
        size: Size of the unpacked content in bytes, or the part of it that was counted so far.
        name: Name of the file, for the message.
        packed: Size of the file itself in bytes; content of at most this size is not a bomb.

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
