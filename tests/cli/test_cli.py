"""The command line as a user types it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nas_gym
from nas_gym.cli.output import console


def test_as_a_process_of_its_own(process, tmp_path):
    text = process("search", "NB201-cifar10-v0", "--agent", "random", "--queries", 3, "--seeds", 1)
    assert "in_common.png" in text
    assert (tmp_path / "runs/NB201-cifar10-v0/random/summary.json").exists()
    assert "There is no environment 'Nope-v0'" in process("search", "Nope-v0", fails=True)


def test_envs_lists_every_task_and_how_to_get_its_data(cli, monkeypatch):
    from nas_gym.networks.data.few_shot import clear_few_shot_cache

    monkeypatch.delenv("NAS_GYM_DATA", raising=False)
    clear_few_shot_cache()
    text = cli("envs")
    assert "NB201-cifar10" in text
    assert "nas-gym data fetch nats-bench" in text
    assert "nas-gym data fetch omniglot-images" in text
    assert "NBGraph-proteins" in text


def test_agents_are_listed_and_described(cli, tmp_path):
    text = cli("agents")
    assert "at 100 queries it is no better than random search" in " ".join(text.split())
    for name in ("random", "l2nas-paper", "gdas", "maskableppo"):
        assert name in text
    text = cli("agents", "rea")
    for words in ("population_size", "int", "an integer that is at least 1"):
        assert words in text
    assert "hidden" in cli("agents", "catch-paper")
    assert "It has no settings." in cli("agents", "random")
    assert "RankRewards" in cli("agents", "ppo")
    (tmp_path / "mine.py").write_text(
        'def step(task, queries, rng, size=3):\n    """Step by step."""\n'
    )
    text = cli("agents", "mine:step")
    assert "Step by step." in text
    assert "size=3" in text
    assert "There is no agent 'reas'. Did you mean 'rea'?" in cli("agents", "reas", fails=True)


def test_an_entry_point_that_cannot_be_imported_is_listed(cli, monkeypatch):
    from importlib.metadata import EntryPoint

    from nas_gym.agents import registry

    broken = EntryPoint("broken", "nowhere:Agent", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "_entry_points", lambda: {"broken": broken})
    assert "No module named 'nowhere'" in cli("agents")


def test_version(process):
    assert process("--version").strip() == f"nas-gym {nas_gym.__version__}"


def test_search_writes_to_runs_by_default(cli, tmp_path):
    text = cli("search", "NB201-cifar10-v0", "--agent", "random", "--queries", 60, "--seeds", 2)
    assert "94.0664" in text
    assert (tmp_path / "runs/NB201-cifar10-v0/random/history.jsonl").exists()


def test_search_takes_settings_of_the_agent(cli, tmp_path):
    cli("search", "NB201-cifar10-v0", "--queries", 20, "--seeds", 2, "--out", "a",
        "--set", "population_size=5", "--set", "sample_size=3",
        "--report", "analog_accuracy")  # fmt: skip
    config = json.loads((tmp_path / "a/config.json").read_text())
    assert config["agent_settings"] == {"population_size": 5, "sample_size": 3}
    assert config["task"]["report"] == "analog-nasbench:analog_accuracy"


@pytest.mark.long
def test_search_from_a_saved_agent_with_noise(cli, tmp_path):
    common = ("search", "NB201-cifar10-v0", "--agent", "l2nas", "--queries", 30, "--seeds", 2)
    cli(*common, "--reward", "rescaled(best=0.94)", "--out", "first")
    cli(*common, "--noise", 0.3, "--pretrained", "first/agent.safetensors", "--out", "second")
    config = json.loads((tmp_path / "second/config.json").read_text())
    assert config["env_arguments"] == {"noise": 0.3}
    assert config["agent_settings"]["pretrained"] == "first/agent.safetensors"
    assert config["task"]["noise"] == 0.3
    config = json.loads((tmp_path / "first/config.json").read_text())
    assert config["task"]["reward"] == "rescaled(best=0.94)"


def test_meta_train_then_search(cli, tmp_path):
    quick = ("--set", "num_candidates=32", "--set", "updates=1", "--queries", 5)
    train = ("meta-train", "nbgraph/cora", *quick, "--out", "learned", "--epochs")
    assert "nbgraph/cora" in cli(*train, 2)
    cli(*train, 3)  # goes on
    assert list((tmp_path / "learned").glob("events.out.tfevents.*"))
    projected = "00003/z/{}.tsv"  # z after each query, for TensorBoard's projector
    assert projected.format("tensors") in (tmp_path / "learned/projector_config.pbtxt").read_text()
    labels = (tmp_path / "learned" / projected.format("metadata")).read_text().splitlines()
    assert labels[0].split("\t") == ["task", "queries", "signal", "reward"]
    assert len(labels) == 1 + 3 * 5
    points = np.loadtxt(tmp_path / "learned" / projected.format("tensors"))
    assert points.shape == (3 * 5, 10)
    assert len(np.unique(points, axis=0)) == 3 * 5
    search = ("search", "NBGraph-cora-v0", "--agent", "catch", *quick, "--seeds", 2)
    cli(*search, "--pretrained", "learned.safetensors", "--out", "search")
    assert (tmp_path / "search/summary.json").exists()
    says = cli("meta-train", "nbgraph/cora", "--out", "learned", fails=True)
    assert "other settings or seeds" in says
    another = ("meta-train", "nbgraph/photo", *quick, "--out", "learned", "--epochs", 4)
    assert "learned from nbgraph/cora" in cli(*another, fails=True)
    assert "3 epochs from nbgraph/cora" in cli(*train, 1)  # what it has, not what was asked for
    says = cli(*train, 3, "--set", "pretrained=learned", fails=True)
    assert "Leave out pretrained=" in says
    nothing = ("meta-train", "nbgraph/cora", "--out", "nothing")
    for option, value in (("--epochs", 0), ("--queries", 0), ("--seeds", 0), ("--first-seed", -1)):
        assert "at least" in cli(*nothing, option, value, fails=True)
    assert "leave out --test" in cli(*nothing, "--test", "NBGraph-photo-v0", fails=True)
    assert "has no file name" in cli(*nothing[:-1], ".", fails=True)
    assert not list(tmp_path.glob("nothing*"))
    (tmp_path / "learned.safetensors").write_bytes(b"nothing")
    assert "safetensors" in cli(*train, 3, fails=True)


def test_meta_train_on_environments(cli, tmp_path):
    quick = ("--set", "updates=1", "--epochs", 1, "--queries", 3, "--out", "learned")
    names = "NBGraph-cora-v0,NBGraph-cs-v0"
    cli("meta-train", names, "--test", "NBGraph-photo-v0", *quick)
    assert (tmp_path / "learned.safetensors").exists()
    assert "--test" in cli("meta-train", names, *quick, fails=True)
    says = cli("meta-train", names, "--test", "NBGraph-cs-alpha-v0", *quick, fails=True)
    assert "nas-bench-graph-cs:valid_perf belong to both the test task NBGraph-cs-alpha-v0" in says
    assert "There are: nb201-images" in cli("meta-train", "nope", *quick, fails=True)
    says = cli(
        "meta-train", names, "--test", "NBGraph-photo-v0", "--agent", "rea", *quick, fails=True
    )
    assert "does not meta-learn" in says


def test_search_with_the_shipped_agent(cli, tmp_path):
    common = ("search", "NB201-cifar10-v0", "--agent", "catch", "--pretrained", "catch-nb201")
    cli(*common, "--queries", 10, "--seeds", 2, "--out", "a")
    config = json.loads((tmp_path / "a/config.json").read_text())
    assert len(config["pretrained_sha256"]) == 64


def test_import_then_search_then_remove(cli, tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{a}{b}{c},{rng.random()},{rng.random()}" for a in "012" for b in "01" for c in "0123"]
    (tmp_path / "mine.csv").write_text("arch,val,test\n" + "\n".join(rows) + "\n")
    text = cli(
        "data", "import", "mine.csv", "--name", "Mine", "--signal", "val", "--report", "test",
        "--unit", "val=%", "--unit", "test=m/s",
    )  # fmt: skip
    assert "Mine-v0, Mine-alpha-v0, Mine-population-v0" in text
    text = cli("data", "import", "mine.csv", "--name", "Other", fails=True)
    assert "with --signal" in text
    assert "signal=" not in text
    assert "Mine" in cli("envs")
    assert "24" in cli("data", "info", "Mine")
    assert [metric.unit for metric in nas_gym.load_table("Mine").metrics] == ["%", "m/s"]
    for units, message in (
        (("--unit", "val"), "--unit takes METRIC=UNIT"),
        (("--unit", "val=%", "--unit", "val=s"), "'val' is given twice"),
        (("--unit", "arch=%", "--signal", "val"), "arch"),
    ):
        assert message in cli("data", "import", "mine.csv", "--name", "X", *units, fails=True)
    for mode in ("", "-alpha", "-population"):
        cli("search", f"Mine{mode}-v0", "--queries", 30, "--seeds", 2)
    cli("data", "remove", "Mine")
    assert "Mine" not in cli("data", "list")


def test_data_clean(cli, cache):
    assert "Nothing to clean." in cli("data", "clean")
    left = cache / "downloads" / ".file.bin.abcd1234.nas-gym"
    left.parent.mkdir(parents=True)
    left.write_text("")
    assert left.name in cli("data", "clean")
    assert not left.exists()


def test_data_list_and_info(cli):
    assert "help-latency" in cli("data", "list")
    text = cli("data", "info", "analog-nasbench")
    assert "94.0664" in text
    assert "sha256" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("search", "NB201-cifar11-v0"), "Did you mean NB201-cifar10-v0"),
        (("search", "NB201-cifar10"), "Did you mean NB201-cifar10-v0?"),
        (("compare", "NB201-cifar10"), "Did you mean NB201-cifar10-v0?"),
        (("audit", "NB201-cifar10", "analog_accuracy"), "Did you mean NB201-cifar10-v0?"),
        (("search", "NB201-cifar10-v0", "--agent", "sgd"), "random, local, rea"),
        (("search", "CartPole-v1", "--queries", 5), "not an environment of nas_gym"),
        (("search", "NB201-cifar10-v0", "--signal", "acc"), "baseline_accuracy"),
        (("search", "NB201-cifar10-v0", "--set", "x"), "NAME=VALUE"),
        (("search", "NB201-cifar10-v0", "--set", "x=1"), "no setting x"),
        (("search", "NB201-cifar10-v0", "--noise", -1), "standard deviation"),
        (("search", "NB201-cifar10-v0", "--reward", "log"), "reward is"),
        (("search", "NB201-cifar10-v0", "--pretrained", "x"), "no setting pretrained"),
        (("search", "NB201-cifar10-v0", "--agent", "l2nas", "--pretrained", "x"), "no file"),
        (("data", "fetch", "imagenet"), "no table 'imagenet'"),
        (("data", "info", "nothing"), "no table 'nothing'"),
        (("data", "import", "nothing.csv", "--name", "x"), "nothing.csv"),
        (("data", "import", "x.pth", "--name", "x", "--signal", "a"), "leave out --signal"),
        (("data", "import", "x.csv", "--name", "x", "--space", "categorical"), "leave --space out"),
        (("data", "import", "x.csv", "--name", "x", "--space", "Hex"), "no search space 'Hex'"),
    ],
)
def test_error_messages(cli, arguments, says):
    assert says in cli(*arguments, fails=True)


def test_missing_table_names_the_command(cli, monkeypatch):
    monkeypatch.delenv("NAS_GYM_DATA", raising=False)
    assert "nas-gym data fetch nats-bench" in cli("search", "NB201-cifar100-v0", fails=True)


@pytest.mark.long
def test_mpnas_from_meta_training_to_an_audit(cli, tmp_path):
    small = ("--agent", "mpnas", "--set", "width=16", "--set", "steps=3")
    train = ("meta-train", "nbgraph/photo", *small, "--queries", 400, "--seeds", 2, "--out", "mp")
    text = cli(*train, "--epochs", 2)
    assert "Learned in 2 epochs from nbgraph/photo" in text
    assert list((tmp_path / "mp").glob("events.out.tfevents.*"))
    assert "started with epochs=2 and queries=400" in cli(*train, "--epochs", 3, fails=True)

    search = ("search", "NBGraph-photo-v0", *small, "--queries", 6)
    cli(*search, "--seeds", 2, "--pretrained", "mp.safetensors", "--out", "found")
    assert len((tmp_path / "found/history.jsonl").read_text().splitlines()) == 12

    text = cli("predict", "NBGraph-photo-v0", "--pretrained", "mp.safetensors", "--shots", 6,
               "--top", 3, "--save", "fitted")  # fmt: skip
    assert "6 shots" in text
    assert "Spearman correlation with the rewards of the 26,200 others" in text
    assert "predictor:fitted.safetensors" in text
    assert text.count("[0,") == 3

    text = cli("audit", "NBGraph-photo-v0", "valid_perf", "predictor:fitted.safetensors", "--out",
               "audit.json")  # fmt: skip
    assert "P@100" in text
    rows = json.loads((tmp_path / "audit.json").read_text())
    assert [row["signal"] for row in rows] == ["valid_perf", "predictor:fitted.safetensors"]
    assert rows[0]["spearman"] > 0.8 > rows[1]["spearman"] > -1
    cli("search", "NBGraph-photo-v0", "--signal", "predictor:fitted.safetensors", "--queries", 20,
        "--seeds", 2, "--out", "on")  # fmt: skip


def test_predict_and_audit_of_missing_files_and_metrics(cli, tmp_path):
    assert "There is no file" in cli(
        "predict", "NBGraph-photo-v0", "--pretrained", "none", fails=True
    )
    cli(
        "search",
        "NB201-cifar10-v0",
        "--agent",
        "l2nas",
        "--queries",
        12,
        "--seeds",
        1,
        "--out",
        "a",
    )
    text = cli("predict", "NB201-cifar10-v0", "--pretrained", "a/agent.safetensors", fails=True)
    assert "holds no MP-NAS agent" in text
    assert "has no metric 'nothing'" in cli("audit", "NB201-cifar10-v0", "nothing", fails=True)


def test_tables_in_a_pipe_are_plain_and_whole(process, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = process("agents")
    assert "\x1b" not in text
    (row,) = [line for line in text.splitlines() if line.startswith(" reinforce ")]
    assert "REINFORCE over a table of logits" in row
    assert "TPAMI 2021" in row


def test_names_are_never_wrapped(cli, monkeypatch):
    monkeypatch.setattr(console, "_width", 20)
    for name in ("reinforce", "maskableppo"):
        assert any(line.split()[:1] == [name] for line in cli("agents").splitlines())
    text = cli("envs")
    assert "nas-bench-graph-cora" in text
    assert "NB201-ImageNet16-120-v0" in text
    text = cli("compare", "NB201-cifar10-v0", "--agents", "random,rea(population_size=12)",
               "--queries", 5, "--seeds", 1, "--out", "a")  # fmt: skip
    assert " rea(population_size=12) " in text


def test_lists_as_json(cli):
    agents = {each["name"]: each for each in json.loads(cli("agents", "--json"))}
    assert {"random", "l2nas-paper", "ppo"} <= set(agents)
    sizes = [each["name"] for each in agents["rea"]["settings"]]
    assert sizes == ["population_size", "sample_size"]
    assert json.loads(cli("agents", "rea", "--json")) == agents["rea"]["settings"]
    envs = json.loads(cli("envs", "--json"))
    assert "NB201-cifar10-alpha-v0" in envs[0]["ids"]
    tables = {each["table"]: each["here"] for each in json.loads(cli("data", "list", "--json"))}
    assert isinstance(tables["analog-nasbench"], bool)
    assert "There is no agent" in cli("agents", "nope", "--json", fails=True)


def test_completion_in_bash(here):
    scripts = Path(sys.executable).parent
    lines = """
        eval "$(_NAS_GYM_COMPLETE=source_bash nas-gym)"
        COMP_WORDS=(nas-gym search NB201-cifar10-a) COMP_CWORD=2
        _nas_gym_completion nas-gym
        echo "${COMPREPLY[@]}"
    """
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    if shutil.which("bash") is None or not (scripts / "nas-gym").exists():
        pytest.skip("needs bash and an installed package")
    done = subprocess.run(["bash", "-c", lines], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["NB201-cifar10-alpha-v0"], done.stderr


def test_completion_of_environments_agents_and_tables(here):
    from nas_gym.cli.options import complete_agents, complete_environments, complete_tables

    assert "NB201-cifar10-v0" in complete_environments("NB201-cif")
    assert complete_environments("nope") == []
    assert complete_agents("rando") == ["random"]
    assert complete_agents("rea,maskable") == ["rea,maskableppo"]
    assert "nas-bench-graph-cora" in complete_tables("nas-bench-graph-c")
