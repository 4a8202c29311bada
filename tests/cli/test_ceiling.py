"""Noise and ceilings on the terminal."""

from pathlib import Path

import pytest


@pytest.mark.long
def test_compare_marks_regrets_below_the_ceiling(cli):
    signal = ("--signal", "analog_accuracy", "--report", "analog_accuracy")
    command = ("compare", "NB201-cifar10-v0", "--agents", "random,local", "--queries", 300)
    printed = " ".join(cli(*command, "--seeds", 1, *signal, "--out", "out").split())
    assert "Regret at the ceiling: 1.8 %" in printed
    assert "* marks lower regrets, which would not last" in printed
    assert "* [" in printed
    assert "* marks lower mean regrets" in Path("out/report.html").read_text()


@pytest.mark.long
def test_compare_explains_no_absent_mark(cli):
    command = ("compare", "NB201-cifar10-v0", "--agents", "random", "--queries", 2, "--seeds", 1)
    printed = cli(*command, "--signal", "analog_accuracy", "--out", "out")
    assert "Regret at the ceiling" in printed
    for shown in (printed, Path("out/report.html").read_text()):
        assert "* marks" not in shown


def test_data_info(cli):
    printed = cli("data", "info", "analog-nasbench")
    assert "0.195 (0.338)" in printed  # noise of baseline_accuracy: near the best, and overall
    assert "Regret at the ceiling: 0.458 %" in printed
    (spread,) = (line for line in printed.splitlines() if "analog_drift_60_std" in line)
    assert "(" not in spread  # the standard deviations of a metric have no noise of trainings
    assert "Regret at the ceiling: 0.0" in cli("data", "info", "nas-bench-graph-cora")
