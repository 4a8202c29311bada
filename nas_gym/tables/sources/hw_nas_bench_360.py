"""HW-NAS-Bench-360: NAS-Bench-201's cells on three domains, with latency and energy on devices.

The test results are those of NAS-Bench-201 (CIFAR-100) and NAS-Bench-360 (Tu et al., NeurIPS 2022:
NinaPro DB5 and Darcy Flow). Latency and energy were measured on a Raspberry Pi 5 and a Pixel 6a.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import NB201Space
from nas_gym.tables.published import HW_NAS_BENCH_360, HW_NAS_BENCH_360_COMMIT
from nas_gym.tables.sources import reading
from nas_gym.tables.table import Metric, Objective, Table
from nas_gym.utils.errors import DamagedDataError

NAME = "hw-nas-bench-360"
SHA256 = HW_NAS_BENCH_360.sha256
URL = HW_NAS_BENCH_360.url

TASKS = {  # name -> description of its test result, factor that converts the file's value to %
    "cifar100": ("test accuracy on CIFAR-100, 200 epochs, mean over seeds", 1),
    "ninapro": ("test accuracy on NinaPro DB5 (gestures from muscle signals), one training", 1),
    "darcy": ("100 * (1 - relative L2 error) on Darcy Flow (test set), one training", 100),
}
DEVICES = {  # device and framework -> description
    ("pi5", "litert"): "Raspberry Pi 5, LiteRT",
    ("pi5", "onnx"): "Raspberry Pi 5, ONNX Runtime",
    ("pi5", "torchmobile"): "Raspberry Pi 5, PyTorch Mobile",
    ("pixel", "litert"): "Pixel 6a, LiteRT",
}
MEASUREMENTS = {  # metric -> column of the file, unit, description; the Pixel has latencies only
    "latency": ("lat_ms_median", "ms", "median latency of one inference"),
    "latency-variance": ("lat_ms_var", "ms²", "variance of the latency"),
    "energy": ("energy_mj", "mJ", "energy of one inference"),
}


def read_hw_nas_bench_360(path: str | Path) -> Table:
    """Read the table ``hw-nas-bench-360`` from the publisher's Parquet file.

    The table has 15,625 cells and 33 metrics. ``<task>-test`` is the test result on ``cifar100``,
    ``ninapro`` and ``darcy``, in %; higher is better. The file has no validation results, so the
    signal of each task is the reported metric itself.

    The file's value for Darcy Flow is 1 minus the relative L2 error of NAS-Bench-360: cells without
    a path from input to output have 0.747, and better cells have higher values, up to 0.985. An
    error would be lowest for the best cells, and never negative as one value is (-0.7998). The
    table has this value times 100, so that all test results have one unit; the best relative L2
    error is 0.0152. NinaPro's values are accuracies in %, as in the file.

    ``<task>-<device>-<framework>-latency`` is the median latency in ms on ``pi5`` (frameworks
    ``litert``, ``onnx`` and ``torchmobile``) and ``pixel`` (``litert``). The Raspberry Pi also has
    ``-latency-variance`` in ms² and ``-energy`` in mJ. Lower is better. Isomorphic cells were
    measured once, so they have the same latency and energy; they were trained separately.

    Source: https://github.com/roldebijvank/HW-NAS-Bench-360. No licence is stated, so the file is
    downloaded from there and is not part of this package.

    Raises:
        MissingDataError: If there is no such file.
        DamagedDataError: If it is not the published file, or lacks rows.
        DataError: If pyarrow is not installed.
    """
    content = reading.read_published_file(path, URL)
    advice = f"Delete or rename it, and run `nas-gym data fetch {NAME}`."
    reading.check_sha256(content, SHA256, path, advice)
    columns = _metrics()
    rows = _read_rows(content, path)
    values = np.stack([_column(rows, path, *origin) for _, origin in columns], axis=1)
    return Table(
        name=NAME,
        space=NB201Space(),
        metrics=tuple(metric for metric, _ in columns),
        values=values,
        objectives={task: Objective(f"{task}-test", f"{task}-test") for task in TASKS},
        provenance={
            "repository": "github.com/roldebijvank/HW-NAS-Bench-360",
            "commit": HW_NAS_BENCH_360_COMMIT,
            "file": "results/dataset.parquet",
            "sha256": SHA256,
            "url": URL,
        },
    )


_Origin = tuple[str, tuple[str, str], str, int]
"""Task, device and framework, column of the file, and the factor to multiply its values by."""


def _metrics() -> list[tuple[Metric, _Origin]]:
    """Return the metrics of the table, and the place of each in the file."""
    found: list[tuple[Metric, _Origin]] = []
    for task, (text, factor) in TASKS.items():
        origin = (task, ("pi5", "litert"), "accuracy", factor)  # the same for all devices
        found.append((Metric(f"{task}-test", "%", True, text), origin))
    for task in TASKS:
        for device, device_text in DEVICES.items():
            for name, (column, unit, text) in MEASUREMENTS.items():
                if device[0] == "pixel" and name != "latency":
                    continue
                metric = f"{task}-{'-'.join(device)}-{name}"
                described = f"{text} of the {task} network on {device_text}"
                found.append((Metric(metric, unit, False, described), (task, device, column, 1)))
    return found


def _read_rows(content: bytes, path: str | Path) -> Mapping[str, NDArray[Any]]:
    """Return the columns of the file by name.

    Raises:
        DamagedDataError: If it is not a Parquet file with these columns.
        DataError: If pyarrow is not installed.
    """
    arrow = reading.import_reader("pyarrow", "pyarrow", extra="parquet")
    parquet = reading.import_reader("pyarrow.parquet", "pyarrow", extra="parquet")
    names = ["arch_idx", "device", "framework", "task", "accuracy"]
    names += [column for column, _, _ in MEASUREMENTS.values()]
    try:
        table = parquet.read_table(arrow.BufferReader(content), columns=names)
        return {name: table.column(name).to_numpy() for name in names}
    except (arrow.ArrowException, KeyError, ValueError, OSError) as error:
        raise DamagedDataError(
            f"{path} is not a Parquet file with the columns {', '.join(names)}: {error}."
        ) from error


def _column(
    rows: Mapping[str, NDArray[Any]],
    path: str | Path,
    task: str,
    device: tuple[str, str],
    column: str,
    factor: int,
) -> NDArray[np.float64]:
    """Return one column in index order, ``(15625,)`` float64.

    Raises:
        DamagedDataError: If a cell has no value or several values.
    """
    size = NB201Space().size
    found = (rows["task"] == task) & (rows["device"] == device[0])
    found &= rows["framework"] == device[1]
    cells = rows["arch_idx"][found]
    measured = np.asarray(rows[column][found], np.float64)
    if not np.array_equal(np.sort(cells), np.arange(size)) or np.isnan(measured).any():
        raise DamagedDataError(
            f"{path} does not have one value of {column} per cell of NAS-Bench-201 for the task "
            f"{task!r} on {'/'.join(device)}: {len(cells):,} rows, {size:,} were expected."
        )
    values = np.empty(size)
    values[cells] = measured * factor
    return values
