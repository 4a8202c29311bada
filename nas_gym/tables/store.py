"""Storage of tables: flat arrays in the cache folder, written atomically."""

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
from nas_gym.utils.files import explain_write_errors, sha256

NAME_PATTERN = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")  # of tables; safe as a folder name
FORMAT = 1  # version of the stored files; folders of other versions are ignored


def table_folder(name: str) -> Path:
    """Return the folder of a table, which may not exist."""
    return cache_folder() / f"tables-v{FORMAT}" / name


def save_table(table: Table, *, replace: bool = False) -> None:
    """Store a table in the cache, atomically.

    Args:
        table: Table to store.
        replace: Whether to overwrite a table of the same name. Otherwise the stored table stays,
            for example one that another process stored at the same time.

    Raises:
        DataError: If the cache cannot be written to, the disk is full, or the search space would
            not be restored as it is. No files are left behind.
    """
    folder = table_folder(table.name)
    with explain_write_errors(folder):
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
            file.write(content.getbuffer())  # its errors give the reason, those of np.save do not
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
    folder.chmod(0o755)  # mkdtemp creates private folders


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
    """Open a stored table. Its values are memory-mapped and read-only.

    Raises:
        DamagedDataError: If a file is missing, truncated or altered.
        DataError: If the search space is not registered, or has changed.
    """
    folder = table_folder(name)
    try:
        description = json.loads((folder / "table.json").read_text())
        files = {path.name for path in folder.glob("*.npy")}
        if files != set(description["sha256"]):
            raise ValueError(f"its files {sorted(files)} are not the stored files")
        for file, expected in description["sha256"].items():
            if sha256(folder / file) != expected:
                raise ValueError(f"the sha256 of {file} differs from the stored one")
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
            f"Delete it with `nas-gym data remove {name}`. A table of the package is then "
            "converted again on next use; import a table of your own again."
        ) from error


def stored_datasets(name: str) -> list[str]:
    """Return the data sets for which a stored table has tasks, without opening its arrays.

    Raises:
        DamagedDataError: If its description cannot be read.
    """
    file = table_folder(name) / "table.json"
    try:
        return list(json.loads(file.read_text())["objectives"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedDataError(
            f"{file} is damaged: {error!r}. Delete the table with `nas-gym data remove {name}`."
        ) from error


def is_stored(name: str) -> bool:
    """Return whether a table of that name is in the cache."""
    return NAME_PATTERN.fullmatch(name) is not None and table_folder(name).is_dir()


def remove_table(name: str) -> None:
    """Delete a table from the cache.

    Raises:
        KeyError: If there is no table of that name in the cache.
        DataError: If the cache cannot be written to.
    """
    if not is_stored(name):
        raise KeyError(f"There is no table {name!r} in the cache.")
    folder = table_folder(name)
    with explain_write_errors(folder):
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
