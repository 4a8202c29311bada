"""The official folder of NATS-Bench's topology search space (Dong et al., TPAMI 2021)."""

from __future__ import annotations

import bz2
import hashlib
from pathlib import Path
from typing import Any

from nas_gym.tables.sources import pickles, reading
from nas_gym.tables.sources.nb201_results import ResultsCollector
from nas_gym.tables.table import Table
from nas_gym.utils.errors import DamagedDataError, MissingDataError
from nas_gym.utils.limits import check_unpacked_size

URL = "https://github.com/D-X-Y/NATS-Bench"
_BLOCK = 2**24  # bytes to unpack before the size is checked
_META = "meta.pickle.pbz2"
_ALLOWED = {**pickles.NUMPY, **pickles.ORDERED_DICT}


def read_nats_folder(folder: str | Path, name: str = "nats-bench-tss") -> Table:
    """Read the table of an unpacked folder ``NATS-tss-v1_0-3ffb9-simple``.

    The table has 15,625 cells; :class:`~.nb201_results.ResultsCollector` describes the columns.
    Cells without a file in the folder are NaN. Files are read one after another.

    Args:
        folder: Folder of ``meta.pickle.pbz2``, ``000000.pickle.pbz2``, ``000001.pickle.pbz2``, …
        name: Name of the table.

    Source: https://github.com/D-X-Y/NATS-Bench

    Raises:
        MissingDataError: If there is no such folder, or it lacks ``meta.pickle.pbz2``.
        DamagedDataError: If a file is damaged or asks for a class that the format does not need
            (no code of it is run), or if the folder has no architecture or belongs to the size
            search space (sss).
        DataError: If ``nats-bench`` is not installed.
    """
    folder = Path(folder)
    if not (folder / _META).is_file():
        raise MissingDataError(
            f"{folder} is not a folder with {_META}. Expected the unpacked "
            f"NATS-tss-v1_0-3ffb9-simple.tar, published at {URL}."
        )
    api = reading.import_reader("nats_bench.api_utils", "nats-bench")
    digest = hashlib.sha256()
    meta = _load(folder / _META, digest)
    collector = ResultsCollector(meta.get("meta_archs"), api.ArchResults, folder)
    for path in sorted(folder.glob("*.pickle.pbz2")):
        number = path.name.split(".")[0]
        if number.isdecimal():
            for epochs, state in _load(path, digest).items():
                collector.add(int(number), epochs, state)
    provenance = {
        "file": folder.name,
        "sha256": f"{digest.hexdigest()} (of all files, meta first, then by name)",
        "url": URL,
        "read with": f"nats-bench {reading.installed_version('nats-bench')}",
    }
    return collector.table(name, provenance)


def _load(path: Path, digest: Any) -> dict[str, Any]:
    packed = reading.read_published_file(path, URL)
    digest.update(packed)
    try:
        content = _unpack(packed, path)
    except (OSError, ValueError) as error:
        raise DamagedDataError(
            f"{path} is truncated or not a bz2 file ({error}). Get it again from {URL}."
        ) from error
    loaded = pickles.load_pickle(content, _ALLOWED, str(path))
    if not isinstance(loaded, dict):
        raise DamagedDataError(f"{path} has a {type(loaded).__name__}, a dict was expected.")
    return loaded


def _unpack(packed: bytes, path: Path) -> bytes:
    """Decompress the content of a bz2 file, up to the limit of its size."""
    content = bytearray()
    while packed:  # a file can consist of several streams
        decompressor = bz2.BZ2Decompressor()
        while not decompressor.eof:
            if decompressor.needs_input and not packed:
                raise ValueError("it ends before its content does")
            content += decompressor.decompress(packed, _BLOCK)
            packed = b""
            check_unpacked_size(len(content), str(path))
        packed = decompressor.unused_data
    return bytes(content)
