"""An ``info`` dictionary whose costly entries are computed when they are first read."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any


class LazyInfo(dict[str, Any]):
    """A dictionary that fills itself from ``compute`` on the first look at its entries.

    A vector environment of 1,024 searches ends 1,024 episodes in one step. Their arch strings,
    metrics and counts take several times as long as the step itself, and most training loops
    never look at them. To its readers this is a plain ``dict``.

    Args:
        known: entries that are there from the start; without any, everything is computed at once,
            since C code such as ``json``'s looks at an empty dictionary no further.
        compute: makes the others; called once, or never.
    """

    def __init__(self, known: dict[str, Any], compute: Callable[[], dict[str, Any]]) -> None:
        super().__init__(known)
        self._compute: Callable[[], dict[str, Any]] | None = compute
        if not known:
            self._fill()

    def _fill(self) -> None:
        if self._compute is not None:
            for key, value in self._compute().items():
                super().setdefault(key, value)
            self._compute = None

    def __missing__(self, key: str) -> Any:
        if self._compute is None:
            raise KeyError(key)
        self._fill()
        return self[key]

    def __contains__(self, key: object) -> bool:
        if not super().__contains__(key):
            self._fill()
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As ``dict.get``."""
        return self[key] if key in self else default  # noqa: SIM401 (it would call itself)

    def __eq__(self, other: object) -> bool:
        return dict(self) == (dict(other) if isinstance(other, LazyInfo) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        if self._compute is None:
            return deepcopy(dict(self), memo)
        known = {key: deepcopy(dict.__getitem__(self, key), memo) for key in dict.keys(self)}
        # What is yet to be computed comes out the same for the copy: compute() reads a history
        # that only ever grows.
        return LazyInfo(known, self._compute)


def _after_filling(name: str) -> Callable[..., Any]:
    method = getattr(dict, name)

    def call(self: LazyInfo, *arguments: Any) -> Any:
        self._fill()
        return method(self, *arguments)

    call.__name__, call.__doc__ = name, method.__doc__
    return call


for _name in (
    "__iter__", "__len__", "__reversed__", "__repr__", "__delitem__", "__or__", "__ror__",
    "keys", "values", "items", "copy", "pop", "popitem", "setdefault", "clear",
):  # fmt: skip
    setattr(LazyInfo, _name, _after_filling(_name))
