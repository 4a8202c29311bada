"""Identification of code from outside the package, so results of different code are not mixed."""

from __future__ import annotations

import hashlib
import inspect
import sys
from types import CodeType
from typing import Any


def source_identity(target: Any) -> dict[str, Any]:
    """Return the sha256 of the source of a class or function from outside the package.

    The digest covers the whole module of the class or function, and the modules of the base
    classes from outside the package. In ``__main__`` (a script or a notebook) it covers the class
    or function and its base classes alone, because the rest of a script changes from run to run.
    Other modules that the code imports are not covered. The package itself is identified by its
    version.

    Returns:
        ``{"source_sha256": digest}``; empty for classes and functions of the package.
    """
    parts = target.__mro__ if inspect.isclass(target) else [target]
    sources = [_source_of(part) for part in parts if _is_from_outside(part)]
    if not sources:
        return {}
    return {"source_sha256": hashlib.sha256("\n".join(sources).encode()).hexdigest()}


def _is_from_outside(part: Any) -> bool:
    return part.__module__.partition(".")[0] not in ("nas_gym", "builtins", "abc")


def _source_of(part: Any) -> str:
    """Return the source of the module of a class or function, or of the part itself."""
    if part.__module__ != "__main__" and part.__module__ in sys.modules:
        try:
            return inspect.getsource(sys.modules[part.__module__])
        except (OSError, TypeError):
            pass
    return _source_of_part(part)


def _source_of_part(part: Any) -> str:
    """Return the source of a class or function alone.

    For a class in a notebook, this is the source of its functions; for code without a file, such
    as that of ``python -c``, it is the bytecode.
    """
    try:
        return inspect.getsource(part)
    except (OSError, TypeError):
        if inspect.isclass(part):
            members = (getattr(each, "__func__", each) for each in vars(part).values())
            return "\n".join(_source_of_part(each) for each in members if inspect.isfunction(each))
        return _bytecode_of(part.__code__) if inspect.isfunction(part) else ""


def _bytecode_of(code: CodeType) -> str:
    """Return the instructions, names and constants of a function and of those inside it."""
    constants = [
        _bytecode_of(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts
    ]
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {constants}"
