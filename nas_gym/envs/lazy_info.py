"""An ``info`` dictionary that computes expensive entries when they are first read."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any


class LazyInfo(dict[str, Any]):
    """A dictionary that computes most of its entries when one of them is first read.

    When a vector environment of 1,024 searches ends 1,024 episodes in one step, computing the
    strings, metrics and statistics in ``info`` takes several times as long as the step itself, and
    most training loops never read these entries. In every other respect, this class behaves like a
    plain ``dict``. Pickling converts it to a plain ``dict``.

    Args:
        known: Entries that are present from the start. If ``known`` is empty, the other entries are
            computed at once, because C code, for example in ``json``, skips a dictionary that looks
            empty.
        compute: Function that returns the other entries. It is called at most once.
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
        """Return the value of a key, or ``default``, like ``dict.get``."""
        return self[key] if key in self else default  # noqa: SIM401 (dict.get would recurse)

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
        # The copy can share compute(), which reads a history to which queries are only appended.
        # Its result therefore does not change.
        return LazyInfo(known, self._compute)


def _fill_before(name: str) -> Callable[..., Any]:
    """Return a method of ``dict`` that computes the missing entries first."""
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
    setattr(LazyInfo, _name, _fill_before(_name))
