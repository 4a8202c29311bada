"""Registry of search space classes: built-in classes, and classes of other packages."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from nas_gym.spaces.base import SearchSpace
from nas_gym.spaces.checks import check_consistency
from nas_gym.utils.errors import DataError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "nas_gym.spaces"
"""Entry-point group in which a package names its classes, as in ``Hex = "my_package:HexSpace"``."""

_BUILT_IN = {
    "NB101": "nb101:NB101Space",
    "NB201": "nb201:NB201Space",
    "MnasNet": "mnasnet:MnasNetSpace",
    "NBASR": "nbasr:NBASRSpace",
    "NBGraph": "nbgraph:NBGraphSpace",
    "TransNAS": "transnas:TransNASSpace",
    "DARTS": "darts:DARTSSpace",
    "categorical": "categorical:CategoricalSpace",
}
_registered: dict[str, type[SearchSpace]] = {}

SpaceClass = TypeVar("SpaceClass", bound=type[SearchSpace])


def register_space(space_class: SpaceClass) -> SpaceClass:
    """Register a class of search spaces in this process, so that its tables can be stored.

    This function can be used as a decorator. Other processes (workers of ``nas-gym compare``, later
    sessions) find the class only if its package names it in the entry-point group
    ``nas_gym.spaces``.

    Args:
        space_class: Subclass of :class:`SearchSpace` whose constructor has the parameters
            ``genotypes`` and ``name``, and defaults for all parameters.

    Returns:
        The same class.

    Raises:
        TypeError: If ``space_class`` is not such a class.
        ValueError: If another class has the same kind, or the whole space is inconsistent.
    """
    if not (isinstance(space_class, type) and issubclass(space_class, SearchSpace)):
        raise TypeError(f"register_space() accepts a subclass of SearchSpace, got {space_class!r}.")
    kind = space_class.kind
    if kind in _BUILT_IN or not kind:
        raise ValueError(
            f"{space_class.__name__} cannot be registered as {kind!r}, the kind of a built-in "
            f"search space. Set the class attribute kind to another name."
        )
    other = _registered.get(kind)
    if other is not None and not _is_same_class(other, space_class):
        raise ValueError(
            f"The kind {kind!r} is already registered for {_full_name(other)}. Set the class "
            f"attribute kind of {_full_name(space_class)} to another name."
        )
    check_consistency(build_whole_space(space_class))
    _registered[kind] = space_class
    return space_class


def is_registered(space: SearchSpace) -> bool:
    """Return whether the class of a space is registered under the space's kind."""
    try:
        return _is_same_class(find_space_class(space.kind), type(space))
    except KeyError:
        return False


def _is_same_class(first: type, second: type) -> bool:
    """Return whether two classes are the same class, or two imports or definitions of it.

    A program's main module is imported twice, as ``__main__`` and by its name, if another module
    imports it. A notebook may define a class again.
    """
    modules = {first.__module__, second.__module__}
    return first.__qualname__ == second.__qualname__ and (
        len(modules) == 1 or bool(modules & {"__main__", "__mp_main__"})
    )


def _full_name(space_class: type) -> str:
    return f"{space_class.__module__}.{space_class.__qualname__}"


def build_whole_space(space_class: type[SearchSpace]) -> SearchSpace:
    """Build the space of all architectures of a class.

    Raises:
        TypeError: If the class cannot be built without arguments.
    """
    try:
        # unlike the base class, a subclass needs no arguments
        return space_class()  # type: ignore[call-arg]
    except TypeError as error:
        raise TypeError(
            f"{space_class.__name__}() failed: {error}. The constructor of a registered search "
            f"space must have the parameters genotypes=None and name={space_class.kind!r}, and "
            "defaults for all other parameters."
        ) from error


def is_built_in(kind: str) -> bool:
    """Return whether a kind of search space is built into this package."""
    return kind in _BUILT_IN


def space_kinds() -> list[str]:
    """Return the kinds of all built-in and registered search spaces, sorted."""
    return sorted({*_BUILT_IN, *_registered, *(point.name for point in _entry_points())})


def find_space_class(kind: str) -> type[SearchSpace]:
    """Return the class of a kind of search space.

    Raises:
        KeyError: If no class of this kind is registered.
        DataError: If the entry point of this kind cannot be imported, or is not a class of this
            kind.
    """
    if kind in _BUILT_IN:
        module, _, name = _BUILT_IN[kind].partition(":")
        built_in: type[SearchSpace] = getattr(import_module(f"nas_gym.spaces.{module}"), name)
        return built_in
    if kind not in _registered:
        _registered[kind] = _load_entry_point(kind)
    return _registered[kind]


def _entry_points() -> Iterable[EntryPoint]:
    from importlib.metadata import entry_points  # slow to import, and rarely needed

    return entry_points(group=ENTRY_POINTS)


def _load_entry_point(kind: str) -> type[SearchSpace]:
    for point in _entry_points():
        if point.name != kind:
            continue
        try:
            found = point.load()
        except Exception as error:  # code of another package may raise any error
            raise DataError(
                f"The search space {kind!r} could not be imported from {point.value}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not (isinstance(found, type) and issubclass(found, SearchSpace)):
            raise DataError(
                f"The entry point {kind!r} of {ENTRY_POINTS} names {point.value}, which is not a "
                "subclass of SearchSpace."
            )
        if found.kind != kind:
            raise DataError(
                f"The entry point {kind!r} of {ENTRY_POINTS} names {point.value}, whose kind is "
                f"{found.kind!r}. Rename the entry point to {found.kind!r}."
            )
        return found
    raise KeyError(
        f"There is no search space {kind!r}. The kinds are: {', '.join(space_kinds())}. Register "
        f"your own class with nas_gym.register_space(), or in the entry-point group "
        f"{ENTRY_POINTS}."
    )
