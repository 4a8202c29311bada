"""Storage of finished trials in a folder, next to the configuration of their search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from nas_gym.experiments.records import RECORDED, Record
from nas_gym.experiments.settings import SearchSettings
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import read_arrays, read_json, write_arrays, write_atomically

_EXTENSIBLE = ("queries",)


class TrialStore:
    """The finished trials of one search in a folder, a few seeds per file.

    Args:
        folder: Folder; created when something is written.
        config: Configuration of the search, see :meth:`SearchSettings.describe`.

    Raises:
        ValueError: If the folder holds trials of another search, or trials without
            ``config.json``.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        self.config = config
        if self._files() and not (folder / "config.json").exists():
            raise ValueError(
                f"{folder} holds trials without a config.json, so their search is unknown. "
                "Choose another --out folder (out=), or delete this one."
            )
        check_config(folder, config, _EXTENSIBLE)

    def write_config(self) -> None:
        """Write ``config.json`` unless it exists; delete trials of fewer queries."""
        extended = check_config(self.folder, self.config, _EXTENSIBLE)
        if extended:
            gym.logger.warn(
                f"{self.folder} holds trials of {extended['queries']} queries. They are run again "
                f"with {self.config['queries']}. Results of slow evaluations are reused."
            )
            for file in self._files():
                file.unlink()
        write_config(self.folder, self.config, _EXTENSIBLE)

    def missing_seeds(self, settings: SearchSettings) -> list[int]:
        """Return the seeds of trials that are not stored. Damaged files are deleted."""
        if check_config(self.folder, self.config, _EXTENSIBLE):
            return settings.seed_list  # the stored trials have fewer queries
        good = [file for file in self._files() if not self._delete_damaged(file, settings)]
        done = {seed for file in good for seed in _seeds_of(file)}
        return [seed for seed in settings.seed_list if seed not in done]

    def _delete_damaged(self, file: Path, settings: SearchSettings) -> bool:
        """Delete a file if it is damaged; return whether it was."""
        try:
            self._read(file, settings)
        except DamagedDataError as error:
            gym.logger.warn(f"{error} Its trials are run again.")
            file.unlink(missing_ok=True)
            return True
        return False

    def holds(self, settings: SearchSettings) -> bool:
        """Return whether exactly the trials of the settings' seeds were added as one record."""
        return self._file(settings).exists()

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("seeds-*.npz"))

    def _file(self, settings: SearchSettings) -> Path:
        last = settings.first_seed + settings.seeds - 1
        return self.folder / f"seeds-{settings.first_seed}-{last}.npz"

    def _read(self, file: Path, settings: SearchSettings) -> Record:
        record, shape = read_arrays(file), (settings.queries, len(_seeds_of(file)))
        if RECORDED.keys() - record.keys() or any(
            array.shape[:2] != shape for array in record.values()
        ):
            raise DamagedDataError(f"{file} is damaged: expected arrays of shape {shape}.")
        return record

    def add(self, settings: SearchSettings, record: Record) -> None:
        """Write the trials of the settings' seeds, as one complete file.

        Raises:
            ValueError: If the record has another number of queries or trials.
        """
        shape = (settings.queries, settings.seeds)
        for name, array in record.items():
            if array.shape[:2] != shape:
                raise ValueError(
                    f"{name} must have shape {shape}, (queries, trials); got {array.shape}."
                )
        write_arrays(self._file(settings), record)

    def add_failure(self, seed: int, error: str) -> None:
        """Write the error of a failed trial; the first line of the text is its message."""
        write_atomically(self.folder / f"failed-{seed}.txt", error.encode())

    def has_failed(self, seed: int) -> bool:
        """Return whether the error of a failed trial was written."""
        return (self.folder / f"failed-{seed}.txt").exists()

    def delete_failures(self) -> None:
        """Delete the errors of failed trials, which are then missing and can be run again."""
        for file in self.folder.glob("failed-*.txt"):
            file.unlink(missing_ok=True)

    def read(self, settings: SearchSettings) -> tuple[list[int], Record, dict[int, str]]:
        """Read the stored trials of the settings' seeds.

        Returns:
            Seeds of the stored trials in ascending order, their record, and the error texts of
            failed trials by seed.
        """
        columns: dict[int, Record] = {}
        for file in self._files():
            record = self._read(file, settings)
            for i, seed in enumerate(_seeds_of(file)):
                columns[seed] = {name: array[:, i] for name, array in record.items()}
        seeds = [seed for seed in settings.seed_list if seed in columns]
        record = {
            name: np.stack([columns[seed][name] for seed in seeds], axis=1)
            if seeds
            else np.empty((settings.queries, 0), dtype)
            for name, dtype in RECORDED.items()
        }
        files = {seed: self.folder / f"failed-{seed}.txt" for seed in settings.seed_list}
        failures = {seed: file.read_text() for seed, file in files.items() if file.exists()}
        return seeds, record, failures


def _seeds_of(file: Path) -> list[int]:
    first, last = map(int, file.stem.removeprefix("seeds-").split("-"))
    return list(range(first, last + 1))


def write_config(folder: Path, config: dict[str, Any], extensible: Sequence[str] = ()) -> None:
    """Write the configuration of a search into its folder, unless the folder already holds it.

    Args:
        folder: Output folder.
        config: Configuration of the search.
        extensible: See :func:`check_config`.

    Raises:
        ValueError: If the folder holds another search.
        DamagedDataError: If the configuration in the folder cannot be read.
    """
    file = folder / "config.json"
    if check_config(folder, config, extensible) or not file.exists() or not _has_results(folder):
        write_atomically(file, (json.dumps(config, indent=1) + "\n").encode())


def check_config(
    folder: Path, config: dict[str, Any], extensible: Sequence[str] = ()
) -> dict[str, Any]:
    """Compare the configuration of a search with the one in its folder, if there is one.

    Args:
        folder: Output folder.
        config: Configuration of the search.
        extensible: Names of numbers that may be higher than in the folder.

    Returns:
        The stored values of the numbers that `config` raises, by name; empty if nothing differs or
        the folder holds no results.

    Raises:
        ValueError: If the folder holds another search.
        DamagedDataError: If the configuration in the folder cannot be read.
    """
    file = folder / "config.json"
    if not file.exists():
        return {}
    found = read_json(file)
    if not isinstance(found, dict):
        raise DamagedDataError(f"{file} is damaged. Delete the folder to search again.")
    if not _has_results(folder):
        return {}
    different = [key for key in config | found if found.get(key) != config.get(key)]
    if all(name in extensible and _is_lower(found.get(name), config[name]) for name in different):
        return {name: found[name] for name in different}
    advice = "Choose another --out folder (out=), or delete this one."
    if different == ["source_sha256"]:
        raise ValueError(
            f"The code of {config['agent']} has changed since the trials in {folder} were run, "
            f"and trials of different code are not mixed. {advice}"
        )
    raise ValueError(f"{folder} holds another search (different {', '.join(different)}). {advice}")


def _has_results(folder: Path) -> bool:
    """Return whether a folder has results of a search, not only its configuration.

    A configuration without results may be replaced, so an agent whose trials all failed can be
    mended and run again.
    """
    patterns = ("history.jsonl", "checkpoint.npz", "seeds-*.npz")
    return any(next(folder.glob(pattern), None) for pattern in patterns)


def _is_lower(found: Any, wanted: int) -> bool:
    return type(found) is int and 0 < found < wanted
