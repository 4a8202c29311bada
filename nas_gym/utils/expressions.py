"""The one parser of texts such as ``rea(population_size=10)`` and ``0.3 * a + 0.7 * b``.

Agents, evaluators, rewards and their settings are written in this form on the command line and in
keyword arguments. Only the entry points of the package parse these strings; other code passes
objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_CALL = re.compile(r"([\w.:-]+)(?:\((.*)\))?", re.DOTALL)
_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True)
class Call:
    """A name with keyword arguments.

    Attributes:
        name: Letters, digits, ``_``, ``-``, ``.`` and ``:``.
        arguments: Values by name. JSON values (numbers, ``true``, ``null``, strings in double
            quotes, lists, objects) are parsed; every other value is a string.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.arguments:
            return self.name
        pairs = (f"{name}={_format_value(value)}" for name, value in self.arguments.items())
        return f"{self.name}({','.join(pairs)})"


def _format_value(value: Any) -> str:
    """Return a string from which :func:`parse_value` reads the same value."""
    if isinstance(value, str) and parse_value(value) == value and _is_plain(value):
        return value
    return json.dumps(value)


def _is_plain(text: str) -> bool:
    """Return whether a string can be an item of a list without double quotes around it."""
    balanced = sum(text.count(each) for each in _OPENING) == sum(text.count(c) for c in _CLOSING)
    return balanced and '"' not in text and split_list(text) == [text]


def parse_call(text: str) -> Call:
    """Parse ``name`` or ``name(key=value, ...)``.

    Raises:
        ValueError: If the string is not in this form, or names an argument twice.
    """
    match = _CALL.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"Expected name or name(setting=value, ...), got {text!r}.")
    parts = split_list(match[2]) if match[2] and match[2].strip() else []
    return Call(match[1], parse_settings(parts))


def parse_calls(text: str) -> dict[str, Call]:
    """Parse a list such as ``random,rea(sample_size=5)``; the keys are the parts of the text.

    Raises:
        ValueError: If an item is not in this form, or is listed twice.
    """
    calls: dict[str, Call] = {}
    for part in split_list(text):
        call = parse_call(part)
        if call in calls.values():
            raise ValueError(f"{part!r} is listed twice.")
        calls[part] = call
    return calls


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Parse settings, each written ``NAME=VALUE``.

    Raises:
        ValueError: If a string has no name or no equals sign, or a name is given twice.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise ValueError(f"A setting must be written NAME=VALUE, got {text!r}.")
        if name in settings:
            raise ValueError(f"The setting {name!r} is given twice.")
        settings[name] = parse_value(value)
    return settings


def merge_settings(settings: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings together with further ones.

    Raises:
        ValueError: If a name is in both.
    """
    for name in settings:
        if name in more:
            raise ValueError(f"The setting {name!r} is given twice.")
    return {**settings, **more}


def parse_value(text: str) -> Any:
    """Parse a value as JSON; return the string itself if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def split_list(text: str) -> list[str]:
    """Split a string at the commas that are outside all brackets and double quotes."""
    parts, depth, quoted, escaped = [""], 0, False, False
    for character in text:
        if character == '"' and not escaped:
            quoted = not quoted
        escaped = character == "\\" and not escaped
        if not quoted:
            depth += (character in _OPENING) - (character in _CLOSING)
        if character == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def parse_weighted_sum(text: str) -> list[tuple[float, str]] | None:
    """Parse ``0.3 * name + 0.7 * name`` into weights and names.

    Returns:
        The terms in order; ``None`` if the text is a single name without a weight.

    Raises:
        ValueError: If a term has no weight, or a weight is not a number.
    """
    if " * " not in text:
        return None
    terms = []
    for part in text.split(" + "):
        weight, times, name = part.partition(" * ")
        try:
            terms.append((float(weight), name.strip()))
        except ValueError:
            times = ""
        if not times:
            raise ValueError(
                f"A mixture is written '0.3 * table:metric + 0.7 * table:metric', got {text!r}."
            )
    return terms
