"""Where tables lie on disk: flat arrays in a cache folder, written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nas_gym.spaces import SearchSpace, find_space_class
from nas_gym.spaces.registry import ENTRY_POINTS, is_built_in, is_registered
from nas_gym.tables.table import Metric, Objective, Table
from nas_gym.utils.cache import cache_folder
from nas_gym.utils.errors import DamagedDataError, DataError
from nas_gym.utils.files import sha256, writing

NAME_PATTERN = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")  # of a table; none leads out of the cache
FORMAT = 1  # of the folders below; older ones are left alone and converted anew


def table_folder(name: str) -> Path:
    """The folder of a converted table, whether it exists or not."""
    return cache_folder() / f"tables-v{FORMAT}" / name


def save_table(table: Table, *, replace: bool = False) -> None:
    """Store a table in the cache, in one step.

    Where another process stored the same table meanwhile, theirs stays unless ``replace``.

    Raises:
        DataError: the cache cannot be written to, or the disk is full; nothing is left behind.
    """
    folder = table_folder(table.name)
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{table.name}."))
        try:
            _write_folder(table, temporary)
            _move_into_place(temporary, folder, replace=replace)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _write_folder(table: Table, folder: Path) -> None:
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "values.npy": np.ascontiguousarray(table.values, np.float64)
    }
    space, genotypes = _describe_space(table.space)
    if genotypes is not None:
        arrays["genotypes.npy"] = genotypes
    for name, array in arrays.items():
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        with (folder / name).open("wb") as file:
            file.write(content.getbuffer())  # whose errors say why; those of np.save do not
            file.flush()
            os.fsync(file.fileno())
    description = {
        "name": table.name,
        "space": space,
        "metrics": [asdict(metric) for metric in table.metrics],
        "objectives": {key: asdict(value) for key, value in table.objectives.items()},
        "provenance": dict(table.provenance),
        "sha256": {name: sha256(folder / name) for name in arrays},
    }
    (folder / "table.json").write_text(json.dumps(description, indent=1) + "\n")
    folder.chmod(0o755)  # mkdtemp makes it private


def _move_into_place(temporary: Path, folder: Path, *, replace: bool) -> None:
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    old = aside / "old"
    try:
        if replace and folder.exists():
            os.rename(folder, old)
        os.rename(temporary, folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    finally:
        if old.exists() and not folder.exists():
            os.rename(old, folder)
        shutil.rmtree(aside, ignore_errors=True)


def load_stored_table(name: str) -> Table:
    """Open a stored table; its values are memory-mapped, read-only.

    Raises:
        DamagedDataError: a file is missing, cut short or altered.
    """
    folder = table_folder(name)
    try:
        description = json.loads((folder / "table.json").read_text())
        files = {path.name for path in folder.glob("*.npy")}
        if files != set(description["sha256"]):
            raise ValueError(f"the files {sorted(files)} are not those it was written with")
        for file, expected in description["sha256"].items():
            if sha256(folder / file) != expected:
                raise ValueError(f"sha256 of {file} differs from the one noted when it was written")
        values = np.load(folder / "values.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray)
        return Table(
            name=description["name"],
            space=_restore_space(description["space"], folder),
            metrics=tuple(Metric(**metric) for metric in description["metrics"]),
            values=values,
            objectives={k: Objective(**v) for k, v in description["objectives"].items()},
            provenance=description["provenance"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, OSError) as error:
        raise DamagedDataError(
            f"The cached table in {folder} is damaged: {error}. "
            f"Delete it with `nas-gym data remove {name}`; "
            "it is converted again on next use (a table of your own needs another import)."
        ) from error


def stored_datasets(name: str) -> list[str]:
    """The data sets that a stored table has tasks for, without opening its arrays.

    Raises:
        DamagedDataError: its description cannot be read.
    """
    file = table_folder(name) / "table.json"
    try:
        return list(json.loads(file.read_text())["objectives"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedDataError(
            f"{file} is damaged: {error!r}. Delete the table with `nas-gym data remove {name}`."
        ) from error


def is_stored(name: str) -> bool:
    """Whether a converted table of that name lies in the cache."""
    return NAME_PATTERN.fullmatch(name) is not None and table_folder(name).is_dir()


def remove_table(name: str) -> None:
    """Delete a converted table from the cache.

    Raises:
        KeyError: no table of that name in the cache.
        DataError: the cache cannot be written to.
    """
    if not is_stored(name):
        raise KeyError(f"There is no table {name!r} in the cache.")
    folder = table_folder(name)
    with writing(folder):
        shutil.rmtree(folder)


def _describe_space(
    space: SearchSpace,
) -> tuple[dict[str, Any], np.ndarray[Any, np.dtype[np.int64]] | None]:
    """Return the description of a space, and its genotypes if it is partial.

    Raises:
        DataError: If the space would not be restored as it is.
    """
    name = type(space).__name__
    if not is_registered(space):
        raise DataError(
            f"A table over the search space {space.name!r} cannot be stored, because its class "
            f"{name} is not registered. Call nas_gym.register_space({name}) first, or name the "
            f"class in the entry-point group {ENTRY_POINTS} of its package."
        )
    description = space.describe()
    genotypes = space.decode(np.arange(space.size))
    if not is_built_in(space.kind):  # another version of its package may have other indices
        description["sha256"] = _digest(genotypes)
    stored = genotypes if space.is_partial else None
    try:
        restored = find_space_class(space.kind).from_description(
            json.loads(json.dumps(description)), stored
        )
        same = restored.size == space.size and np.array_equal(
            restored.decode(np.arange(space.size)), genotypes
        )
    except Exception as error:  # foreign code
        raise DataError(
            f"A table over the search space {space.name!r} cannot be stored, because {name} cannot "
            f"be restored from its description ({type(error).__name__}: {error}). Give its "
            "constructor the parameters genotypes=None and name, or override describe() and "
            "from_description()."
        ) from error
    if not same:
        raise DataError(
            f"A table over the search space {space.name!r} cannot be stored, because {name} is "
            "restored with other indices. Override describe() and from_description()."
        )
    return description, stored


def _restore_space(description: dict[str, Any], folder: Path) -> SearchSpace:
    file = folder / "genotypes.npy"
    genotypes = np.load(file, allow_pickle=False) if file.exists() else None
    kind = description["kind"]
    try:
        space_class = find_space_class(kind)
    except KeyError as error:
        raise DataError(
            f"The table in {folder} is over the search space {kind!r}, which is not registered. "
            f"Install the package that has it in the entry-point group {ENTRY_POINTS}, or call "
            "nas_gym.register_space() with its class first. To delete the table, run "
            f"`nas-gym data remove {folder.name}`."
        ) from error
    space = space_class.from_description({"name": kind, **description}, genotypes)
    expected = description.get("sha256")
    if expected and _digest(space.decode(np.arange(space.size))) != expected:
        raise DataError(
            f"The search space {kind!r} has changed: the table in {folder} was stored with other "
            f"indices. Import the table again, or install the version of {space_class.__module__} "
            "that was used."
        )
    return space


def _digest(genotypes: np.ndarray[Any, np.dtype[np.int64]]) -> str:
    return hashlib.sha256(np.ascontiguousarray(genotypes, "<i8").tobytes()).hexdigest()
