"""Declaration of an agent's settings: name, type, default, range and explanation.

Example:
    >>> from dataclasses import dataclass
    >>> from nas_gym.agents.common.config import AgentConfig, setting
    >>> @dataclass(frozen=True)
    ... class ClimberConfig(AgentConfig):
    ...     restarts: int = setting(3, "Number of random restarts.", low=1)
    >>> ClimberConfig(restarts=5)
    ClimberConfig(restarts=5)
    >>> ClimberConfig(restarts=0)
    Traceback (most recent call last):
    ValueError: restarts must be an integer that is at least 1, got 0.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, TypeVar

import numpy as np
from typing_extensions import Self

Default = TypeVar("Default")

_TYPES: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}
_INT_LIMIT = 2**63  # saved agents store integers with 64 bits
_NOUNS = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}


@dataclass(frozen=True)
class SettingRule:
    """Explanation and accepted values of a setting; the fields are arguments of :func:`setting`."""

    help: str = ""
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    choices: Sequence[Any] | None = None
    multiple_of: int | None = None

    def describe(self, kind: type | None) -> str:
        """Return the accepted values as text, such as ``"an integer that is at least 1"``."""
        if self.choices is not None:
            return "one of " + ", ".join(repr(choice) for choice in self.choices)
        bounds = {
            "at least": self.low,
            "above": self.above,
            "at most": self.high,
            "below": self.below,
            "a multiple of": self.multiple_of,
        }
        parts = [f"{words} {bound}" for words, bound in bounds.items() if bound is not None]
        noun = _NOUNS[kind] if kind else "a value"
        return f"{noun} that is {' and '.join(parts)}" if parts else noun

    def accepts(self, value: Any) -> bool:
        """Return whether a value of the right type is in the accepted range."""
        if isinstance(value, float) and not math.isfinite(value):
            return False
        if isinstance(value, int) and not -_INT_LIMIT <= value < _INT_LIMIT:
            return False
        return (
            (self.choices is None or value in self.choices)
            and (self.low is None or value >= self.low)
            and (self.above is None or value > self.above)
            and (self.high is None or value <= self.high)
            and (self.below is None or value < self.below)
            and (self.multiple_of is None or value % self.multiple_of == 0)
        )


@dataclass(frozen=True)
class SettingDescription:
    """Description of one setting, for help texts and documentation.

    Attributes:
        name: Name of the setting.
        type: Name of the setting's type, such as ``"int"``.
        default: Default value.
        accepted: Accepted values as text.
        help: Explanation.
    """

    name: str
    type: str
    default: Any
    accepted: str
    help: str


def setting(
    default: Default,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Sequence[Any] | None = None,
    multiple_of: int | None = None,
) -> Default:
    """Declare a setting of an agent, as a field of a subclass of :class:`AgentConfig`.

    Args:
        default: Default value.
        help: Explanation, one or two sentences.
        low: Lowest accepted value.
        high: Highest accepted value.
        above: Exclusive lower bound of accepted values.
        below: Exclusive upper bound of accepted values.
        choices: List of all accepted values.
        multiple_of: Integer of which accepted values must be multiples.
    """
    rule = SettingRule(help, low, high, above, below, choices, multiple_of)
    return field(default=default, metadata={"rule": rule})


@dataclass(frozen=True)
class AgentConfig:
    """Base class of the settings of an agent; a frozen dataclass of :func:`setting` fields.

    Settings of the types ``bool``, ``int``, ``float`` and ``str`` are checked. An ``int`` is
    accepted as ``float``, a ``bool`` is not accepted as ``int``, and NumPy scalars are converted.
    Values must be numbers, strings, or lists of numbers or strings, because they are saved as JSON.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is outside its setting's range.
    """

    def __post_init__(self) -> None:
        for each in fields(self):
            rule, kind = _rule_and_type(each)
            value = getattr(self, each.name)
            if isinstance(value, np.generic):  # a number from a NumPy array
                value = value.item()
                object.__setattr__(self, each.name, value)
            message = f"{each.name} must be {rule.describe(kind)}, got {value!r}."
            if kind and type(value) is not kind and not (kind is float and type(value) is int):
                raise TypeError(message)
            if not rule.accepts(value):
                is_long = isinstance(value, int) and not -_INT_LIMIT <= value < _INT_LIMIT
                raise ValueError(message + " It does not fit in 64 bits." * is_long)

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the settings, in the order of their declaration.

        Raises:
            TypeError: If a subclass lacks the decorator ``@dataclass(frozen=True)``.
        """
        declared = [each.name for each in fields(cls)]
        annotated = inspect.get_annotations(cls)
        if any(
            name not in declared and "ClassVar" not in str(annotated[name]) for name in annotated
        ):
            raise TypeError(f"{cls.__name__} needs the decorator @dataclass(frozen=True).")
        return declared

    @classmethod
    def describe_settings(cls) -> list[SettingDescription]:
        """Return a description of each setting, in the order of their declaration."""
        cls.names()
        descriptions = []
        for each in fields(cls):
            rule, kind = _rule_and_type(each)
            accepted = rule.describe(kind)
            type_name = each.type if isinstance(each.type, str) else each.type.__name__
            descriptions.append(
                SettingDescription(each.name, type_name, each.default, accepted, rule.help)
            )
        return descriptions

    def with_settings(self, settings: Mapping[str, Any], owner: str = "") -> Self:
        """Return a copy with some settings changed.

        Args:
            settings: New values by name.
            owner: Name of the agent, for error messages; by default the name of this class.

        Raises:
            TypeError: If a setting does not exist, or a value has the wrong type.
            ValueError: If a value is outside its setting's range.
        """
        names = self.names()
        for name in settings:
            if name not in names:
                close = get_close_matches(name, names, 1)
                hint = f" Did you mean {close[0]}?" if close else ""
                raise TypeError(
                    f"{owner or type(self).__name__} has no setting {name}. "
                    f"It has: {', '.join(names) or 'none'}.{hint}"
                )
        return replace(self, **settings)


def _rule_and_type(each: Any) -> tuple[SettingRule, type | None]:
    """Return a field's rule, and the field's type; ``None`` if the type is not checked."""
    name = each.type if isinstance(each.type, str) else getattr(each.type, "__name__", "")
    return each.metadata.get("rule", SettingRule()), _TYPES.get(name)
