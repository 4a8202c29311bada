"""Atomic writing of files, and checked reading without pickle."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import re
import stat
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.utils.errors import DamagedDataError, DataError
from nas_gym.utils.limits import check_unpacked_size

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


def check_writable(path: Path) -> None:
    """Raise an error unless a file can be written; make its folder if it does not exist.

    Commands call this first, so that hours of work are not lost.

    Raises:
        DataError: If the file cannot be written, or if ``path`` is a folder or a device.
    """
    with explain_write_errors(path):
        try:
            is_file = stat.S_ISREG(os.stat(path).st_mode)
        except FileNotFoundError:
            is_file = True
        if not is_file:
            raise DataError(f"Could not write {path}: it is not a regular file. Name another file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass


# -- temporary files -------------------------------------------------------------------------------
#
# A temporary file is locked as long as its process lives. A file that nobody has locked was left by
# a process that was killed.

_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.nas-gym", re.DOTALL)  # no other program's files
_SECONDS_WITHOUT_LOCKS = 86_400.0  # age of a leftover on file systems that cannot lock

_cleaned: set[Path] = set()  # folders that this process has cleaned


def _lock(handle: int, *, wait: bool) -> bool:
    """Lock an open file until it is closed; return whether this worked.

    Raises:
        BlockingIOError: If another process has locked it and ``wait`` is false.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return False
    return True


def _open_temporary(path: Path) -> tuple[IO[bytes], Path]:
    while True:
        handle, name = tempfile.mkstemp(".nas-gym", f".{path.name[:40]}.", path.parent)
        _lock(handle, wait=True)
        if os.fstat(handle).st_nlink > 0:
            return os.fdopen(handle, "wb"), Path(name)
        os.close(handle)  # another process removed it before it was locked


def remove_temporary_files(folder: Path, *, recursive: bool = False) -> list[Path]:
    """Remove the temporary files of processes that were killed while they wrote a file.

    Files that another process is writing are kept.

    Args:
        folder: Folder to clean; it may not exist.
        recursive: Whether to also clean its subfolders.

    Returns:
        The removed files.
    """
    removed = []
    for parent, folders, names in os.walk(folder):
        removed += [
            Path(parent, name)
            for name in names
            if _TEMPORARY.fullmatch(name) and _remove_if_abandoned(Path(parent, name))
        ]
        if not recursive:
            folders.clear()
    return removed


def _remove_if_abandoned(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        age = time.time() - os.fstat(handle).st_mtime
        if not _lock(handle, wait=False) and age < _SECONDS_WITHOUT_LOCKS:
            return False
        path.unlink()  # while it is locked: a process that has just made it makes another one
        return True
    except OSError:  # locked by its process, or in a folder without permission
        return False
    finally:
        os.close(handle)


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield an open file that becomes ``path`` at the end of the block.

    Readers see the old or the new content, never a part of it. If the block raises an error,
    nothing changes. The first file that a process writes in a folder removes the temporary files
    that killed processes left there.

    Raises:
        DataError: If the file cannot be written.
    """
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent not in _cleaned:
            _cleaned.add(path.parent)
            remove_temporary_files(path.parent)
        file, temporary = _open_temporary(path)
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.chmod(temporary, 0o666 & ~_UMASK)  # mkstemp creates private files
                os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old or the new content, never a part of it.

    Raises:
        DataError: If the file cannot be written.
    """
    with atomic_file(path) as file:
        file.write(content)


# -- JSON ------------------------------------------------------------------------------------------


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedDataError: If it is not JSON, is nested too deeply, or is not a file.
        DataError: If it cannot be read.
    """
    try:
        return json.loads(path.read_bytes())
    except RecursionError as error:
        raise DamagedDataError(f"{path} is damaged: its brackets are nested too deeply.") from error
    except ValueError as error:
        raise DamagedDataError(f"{path} is damaged: it is not JSON ({error}).") from error
    except OSError as error:
        raise _read_error(path, error) from error


def _read_error(path: Path, error: OSError) -> Exception:
    """Return the error to raise instead of an error of the operating system."""
    if isinstance(error, FileNotFoundError):
        return error
    kind = DamagedDataError if error.errno in (errno.EISDIR, errno.ELOOP) else DataError
    return kind(f"{path} could not be read: {error.strerror or error}. A file was expected.")


# -- arrays ----------------------------------------------------------------------------------------


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to one ``.npz`` file, atomically and without pickle."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file of :func:`write_arrays`.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedDataError: If the file has another format, or is truncated.
        DataError: If it unpacks to more than the limit, or cannot be read.
    """
    try:
        return {name: read() for name, read in open_npz(path, str(path)).items()}
    except (ValueError, KeyError) as error:
        raise DamagedDataError(f"{path} is damaged: {error}.") from error
    except OSError as error:
        raise _read_error(path, error) from error


def open_npz(source: Path | IO[bytes], name: str) -> dict[str, Callable[[], NDArray[Any]]]:
    """Return a function for each array of an ``.npz`` file that reads it.

    The functions raise ``ValueError`` if an array is damaged, claims another size than it has, or
    has Python objects.

    Args:
        source: Path of the file, or the file itself.
        name: Name of the file, for messages.

    Raises:
        ValueError: If the file has another format, or is truncated.
        DataError: If it unpacks to more than the limit.
    """
    with _npz_errors():
        archive = zipfile.ZipFile(source)
        members = archive.infolist()
        packed = sum(member.compress_size for member in members)
        check_unpacked_size(sum(member.file_size for member in members), name, packed)
        return {
            member.filename.removesuffix(".npy"): partial(_read_npy, archive, member)
            for member in members
        }


@contextmanager
def _npz_errors() -> Iterator[None]:
    """Convert the errors of a damaged zip file into ``ValueError``."""
    try:
        yield
    except DataError:
        raise
    except (
        zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OverflowError,
    ) as error:  # fmt: skip
        raise ValueError(f"it is not a .npz file, or was cut short ({error})") from error


@_npz_errors()
def _read_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{member.filename} has version {version} of the format .npy")
        read_header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
        shape, _, dtype = read_header(file)
        size = math.prod(shape) * dtype.itemsize
        # a header can claim any shape: without this check, NumPy would ask for that much memory
        if not dtype.hasobject and size != member.file_size - file.tell():
            raise ValueError(
                f"{member.filename} claims an array of {size:,} bytes, and has "
                f"{member.file_size - file.tell():,}"
            )
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _digest(tensors: Mapping[str, NDArray[Any]], texts: Mapping[str, Any]) -> str:
    """Return the sha256 of the content of a safetensors file."""
    digest = hashlib.sha256(json.dumps(texts, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, tensor.dtype.str, tensor.shape]).encode())
        digest.update(np.ascontiguousarray(tensor).tobytes())
    return digest.hexdigest()


def write_tensors(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to one safetensors file, atomically.

    Texts and the sha256 of the whole content are stored in its header.
    """
    from safetensors.numpy import save

    texts = {name: each.tolist() for name, each in arrays.items() if each.dtype.kind == "U"}
    # safetensors writes the memory of an array in its own order
    tensors = {k: np.asarray(v, order="C") for k, v in arrays.items() if k not in texts}
    content = {"texts": texts, "sha256": _digest(tensors, texts)}
    # one entry, because safetensors writes several entries in any order, and files must be equal
    write_atomically(path, save(tensors, {"content": json.dumps(content)}))


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file of :func:`write_tensors`.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedDataError: If the file has another format, is truncated, or differs from its sha256.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    try:
        with safe_open(path, framework="np") as file:
            texts, expected = _read_metadata(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if expected is not None and _digest(tensors, texts) != expected:
            raise ValueError("its sha256 differs from the stored one")
        return tensors | {name: np.array(text) for name, text in texts.items()}
    except RecursionError as error:
        raise DamagedDataError(f"{path} is damaged: its brackets are nested too deeply.") from error
    except (SafetensorError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise DamagedDataError(
            f"{path} is not a safetensors file, or is truncated or altered: {error}."
        ) from error


def read_texts(path: Path) -> dict[str, Any]:
    """Read the texts of a file of :func:`write_tensors`, without its arrays and their sha256.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedDataError: If the file has another format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return _read_metadata(file.metadata() or {})[0]
    except (SafetensorError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise DamagedDataError(f"{path} is not a safetensors file: {error}.") from error


def _read_metadata(metadata: Mapping[str, str]) -> tuple[dict[str, Any], str | None]:
    """Return the texts and the sha256; files of earlier versions have no sha256."""
    if set(metadata) == {"content"}:
        content = json.loads(metadata["content"])
        return content["texts"], content["sha256"]
    if set(metadata) <= {"texts"}:
        return json.loads(metadata.get("texts", "{}")), None
    raise ValueError(f"its metadata has the unknown keys {', '.join(metadata)!r:.60}")
