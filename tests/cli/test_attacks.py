"""Command lines that cannot work end with one message and no traceback."""

from __future__ import annotations

import random
import sys

import pytest

from nas_gym.cli import main

ENV = "NB201-cifar10-v0"
SEARCH = ("search", ENV, "--agent", "random", "--queries", "2", "--seeds", "1")
COMPARE = ("compare", ENV, "--agents", "random", "--queries", "2", "--seeds", "1")
META = ("meta-train", "nbgraph/cora", "--epochs", "1", "--out", "m", "--queries", "2",
        "--set", "num_candidates=32", "--set", "updates=1")  # fmt: skip
AUDIT = ("audit", ENV, "analog_accuracy", "--sample", "5")
PREDICT = ("predict", ENV, "--pretrained", "none")
SUPERNET = ("train-supernet", "NB201", "nothing")
IMPORT = ("data", "import", "nothing.csv", "--name", "x")

OPTIONS = {
    SEARCH: ("agent", "queries", "seeds", "first-seed", "out", "set", "pretrained", "table",
             "signal", "report", "noise", "reward", "evaluator", "dataset", "size", "supernet",
             "device"),
    COMPARE: ("agents", "queries", "seeds", "first-seed", "out", "reward", "report"),
    META: ("agent", "test", "epochs", "queries", "seeds", "first-seed", "out", "set"),
    AUDIT: ("sample", "seed", "out", "report", "table", "device"),
    PREDICT: ("pretrained", "shots", "seed", "top", "save", "reward"),
    SUPERNET: ("epochs", "set", "size", "seed", "device", "out"),
    IMPORT: ("signal", "report", "arch", "decisions", "space", "metrics", "minimize", "seconds"),
}  # fmt: skip

VALUES = (
    "", " ", "-1", "0", "-0.5", "1e400", "nan", "99999999999999999999", "[" * 1000, "(" * 100_000,
    "a=b=c", "population_size=-3", "\0", "\udcff", "é", "..", "/", "/dev/null", "/dev/null/x",
    "/proc/x", "x" * 300, "True", "null", "{}", "(", "a(b", "a(b=1,b=2)", "a:b:c", "os:system",
    "random,,rea", "--", "%s%n", "$(ls)", "0x10", "1_000", "[1,2]", "\n", '"', "\\", "a/b/../c",
)  # fmt: skip


def command_lines():
    """300 command lines, drawn from all options and bad values, and some of other forms."""
    lines = [
        (*base, f"--{option}", value)
        for base, options in OPTIONS.items()
        for option in options
        for value in VALUES
    ]
    random.Random(0).shuffle(lines)
    others = [(*base[:at], value, *base[at + 1 :])
              for base in (SEARCH, COMPARE, META, AUDIT, SUPERNET, IMPORT)
              for at, value in ((0, "nope"), (1, ""), (1, "x" * 300), (1, "\0"))]  # fmt: skip
    others += [("data", command, value)
               for command in ("info", "remove", "fetch", "import", "nope")
               for value in ("", "..", "/", "x" * 300, "../x", "\0")]  # fmt: skip
    others += [("agents", value) for value in ("", "nope", "os:system", "a:b:c", "x" * 300, "(")]
    others += [("--nope",), ("search",), ("compare", "--agents"), (ENV,), ("search", ENV, ENV)]
    return others + lines[: 300 - len(others)]


@pytest.mark.long
@pytest.mark.attack
def test_300_malformed_command_lines(cli, monkeypatch, capsys):
    lines = command_lines()
    assert len(lines) == 300
    for line in lines:
        monkeypatch.setattr(sys, "argv", ["nas-gym", *line])
        shown = [argument[:60] for argument in line]
        try:
            main()
        except SystemExit:
            pass
        except BaseException as error:
            pytest.fail(f"{shown}: {type(error).__name__}: {str(error)[:300]}")
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err, shown
        assert len(err) < 20_000, shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--out", "/"), "root of the file system"),
        (("--out", ""), "after --out is empty"),
        (("--out=",), "--out= has no value"),
        (("--signal", ""), "after --signal is empty"),
        (("--first-seed", "99999999999999999999"), "at most 4294967295"),
        (("--first-seed", -1), "Seeds must be at least 0"),
        (("--seeds", "999999999999"), "at most 100,000"),
        (("--queries", "999999999999"), "at most 10,000,000"),
        (("--agent", "rea(population_size=9)", "--set", "population_size=8"), "given twice"),
        (("--pretrained", "a", "--set", "pretrained=b"), "given twice"),
        (("--agent", "rea", "--set", "population_size=" + "[" * 100_000), "must be an integer"),
        (("--out", "/dev/null/x"), "Could not write"),
        (("--out", "x" * 300), "Could not write"),
    ],
)
def test_searches_that_cannot_start(cli, arguments, says):
    assert says in cli(*SEARCH, *arguments, fails=True)


@pytest.mark.parametrize("out", ["/dev/null/x", "/proc/x", "x" * 300, "/"])
def test_outputs_are_checked_before_the_work(cli, out, monkeypatch):
    from nas_gym.experiments import audit, meta_train, predict, stored_search

    for module, name in ((audit, "audit"), (predict, "rank_architectures"),
                         (meta_train, "_learn"), (stored_search, "run_missing")):  # fmt: skip
        monkeypatch.setattr(module, name, pytest.fail)
    for base, option in ((SEARCH, "--out"), (COMPARE, "--out"), (META, "--out"), (AUDIT, "--out"),
                         (PREDICT, "--save")):  # fmt: skip
        message = cli(*base, option, out, fails=True)
        assert any(words in message for words in ("Could not write", "root", "no file name"))


def test_seeds_below_zero(cli):
    assert "Seeds must be at least 0" in cli(*AUDIT, "--seed", -1, fails=True)
    assert "Seeds must be at least 0" in cli(*PREDICT, "--seed", -1, fails=True)


def test_mpnas_needs_enough_architectures(cli):
    few = ("meta-train", "nbgraph/photo", "--agent", "mpnas", "--queries", 3, "--out", "m")
    assert "queries must be at least 69, got 3" in cli(*few, fails=True)


def test_tournaments_larger_than_the_population_are_refused(cli):
    text = cli(*SEARCH, "--agent", "rea(population_size=5)", fails=True)
    assert "sample_size must be at most population_size, which is 5; got 10" in text


def test_long_messages_are_shortened(cli):
    assert len(cli(*SEARCH, "--signal", "x" * 100_000, fails=True)) < 5_000
