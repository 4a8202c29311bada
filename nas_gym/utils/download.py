"""Published files: finding them on this machine, and downloading them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nas_gym.utils.cache import cache_folder
from nas_gym.utils.errors import DamagedDataError, DataError
from nas_gym.utils.files import explain_write_errors, sha256


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes:
        name: Name of the file, relative to the folder of downloads.
        url: URL of the file.
        sha256: sha256 of its content; empty if the reader checks the content.
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


def find_file(name: str) -> Path | None:
    """Return the path of a file in ``NAS_GYM_DATA`` (up to two folders deep) or the downloads.

    Args:
        name: Name of the file; it may begin with the name of its folder.

    Returns:
        The path, or ``None`` if there is no such file.
    """
    for folder in data_folders():
        for pattern in (name, f"*/{name}", f"*/*/{name}"):
            for path in sorted(folder.glob(pattern)):
                return path
    path = downloads_folder() / name
    return path if path.exists() else None


def fetch_files(files: Iterable[RemoteFile], *, again: bool = False) -> None:
    """Download files into the cache with a progress bar. Intact files are not downloaded again.

    Args:
        files: Files to download.
        again: Whether to download files without a sha256 again.

    Raises:
        DataError: If the download failed, or the cache folder cannot be written to.
        DamagedDataError: If a downloaded file differs from its sha256.
    """
    import pooch
    from requests.exceptions import RequestException

    folder = downloads_folder()
    for file in files:
        target = folder / file.name
        if target.exists() and (sha256(target) == file.sha256 if file.sha256 else not again):
            continue
        downloader = pooch.HTTPDownloader(progressbar=True, timeout=60)
        with explain_write_errors(target):
            if not file.sha256:
                target.unlink(missing_ok=True)  # pooch would keep it
            try:
                pooch.retrieve(
                    file.url,
                    known_hash=f"sha256:{file.sha256}" if file.sha256 else None,
                    fname=file.name,
                    path=folder,
                    downloader=downloader,
                )
            except RequestException as error:  # also an OSError, but not an error of writing
                raise DataError(
                    f"Could not download {file.url}: {error}. Check the network, or download the "
                    "file by other means and set NAS_GYM_DATA to its folder."
                ) from error
            except ValueError as error:  # pooch raises it for a wrong hash
                raise DamagedDataError(
                    f"{file.url} has another file than expected (sha256 {file.sha256}): {error}"
                ) from error
