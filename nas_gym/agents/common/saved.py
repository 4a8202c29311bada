"""Files of saved agents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nas_gym.utils.errors import DamagedDataError, DataError
from nas_gym.utils.files import read_tensors

State = dict[str, NDArray[Any]]
"""A saved agent: arrays by name."""

Value = TypeVar("Value")

_SHIPPED = Path(__file__).parents[1] / "pretrained"
_SUFFIX = ".safetensors"
_REQUIRED = {"agent", "settings", "space", "choices", "task"}
_COUNTS = {"seed", "drawn", "num_queries", "num_timesteps"}
_RENAMED = {"L2NASPaper": "L2NAS"}  # class names in files of earlier versions


class AgentMismatchError(ValueError):
    """A saved agent does not fit the agent, or the environment, that it is loaded into."""


@contextmanager
def explain_damage(source: str | Path) -> Iterator[None]:
    """Convert the errors of restoring a damaged agent into a :class:`DamagedDataError`.

    Args:
        source: Name of the saved agent for the message.

    Raises:
        DamagedDataError: If the block raises an error that is neither of the operating system, nor
            of data, nor an :class:`AgentMismatchError`.
    """
    try:
        yield
    except (AgentMismatchError, OSError, ImportError, MemoryError):
        raise
    except DataError as error:
        if str(source) in str(error):
            raise
        raise DamagedDataError(f"{source} is not a complete saved agent: {error}") from error
    except Exception as error:  # whatever a wrong array may cause
        lines = str(error).splitlines() or [type(error).__name__]
        reason = f"it lacks {error}" if isinstance(error, KeyError) else lines[0][:300].rstrip(".")
        raise DamagedDataError(f"{source} is not a complete saved agent: {reason}.") from error


def agent_file(path: str | Path) -> Path:
    """Return the file of a saved agent; the suffix ``.safetensors`` may be left out.

    Raises:
        ValueError: If the path has no file name.
    """
    path = Path(path)
    if path.name in ("", ".."):
        raise ValueError(f"{str(path)!r} has no file name: give the path of a saved agent.")
    return path if path.suffix == _SUFFIX else path.with_name(path.name + _SUFFIX)


def pretrained_file(path: str | Path) -> Path:
    """Return the file of a saved agent, given its path or the name of one in this package."""
    shipped = _SHIPPED / f"{path}{_SUFFIX}"
    return shipped if shipped.parent == _SHIPPED and shipped.is_file() else agent_file(path)


def read_agent(path: Path) -> State:
    """Read the arrays of a saved agent.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedDataError: If the file is not a complete saved agent.
    """
    state = read_tensors(path)
    with explain_damage(path):
        check_entries(state)
    return state


def check_entries(state: State) -> None:
    """Raise an error if a state lacks entries of every saved agent, or they have wrong types.

    Raises:
        DamagedDataError: If an entry is missing or has another type.
    """
    for name in sorted(_REQUIRED | _COUNTS | {"best_fitness"}):
        if name not in state:
            raise DamagedDataError(f"It lacks {name}.")
    for name in _REQUIRED:
        if state[name].shape != () or state[name].dtype.kind != "U":
            raise DamagedDataError(f"Its {name} is not a string.")
    for name in _COUNTS:
        if state[name].shape != () or state[name].dtype.kind not in "iu" or state[name] < 0:
            raise DamagedDataError(f"Its {name} is not a count.")


def refuse_nan(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise an error if an array contains NaN.

    Raises:
        ValueError: If an array contains NaN; the message names the array.
    """
    for name, array in arrays.items():
        if np.isnan(array).any():
            raise ValueError(f"{name} holds NaN")


def refuse_infinite(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise an error if an array of floating-point numbers contains NaN or infinite numbers.

    Raises:
        ValueError: If an array contains such numbers; the message names the array.
    """
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinite numbers")


def saved_class_name(state: State) -> str:
    """Return the name of a saved agent's class, as this version of the package calls it."""
    name = str(state["agent"])
    return _RENAMED.get(name, name)


def saved_array(state: State, name: str) -> NDArray[Any]:
    """Return a copy of one of a saved agent's ``state_attributes``.

    Args:
        state: Saved agent.
        name: Name of the attribute.

    Raises:
        DamagedDataError: If the saved agent lacks the attribute.
    """
    key = state_key(name)
    if key not in state:
        raise DamagedDataError(f"The saved agent lacks {key}.")
    return state[key].copy()


def state_key(attribute: str) -> str:
    """Return the name under which a state attribute is saved."""
    return f"own/{attribute.lstrip('_')}"


def part(state: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """Return the entries whose names start with a prefix, without the prefix."""
    return {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
