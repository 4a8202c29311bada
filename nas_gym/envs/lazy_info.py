"""An ``info`` dictionary whose costly entries are computed when they are first read."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
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
            compute, self._compute = self._compute, None
            for key, value in compute().items():
                super().setdefault(key, value)

    def __delitem__(self, key: str) -> None:
        self._fill()
        super().__delitem__(key)

    def __missing__(self, key: str) -> Any:
        if self._compute is None:
            raise KeyError(key)
        self._fill()
        return self[key]

    def __contains__(self, key: object) -> bool:
        if not super().__contains__(key):
            self._fill()
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        self._fill()
        return super().__iter__()

    def __reversed__(self) -> Iterator[str]:
        self._fill()
        return super().__reversed__()

    def __len__(self) -> int:
        self._fill()
        return super().__len__()

    def __eq__(self, other: object) -> bool:
        self._fill()
        if isinstance(other, LazyInfo):
            other._fill()
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        self._fill()
        return super().__repr__()

    def __or__(self, other: Any) -> dict[str, Any]:
        return dict(self) | other

    def __ror__(self, other: Any) -> dict[str, Any]:
        return other | dict(self)  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        self._fill()
        return dict, (list(super().items()),)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        from copy import deepcopy

        if self._compute is None:
            return deepcopy(dict(self), memo)
        known = {key: deepcopy(dict.__getitem__(self, key), memo) for key in dict.keys(self)}
        # What is yet to be computed comes out the same for the copy: compute() reads a history
        # that only ever grows.
        return LazyInfo(known, self._compute)

    def copy(self) -> dict[str, Any]:
        """A plain dictionary with every entry."""
        return dict(self)

    def get(self, key: str, default: Any = None) -> Any:
        """As ``dict.get``."""
        return self[key] if key in self else default  # noqa: SIM401

    def pop(self, key: str, *default: Any) -> Any:
        """As ``dict.pop``."""
        self._fill()
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        """As ``dict.popitem``."""
        self._fill()
        return super().popitem()

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As ``dict.setdefault``."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """As ``dict.clear``."""
        self._compute = None
        super().clear()

    def keys(self) -> KeysView[str]:
        """As ``dict.keys``."""
        self._fill()
        return super().keys()

    def values(self) -> ValuesView[Any]:
        """As ``dict.values``."""
        self._fill()
        return super().values()

    def items(self) -> ItemsView[str, Any]:
        """As ``dict.items``."""
        self._fill()
        return super().items()
