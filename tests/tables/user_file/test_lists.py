"""Columns of lists, one number for each training, and columns that are left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tables.user_file.files import content, message

from nas_gym import tables
from nas_gym.registration import import_table
from nas_gym.tables import Metric, Objective
from nas_gym.tables.user_file import read_user_file

RAW = [
    {"arch": "00", "val_acc": 90, "test_acc": [80, 81, 85], "log": {"epochs": [1, 2]}},
    {"arch": "01", "val_acc": 91, "test_acc": [70, 75, 74], "log": [1]},
    {"arch": "10", "val_acc": 92, "test_acc": [60, 60, 60], "log": None},
]


def test_a_column_of_any_kind_can_be_ignored(tmp_path: Path) -> None:
    path = content(tmp_path, json.dumps(RAW), "json")
    assert "column 'log'" in message(path, signal="val_acc")
    table = read_user_file(path, "mine", ignore=["log", "test_acc"])
    assert [metric.name for metric in table.metrics] == ["val_acc"]
    assert "ignore= names 'nothing'" in message(path, ignore="nothing")
    assert "'log' is named twice" in message(path, ignore="log", metrics=["log"])


def test_a_column_of_lists_gives_a_metric_for_each_training_and_the_mean(tmp_path: Path) -> None:
    path = content(tmp_path, json.dumps(RAW), "json")
    table = read_user_file(
        path, "mine", ignore="log", signal="test_acc@1", report="test_acc", units={"test_acc": "%"}
    )
    assert table.objectives == {"mine": Objective("test_acc@1", "test_acc")}
    assert table.metrics == (
        Metric("val_acc"),
        *(Metric(name, "%") for name in ("test_acc", "test_acc@0", "test_acc@1", "test_acc@2")),
    )
    assert table.column("test_acc").tolist() == [82, 73, 60]
    assert table.column("test_acc@1").tolist() == [81, 75, 60]


def test_options_hold_for_all_trainings(tmp_path: Path) -> None:
    rows = [{"arch": a, "loss": [1, 2], "time": [3, 4]} for a in ("00", "01")]
    path = content(tmp_path, json.dumps(rows), "json")
    table = read_user_file(path, "mine", signal="loss", minimize="loss", seconds="time")
    assert table.metrics == (
        *(Metric(name, "", False, "", "time") for name in ("loss", "loss@0", "loss@1")),
        *(Metric(name, "s", False) for name in ("time", "time@0", "time@1")),
    )


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_the_mean_of_the_only_metric_is_the_signal(write: Callable[..., Path], kind: str) -> None:
    path = write({"arch": ["00", "01"], "acc": [[1.0, 3.0], [4.0, 4.0]]}, kind)
    table = read_user_file(path, "mine")
    assert table.objectives == {"mine": Objective("acc", "acc")}
    assert table.values.tolist() == [[2, 1, 3], [4, 4, 4]]


def test_a_missing_training(tmp_path: Path) -> None:
    rows = [{"arch": "00", "acc": 1, "runs": [1, None]}, {"arch": "01", "acc": 1, "runs": [1, 2]}]
    path = content(tmp_path, json.dumps(rows), "json")
    assert "data row 1, column 'runs'" in message(path, signal="acc")
    table = read_user_file(path, "mine", signal="acc", allow_missing=True)
    np.testing.assert_array_equal(table.column("runs"), [np.nan, 1.5])
    assert table.column("runs@0").tolist() == [1, 1]


def test_lists_as_architectures(write: Callable[..., Path]) -> None:
    path = write({"cell": [[0, 1], [1, 0]], "acc": [1, 2]}, "json")
    table = read_user_file(path, "mine", arch="cell")
    assert table.space.to_text(table.space.decode([0, 1])) == ["0,1", "1,0"]


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_digit_strings_keep_their_notation(
    cache: Path, write: Callable[..., Path], kind: str
) -> None:
    texts = ["11102202", "01102202", "21102202"]
    import_table(write({"arch": texts, "acc": [1, 2, 3]}, kind), "Mine")
    space = tables.load_table("Mine").space
    assert space.to_text(space.from_text(texts)) == texts
    assert space.from_text(["1,1,1,0,2,2,0,2"]).tolist() == [[1, 1, 1, 0, 2, 2, 0, 2]]
    for wrong in ("1110220", "111022023", "1110220x", ""):
        with pytest.raises(ValueError, match=r"choices, Mine has 8|unknown choice"):
            space.from_text([wrong])


def test_a_full_table_has_its_own_name(cache: Path, write: Callable[..., Path]) -> None:
    import_table(write({"arch": ["0", "1"], "acc": [1, 2]}), "Digits")
    columns: dict[str, list[Any]] = {"op0": ["a", "b"], "acc": [1, 2]}
    import_table(write(columns), "Labels")
    for name in ("Digits", "Labels"):
        space = tables.load_table(name).space
        assert (space.name, space.size, space.is_partial) == (name, 2, False)


@pytest.mark.parametrize("argument", ["arch", "decisions", "metrics", "signal", "report"])
def test_empty_names(write: Callable[..., Path], argument: str) -> None:
    path = write({"arch": ["0", "1"], "acc": [1, 2]})
    assert f"{argument}= names ''" in message(path, **{argument: ""})


def test_messages_about_many_columns_are_short(tmp_path: Path) -> None:
    names = [f"x{i}" for i in range(20_000)]
    path = content(tmp_path, f"arch,{','.join(names)}\n0,{'1,' * 19_999}1\n")
    text = message(path)
    assert len(text) < 2500
    assert "and 19,9" in text
    table = read_user_file(path, "mine", arch="arch", signal="x7")
    with pytest.raises(KeyError) as caught:
        table.metric("y")
    assert len(str(caught.value)) < 1000
    assert "'x0', 'x1'" in message(path, signal="y" * 10**6)


def test_messages_about_long_cells_are_short(tmp_path: Path) -> None:
    long = "y" * 10**6
    for text in (f"arch,acc\n0,{long}\n", f"arch,acc\n{long},1\n", f"{long}\n", f"arch,{long}\n"):
        assert len(message(content(tmp_path, text))) < 2500
    rows = [{"arch": "0", "acc": [[1] * 10**6]}, {"arch": "1", "acc": {"a": long}}]
    assert len(message(content(tmp_path, json.dumps(rows), "json"))) < 2500
