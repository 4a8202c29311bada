"""Reading other people's pickles without running what they may ask for."""

from __future__ import annotations

import io
import math
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from nas_gym.tables.sources.reading import import_reader, read_published_file
from nas_gym.utils.errors import DamagedDataError, DataError, MissingDataError

Allowed = Mapping[tuple[str, str], Any]


def _latin1(text: str, encoding: str) -> bytes:
    # how pickles of protocols 0 to 2 write bytes; the real _codecs.encode takes any codec
    if encoding != "latin1":
        raise ValueError(f"encoding {encoding!r} in a pickle, latin1 was expected")
    return text.encode("latin1")


def _text(text: object) -> str:
    # a text that Python 2 wrote arrives as bytes where those are asked for
    return text.decode("ascii") if isinstance(text, bytes) else str(text)


# NumPy's own constructors trust what they are given, down to the addresses in arrays of objects.
# Below are stand-ins: of the same use to a pickle, for numbers only.


class _Dtype:
    """``numpy.dtype`` for bools, integers and floats."""

    def __init__(self, name: str | bytes, align: bool = False, copy: bool = True) -> None:
        self.dtype = np.dtype(_text(name))
        if self.dtype.kind not in "biuf":
            raise ValueError(f"dtype {name!r} in a pickle, numbers were expected")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(_text(state[1]))  # type: ignore[arg-type]


class _Array(np.ndarray[Any, Any]):
    """``numpy.ndarray``, made empty and filled with numbers by its state."""

    def __new__(cls, *_: object) -> _Array:
        return super().__new__(cls, 0)

    def __setstate__(self, state: Any, /) -> None:
        _, shape, number, fortran, content = state
        shape = tuple(int(length) for length in shape)
        dtype = _known(number)
        size = math.prod(shape) * dtype.itemsize
        if type(content) is not bytes or min(shape, default=0) < 0 or len(content) != size:
            raise ValueError(f"an array of shape {shape} in a pickle does not have {size} bytes")
        # NumPy's stub asks for np.bool, its code for bool
        super().__setstate__((1, shape, dtype, bool(fortran), content))  # type: ignore[arg-type]


class _Function:
    """A function that a pickle may call, but not set attributes of."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise ValueError("a pickle sets attributes of a function")


class _Marker:
    """Stands for the class ``numpy.ndarray``; of no use but to be handed to ``_reconstruct``."""

    def __setstate__(self, state: object) -> None:
        raise ValueError("a pickle sets attributes of a class")


_NDARRAY = _Marker()


def _known(dtype: object) -> np.dtype[Any]:
    if type(dtype) is not _Dtype:
        raise TypeError(f"{dtype!r} in a pickle, a dtype was expected")
    return dtype.dtype


def _scalar(dtype: object, content: bytes) -> Any:
    [number] = np.frombuffer(content, _known(dtype))
    return number


def _reconstruct(kind: object, *_: object) -> _Array:
    if kind is not _NDARRAY:
        raise TypeError(f"{kind!r} in a pickle, an array was expected")
    return _Array()


_SCALAR, _RECONSTRUCT = _Function(_scalar), _Function(_reconstruct)

NUMPY: Allowed = MappingProxyType(
    {
        ("numpy", "dtype"): _Dtype,
        ("numpy", "ndarray"): _NDARRAY,
        ("_codecs", "encode"): _Function(_latin1),
        # NumPy 2 renamed the module; files hold either name
        ("numpy.core.multiarray", "scalar"): _SCALAR,
        ("numpy._core.multiarray", "scalar"): _SCALAR,
        ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
        ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    }
)
"""What NumPy scalars and arrays of numbers are pickled with; merge it into ``allowed``."""

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
        f"{file} was refused: it asks for {asked}, which a file of this format has no use for. "
        "Nothing in it was executed. Do not open it with other programs; get the file again from "
        "its publisher."
    )


def _unreadable(file: str, error: Exception) -> DamagedDataError:
    return DamagedDataError(
        f"{file} could not be read, it is cut short or not in the expected format "
        f"({type(error).__name__}: {error}). Get the file again from its publisher."
    )


def load_pickle(
    source: bytes | str | Path, allowed: Allowed, name: str = "", encoding: str = "ASCII"
) -> Any:
    """Read a pickle that may hold plain containers and the classes allowed, nothing else.

    Args:
        source: the pickle's bytes, or its path.
        allowed: for each ``(module, class)`` that the pickle may ask for, what it gets.
        name: what to call the source in messages; its path by default.
        encoding: of texts that Python 2 wrote, or ``"bytes"`` to have these as bytes.

    Raises:
        MissingDataError: no such file.
        DamagedDataError: it asks for any other class (none of its code ran), or is damaged.
    """
    name = name or ("The pickle" if isinstance(source, bytes) else str(source))
    content = source if isinstance(source, bytes) else read_published_file(source, "its publisher")
    try:
        return _RestrictedUnpickler(io.BytesIO(content), allowed, name, encoding).load()
    except DamagedDataError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise _unreadable(name, error) from error


def load_torch_file(path: str | Path) -> Any:
    """Read a file of ``torch.save`` that holds containers, numbers, arrays and tensors.

    Where it holds no tensors, it is read without torch, in a tenth of the time. Otherwise by
    ``torch.load(weights_only=True)`` with the same stand-ins for NumPy.

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
    torch = import_reader("torch", "torch")
    admitted = [(value, ".".join(key)) for key, value in NUMPY.items() if key[0] != "_codecs"]
    try:
        # only what is admitted can be given a state, so that _Array is, too
        with torch.serialization.safe_globals([*admitted, _Array]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError as error:
        raise _too_large(path) from error
    except Exception as error:  # a damaged file can raise nearly anything
        # "Unsupported global: GLOBAL x.y was not …", "unsupported GLOBAL x.y whose module …"
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise (_refusal(str(path), asked[1]) if asked else _unreadable(str(path), error)) from error
