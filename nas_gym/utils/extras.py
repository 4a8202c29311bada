"""Packages of optional extras."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from nas_gym.utils.errors import MissingDataError


def import_extra(module: str, extra: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        module: Name of the module.
        extra: Extra of this package that installs it.

    Raises:
        MissingDataError: If it is not installed; the message has the command that installs it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingDataError(
            f"This needs the package {module.partition('.')[0]}, which is not installed: "
            f"pip install 'nas-gym[{extra}]'."
        ) from error
