"""Files that are written whole or not at all, and read without pickle."""

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

_UMASK = os.umask(0)  # can only be read by setting it
os.umask(_UMASK)


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(2**20), b""):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn the errors of writing below ``target`` into ones that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            reason = "it may not be written to"
        elif error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = "the disk is full"
        else:
            reason = str(error)
        raise DataError(
            f"Could not write {target}: {reason}. Choose a folder with room that you can write "
            "to (NAS_GYM_CACHE names the one of the cache), and try again."
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old content or the new, never a part."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_UMASK)  # else nobody but us could read it
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to one ``.npz`` file, whole or not at all, without pickle."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read what :func:`write_arrays` wrote.

    Raises:
        DamagedDataError: not such a file, or one that is cut short.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DamagedDataError(f"{path} is damaged: {error}.") from error


def write_tensors(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to one safetensors file, whole or not at all; texts go to its header."""
    from safetensors.numpy import save

    texts = {name: each.tolist() for name, each in arrays.items() if _is_text(each)}
    tensors = {name: each for name, each in arrays.items() if name not in texts}
    # in one entry, for safetensors writes several in any order: the same content, the same file
    write_atomically(path, save(tensors, {"texts": json.dumps(texts)}))


def _is_text(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "U"


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read what :func:`write_tensors` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedDataError: not such a file, or one that is cut short.
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
        raise DamagedDataError(f"{path} is not a whole safetensors file: {error}.") from error
