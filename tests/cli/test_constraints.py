"""Constraints on the command line."""

import json

import numpy as np

import nas_gym

BOTH = ("--constraint", "help-latency:raspi4 <= 5", "--constraint", "flops <= 100 M")


def test_compare(cli, open_table, tmp_path):
    latency = open_table("help-latency").column("raspi4")
    accuracy = open_table("nats-bench").column("cifar10-test")
    agents = ("--agents", "random,rea(population_size=5,sample_size=3)")
    more = ("--table", "nats-bench", "--queries", 30, "--seeds", 2, "--out", "out")
    printed = cli("compare", "NB201-cifar10-v0", *agents, *more, *BOTH)
    assert "subject to help-latency:raspi4 <= 5 and cost:flops <= 100 M" in printed
    assert "feasible" in printed
    config = json.loads((tmp_path / "out/NB201-cifar10-v0/random/config.json").read_text())
    assert config["env_arguments"]["constraint"] == list(BOTH[1::2])
    report = (tmp_path / "out/report.html").read_text()
    assert "Subject to help-latency:raspi4 &lt;= 5 and cost:flops &lt;= 100 M" in report
    assert "Metrics of the last incumbents" in report
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    task = nas_gym.make_task(table="nats-bench", dataset="cifar10", constraint=BOTH[1::2])
    feasible = task.violations(np.arange(task.space.size)) == 0
    assert (latency[feasible] <= 5).all()
    found = summary["environments"]["NB201-cifar10-v0"]
    assert found["optimum"] == accuracy[feasible].max()


def test_search(cli, open_table, tmp_path):
    least = open_table("help-latency").column("raspi4").min()
    command = ("search", "NB201-cifar10-v0", "--agent", "random", "--queries", 10, "--seeds", 2)
    assert "Means of the last incumbents: " in cli(*command, "--out", "out", *BOTH)
    message = cli(
        *command, "--constraint", "help-latency:raspi4 <= 0.001", "--out", "no", fails=True
    )
    assert f"the lowest value of help-latency:raspi4 is {least:.6g}" in message
