"""Metrics of users' files, and arguments of their import."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tables.user_file.files import (
    Columns,
    message,
)

from nas_gym.cli.options import write_as_options
from nas_gym.tables import Metric, Objective
from nas_gym.tables.user_file import read_user_file


@pytest.mark.parametrize("bad", ["oops", "91,5", "5%", "1_0", "inf", "-inf", "", "nan"])
@pytest.mark.parametrize("row", [0, 2, 2500])
def test_cells_that_are_not_numbers(write: Callable[..., Path], bad: str, row: int) -> None:
    cells: list[object] = [0.5 + i for i in range(3000)]
    cells[row] = bad
    path = write({"arch": [f"{i:04}" for i in range(3000)], "acc": cells})
    assert f"data row {row + 1}, column 'acc'" in message(path)


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_missing_numbers(write: Callable[..., Path], kind: str) -> None:
    columns: Columns = {"arch": ["00", "01", "10"], "acc": [1.0, 2.0, 3.0], "ms": [1.0, None, 2.0]}
    path = write(columns, kind)
    assert "data row 2, column 'ms'" in message(path, signal="acc")
    table = read_user_file(path, "mine", signal="acc", allow_missing=True)
    assert np.isnan(table.column("ms")).tolist() == [False, True, False]
    for arguments in ({"signal": "ms"}, {"signal": "acc", "report": "ms"}):
        error = message(path, allow_missing=True, **arguments)
        assert "data row 2, column 'ms'" in error
        assert "every row" in error
    error = message(path, signal="acc")
    assert "allow_missing=True" in error
    message_of_command = write_as_options(error)
    assert "--allow-missing accepts gaps" in message_of_command
    assert "--ignore." in message_of_command
    assert "=" not in message_of_command
    assert read_user_file(path, "mine", metrics="acc").objectives["mine"] == Objective("acc", "acc")


def test_seconds_belong_to_every_other_metric(write: Callable[..., Path]) -> None:
    path = write({"op0": ["a", "b"], "acc": [1.0, 2.0], "time": [30.0, 40.0]}, "csv")
    table = read_user_file(path, "mine", signal="acc", seconds="time")
    assert table.metrics == (Metric("acc", seconds="time"), Metric("time", "s", False))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "'acc', 'ms'"),
        ({"signal": "loss"}, "signal= names 'loss'"),
        ({"signal": "arch"}, "signal= names 'arch'"),
        ({"signal": "acc", "report": "loss"}, "report= names 'loss'"),
        ({"signal": "acc", "minimize": ["loss"]}, "minimize= names 'loss'"),
        ({"signal": "acc", "units": {"loss": "%"}}, "units= names 'loss'"),
        ({"signal": "acc", "seconds": "loss"}, "seconds= names 'loss'"),
        ({"signal": "acc", "metrics": ["loss"]}, "metrics= names 'loss'"),
        ({"signal": "acc", "ignore": ["loss"]}, "ignore= names 'loss'"),
        ({"signal": "acc", "arch": "loss"}, "arch= names 'loss'"),
        ({"signal": "acc", "decisions": ["loss"]}, "decisions= names 'loss'"),
        ({"arch": "arch", "decisions": ["acc"]}, "cannot be given together"),
        ({"arch": "arch", "metrics": ["arch"]}, "named twice"),
        ({"metrics": ["acc", "acc"]}, "named twice"),
        ({"metrics": []}, "no metric"),
        ({"ignore": ["acc", "ms"]}, "no metric"),
    ],
)
def test_invalid_arguments(
    write: Callable[..., Path], arguments: dict[str, Any], expected: str
) -> None:
    path = write({"arch": ["00", "01"], "acc": [1, 2], "ms": [3, 4]})
    assert expected in message(path, **arguments)


def test_a_metric_with_a_colon_is_refused(write: Callable[..., Path]) -> None:
    path = write({"op0": ["a", "b"], "acc": [1, 2], "t:ms": [3, 4]})
    assert "'t:ms': the name of a metric has no ':'" in message(path, signal="acc")
    assert "Rename" in message(path, signal="acc")
    assert len(read_user_file(path, "mine", signal="acc", ignore=["t:ms"]).metrics) == 1
