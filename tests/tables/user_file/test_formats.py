"""Formats of users' files."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tables.user_file.files import (
    FORMATS,
    by_text,
    content,
    message,
)

from nas_gym.tables.user_file import formats, read_user_file

RECORDS = [{"arch": "00", "acc": 1.0}, {"arch": "01", "acc": 2.0}]


@pytest.mark.parametrize(
    "form",
    [RECORDS, {"arch": ["00", "01"], "acc": [1, 2]}, {"00": {"acc": 1}, "01": {"acc": 2}}],
)
def test_forms_of_json(tmp_path: Path, form: object) -> None:
    table = read_user_file(content(tmp_path, json.dumps(form), "json"), "mine")
    assert by_text(table) == {"00": (1.0,), "01": (2.0,)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("[]", "no rows"),
        ("{}", "a list of records"),
        ("3", "a list of records"),
        ("[1, 2]", "a list of records"),
        (json.dumps(RECORDS)[:-9], "cut short"),
        ("[" * 100_000, "cut short"),
        ('[{"arch": "00", "acc": 1, "acc": 2}]', "'acc' appears twice"),
        ('{"00": {"arch": 1}}', "column 'arch'"),
        ('[{"arch": "00", "acc": 1}, {"arch": "01"}]', "data row 2, column 'acc'"),
        ('[{"arch": "00", "acc": 1}, {"acc": 1}]', "data row 2, column 'arch'"),
        ('[{"arch": "00", "acc": []}]', "data row 1, column 'acc'"),
        ('[{"arch": "00", "acc": [1, "a"]}]', "data row 1, column 'acc'"),
        ('[{"arch": "00", "acc": [1]}, {"arch": "01", "acc": [1, 2]}]', "data row 2, column 'acc'"),
        ('[{"arch": "00", "acc": [1]}, {"arch": "01", "acc": 1}]', "data row 2, column 'acc'"),
        ('[{"arch": "00", "acc": [1]}, {"arch": "01"}]', "data row 2, column 'acc'"),
        ('[{"arch": "00", "acc": [[1]]}]', "data row 1, column 'acc'"),
        ('[{"arch": "00", "acc": {"a": 1}}]', "data row 1, column 'acc'"),
        ('[{"arch": "00", "a": [1], "a@0": 1}]', "two columns are named 'a@0'"),
        ('[{"arch": "00", "acc": "bad"}, {"arch": "01", "acc": 1}]', "data row 1, column 'acc'"),
        ('[{"arch": "00", "acc": NaN}]', "data row 1, column 'acc'"),
        ('[{"arch": "00", "acc": Infinity}]', "data row 1, column 'acc'"),
        ('[{"arch": "00", "acc": 1' + "0" * 400 + "}]", "data row 1, column 'acc'"),
        ('{"arch": ["00", "01"], "acc": [1]}', "the same number of rows"),
        (b'{"arch": ["\xff"]}', "line 1 is not UTF-8"),
    ],
)
def test_invalid_json(tmp_path: Path, text: str | bytes, expected: str) -> None:
    assert expected in message(content(tmp_path, text, "json"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        ("arch,acc\n", "no rows"),
        ("arch;acc\n00;1\n", "separated by commas"),
        ("arch,acc\n00,1\n01\n", "data row 2: 2 cells were expected"),
        ("arch,acc\n00,1\n01,2,3\n", "data row 2: 2 cells were expected"),
        ("arch,acc,acc\n00,1,2\n", "two columns are named 'acc'"),
        (",arch,acc\n0,00,1\n", "index=False"),
        ('arch,acc\n00,1\n01,"2\n', "line 3"),
        (b"arch,acc\n00,1\n0\xe9,2\n", "line 3 is not UTF-8"),
        ("arch,acc\n00,1\n".encode("utf-16"), "line 1 is not UTF-8"),
    ],
)
def test_invalid_csv(tmp_path: Path, text: str | bytes, expected: str) -> None:
    assert expected in message(content(tmp_path, text))


def test_csv_with_byte_order_mark_blank_lines_and_spaces(tmp_path: Path) -> None:
    path = content(tmp_path, "\ufeffarch, acc\r\n\r\n00, 1\r\n 01,2 \r\n\r\n")
    assert by_text(read_user_file(path, "mine")) == {"00": (1.0,), "01": (2.0,)}


def test_text_in_a_late_row_keeps_the_text_of_numbers(tmp_path: Path) -> None:
    rows = "".join(f"{i % 5}.50,{i // 5},{i}\n" for i in range(4999))
    path = content(tmp_path, f"op,x,acc\n{rows}skip,0,1\n")
    table = read_user_file(path, "mine", decisions=["op", "x"])
    assert table.space.choices[0] == ("0.50", "1.50", "2.50", "3.50", "4.50", "skip")
    assert "data row 5000, column 'op'" in message(path, decisions="x", metrics="op")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "this file does not exist" in message(tmp_path / "absent.csv")
    assert ".csv, .json, .parquet, .npz" in message(content(tmp_path, "a", "xlsx"))
    (tmp_path / "folder.csv").mkdir()
    assert "could not be read" in message(tmp_path / "folder.csv")


def test_invalid_parquet(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrow = pytest.importorskip("pyarrow")
    path = write({"arch": ["00", "01"], "acc": [1, 2]}, "parquet")
    path.write_bytes(path.read_bytes()[:-20])
    assert "cut short" in message(path)
    path = write({"arch": ["00", "01"], "acc": [1, 2]}, "parquet")
    path.write_bytes(path.read_bytes().replace(b"acc", b"ac\xff"))
    assert "not Parquet" in message(path)
    path = write({"arch": ["00", "01"], "acc": [[1, 2], [1]]}, "parquet")
    assert "data row 2, column 'acc'" in message(path)
    assert "list" in message(path)
    repeated = arrow.Table.from_arrays([["00"], [1], [2]], names=["arch", "acc", "acc"])
    import pyarrow.parquet

    pyarrow.parquet.write_table(repeated, path)
    assert "two columns are named 'acc'" in message(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install nas-gym[parquet]" in message(path)


def test_parquet_categories_and_small_types(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    table = arrow.table(
        {
            "op0": arrow.array(["a", "b", "a"]).dictionary_encode(),
            "op1": arrow.array([True, True, False]),
            "acc": arrow.array([1, 2, 3], arrow.float32()),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "table.parquet")
    found = by_text(read_user_file(tmp_path / "table.parquet", "mine"))
    assert found == {"a,True": (1.0,), "b,True": (2.0,), "a,False": (3.0,)}


def test_invalid_npz(write: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "table.npz"
    np.savez(path, arch=np.array(["00", "01"], object), acc=[1.0, 2.0])
    assert "column 'arch': the array has Python objects" in message(path)
    np.savez(path, arch=["00", "01"], acc=[[1.0], [2.0]])
    assert "column 'acc'" in message(path)
    np.savez(path, arch=["00", "01"], acc=[1.0])
    assert "the same number of rows" in message(path)
    np.savez(path, arch=["00", "01"], acc=np.array([1, 2], complex))
    assert "complex" in message(path)
    whole = write({"arch": ["00", "01"], "acc": [1, 2]}, "npz").read_bytes()
    assert "cut short" in message(content(tmp_path, whole[:-30], "npz"))
    assert "cut short" in message(content(tmp_path, whole[:30], "npz"))
    bare = io.BytesIO()
    np.save(bare, np.arange(3))
    assert "one array without a name" in message(content(tmp_path, bare.getvalue(), "npz"))


def test_nothing_is_written(write: Callable[..., Path], tmp_path: Path) -> None:
    read_user_file(write({"arch": ["00", "01"], "acc": [1, 2]}), "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_every_reader_is_tried_here() -> None:
    assert list(formats.READERS) == [f".{kind}" for kind in FORMATS]
