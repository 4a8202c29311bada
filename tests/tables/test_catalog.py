"""The catalogue: every table opens, or the error names the command that gets it."""

import csv
import os
import shutil
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from nas_gym import tables
from nas_gym.spaces import NB201Space
from nas_gym.tables import SOURCES, DamagedDataError, MissingDataError, catalog, store
from nas_gym.utils import download


@pytest.mark.parametrize("name", SOURCES)
def test_every_table_opens(name, open_table):
    table = open_table(name)
    assert table.name == name
    assert table.values.shape == (table.space.size, len(table.metrics))
    assert table is tables.load_table(name)
    for objective in table.objectives.values():
        assert not np.isnan(table.column(objective.signal)).any()
        assert not np.isnan(table.column(objective.report)).any()
    assert table.provenance["sha256"]
    assert name not in tables.imported_tables()


def test_an_unknown_table():
    with pytest.raises(KeyError, match=r"There is no table 'nope'.*analog-nasbench.*data import"):
        tables.load_table("nope")
    with pytest.raises(KeyError, match="There is no table 'nope' to fetch"):
        tables.fetch_table("nope")


@pytest.fixture
def no_data(cache, monkeypatch):
    monkeypatch.delenv("NAS_GYM_DATA", raising=False)
    return cache


@pytest.mark.parametrize("name", ["nats-bench", "help-latency", "hw-nas-bench-360"])
def test_missing_data_names_the_command(name, no_data):
    with pytest.raises(MissingDataError, match=rf"`nas-gym data fetch {name}`.*NAS_GYM_DATA"):
        tables.load_table(name)
    assert not store.is_stored(name)


def test_missing_data_that_cannot_be_fetched(no_data):
    for call in (tables.load_table, tables.fetch_table):
        with pytest.raises(MissingDataError, match=r"NAS_GYM_DATA.*nas-gym data import"):
            call("nb201-12epochs")


def published(name):
    for folder in os.environ.get("NAS_GYM_DATA", "").split(os.pathsep):
        for path in Path(folder).rglob(name) if folder else ():
            return path
    pytest.skip(f"NAS_GYM_DATA has no {name}")


@pytest.fixture
def latency_csv():
    return published("help_nb201_latency_ms.csv")


@pytest.fixture
def parquet_file():
    return published("hw_nas_bench_360.parquet")


@pytest.mark.parametrize("name", ["hw_nas_bench_360.parquet", "results/dataset.parquet"])
def test_names_of_the_parquet_file(name, parquet_file, no_data, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    path = tmp_path / "data" / name
    path.parent.mkdir(parents=True)
    shutil.copy(parquet_file, path)
    monkeypatch.setenv("NAS_GYM_DATA", str(tmp_path / "data"))
    assert tables.load_table("hw-nas-bench-360").space.size == 15_625


def serve(folder):
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


@contextmanager
def serving(folder):
    server = serve(folder)
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def publisher(monkeypatch):
    """A server that has the published CSV file, in place of its publisher's."""
    path = published("nats_bench.csv")
    server = serve(path.parent)
    source = SOURCES["nats-bench"]
    url = f"http://127.0.0.1:{server.server_port}/nats_bench.csv"
    files = (replace(source.files[0], url=url),)
    monkeypatch.setitem(catalog.SOURCES, "nats-bench", replace(source, files=files))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.shutdown()
    server.server_close()


def test_fetch_then_open(publisher, no_data):
    assert tables.fetch_table("nats-bench").column("cifar100-test").max() == pytest.approx(73.5133)
    store.remove_table("nats-bench")
    publisher.shutdown()
    assert tables.load_table("nats-bench").space.size == 15_625  # from the download, offline


def test_fetch_replaces_a_damaged_download(publisher, no_data):
    path = download.downloads_folder() / "nats_bench.csv"
    path.parent.mkdir(parents=True)
    path.write_text("cut short")
    with pytest.raises(DamagedDataError, match=r"nats_bench\.csv"):
        tables.load_table("nats-bench")
    assert tables.fetch_table("nats-bench").space.size == 15_625


@pytest.fixture
def latency_files(latency_csv, tmp_path):
    """A folder with HELP's 27 files."""
    torch = pytest.importorskip("torch")
    with latency_csv.open() as file:
        header, *rows = csv.reader(file)
    space = NB201Space()
    texts = [row[header.index("ArchitectureString")] for row in rows]
    order = np.argsort(space.encode(space.from_text(texts)))
    folder = tmp_path / "published"
    folder.mkdir()
    for device in catalog.HELP_DEVICES:
        column = header.index(device)
        torch.save(torch.tensor([float(rows[i][column]) for i in order]), folder / f"{device}.pt")
    return folder


@pytest.mark.parametrize("inside", ["help-nasbench201", "HELP/data/nasbench201/latency"])
def test_latency_files_in_a_data_folder(inside, latency_files, no_data, tmp_path, monkeypatch):
    """The publisher's 27 files may lie in NAS_GYM_DATA as well as among the downloads."""
    folder = tmp_path / "data" / inside
    folder.parent.mkdir(parents=True)
    latency_files.rename(folder)
    monkeypatch.setenv("NAS_GYM_DATA", str(tmp_path / "data"))
    assert len(tables.load_table("help-latency").metrics) == 27


def test_fetch_repairs_downloads_without_sha256(latency_files, no_data, monkeypatch):
    folder = download.downloads_folder() / "help-nasbench201"
    shutil.copytree(latency_files, folder)
    (folder / "fpga.pt").write_bytes(b"cut short")
    with pytest.raises(DamagedDataError, match=r"fpga\.pt"):
        tables.load_table("help-latency")
    with serving(latency_files) as url:
        source = SOURCES["help-latency"]
        files = tuple(replace(f, url=f"{url}/{Path(f.name).name}") for f in source.files)
        monkeypatch.setitem(catalog.SOURCES, "help-latency", replace(source, files=files))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert len(tables.fetch_table("help-latency").metrics) == 27


def test_fetch_does_not_download_what_is_damaged_in_the_cache(latency_csv, no_data, monkeypatch):
    monkeypatch.setenv("NAS_GYM_DATA", str(latency_csv.parent))
    tables.load_table("help-latency")
    catalog._opened.clear()
    (store.table_folder("help-latency") / "values.npy").unlink()
    monkeypatch.setattr(download, "fetch_files", None)
    with pytest.raises(DamagedDataError, match="nas-gym data remove help-latency"):
        tables.fetch_table("help-latency")
