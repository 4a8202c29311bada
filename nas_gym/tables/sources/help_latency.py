"""Latency of NAS-Bench-201's cells on 27 devices, from HELP (Lee et al., NeurIPS 2021)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import NB201Space
from nas_gym.tables.published import HELP_COMMIT, HELP_FOLDER
from nas_gym.tables.sources import pickles, reading
from nas_gym.tables.table import Metric, Table
from nas_gym.utils.errors import DamagedDataError, MissingDataError

URL = f"https://github.com/HayeonLee/HELP/tree/{HELP_COMMIT}/{HELP_FOLDER}"
CSV_SHA256 = "0294b1cf763eb67fbbbf9120a87f1c85d73523a41cb65267f5a4091fe7851692"

CONTENT_SHA256 = {
    "1080ti_1": "95665ae251ec98cb63d99b931bf7491a06c9fcabeb8b1363b46bbdb7fe320658",
    "1080ti_256": "b508cb61a0423649613d0272bd9dcc9e5822dab0efab2809fbb4201195486042",
    "1080ti_32": "28a364dcb0e0895e681b9726fdbc256cf0aa5e0e078970aaa85395af022ba76f",
    "2080ti_1": "496ecf3ec176e3223d631bae60e3a9a659422405c2d3a9b9b12872e5b891e811",
    "2080ti_256": "fe2d3f4bd5af2830f3611cb1544254dd28c3b941ed48e973288a21975ca8aefd",
    "2080ti_32": "fea065b426f1e4ecec05f8a19f98168e1a46537aca0ec112a93b89a6677b326d",
    "essential_ph_1": "2b5f6569199c6a11345303a84db5cdeee8e8dd69eb10ba52603d2c65c44998e6",
    "eyeriss": "b4ad75d478ebed1d34bb239510e1f7c5912e58e228428f049a7cc740ef134deb",
    "fpga": "85eabb679abaf7e5c74ea75b6c226444410253cf8cff1fefdc7fe1d6be00d589",
    "gold_6226": "a59dfdbb9120bf10ad4d4ffd7871d0b6d75f9a5c804a1c4993de3fd494746894",
    "gold_6240": "fe6d5f4a2abfcb0f2a454bbebc755d05616ac17740b1eecd1d323a4b9976c3b7",
    "pixel2": "257e4353245f921e7adec045e8eb253e78b9daf570b62b2d53702cde5919548a",
    "pixel3": "4ab7fa4b834ad4c806af4624e91471b1351c73924ed631598d4de07d50d0fad0",
    "raspi4": "2bb85993d215d0d0540fbcbf74cd02c5e9421eb3f48c6b0450ddea5d02fccce9",
    "samsung_a50": "13d5e1db9051fe5f2bd539dea727966cc6c9b48c6ee0379256e19e2930f8e833",
    "samsung_s7": "269715344ea23b58b220a21d47741b4271cd4d9f2bfaf3bc2b85ca1179af1d11",
    "silver_4114": "e5a722c6678838a54e08bb74a9fb8b269898e80b679daba9084694d9ee33efb4",
    "silver_4210r": "7e0b6501b5ab04eca60b11c552f76069a05ed5f277689ca138d20538e6e76265",
    "titan_rtx_1": "e14011cbc7894a3f9b78c3aefed16e68f1384db0a8978e043332b599eb795b95",
    "titan_rtx_256": "45617e00f1aed369f0db8a27ac096eb33b19fb31f22b338a4f89f0b53602fb6d",
    "titan_rtx_32": "bca350cbe850167df766fc1789a615d325e42ec1f8899021a49e40d2cafbd03e",
    "titanx_1": "f607840b71366b74f47e875baa04059d09c63f591d8120d85bc016a527a7aee4",
    "titanx_256": "6a5ca8a43fb43a308c5b231dc47093a3fb53273707c4125d15389fddcbc3fc3f",
    "titanx_32": "7b3b2af490d899b8de9d98c9522b02e96de8f903d2245556f0a39518db266246",
    "titanxp_1": "ee618c14365fc31576f0147bdc4655c184812e4a12a10a771113e3ff64b7c244",
    "titanxp_256": "45bfd5ea68ddf9a213a13b71081497f289f5bfbae4bef0e5415bd9fccaad4673",
    "titanxp_32": "8be77e8fef53930627b6f77e8a4c363af7d0327aecbcead7df3eb563749c5c73",
}
"""sha256 of the 15,625 latencies of each device, in index order, as lines in the format ``%.4f``.

The digest depends on the numbers, not on the bytes of a file, so it is the same for the CSV file
and the publisher's files.
"""


def read_help_csv(path: str | Path) -> Table:
    """Read the table ``help-latency`` from ``help_nb201_latency_ms.csv``.

    The table has 15,625 cells and the latency on 27 devices in milliseconds; lower is better. It
    has no accuracies, and therefore no objectives.

    Source: https://github.com/HayeonLee/HELP (MIT), saved as CSV with four decimals.

    Raises:
        MissingDataError: If there is no such file.
        DamagedDataError: If the file has another sha256.
    """
    content = reading.read_published_file(path, URL)
    advice = "Delete it and copy it again, or read the publisher's own files."
    reading.check_sha256(content, CSV_SHA256, path, advice)
    values = reading.read_nb201_csv(content, "ArchitectureString", list(CONTENT_SHA256), path)
    return _table(values)


def read_help_files(folder: str | Path) -> Table:
    """Read the table ``help-latency`` from a folder of the publisher's files ``<device>.pt``.

    The numbers are rounded to four decimals, so the table equals the result of
    :func:`read_help_csv`. The rounded numbers are checked against :data:`CONTENT_SHA256`.

    Source: ``data/nasbench201/latency`` of https://github.com/HayeonLee/HELP (MIT).

    Raises:
        MissingDataError: If files are missing; the message lists them.
        DamagedDataError: If a file has another format or other numbers.
        DataError: If torch is needed to read a file and is not installed.
    """
    paths = {device: Path(folder, f"{device}.pt") for device in CONTENT_SHA256}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise MissingDataError(
            f"{folder} lacks {len(missing)} of the {len(paths)} latency files: "
            f"{', '.join(missing)}. They are published at {URL}."
        )
    columns = [_read_device(path, CONTENT_SHA256[device]) for device, path in paths.items()]
    return _table(np.stack(columns, axis=1))


def _read_device(path: Path, expected: str) -> NDArray[np.float64]:
    measured = _to_array(pickles.load_torch_file(path), path)
    # a number halfway between two decimals may be rounded differently in float32 and float64
    for numbers in (measured, measured.astype(np.float32)):
        for rounded in (numbers, numbers.round(4)):
            lines = [f"{number:.4f}" for number in rounded.tolist()]
            if hashlib.sha256("\n".join(lines).encode()).hexdigest() == expected:
                return np.array(lines, np.float64)
    raise DamagedDataError(
        f"{path} does not have the published latencies of {path.stem}: the sha256 of its numbers "
        f"differs from {expected}. Get it again from {URL}."
    )


def _to_array(loaded: Any, path: Path) -> NDArray[np.float64]:
    size = NB201Space().size
    try:
        if isinstance(loaded, list | tuple):
            inner = [each for each in loaded if isinstance(each, list | tuple)]
            # the same list may occur many times, so that the file is small and the array is not
            if sum(map(len, inner)) > size or any(
                isinstance(part, list | tuple) for each in inner for part in each
            ):
                raise TypeError(f"its lists do not hold {size:,} numbers")
        array = np.asarray(loaded, np.float64).squeeze()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DamagedDataError(
            f"{path} is not an array of numbers: {error}. Get it again from {URL}."
        ) from error
    if array.shape != (size,):
        raise DamagedDataError(
            f"{path} has numbers of shape {array.shape}, ({size},) was expected."
        )
    return array


def _table(values: NDArray[np.float64]) -> Table:
    return Table(
        name="help-latency",
        space=NB201Space(),
        metrics=tuple(
            Metric(device, "ms", False, f"latency on {device}") for device in CONTENT_SHA256
        ),
        values=values,
        objectives={},
        provenance={
            "repository": "github.com/HayeonLee/HELP",
            "commit": HELP_COMMIT,
            "file": f"{HELP_FOLDER}/<device>.pt",
            "sha256": f"{CSV_SHA256} (as CSV, four decimals)",
            "url": URL,
        },
    )
