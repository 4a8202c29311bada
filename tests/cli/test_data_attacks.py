"""Malformed command lines of ``nas-gym data``: one line that says what to do, no traceback."""

import os
import sys

import pytest

import nas_gym
from nas_gym.cli import main

IMPORT = ("import", "--name", "Mine")
COMMANDS = [
    ("import",),
    ("import", "mine.csv"),
    ("import", "mine.csv", "--name", ""),
    ("import", "mine.csv", "--name", "../x"),
    ("import", "mine.csv", "--name", "x" * 300),
    ("import", "mine.csv", "--name", "a b"),
    ("import", "mine.csv", "--name", "x-v0"),
    ("import", "mine.csv", "--name", "analog-nasbench"),
    ("import", "mine.csv", "--name", "NB201-cifar10"),
    (*IMPORT, ""),
    (*IMPORT, "."),
    (*IMPORT, "/"),
    (*IMPORT, "absent.csv"),
    (*IMPORT, "absent.pth"),
    (*IMPORT, "mine.csv/below.csv"),
    (*IMPORT, "x" * 5000 + ".csv"),
    (*IMPORT, "a\0b.csv"),
    (*IMPORT, "/dev/zero"),
    (*IMPORT, "zero.csv"),
    (*IMPORT, "pipe.csv"),
    (*IMPORT, "pipe.pth"),
    (*IMPORT, "loop.csv"),
    (*IMPORT, "loop.pth"),
    (*IMPORT, "folder.csv"),
    (*IMPORT, "folder.pth"),
    (*IMPORT, "empty.csv"),
    (*IMPORT, "mine.csv"),
    (*IMPORT, "mine.csv", "--signal", ""),
    (*IMPORT, "mine.csv", "--signal", "val", "--report", ""),
    (*IMPORT, "mine.csv", "--signal", "val", "--report", "nope"),
    (*IMPORT, "mine.csv", "--signal", "val,test"),
    (*IMPORT, "mine.csv", "--signal", "val", "--arch", ""),
    (*IMPORT, "mine.csv", "--signal", "val", "--decisions", ""),
    (*IMPORT, "mine.csv", "--signal", "val", "--decisions", ",,"),
    (*IMPORT, "mine.csv", "--signal", "val", "--decisions", "op0,op0"),
    (*IMPORT, "mine.csv", "--signal", "val", "--arch", "op0", "--decisions", "op1"),
    (*IMPORT, "mine.csv", "--signal", "val", "--space", ""),
    (*IMPORT, "mine.csv", "--signal", "val", "--space", "categorical"),
    (*IMPORT, "mine.csv", "--signal", "val", "--space", "NB201"),
    (*IMPORT, "mine.csv", "--signal", "val", "--metrics", ""),
    (*IMPORT, "mine.csv", "--signal", "val", "--ignore", ""),
    (*IMPORT, "mine.csv", "--signal", "val", "--ignore", "val"),
    (*IMPORT, "mine.csv", "--signal", "val", "--minimize", ""),
    (*IMPORT, "mine.csv", "--signal", "val", "--seconds", ""),
    (*IMPORT, "mine.csv", "--signal", "val", "--seconds", "nope"),
    (*IMPORT, "mine.csv", "--unknown"),
    (*IMPORT, "mine.pth", "--signal", "val"),
    ("import", "mine.csv", "--name", "Taken", "--signal", "val"),
    ("fetch",),
    ("fetch", ""),
    ("fetch", "nope-images"),
    ("fetch", "../x"),
    ("info",),
    ("info", ""),
    ("info", ".."),
    ("info", "x" * 5000),
    ("info", "a\0b"),
    ("remove",),
    ("remove", ""),
    ("remove", ".."),
    ("remove", "/"),
    ("remove", "a\0b"),
    ("clean", "x"),
    ("nope",),
]


@pytest.fixture
def files(tmp_path, cache, write_csv, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nas_gym.import_table(write_csv(), "Taken", signal="val")
    (tmp_path / "empty.csv").write_text("")
    os.mkfifo(tmp_path / "pipe.csv")
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for suffix in ("csv", "pth"):
        (tmp_path / f"loop.{suffix}").symlink_to(f"loop.{suffix}")
        (tmp_path / f"folder.{suffix}").mkdir()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command)[:60])
@pytest.mark.usefixtures("files")
def test_malformed_commands(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["nas-gym", "data", *command])
    with pytest.raises(SystemExit) as caught:
        main()
    output = capsys.readouterr()
    assert caught.value.code == 2
    assert output.err or output.out  # a group without a command shows its help
    assert "Traceback" not in output.err
    assert "=True" not in output.err
    if output.err.startswith("nas-gym: "):
        assert len(output.err.splitlines()) == 1
        assert len(output.err) < 3000
