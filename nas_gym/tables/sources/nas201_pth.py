"""NAS-Bench-201's own file (Dong and Yang, ICLR 2020), through the package ``nas-bench-201``."""

from __future__ import annotations

from pathlib import Path

from nas_gym.tables.sources import pickles, reading
from nas_gym.tables.sources.nb201_results import Collector
from nas_gym.tables.table import Table
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import sha256

URL = "https://github.com/D-X-Y/NAS-Bench-201"
_EPOCHS = {"less": 12, "full": 200}


def read_nas201_pth(path: str | Path, name: str = "nas-bench-201") -> Table:
    """The table of an official file such as ``NAS-Bench-201-v1_1-096897.pth``.

    15,625 cells; the columns are described at :class:`~.nb201_results.Collector`. Cells that are
    not in the file are NaN. The file is read whole, once. By what small files took, the 4.7 GB of
    v1.1 need some 28 GB of memory and a minute and a half.

    Args:
        path: the file.
        name: what to call the table.

    Source: https://github.com/D-X-Y/NAS-Bench-201

    Raises:
        MissingDataError: no such file.
        DamagedDataError: it is damaged, asks for a class that the format has no use for (none of
            its code ran), or covers no architecture.
        DataError: torch or ``nas-bench-201`` is not installed, or memory ran out.
    """
    content = pickles.load_torch_file(path)
    try:
        archs, infos = content["meta_archs"], dict(content["arch2infos"])
        numbers = sorted(infos)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedDataError(
            f"{path} is not a file of NAS-Bench-201, which has meta_archs and arch2infos "
            f"({type(error).__name__}: {error}). Get it from {URL}."
        ) from error
    del content  # so that each architecture is freed once it is read
    # NASBench201API would copy the whole file and hold it three times; its ArchResults do not
    api = reading.import_reader("nas_201_api.api_utils", "nas-bench-201")
    collector = Collector(archs, api.ArchResults, path)
    for number in numbers:
        info = infos.pop(number)
        if not isinstance(info, dict) or not set(info) <= set(_EPOCHS):
            raise DamagedDataError(
                f"{path}: architecture {number} should have results 'less' and 'full'."
            )
        for key, state in info.items():
            collector.add(number, _EPOCHS[key], state)
    provenance = {
        "file": Path(path).name,
        "sha256": sha256(Path(path)),
        "url": URL,
        "read with": f"nas-bench-201 {reading.installed_version('nas-bench-201')}",
    }
    return collector.table(name, provenance)
