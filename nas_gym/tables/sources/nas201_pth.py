"""The official file of NAS-Bench-201 (Dong and Yang, ICLR 2020)."""

from __future__ import annotations

from pathlib import Path

from nas_gym.tables.sources import pickles, reading
from nas_gym.tables.sources.nb201_results import ResultsCollector
from nas_gym.tables.table import Table
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import sha256

URL = "https://github.com/D-X-Y/NAS-Bench-201"
_EPOCHS = {"less": 12, "full": 200}


def read_nas201_pth(path: str | Path, name: str = "nas-bench-201") -> Table:
    """Read the table of an official file such as ``NAS-Bench-201-v1_1-096897.pth``.

    The table has 15,625 cells; :class:`~.nb201_results.ResultsCollector` describes the columns.
    Cells that are not in the file are NaN. The whole file is loaded into memory. Extrapolated from
    small files, the 4.7 GB of v1.1 need about 28 GB of memory and 1.5 minutes.

    Args:
        path: Path of the file.
        name: Name of the table.

    Source: https://github.com/D-X-Y/NAS-Bench-201

    Raises:
        MissingDataError: If there is no such file.
        DamagedDataError: If it is damaged, asks for a class that the format does not need (no code
            of it is run), or has no architecture.
        DataError: If torch or ``nas-bench-201`` is not installed, or there is not enough memory.
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
    del content  # the memory of each architecture can then be freed after it is read
    # NASBench201API would hold three copies of the whole file
    api = reading.import_reader("nas_201_api.api_utils", "nas-bench-201")
    collector = ResultsCollector(archs, api.ArchResults, path)
    for number in numbers:
        info = infos.pop(number)
        if not isinstance(info, dict) or not set(info) <= set(_EPOCHS):
            raise DamagedDataError(
                f"{path}: architecture {number} does not have the results 'less' and 'full' of "
                f"NAS-Bench-201. Get the file again from {URL}."
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
