"""Search methods from outside the package: in worker processes, continued, and broken."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import gymnasium as gym
import pytest

import nas_gym
from nas_gym.experiments.methods import find_method, parse_agents

ENV = "NB201-cifar10-v0"

AGENTS = '''
import time
from dataclasses import dataclass

import numpy as np

import nas_gym


@dataclass(frozen=True)
class ClimberConfig(nas_gym.AgentConfig):
    pause: float = nas_gym.setting(0.0, "Seconds before each query.", low=0)


class Climber(nas_gym.Agent):
    """Mutates the incumbent."""

    config_class = ClimberConfig
    state_attributes = ("best", "fitness")

    def setup(self):
        self.best = np.zeros((self.num_trials, self.space.num_decisions), np.int64)
        self.fitness = np.full(self.num_trials, -np.inf)

    def ask(self):
        time.sleep(self.config.pause)
        draws = self.rng.random((self.num_trials, 2))
        genotypes = self.best.copy()
        columns = (draws[:, 0] * genotypes.shape[1]).astype(int)
        genotypes[np.arange(self.num_trials), columns] = (draws[:, 1] * 5).astype(int)
        return genotypes

    def tell(self, genotypes, fitness):
        better = fitness >= self.fitness
        self.best[better], self.fitness[better] = genotypes[better], fitness[better]


class WrongShape(Climber):
    def ask(self):
        return super().ask()[:, :-1]


class Invalid(Climber):
    def ask(self):
        return np.full_like(super().ask(), 9)


class Fractions(Climber):
    def ask(self):
        return super().ask() / 2


class Unable(Climber):
    def setup(self):
        raise RuntimeError("needs a licence")


def climb(task, queries, rng, pause=0.0):
    best = task.space.sample(1, rng)
    fitness = task.evaluate(best)
    while True:
        time.sleep(pause)
        child = task.space.mutate(best, rng)
        reward = task.evaluate(child)
        if reward >= fitness:
            best, fitness = child, reward


def lazy(task, queries, rng):
    task.evaluate(task.space.sample(2, rng))


NUMBER = 5
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a module of agents."""
    (tmp_path / "climbers.py").write_text(AGENTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("climbers", None)


def agents_of(summary, env=ENV):
    return summary["environments"][env]["agents"]


def without_seconds(summary):
    for env in summary["environments"].values():
        for agent in env["agents"].values():
            del agent["agent_seconds"]
    return summary


def small(agents, **more):
    arguments = {"queries": 12, "seeds": 2, "out": "out", "progress_bar": False, **more}
    return nas_gym.compare(ENV, agents, **arguments)


@pytest.mark.long
def test_a_killed_comparison_resumes_outside_agents(folder):
    agents = ("climbers:Climber", "climbers:climb")
    labels = [f"{agent}(pause=0.01)" for agent in agents]
    command = [sys.executable, "-m", "nas_gym", "compare", ENV, "--agents", ",".join(labels)]
    command += ["--queries", "40", "--seeds", "4", "--out"]
    process = subprocess.Popen(
        [*command, "killed"], stdout=subprocess.DEVNULL, start_new_session=True
    )
    while process.poll() is None:
        if list(folder.glob("killed/*/climbers*/seeds-*.npz")):
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.005)
    assert process.wait() == -signal.SIGKILL
    assert not (folder / "killed" / "summary.json").exists()
    wide = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(
        [*command, "killed"], check=True, capture_output=True, text=True, env=wide
    )
    assert all(label in done.stdout for label in labels)
    killed = without_seconds(json.loads((folder / "killed" / "summary.json").read_text()))
    straight = small(",".join(labels), queries=40, seeds=4, out="straight")
    assert killed == without_seconds(straight)
    report = (folder / "killed" / "report.html").read_text().replace("<wbr>", "")
    for agent, label in zip(agents, labels, strict=True):
        assert agents_of(killed)[label]["trials"] == 4
        assert label in report
        name = label.replace(":", "_")
        assert len(list(folder.glob(f"killed/tensorboard/{ENV}/{name}/events*"))) == 1
        config = json.loads((folder / "killed" / ENV / name / "config.json").read_text())
        assert config["agent"] == agent
        assert config["agent_settings"] == {"pause": 0.01}
        assert len(config["source_sha256"]) == 64


SCRIPT = f"""{AGENTS}
import sys

if __name__ == "__main__":
    agents = ["random", Climber, (Climber, {{"pause": 0.001}}), climb]
    summary = nas_gym.compare(
        "{ENV}", agents, queries=12, seeds=3, out=sys.argv[1], progress_bar=False
    )
    for name, entry in summary["environments"]["{ENV}"]["agents"].items():
        print(name, entry["trials"], entry["failures"])
"""


@pytest.mark.long
def test_classes_and_functions_of_a_script(folder):
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py", "out"]
    for _ in range(2):  # the second time from the stored trials
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert done.stdout.splitlines() == [
            "random 3 {}", "Climber 3 {}", "Climber(pause=0.001) 3 {}", "climb 3 {}"
        ]  # fmt: skip


def test_a_class_a_text_and_a_built_in_one_are_the_same(folder):
    from climbers import Climber

    from nas_gym.agents.regularized_evolution import RegularizedEvolution

    found = agents_of(
        small(
            {
                "class": Climber,
                "text": "climbers:Climber",
                "rea": ("rea", {"sample_size": 3}),
                "RegularizedEvolution": (RegularizedEvolution, {"sample_size": 3}),
            }
        )
    )
    for first, second in (("class", "text"), ("rea", "RegularizedEvolution")):
        assert found[first]["at_queries"] == found[second]["at_queries"]


def test_search_with_a_class_and_with_a_function(folder):
    for agent, files in (("climbers:Climber", {"agent.safetensors"}), ("climbers:climb", set())):
        summary = nas_gym.search(ENV, agent, queries=12, seeds=2, progress_bar=False)
        assert [trial["seed"] for trial in summary["trials"]] == [0, 1]
        out = folder / "runs" / ENV / agent.replace(":", "_")
        assert len((out / "history.jsonl").read_text().splitlines()) == 24
        assert files | {"summary.json", "config.json"} <= {file.name for file in out.iterdir()}
        before = (out / "history.jsonl").read_bytes()
        again = nas_gym.search(ENV, agent, queries=12, seeds=2, progress_bar=False)
        assert (out / "history.jsonl").read_bytes() == before
        assert again["trials"] == summary["trials"]


def test_trials_of_changed_code_are_not_mixed(folder):
    small("climbers:climb")
    small("climbers:climb")
    del sys.modules["climbers"]
    (folder / "climbers.py").write_text(AGENTS.replace("reward >= fitness", "reward > fitness "))
    with pytest.raises(ValueError, match="The code of climbers:climb has changed"):
        small("climbers:climb")


def test_an_agent_whose_trials_all_failed_can_be_mended(folder):
    path = folder / "mended.py"
    path.write_text("def search(task, queries, rng):\n    raise RuntimeError('not yet')\n")
    summary = small("mended:search")
    assert agents_of(summary)["mended:search"]["failures"].keys() == {"0", "1"}
    del sys.modules["mended"]
    path.write_text(
        "def search(task, queries, rng):\n    task.evaluate(task.space.sample(queries, rng))\n"
    )
    importlib.invalidate_caches()
    assert agents_of(small("mended:search"))["mended:search"]["trials"] == 2


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agents", "error", "message"),
    [
        ("random,nowhere:Agent", ValueError, "nowhere"),
        ("random,climbers:Nothing", ValueError, "Nothing"),
        ("random,climbers:NUMBER", ValueError, "climbers:NUMBER"),
        ("random,climbers:ClimberConfig", ValueError, "ClimberConfig"),
        ("random,climbers", ValueError, "There is no agent 'climbers'"),
        ("random,climbers:Climber(speed=1)", TypeError, "no setting speed"),
        ("random,climbers:Climber(pause=fast)", TypeError, "pause"),
        ("random,climbers:Climber(pause=-1)", ValueError, "pause"),
        ("random,climbers:climb(speed=1)", TypeError, "speed"),
        ("random,climbers:Unable", ValueError, "climbers:Unable cannot search .*needs a licence"),
        (["random", 5], TypeError, "got 5"),
        (["random", dict], ValueError, "it is the class dict"),
    ],
)
def test_a_broken_agent_is_named_before_the_first_trial(agents, error, message, folder):
    with pytest.raises(error, match=message):
        small(agents)
    assert not list(folder.rglob("*.npz"))


def test_a_module_that_cannot_be_imported(folder):
    (folder / "broken_module.py").write_text("1 / 0")
    with pytest.raises(ValueError, match=r"broken_module.*division by zero"):
        small("random,broken_module:Agent")


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        ("climbers:WrongShape", r"WrongShape.*shape.*\(1, 5\)"),
        ("climbers:Invalid", "Invalid"),
        ("climbers:Fractions", "Fractions"),
        ("climbers:lazy", "lazy returned after 2 of 12 queries"),
    ],
)
def test_a_faulty_agent_loses_no_other_trials(agent, message, folder, capfd):
    summary = small(f"random,{agent}")
    entry = agents_of(summary)[agent]
    assert (entry["trials"], list(entry["failures"])) == (0, ["0", "1"])
    messages = {error.splitlines()[0] for error in entry["failures"].values()}
    assert len(messages) == 1
    (found,) = messages
    assert re.search(message, found)
    assert agents_of(summary)["random"]["trials"] == 2
    assert f"{agent} on {ENV}, seeds 0, 1" in (folder / "out" / "report.html").read_text()
    with pytest.raises(ValueError, match=message):
        nas_gym.search(ENV, agent, queries=12, seeds=1, out="search", progress_bar=False)


def test_the_command_line_reports_a_faulty_agent_once(folder):
    command = [sys.executable, "-m", "nas_gym", "compare", ENV, "--queries", "5", "--seeds", "3"]
    command += ["--agents", "random,climbers:lazy", "--out", "cli"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stdout.splitlines() if "failed: " in line]
    assert len(lines) == 1
    assert "lazy returned after 2 of 5 queries" in lines[0]
    assert lines[0].endswith("(seeds 0, 1, 2)")


def test_agents_listed_twice(folder):
    from climbers import Climber

    for agents in ("rea,rea", ["rea", "rea"], [Climber, Climber], ["rea,random", "random"]):
        with pytest.raises(ValueError, match="listed twice"):
            parse_agents(agents)
    assert list(parse_agents({"a": Climber, "b": Climber})) == ["a", "b"]


def test_functions_say_which_settings_they_have(folder):
    method = find_method("climbers:climb", {"pause": 0.5})
    task = gym.make(ENV).unwrapped.task
    assert method.all_settings(ENV, task) == {"pause": 0.5}
    assert find_method("climbers:climb", {}).all_settings(ENV, task) == {"pause": 0.0}


# -- agents as texts -------------------------------------------------------------------------------


def test_agents_with_settings():
    text = "random, rea(population_size=10,sample_size=3),rea,ppo(policy=MlpPolicy,gamma=0.9)"
    assert parse_agents(text) == {
        "random": ("random", {}),
        "rea(population_size=10,sample_size=3)": ("rea", {"population_size": 10, "sample_size": 3}),
        "rea": ("rea", {}),
        "ppo(policy=MlpPolicy,gamma=0.9)": ("ppo", {"policy": "MlpPolicy", "gamma": 0.9}),
    }
    nested = 'ppo(policy_kwargs={"net_arch": [32, 32]},n_envs=2),rea'
    assert [settings for _, settings in parse_agents(nested).values()] == [
        {"policy_kwargs": {"net_arch": [32, 32]}, "n_envs": 2},
        {},
    ]


@pytest.mark.parametrize("text", ["", "random,,rea", "rea(", "rea)", "rea(x)", "rea x", "a/../b"])
def test_texts_that_are_not_lists_of_agents(text):
    with pytest.raises(ValueError, match=r"name|NAME"):
        parse_agents(text)


def test_a_text_that_lists_an_agent_twice():
    with pytest.raises(ValueError, match="'rea' is listed twice"):
        parse_agents("rea,random,rea")
    with pytest.raises(ValueError, match="is listed twice"):
        parse_agents("rea(sample_size=5),rea( sample_size = 5 )")


def test_a_changed_helper_of_the_module_is_noticed(tmp_path, monkeypatch):
    """The code of an agent includes the functions of its module."""
    from nas_gym.utils.source_code import source_identity

    monkeypatch.syspath_prepend(str(tmp_path))
    digests = []
    for number in (1, 2):
        name = f"helped{number}"
        text = (
            f"def pick():\n    return {number}\n\n\ndef search(task, queries, rng):\n    pick()\n"
        )
        (tmp_path / f"{name}.py").write_text(text)
        digests.append(source_identity(importlib.import_module(name).search))
    assert digests[0].keys() == {"source_sha256"}
    assert digests[0] != digests[1]
