"""Restricted unpickling of published files: no code from a file is run."""

from __future__ import annotations

import io
import math
import mmap
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from nas_gym.tables.sources.pickle_check import check_pickle
from nas_gym.tables.sources.reading import import_reader, read_published_file
from nas_gym.utils.errors import DamagedDataError, DataError, MissingDataError
from nas_gym.utils.limits import check_unpacked_size

Allowed = Mapping[tuple[str, str], Any]


def _latin1(text: str, encoding: str) -> bytes:
    # pickles of protocols 0 to 2 write bytes in this way; the real _codecs.encode takes any codec
    if encoding != "latin1":
        raise ValueError(f"encoding {encoding!r} in a pickle, latin1 was expected")
    return text.encode("latin1")


def _text(text: object) -> str:
    # texts of Python 2 are bytes if the pickle is read with encoding="bytes"
    return text.decode("ascii") if isinstance(text, bytes) else str(text)


# NumPy's own constructors trust their arguments, even the addresses in arrays of objects. The
# stand-ins below offer pickles the same interface for numbers only.


class _Dtype:
    """Stand-in for ``numpy.dtype``, for bools, integers and floats."""

    def __init__(self, name: str | bytes, align: bool = False, copy: bool = True) -> None:
        self.dtype = np.dtype(_text(name))
        if self.dtype.kind not in "biuf":
            raise ValueError(f"dtype {name!r} in a pickle, numbers were expected")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(_text(state[1]))  # type: ignore[arg-type]


class _Array(np.ndarray[Any, Any]):
    """Stand-in for ``numpy.ndarray``, filled with numbers by its state."""

    def __new__(cls, *_: object) -> _Array:
        return super().__new__(cls, 0)

    def __setstate__(self, state: Any, /) -> None:
        _, shape, number, fortran, content = state
        shape = tuple(int(length) for length in shape)
        dtype = _known(number)
        size = math.prod(shape) * dtype.itemsize
        if type(content) is not bytes or min(shape, default=0) < 0 or len(content) != size:
            raise ValueError(f"an array of shape {shape} in a pickle does not have {size} bytes")
        # NumPy's stub requires np.bool, its code bool
        super().__setstate__((1, shape, dtype, bool(fortran), content))  # type: ignore[arg-type]


class _Function:
    """A function that a pickle may call, without permission to set its attributes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise ValueError("a pickle sets attributes of a function")


class _Marker:
    """Stand-in for the class ``numpy.ndarray`` as an argument of ``_reconstruct``."""

    def __setstate__(self, state: object) -> None:
        raise ValueError("a pickle sets attributes of a class")


_NDARRAY = _Marker()


def _known(dtype: object) -> np.dtype[Any]:
    if type(dtype) is not _Dtype:
        raise TypeError(f"a {type(dtype).__name__} in a pickle, a dtype was expected")
    return dtype.dtype


def _scalar(dtype: object, content: bytes) -> Any:
    [number] = np.frombuffer(content, _known(dtype))
    return number


def _reconstruct(kind: object, *_: object) -> _Array:
    if kind is not _NDARRAY:
        raise TypeError(f"a {type(kind).__name__} in a pickle, an array was expected")
    return _Array()


_SCALAR, _RECONSTRUCT = _Function(_scalar), _Function(_reconstruct)

NUMPY: Allowed = MappingProxyType(
    {
        ("numpy", "dtype"): _Dtype,
        ("numpy", "ndarray"): _NDARRAY,
        ("_codecs", "encode"): _Function(_latin1),
        # NumPy 2 renamed the module; files have either name
        ("numpy.core.multiarray", "scalar"): _SCALAR,
        ("numpy._core.multiarray", "scalar"): _SCALAR,
        ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
        ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    }
)
"""Classes of pickled NumPy scalars and arrays of numbers, for the argument ``allowed``."""

ORDERED_DICT: Allowed = MappingProxyType({("collections", "OrderedDict"): OrderedDict})


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(
        self, file: IO[bytes], allowed: Allowed, name: str, encoding: str = "ASCII"
    ) -> None:
        super().__init__(file, encoding=encoding)
        self._allowed = allowed
        self._name = name

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise _refusal(self._name, f"{module}.{name}") from None


def _refusal(file: str, asked: str) -> DamagedDataError:
    return DamagedDataError(
        f"{file} was refused: it asks for {asked}, which files of this format do not need. "
        "No code of it was run. Do not open it with other programs; get the file again from its "
        "publisher."
    )


def _unreadable(file: str, error: Exception) -> DamagedDataError:
    return DamagedDataError(
        f"{file} could not be read; it is truncated or not in the expected format "
        f"({type(error).__name__}: {error}). Get the file again from its publisher."
    )


def load_pickle(
    source: bytes | str | Path,
    allowed: Allowed,
    name: str = "",
    encoding: str = "ASCII",
    *,
    is_published: bool = False,
) -> Any:
    """Read a pickle of plain containers and allowed classes.

    Args:
        source: Content of the pickle, or its path.
        allowed: Object to use for each ``(module, class)`` that the pickle may ask for.
        name: Name of the source for messages; its path by default.
        encoding: Encoding of Python 2 strings, or ``"bytes"`` to return these strings as bytes.
        is_published: Whether the content is known to be the published file by its sha256;
            :func:`~.pickle_check.check_pickle` is then not needed.

    Raises:
        MissingDataError: If there is no such file.
        DamagedDataError: If it asks for any other class (no code of it is run), or is damaged.
    """
    name = name or ("The pickle" if isinstance(source, bytes) else str(source))
    content = source if isinstance(source, bytes) else read_published_file(source, "its publisher")
    try:
        if not is_published:
            check_pickle(content)
        return _RestrictedUnpickler(io.BytesIO(content), allowed, name, encoding).load()
    except DamagedDataError:
        raise
    except Exception as error:  # a damaged pickle can raise any error
        raise _unreadable(name, error) from error


def load_torch_file(path: str | Path) -> Any:
    """Read a file of ``torch.save`` with containers, numbers, arrays and tensors.

    A file without tensors is read without torch, in a tenth of the time. Other files are read with
    ``torch.load(weights_only=True)`` and the same stand-ins for NumPy.

    Raises:
        MissingDataError: If there is no such file.
        DamagedDataError: If it asks for any other class (no code of it is run), or is damaged.
        DataError: If it has tensors and torch is not installed, or there is not enough memory.
    """
    if not Path(path).is_file():
        raise MissingDataError(f"There is no file {path}. Check the path, or get the file first.")
    try:
        return _load_without_tensors(Path(path))
    except _TensorsError:
        return _load_tensors(path)
    except DataError:
        raise
    except MemoryError as error:
        raise _too_large(path) from error
    except Exception as error:  # a damaged file can raise any error
        raise _unreadable(str(path), error) from error


class _TensorsError(Exception):
    pass


class _TorchUnpickler(_RestrictedUnpickler):
    """An unpickler of torch files that stops at the first tensor; torch is not imported."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "torch":
            raise _TensorsError
        return super().find_class(module, name)


def _load_without_tensors(path: Path) -> Any:
    allowed = {**NUMPY, **ORDERED_DICT, ("__builtin__", "set"): set, ("builtins", "set"): set}
    with path.open("rb") as file:
        if zipfile.is_zipfile(file):  # torch 1.6 and later: a pickle and the numbers of tensors
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
                check_unpacked_size(unpacked, str(path), path.stat().st_size)
                [inside] = [name for name in archive.namelist() if name.endswith("/data.pkl")]
                pickled = archive.read(inside)
                check_pickle(pickled)
                return _TorchUnpickler(io.BytesIO(pickled), allowed, str(path)).load()
        # earlier: a sequence of pickles; the fourth is the content, the fifth the keys of tensors
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            position = 0
            for _ in range(5):
                position = check_pickle(mapped, position)
        file.seek(0)
        parts = [_TorchUnpickler(file, allowed, str(path)).load() for _ in range(5)]
        return parts[3]


def _too_large(path: str | Path) -> DataError:
    return DataError(
        f"{path} ({Path(path).stat().st_size:,} bytes) cannot be read with the memory of this "
        "machine: reading needs about six times its size. Import it on a larger machine."
    )


def _load_tensors(path: str | Path) -> Any:
    torch = import_reader("torch", "torch")
    admitted = [(value, ".".join(key)) for key, value in NUMPY.items() if key[0] != "_codecs"]
    try:
        # torch sets the states of admitted classes only, so _Array must also be admitted
        with torch.serialization.safe_globals([*admitted, _Array]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError as error:
        raise _too_large(path) from error
    except Exception as error:  # a damaged file can raise any error
        # "Unsupported global: GLOBAL x.y was not …", "unsupported GLOBAL x.y whose module …"
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise (_refusal(str(path), asked[1]) if asked else _unreadable(str(path), error)) from error
