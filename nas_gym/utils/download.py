"""Published files: finding them on this machine, and downloading them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nas_gym.utils.cache import cache_folder
from nas_gym.utils.errors import DamagedDataError, DataError
from nas_gym.utils.files import atomic_file, sha256
from nas_gym.utils.limits import check_downloaded_size


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes:
        name: Name of the file, relative to the folder of downloads.
        url: URL of the file.
        sha256: SHA-256 digest of the content; empty if the function that reads the file verifies
            it.
    """

    name: str
    url: str
    sha256: str = ""


def data_folders() -> list[Path]:
    """Return the folders in ``NAS_GYM_DATA``, which are separated as in ``PATH``."""
    named = os.environ.get("NAS_GYM_DATA", "")
    return [Path(folder).expanduser() for folder in named.split(os.pathsep) if folder]


def downloads_folder() -> Path:
    """Return the folder of downloaded files."""
    return cache_folder() / "downloads"


_found: dict[str, Path] = {}


def found_files() -> dict[str, Path]:
    """Return the files that :func:`find_file` has found in this process, by name."""
    return dict(_found)


def find_file(name: str) -> Path | None:
    """Find a file in the folders of ``NAS_GYM_DATA`` (up to two levels deep) or the downloads.

    Args:
        name: Name of the file; it may begin with the name of its folder.

    Returns:
        The path, or ``None`` if there is no such file.
    """
    for folder in data_folders():
        for pattern in (name, f"*/{name}", f"*/*/{name}"):
            for path in sorted(folder.glob(pattern)):
                _found[name] = path
                return path
    path = downloads_folder() / name
    if not path.exists():
        return None
    _found[name] = path
    return path


def fetch_files(files: Iterable[RemoteFile], *, again: bool = False) -> None:
    """Download files into the cache with a progress bar. Intact files are not downloaded again.

    Args:
        files: Files to download.
        again: Whether to download files without a sha256 again.

    Raises:
        DataError: If the download failed or is larger than the limit, or the cache folder cannot
            be written to.
        DamagedDataError: If a downloaded file differs from its sha256.
    """
    for file in files:
        target = downloads_folder() / file.name
        if target.is_file() and (sha256(target) == file.sha256 if file.sha256 else not again):
            continue
        if target.is_dir() and not target.is_symlink():
            raise DataError(
                f"{target} is a folder; the file {file.url} belongs there. Delete the folder, and "
                "try again."
            )
        _download(file, target)


def _download(file: RemoteFile, target: Path) -> None:
    import pooch
    from requests.exceptions import RequestException

    with atomic_file(target) as opened:
        limited = _LimitedFile(opened, file.url)
        try:
            pooch.HTTPDownloader(progressbar=True, timeout=60)(file.url, limited, None)
        except RequestException as error:  # also an OSError, but not an error of writing
            raise DataError(
                f"Could not download {file.url}: {error}. Check the network, or download the "
                "file by other means and set NAS_GYM_DATA to its folder."
            ) from error
        if file.sha256 and limited.digest.hexdigest() != file.sha256:
            raise DamagedDataError(
                f"{file.url} has another file than expected: sha256 {file.sha256} was expected, "
                f"the file has {limited.digest.hexdigest()}."
            )


class _LimitedFile:
    """A file to write to, which computes the sha256 and raises an error above the size limit.

    A server need not send the length of a file, so the received bytes are counted.

    Args:
        file: Open file.
        url: URL of the content, for the message.
    """

    def __init__(self, file: IO[bytes], url: str) -> None:
        self._file, self._url, self._size = file, url, 0
        self.digest = hashlib.sha256()

    def write(self, content: bytes) -> int:
        """Write a part of the content.

        Raises:
            DataError: If the content is larger than the limit.
        """
        self._size += len(content)
        check_downloaded_size(self._size, self._url)
        self.digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        """Write buffered bytes."""
        self._file.flush()
