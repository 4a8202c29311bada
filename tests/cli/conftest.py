"""The command line, within this process and as a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nas_gym.cli import main
from nas_gym.cli.output import console


@pytest.fixture
def here(tmp_path, cache, monkeypatch):
    """A user's folder, with a cache and IDs of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(console, "_width", 200)


@pytest.fixture
def cli(here, monkeypatch, capsys):
    """The command line within this process, which spares seconds of imports."""

    def run(*arguments, fails=False):
        monkeypatch.setattr(sys, "argv", ["nas-gym", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        assert (stop.value.code not in (0, None)) == fails, out + err
        return err if fails else out

    return run


@pytest.fixture
def process(here):
    """The command line as a process of its own."""

    def run(*arguments, fails=False):
        command = [sys.executable, "-m", "nas_gym", *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True)
        assert (result.returncode != 0) == fails, result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        return result.stderr if fails else result.stdout

    return run
