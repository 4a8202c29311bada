"""Atomic writing of files, and reading without pickle."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.utils.errors import DamagedDataError, DataError

_UMASK = os.umask(0)  # it can be read only by setting it
os.umask(_UMASK)


def sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(2**20), b""):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def explain_write_errors(target: Path) -> Iterator[None]:
    """Convert operating system errors within the block into a :class:`DataError`.

    Args:
        target: File or folder that is written, for the message.

    Raises:
        DataError: If an ``OSError`` is raised in the block; the message says what to do.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            reason = "permission denied"
        elif error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = "the disk is full"
        else:
            reason = str(error)
        raise DataError(
            f"Could not write {target}: {reason}. Choose a folder on a disk with space that you "
            "can write to (NAS_GYM_CACHE names the cache folder), and try again."
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old or the new content, never a part of it.

    Raises:
        DataError: If the file cannot be written.
    """
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_UMASK)  # mkstemp creates private files
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to one ``.npz`` file, atomically and without pickle."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file of :func:`write_arrays`.

    Raises:
        DamagedDataError: If the file has another format or is truncated.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DamagedDataError(f"{path} is damaged: {error}.") from error


def write_tensors(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to one safetensors file, atomically; texts are stored in its header."""
    from safetensors.numpy import save

    texts = {name: each.tolist() for name, each in arrays.items() if _is_text(each)}
    tensors = {name: each for name, each in arrays.items() if name not in texts}
    # one entry, because safetensors writes several entries in any order, and files must be equal
    write_atomically(path, save(tensors, {"texts": json.dumps(texts)}))


def _is_text(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "U"


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file of :func:`write_tensors`.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedDataError: If the file has another format or is truncated.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    try:
        with safe_open(path, framework="np") as file:
            texts = json.loads((file.metadata() or {}).get("texts", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors | {name: np.array(text) for name, text in texts.items()}
    except (SafetensorError, ValueError) as error:
        raise DamagedDataError(
            f"{path} is not a safetensors file, or is truncated: {error}."
        ) from error
