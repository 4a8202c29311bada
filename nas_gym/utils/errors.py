"""Errors of data and training, with messages that say what to do."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import islice

_LONGEST_NAME = 80


def list_names(names: Collection[str], show: Callable[[str], str] = str, *, limit: int = 30) -> str:
    """Return names separated by commas, for a message; the rest of a long list is counted.

    Args:
        names: Names to list.
        show: Function that is applied to each name, such as ``repr``.
        limit: Largest number of names to show.
    """
    shown = [show(shorten(name, _LONGEST_NAME)) for name in islice(names, limit)]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def shorten(text: str, length: int) -> str:
    """Return a string, without its middle if it is longer than ``length`` characters."""
    if len(text) <= length:
        return text
    end = length // 3
    return f"{text[: length - end]} … {text[-end:]}"


class DataError(RuntimeError):
    """Data could not be read, checked or stored."""


class MissingDataError(DataError):
    """The data of a table is not on this machine; the message names the command that gets it."""


class DamagedDataError(DataError):
    """Data differs from its sha256, or does not have the expected format."""


class TrainingError(RuntimeError):
    """The training of a network failed; the message names the reason and what to change."""


class DivergedError(TrainingError):
    """The training loss became NaN or infinite."""


class EvaluationError(ValueError):
    """An evaluator raised an error, or returned values that violate its contract."""
