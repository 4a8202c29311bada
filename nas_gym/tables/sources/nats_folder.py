"""NATS-Bench's topology folder (Dong et al., TPAMI 2021), through the package ``nats-bench``."""

from __future__ import annotations

import bz2
import hashlib
from pathlib import Path
from typing import Any

from nas_gym.tables.sources import pickles, reading
from nas_gym.tables.sources.nb201_results import Collector
from nas_gym.tables.table import Table
from nas_gym.utils.errors import DamagedDataError, MissingDataError

URL = "https://github.com/D-X-Y/NATS-Bench"
_META = "meta.pickle.pbz2"
_ALLOWED = {**pickles.NUMPY, **pickles.ORDERED_DICT}


def read_nats_folder(folder: str | Path, name: str = "nats-bench-tss") -> Table:
    """The table of an unpacked folder ``NATS-tss-v1_0-3ffb9-simple``.

    15,625 cells; the columns are described at :class:`~.nb201_results.Collector`. Cells whose
    file is not in the folder are NaN. Files are read one by one.

    Args:
        folder: holds ``meta.pickle.pbz2`` and ``000000.pickle.pbz2``, ``000001.pickle.pbz2``, …
        name: what to call the table.

    Source: https://github.com/D-X-Y/NATS-Bench

    Raises:
        MissingDataError: no such folder, or it lacks ``meta.pickle.pbz2``.
        DamagedDataError: a file is damaged or asks for a class that the format has no use for
            (none of its code ran); the folder covers no architecture, or is of the size search
            space (sss).
        DataError: ``nats-bench`` is not installed.
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
    collector = Collector(meta.get("meta_archs"), api.ArchResults, folder)
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
        content = bz2.decompress(packed)
    except (OSError, ValueError) as error:
        raise DamagedDataError(
            f"{path} is cut short or not a bz2 file ({error}). Get it again from {URL}."
        ) from error
    loaded = pickles.load_pickle(content, _ALLOWED, str(path))
    if not isinstance(loaded, dict):
        raise DamagedDataError(f"{path} holds a {type(loaded).__name__}, a dict was expected.")
    return loaded
