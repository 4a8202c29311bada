"""Users' files that are made to exhaust the machine, and places where no file is."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tables.user_file.files import content, message

from nas_gym.tables.user_file import read_user_file
from nas_gym.utils import limits


@pytest.fixture
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.VARIABLE, "1000000")


def raise_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.VARIABLE, "100000000")


def parquet(path: Path, columns: dict[str, object]) -> Path:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    pyarrow.parquet.write_table(arrow.table(columns), path, compression="zstd")
    return path


@pytest.mark.usefixtures("low_limit")
def test_parquet_run_lengths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 200_000
    path = parquet(tmp_path / "x.parquet", {"x0": np.arange(rows), "acc": np.zeros(rows)})
    assert "NAS_GYM_MAX_BYTES=3200000" in message(path, arch="x0")
    raise_limit(monkeypatch)
    assert "at most 1000 choices" in message(path)


@pytest.mark.usefixtures("low_limit")
def test_one_long_text_in_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 1000
    columns = {"note": ["y" * 10**4] * rows, "x0": np.arange(rows), "acc": np.zeros(rows)}
    path = parquet(tmp_path / "x.parquet", columns)
    assert path.stat().st_size < 50_000
    assert "unpacks to 10,000,000 bytes" in message(path)
    assert read_user_file(path, "mine", ignore="note").space.size == rows
    raise_limit(monkeypatch)
    assert "'note' hold text, such as 'yyy" in message(path)


@pytest.mark.usefixtures("low_limit")
def test_lists_in_parquet(tmp_path: Path) -> None:
    columns = {"x0": np.arange(100), "acc": [[0.0] * 10**4] * 100}
    assert "NAS_GYM_MAX_BYTES" in message(parquet(tmp_path / "x.parquet", columns))


def test_kinds_of_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    columns = {
        "op0": arrow.array(["a", "b", "c"], arrow.large_string()),
        "op1": arrow.array([b"x", b"y", None], arrow.binary()),
        "acc": arrow.array([1, 2, 2**60], arrow.uint64()),
        "half": arrow.array([1, 2, 3], arrow.decimal128(5, 1)),
        "gap": arrow.array([1, None, 3], arrow.int8()),
        "flag": arrow.array([True, None, False]),
    }
    path = parquet(tmp_path / "x.parquet", columns)
    assert "column 'op1'" in message(path)
    table = read_user_file(
        path, "mine", ignore=["op1", "flag"], signal="acc", allow_missing=True, decisions="op0"
    )
    np.testing.assert_array_equal(table.values, [[1, 1, 1], [2, 2, np.nan], [2**60, 3, 3]])


@pytest.mark.usefixtures("low_limit")
def test_npz_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x0=np.arange(10**6) % 10, acc=np.zeros(10**6))
    assert path.stat().st_size < 100_000
    assert "the file unpacks to 16,000,2" in message(path)
    raise_limit(monkeypatch)
    assert "data rows 1 and 11 are the same architecture" in message(path)


@pytest.mark.parametrize("shape", [(2**50,), (2**62, 2**62), (3,), (-1,)])
def test_arrays_that_claim_another_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("acc.npy", header.getvalue() + bytes(16))
    assert "the file is not a .npz of arrays, or was cut short" in message(path)


@pytest.mark.parametrize("kind", ["csv", "json", "parquet", "npz"])
def test_a_loop_of_links_in_place_of_a_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x.{kind}"
    path.symlink_to(path)
    assert "could not be read" in message(path)


def test_json_that_is_nested_too_deeply(tmp_path: Path) -> None:
    for opening in ('{"a": ', "[", '{"arch": [', '[{"arch": "0", "acc": ['):
        assert "cut short" in message(content(tmp_path, opening * 10**5, "json"))
