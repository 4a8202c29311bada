"""Files of saved agents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import read_tensors

State = dict[str, NDArray[Any]]
"""A saved agent: arrays by name."""

Value = TypeVar("Value")

_SHIPPED = Path(__file__).parents[1] / "pretrained"
_SUFFIX = ".safetensors"
_REQUIRED = {"agent", "settings", "space", "choices", "task"}
_RENAMED = {"L2NASPaper": "L2NAS"}  # class names in files of earlier versions


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
    if _REQUIRED - state.keys():
        raise DamagedDataError(f"{path} is not a complete saved agent.")
    return state


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
