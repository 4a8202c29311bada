"""A fixture that writes users' files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tables.user_file.files import WRITERS, Columns


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(columns: Columns, kind: str = "csv") -> Path:
        path = tmp_path / f"table.{kind}"
        WRITERS[kind](path, columns)
        return path

    return write
