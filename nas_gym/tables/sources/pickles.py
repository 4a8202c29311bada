"""Reading other people's pickles without running what they may ask for."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from nas_gym.tables.errors import DamagedDataError, DataError, MissingDataError
from nas_gym.tables.sources.files import read_file, reading_package

Allowed = Mapping[tuple[str, str], Any]


def _latin1(text: str, encoding: str) -> bytes:
    # how pickles of protocols 0 to 2 write bytes; the real _codecs.encode takes any codec
    if encoding != "latin1":
        raise ValueError(f"encoding {encoding!r} in a pickle, latin1 was expected")
    return text.encode("latin1")


_SCALAR = np.float64(0).__reduce__()[0]
_RECONSTRUCT = np.zeros(0).__reduce__()[0]

NUMPY: Allowed = MappingProxyType(
    {
        ("numpy", "dtype"): np.dtype,
        ("numpy", "ndarray"): np.ndarray,
        ("_codecs", "encode"): _latin1,
        # NumPy 2 renamed the module; files hold either name
        ("numpy.core.multiarray", "scalar"): _SCALAR,
        ("numpy._core.multiarray", "scalar"): _SCALAR,
        ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
        ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    }
)
"""What NumPy scalars and arrays are pickled with; merge it into ``allowed``."""

ORDERED_DICT: Allowed = MappingProxyType({("collections", "OrderedDict"): OrderedDict})


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], allowed: Allowed, name: str) -> None:
        super().__init__(file)
        self._allowed = allowed
        self._name = name

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise _refusal(self._name, f"{module}.{name}") from None


def _refusal(file: str, asked: str) -> DamagedDataError:
    return DamagedDataError(
        f"{file} was refused: it asks for {asked}, which a file of this format has no use for. "
        "Nothing in it was executed. Do not open it with other programs; get the file again from "
        "its publisher."
    )


def _unreadable(file: str, error: Exception) -> DamagedDataError:
    return DamagedDataError(
        f"{file} could not be read, it is cut short or not in the expected format "
        f"({type(error).__name__}: {error}). Get the file again from its publisher."
    )


def load(source: bytes | str | Path, allowed: Allowed, name: str = "") -> Any:
    """Read a pickle that may hold plain containers and the classes allowed, nothing else.

    Args:
        source: the pickle's bytes, or its path.
        allowed: for each ``(module, class)`` that the pickle may ask for, what it gets.
        name: what to call the source in messages; its path by default.

    Raises:
        MissingDataError: no such file.
        DamagedDataError: it asks for any other class (none of its code ran), or is damaged.
    """
    name = name or ("The pickle" if isinstance(source, bytes) else str(source))
    content = source if isinstance(source, bytes) else read_file(source, "its publisher")
    try:
        return _RestrictedUnpickler(io.BytesIO(content), allowed, name).load()
    except DamagedDataError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise _unreadable(name, error) from error


def load_torch(path: str | Path) -> Any:
    """Read a file of ``torch.save`` that holds containers, numbers, arrays and tensors.

    Where it holds no tensors, it is read without torch, in a tenth of the time. Otherwise by
    ``torch.load(weights_only=True)`` with NumPy's own reconstruction functions admitted.

    Raises:
        MissingDataError: no such file.
        DamagedDataError: it asks for any other class (none of its code ran), or is damaged.
        DataError: it holds tensors and torch is not installed, or memory ran out.
    """
    if not Path(path).is_file():
        raise MissingDataError(f"There is no file {path}. Check the path, or get the file first.")
    try:
        return _load_without_tensors(Path(path))
    except _TensorsError:
        return _load_tensors(path)
    except DamagedDataError:
        raise
    except MemoryError as error:
        raise _too_large(path) from error
    except Exception as error:  # a damaged file can raise nearly anything
        raise _unreadable(str(path), error) from error


class _TensorsError(Exception):
    pass


class _TorchUnpickler(_RestrictedUnpickler):
    """What torch pickles that is no tensor; nothing of torch is ever looked up."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "torch":
            raise _TensorsError
        return super().find_class(module, name)


def _load_without_tensors(path: Path) -> Any:
    allowed = {**NUMPY, **ORDERED_DICT, ("__builtin__", "set"): set, ("builtins", "set"): set}
    with path.open("rb") as file:
        if zipfile.is_zipfile(file):  # since torch 1.6: a pickle beside the tensors' numbers
            with zipfile.ZipFile(file) as archive:
                [inside] = [name for name in archive.namelist() if name.endswith("/data.pkl")]
                with archive.open(inside) as pickled:
                    return _TorchUnpickler(pickled, allowed, str(path)).load()
        file.seek(0)  # before: pickles one after the other, the fourth is the content
        for _ in range(3):
            _TorchUnpickler(file, allowed, str(path)).load()
        content = _TorchUnpickler(file, allowed, str(path)).load()
        _TorchUnpickler(file, allowed, str(path)).load()  # the keys of tensors: the end is there
        return content


def _too_large(path: str | Path) -> DataError:
    return DataError(
        f"{path} ({Path(path).stat().st_size:,} bytes) does not fit into the memory of this "
        "machine while it is read: about six times its size is needed, once."
    )


def _load_tensors(path: str | Path) -> Any:
    torch = reading_package("torch", "torch")
    # the types of dtypes are named when an instance is built, not when it is asked for
    types = [type(np.dtype(name)) for name in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?")]
    admitted = [(value, ".".join(key)) for key, value in NUMPY.items() if key[0] != "_codecs"]
    try:
        with torch.serialization.safe_globals([*admitted, *types]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError as error:
        raise _too_large(path) from error
    except Exception as error:  # a damaged file can raise nearly anything
        # "Unsupported global: GLOBAL x.y was not …", "unsupported GLOBAL x.y whose module …"
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise (_refusal(str(path), asked[1]) if asked else _unreadable(str(path), error)) from error
