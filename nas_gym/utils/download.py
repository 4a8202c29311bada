"""Files that are published elsewhere: found on this machine, or fetched on request."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nas_gym.utils.cache import cache_folder
from nas_gym.utils.errors import DamagedDataError, DataError
from nas_gym.utils.files import sha256, writing


@dataclass(frozen=True)
class RemoteFile:
    """A file on its publisher's site.

    Attributes:
        name: the file's name.
        url: where it is published.
        sha256: its content; empty where the reader checks the content itself.
    """

    name: str
    url: str
    sha256: str = ""


def data_folders() -> list[Path]:
    """The folders named by ``NAS_GYM_DATA`` (several are separated as in ``PATH``)."""
    named = os.environ.get("NAS_GYM_DATA", "")
    return [Path(folder).expanduser() for folder in named.split(os.pathsep) if folder]


def downloads_folder() -> Path:
    """Where fetched files lie."""
    return cache_folder() / "downloads"


def find_file(name: str) -> Path | None:
    """A file in ``NAS_GYM_DATA`` (up to two folders deep) or among the downloads."""
    for folder in data_folders():
        for pattern in (name, f"*/{name}", f"*/*/{name}"):
            for path in sorted(folder.glob(pattern)):
                return path
    path = downloads_folder() / name
    return path if path.exists() else None


def fetch_files(files: Iterable[RemoteFile], *, again: bool = False) -> None:
    """Download files into the cache with a progress bar, each checked before it gets its name.

    Files that are there already and intact are left alone.

    Args:
        files: what to download.
        again: whether files without a sha256 that are there already are damaged.

    Raises:
        DataError: the network or the cache folder does not let us.
        DamagedDataError: what arrived is not what was pinned.
    """
    import pooch
    from requests.exceptions import RequestException

    folder = downloads_folder()
    for file in files:
        target = folder / file.name
        if target.exists() and (sha256(target) == file.sha256 if file.sha256 else not again):
            continue
        downloader = pooch.HTTPDownloader(progressbar=True, timeout=60)
        with writing(target):
            if not file.sha256:
                target.unlink(missing_ok=True)  # which pooch would take for what was asked for
            try:
                pooch.retrieve(
                    file.url,
                    known_hash=f"sha256:{file.sha256}" if file.sha256 else None,
                    fname=file.name,
                    path=folder,
                    downloader=downloader,
                )
            except RequestException as error:  # an OSError too, but not one of writing
                raise DataError(
                    f"Could not download {file.url}: {error}. Check the network, or download the "
                    "file by other means and name its folder in NAS_GYM_DATA."
                ) from error
            except ValueError as error:  # pooch's word for a wrong hash
                raise DamagedDataError(
                    f"What {file.url} sent is not the pinned file (sha256 {file.sha256}): {error}"
                ) from error
