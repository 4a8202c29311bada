"""Finding, reading and checking the files of a source."""

from __future__ import annotations

import csv
import hashlib
import importlib
import importlib.metadata
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import NB201Space
from nas_gym.utils.errors import DamagedDataError, DataError, MissingDataError

GET_AGAIN = "Delete it and get it again from {url}."


def find_package_file(module: str, inside: str, requirement: str) -> Path:
    """Return the path of a data file of an installed package, without importing the package.

    Args:
        module: Import name of the package.
        inside: Path of the file inside the package.
        requirement: Requirement for pip, such as ``"nas-bench-graph==1.4.0"``.

    Raises:
        MissingDataError: If the package is not installed, or lacks the file.
    """
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder, inside)
        if path.is_file():
            return path
    raise MissingDataError(
        f"The file {inside} of the Python package {module} is not on this machine. "
        f"Install it with `pip install {requirement}`."
    )


def installed_version(distribution: str) -> str:
    """Return the version of an installed package, or ``"unknown"``."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def read_published_file(path: str | Path, url: str) -> bytes:
    """Return the content of a file.

    Args:
        path: Path of the file.
        url: Place where the file is published, for messages.

    Raises:
        MissingDataError: If there is no such file; the message says where it is published.
        DataError: If the file cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise MissingDataError(f"There is no file {path}. It is published at {url}.") from error
    except OSError as error:
        raise DataError(
            f"Could not read {path}: {error}. Check the disk and permissions."
        ) from error


def check_sha256(content: bytes, expected: str, path: str | Path, advice: str) -> None:
    """Check the sha256 of a file.

    Args:
        content: Content of the file.
        expected: sha256 of the published file.
        path: Path of the file, for messages.
        advice: Last sentence of the message.

    Raises:
        DamagedDataError: If the sha256 is not the expected one.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DamagedDataError(
            f"{path} is not the published file: it is truncated, altered or another "
            f"version. Expected sha256 {expected}, found {found} ({len(content):,} bytes). {advice}"
        )


def import_reader(module: str, distribution: str, extra: str = "") -> Any:
    """Import a package that can read a file format.

    Args:
        module: Module to import.
        distribution: Name of the package for pip.
        extra: Extra of nas-gym that installs the package; empty if there is none.

    Raises:
        DataError: If the package is not installed; the message names the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        requirement = f'"nas-gym[{extra}]"' if extra else distribution
        raise DataError(
            f"Reading this file needs the Python package {distribution}, which could not be "
            f"imported ({error}). Install it with `pip install {requirement}`."
        ) from error


def read_nb201_csv(
    content: bytes, texts: str, columns: Sequence[str], path: str | Path
) -> NDArray[np.float64]:
    """Read columns of a CSV file with one row per cell of NAS-Bench-201.

    Args:
        content: Content of the file; its rows may be in any order.
        texts: Name of the column of arch strings.
        columns: Names of the columns to read.
        path: Name of the file, for messages.

    Returns:
        Values in index order, shape ``(15625, len(columns))`` float64.

    Raises:
        DamagedDataError: If the file has another format, or a cell is missing or appears twice.
    """
    space = NB201Space()
    try:
        header, *rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
        positions = [header.index(column) for column in columns]
        text = header.index(texts)
        indices = space.encode(space.from_text([row[text] for row in rows]))
        numbers = np.array([[row[i] for i in positions] for row in rows], np.float64)
    except (ValueError, IndexError, csv.Error) as error:
        raise DamagedDataError(
            f"{path} is not a CSV table with the columns {texts}, {', '.join(columns)}: {error}."
        ) from error
    if len(rows) != space.size or len(np.unique(indices)) != space.size:
        raise DamagedDataError(
            f"{path} has {len(rows):,} rows for {len(np.unique(indices)):,} cells; "
            f"one row per cell of NAS-Bench-201 was expected ({space.size:,} rows)."
        )
    values = np.empty_like(numbers)
    values[indices] = numbers
    return values
