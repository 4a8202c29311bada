"""Storage of tables: flat arrays in the cache folder, replaced atomically.

The folder of a table holds arrays and ``table.json``, which lists the names and SHA-256 digests of
the arrays. To replace a table, a process first writes arrays with new names and then
``table.json``. Readers therefore see either the old or the new table at every moment, even if the
process is killed. The next process that stores or deletes a table removes arrays that
``table.json`` does not list.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nas_gym.spaces import SearchSpace, find_space_class
from nas_gym.spaces.registry import ENTRY_POINTS, is_built_in, is_registered
from nas_gym.tables.table import Metric, Objective, Table
from nas_gym.utils.cache import cache_folder
from nas_gym.utils.errors import DamagedDataError, DataError
from nas_gym.utils.files import (
    explain_write_errors,
    read_json,
    remove_temporary_files,
    sha256,
    write_atomically,
)

NAME_PATTERN = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")  # of tables; safe as a folder name
FORMAT = 1  # version of the stored files; folders of other versions are ignored

_DESCRIPTION = "table.json"
_ARRAY_FILE = re.compile(r"(?:values|genotypes)(-[0-9a-f]{8})?\.npy")
_TEMPORARY_FOLDER = re.compile(r"\..+\.[a-z0-9_]{8}")
_KEYS = {"name", "space", "metrics", "objectives", "provenance", "sha256"}  # keys of table.json


def table_folder(name: str) -> Path:
    """Return the folder of a table, which may not exist."""
    return cache_folder() / f"tables-v{FORMAT}" / name


def surrogate_path(name: str) -> Path:
    """Return the file of the surrogate of a stored table, which may not exist."""
    return table_folder(name) / "surrogate.npz"


@contextmanager
def _locked_tables() -> Iterator[Path]:
    """Yield the folder of all tables, which other processes cannot change within the block."""
    from filelock import FileLock  # not needed by `import nas_gym`

    tables = table_folder("any").parent
    with explain_write_errors(tables):
        tables.mkdir(parents=True, exist_ok=True)
        with FileLock(tables.with_name(f"{tables.name}.lock")):
            yield tables


def save_table(table: Table, *, replace: bool = False) -> None:
    """Store a table in the cache, atomically.

    Args:
        table: Table to store.
        replace: Whether to overwrite a table of the same name. If not, a stored table of this name
            is kept, for example one that another process stored at the same time.

    Raises:
        DataError: If the cache cannot be written to, the disk is full, or the search space cannot
            be restored from its description. No files are left behind.
    """
    folder = table_folder(table.name)
    with _locked_tables() as tables:
        _remove_leftovers(tables)
        if not folder.exists():
            _store_new(table, folder)
        elif replace:
            _replace(table, folder)


def _store_new(table: Table, folder: Path) -> None:
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{table.name}."))
    try:
        write_atomically(temporary / _DESCRIPTION, _write_arrays(table, temporary, suffix=""))
        temporary.chmod(0o755)  # mkdtemp creates private folders
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(table: Table, folder: Path) -> None:
    if (folder / _DESCRIPTION).is_dir():  # the stored table is damaged
        _remove(folder / _DESCRIPTION)
    try:
        content = _write_arrays(table, folder, suffix=f"-{os.urandom(4).hex()}")
        write_atomically(folder / _DESCRIPTION, content)
    finally:  # remove the arrays of the old table or, after an error, of the new table
        _remove_unnamed_arrays(folder)


def _write_arrays(table: Table, folder: Path, suffix: str) -> bytes:
    """Write the arrays of a table, and return the content of its ``table.json``."""
    space, genotypes = _describe_space(table.space)
    arrays: dict[str, np.ndarray[Any, Any]] = {
        f"values{suffix}.npy": np.ascontiguousarray(table.values, np.float64)
    }
    if genotypes is not None:
        arrays[f"genotypes{suffix}.npy"] = genotypes
    for name, array in arrays.items():
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        with (folder / name).open("wb") as file:
            file.write(content.getbuffer())  # unlike np.save, its errors give the reason
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
    return json.dumps(add_checksum(description), indent=1).encode() + b"\n"


def add_checksum(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a ``table.json`` with its checksum added."""
    content = {key: value for key, value in description.items() if key != "checksum"}
    # as it is read back from JSON
    text = json.dumps(json.loads(json.dumps(content)), sort_keys=True)
    return {**content, "checksum": hashlib.sha256(text.encode()).hexdigest()}


def _read_description(folder: Path) -> dict[str, Any]:
    """Return the content of a ``table.json``; files of earlier versions have no checksum.

    Raises:
        DamagedDataError: If it is missing, is not JSON or was altered.
    """
    try:
        description = read_json(folder / _DESCRIPTION)
        if not isinstance(description, dict):
            raise ValueError(f"{_DESCRIPTION} does not hold a description")
        if set(description) - {"checksum"} != _KEYS:
            raise ValueError(f"the keys of {_DESCRIPTION} are not those of a table")
        if "checksum" in description and add_checksum(description) != description:
            raise ValueError(f"{_DESCRIPTION} was altered: its checksum differs")
    except (DataError, ValueError, OSError) as error:
        raise _damaged(folder, error) from error
    return description


def _damaged(folder: Path, error: Exception) -> DamagedDataError:
    reason = str(error)[:500] or type(error).__name__
    return DamagedDataError(
        f"The cached table in {folder} is damaged: {reason.rstrip('.')}. "
        f"Delete it with `nas-gym data remove {folder.name}`. A table of the package is then "
        "converted again on next use; import a table of your own again."
    )


def load_stored_table(name: str) -> Table:
    """Open a stored table. Its values are memory-mapped and read-only.

    Raises:
        DamagedDataError: If a file is missing, truncated or altered.
        DataError: If the search space is not registered, or has changed.
    """
    folder = table_folder(name)
    while True:
        description = _read_description(folder)
        try:
            return _open_arrays(description, folder)
        except DamagedDataError:
            if json.dumps(description) == json.dumps(_read_description(folder)):
                raise  # the table was not replaced in the meantime, so it is damaged


def _open_arrays(description: dict[str, Any], folder: Path) -> Table:
    try:
        _check_arrays(description["sha256"], folder)
        return Table(
            name=description["name"],
            space=_restore_space(description, folder),
            metrics=tuple(Metric(**metric) for metric in description["metrics"]),
            values=_map_array(description, "values", folder),
            objectives={k: Objective(**v) for k, v in description["objectives"].items()},
            provenance=description["provenance"],
        )
    except (
        ValueError, LookupError, TypeError, AttributeError, EOFError, OSError, MemoryError,
        ArithmeticError, RecursionError,
    ) as error:  # fmt: skip
        raise _damaged(folder, error) from error


def _check_arrays(expected: dict[str, str], folder: Path) -> None:
    found = {path.name for path in folder.glob("*.npy")}
    suffixes = {_suffix(file) for file in expected}
    # arrays with another suffix are of a replacement that is going on, or was interrupted
    strays = {file for file in found - set(expected) if _suffix(file) in {None, *suffixes}}
    if not set(expected) <= found or strays:
        raise ValueError(f"its files {sorted(found)} are not the stored files")
    for file, digest in expected.items():
        if sha256(folder / file) != digest:
            raise ValueError(f"the sha256 of {file} differs from the stored one")


def _suffix(file: str) -> str | None:
    """Return the part of an array's file name that differs between replacements."""
    match = _ARRAY_FILE.fullmatch(file)
    return None if match is None else match[1] or ""


def _map_array(
    description: dict[str, Any], name: str, folder: Path
) -> np.ndarray[Any, np.dtype[Any]]:
    # memory-mapped: a header that claims more than the file has is an error, not an allocation
    [file] = (file for file in description["sha256"] if file.startswith(name))
    with np.errstate(over="raise"):
        array: np.ndarray[Any, Any] = np.load(folder / file, mmap_mode="r", allow_pickle=False)
    return array.view(np.ndarray)


def stored_datasets(name: str) -> list[str]:
    """Return the data sets for which a stored table has tasks, without opening its arrays.

    Raises:
        DamagedDataError: If its description cannot be read.
    """
    folder = table_folder(name)
    try:
        return list(_read_description(folder)["objectives"])
    except TypeError as error:
        raise _damaged(folder, error) from error


def is_stored(name: str) -> bool:
    """Return whether a table of that name is in the cache."""
    return NAME_PATTERN.fullmatch(name) is not None and table_folder(name).is_dir()


def remove_table(name: str) -> None:
    """Delete a table from the cache.

    Raises:
        KeyError: If there is no table of that name in the cache.
        DataError: If the cache cannot be written to.
    """
    folder = table_folder(name)
    if not is_stored(name):
        raise KeyError(f"There is no table {name!r} in the cache.")
    with _locked_tables() as tables:
        _remove_leftovers(tables)
        # readers see the whole table or none
        os.rename(folder, tables / f".{name}.{os.urandom(4).hex()}")
        _remove_leftovers(tables)


def clean_cache() -> list[Path]:
    """Remove temporary files and parts of tables that killed processes left in the cache.

    Files that another process is writing are kept.

    Returns:
        The removed files and folders.

    Raises:
        DataError: If the cache cannot be written to.
    """
    removed = remove_temporary_files(cache_folder(), recursive=True)
    if not table_folder("any").parent.is_dir():
        return removed
    with _locked_tables() as tables:
        return removed + _remove_leftovers(tables)


def _remove_leftovers(tables: Path) -> list[Path]:
    """Remove files of interrupted processes among the tables. The caller must hold the lock."""
    removed = []
    for folder in sorted(tables.iterdir()):
        if not folder.is_dir():
            continue
        if _TEMPORARY_FOLDER.fullmatch(folder.name):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
        elif NAME_PATTERN.fullmatch(folder.name):
            removed += _remove_unnamed_arrays(folder)
    return removed


def _remove_unnamed_arrays(folder: Path) -> list[Path]:
    """Remove the arrays of a table's folder that its ``table.json`` does not name."""
    unnamed = [file for file in folder.glob("*-????????.npy") if _suffix(file.name)]
    removed = remove_temporary_files(folder)
    try:
        named = set(_read_description(folder)["sha256"])
    except (DamagedDataError, TypeError):
        return removed  # it is not known which arrays belong to the table
    if any(_suffix(file) for file in named):  # after a replacement, the first arrays are also old
        unnamed += [folder / "values.npy", folder / "genotypes.npy"]
    for file in unnamed:
        if file.name not in named and (file.is_symlink() or file.exists()):
            _remove(file)
            removed.append(file)
    return removed


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _describe_space(
    space: SearchSpace,
) -> tuple[dict[str, Any], np.ndarray[Any, np.dtype[np.int64]] | None]:
    """Return the description of a space, and its genotypes if it is partial.

    Raises:
        DataError: If the space cannot be restored from its description.
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


def _restore_space(table: dict[str, Any], folder: Path) -> SearchSpace:
    is_partial = any(file.startswith("genotypes") for file in table["sha256"])
    genotypes = np.array(_map_array(table, "genotypes", folder)) if is_partial else None
    description = table["space"]
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
