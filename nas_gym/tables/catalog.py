"""Catalogue of the tables that can be opened by name, with their sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import cast

from nas_gym.tables import store
from nas_gym.tables.published import (
    ACCEL_NASBENCH,
    HELP_DEVICES,
    HELP_FILES,
    HW_NAS_BENCH_360,
    NATS_CSV,
)
from nas_gym.tables.table import Table
from nas_gym.utils import download
from nas_gym.utils.download import RemoteFile
from nas_gym.utils.errors import (
    DamagedDataError,
    DataError,
    MissingDataError,
    list_names,
    shorten,
)

GRAPH_DATASETS = (
    "cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv", "proteins",
)  # fmt: skip


@dataclass(frozen=True)
class TableSource:
    """The source of a table in the catalogue.

    Attributes:
        name: Name of the table.
        summary: Content of the table, in one line.
        origin: Origin of the data, such as a download, for ``nas-gym data list``.
        read: Function that converts the source to a table; raises :class:`MissingDataError` if the
            data is not on this machine.
        files: Files to download; empty if the data is part of a Python package.
    """

    name: str
    summary: str
    origin: str
    read: Callable[[], Table]
    files: tuple[RemoteFile, ...] = ()


def _call(module: str, function: str, *arguments: object) -> Table:
    # a reader is imported when its table is first converted, not with nas_gym
    found = getattr(import_module(f"nas_gym.tables.sources.{module}"), function)
    return cast(Table, found(*arguments))


def _read_nats_csv() -> Table:
    path = download.find_file(NATS_CSV.name)
    if path is None:
        raise _missing("nats-bench", NATS_CSV.name)
    return _call("nats_csv", "read_nats_csv", path)


def _read_12_epochs() -> Table:
    path = download.find_file("nb201_12epochs.csv")
    if path is None:
        raise MissingDataError(
            "The file nb201_12epochs.csv of table 'nb201-12epochs' is not on this machine, and it "
            "is not published as a download. Set NAS_GYM_DATA to a folder with this file, or "
            "import the official NAS-Bench-201 file, which has the same numbers: "
            "`nas-gym data import FILE.pth --name NAME`."
        )
    return _call("nats_csv", "read_nb201_12_epochs", path)


def _read_help() -> Table:
    csv = download.find_file("help_nb201_latency_ms.csv")
    if csv is not None:
        return _call("help_latency", "read_help_csv", csv)
    for folder in ("help-nasbench201", "nasbench201/latency"):  # downloaded, or a clone of HELP
        paths = [download.find_file(f"{folder}/{device}.pt") for device in HELP_DEVICES]
        if paths[0] is not None and None not in paths:
            return _call("help_latency", "read_help_files", paths[0].parent)
    raise _missing("help-latency", "help_nb201_latency_ms.csv")


def _read_hw_nas_bench_360() -> Table:
    # downloaded or copied under a clear name, or under the publisher's name
    path = download.find_file(HW_NAS_BENCH_360.name) or download.find_file("dataset.parquet")
    if path is None:
        raise _missing("hw-nas-bench-360", HW_NAS_BENCH_360.name)
    return _call("hw_nas_bench_360", "read_hw_nas_bench_360", path)


def _read_accel_nasbench() -> Table:
    path = download.find_file(ACCEL_NASBENCH.name)
    if path is None:
        raise _missing("accel-nasbench", ACCEL_NASBENCH.name)
    return _call("accel_nasbench", "read_accel_nasbench", path)


def _missing(table: str, file: str) -> MissingDataError:
    return MissingDataError(
        f"Table {table!r} is not on this machine. Run `nas-gym data fetch {table}`, or set "
        f"NAS_GYM_DATA to a folder with the file {file}."
    )


SOURCES: dict[str, TableSource] = {
    source.name: source
    for source in (
        TableSource(
            "analog-nasbench",
            "NB201 retrained on CIFAR-10, digital and analog accuracy",
            "its package",
            partial(_call, "analog", "read_analog"),
        ),
        *(
            TableSource(
                f"nas-bench-graph-{dataset}",
                f"graph networks on {dataset}",
                "its package",
                partial(_call, "nas_bench_graph", "read_nas_bench_graph", dataset),
            )
            for dataset in GRAPH_DATASETS
        ),
        TableSource(
            "nats-bench",
            "NB201 test accuracy, 200 epochs, three data sets",
            "download, 3 MB",
            _read_nats_csv,
            (NATS_CSV,),
        ),
        TableSource(
            "nb201-12epochs",
            "NB201 validation and test accuracy, 12 epochs",
            "NAS_GYM_DATA",
            _read_12_epochs,
        ),
        TableSource(
            "help-latency",
            "NB201 latency on 27 devices",
            "download, 27 files",
            _read_help,
            HELP_FILES,
        ),
        TableSource(
            "hw-nas-bench-360",
            "NB201 on CIFAR-100, NinaPro and Darcy Flow; latency, energy",
            "download, 3 MB",
            _read_hw_nas_bench_360,
            (HW_NAS_BENCH_360,),
        ),
        TableSource(
            "accel-nasbench",
            "5,125 MnasNet-like networks on ImageNet, and on six accelerators",
            "download, 1 MB",
            _read_accel_nasbench,
            (ACCEL_NASBENCH,),
        ),
    )
}

_opened: dict[tuple[str, tuple[int, int]], Table] = {}


def load_table(name: str) -> Table:
    """Open a table by name: a table of :data:`SOURCES`, or an imported table.

    The first call on a machine converts the source into flat arrays in the cache; later calls
    memory-map them. Within a process, all calls return the same object.

    Raises:
        KeyError: If there is no table of that name; the message lists all tables.
        MissingDataError: If the data is not on this machine; the message says how to get it.
        DamagedDataError: If the cache or the source differs from its sha256.
        DataError: If the cache cannot be written to, or the table's search space is not
            registered.
    """
    if not store.is_stored(name):
        if name not in SOURCES:
            known = list_names(sorted({*SOURCES, *imported_tables()}))
            raise KeyError(
                f"There is no table {shorten(name, 80)!r}. The tables are: {known}. "
                "Import your own file with `nas-gym data import`."
            )
        store.save_table(SOURCES[name].read())
    description = store.table_folder(name) / "table.json"
    key = (str(description), _stamp(description))
    if key not in _opened:
        _opened[key] = store.load_stored_table(name)
    return _opened[key]


def _stamp(path: Path) -> tuple[int, int]:
    """Return numbers that change when a file is replaced, even within one tick of the clock."""
    if not path.exists():
        return 0, 0  # load_stored_table() raises the error
    status = path.stat()
    return status.st_mtime_ns, status.st_ino


def imported_tables() -> list[str]:
    """Return the names of the tables that users imported: all tables in the cache except those in
    :data:`SOURCES`."""
    names = [path.name for path in store.table_folder("any").parent.glob("*")]
    return sorted(name for name in names if store.is_stored(name) and name not in SOURCES)


def fetch_table(name: str) -> Table:
    """Open a table; download the table's files first if they are not on this machine.

    Raises:
        KeyError: If there is no table of that name in the catalogue.
        DataError: If the download failed.
        DamagedDataError: If the cached table is damaged.
    """
    if name not in SOURCES:
        raise KeyError(
            f"There is no table {shorten(name, 80)!r} to fetch. The tables are: "
            f"{', '.join(SOURCES)}."
        )
    try:
        return load_table(name)
    except (MissingDataError, DamagedDataError) as error:
        if not SOURCES[name].files or store.is_stored(name):  # the cache is damaged, not the source
            raise
        try:
            download.fetch_files(SOURCES[name].files, again=isinstance(error, DamagedDataError))
        except DataError as failure:
            if isinstance(error, MissingDataError):
                raise
            raise DataError(f"{error} {failure}") from failure  # name the damaged file, too
        return load_table(name)
