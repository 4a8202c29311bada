"""Recorded searches: their files, their numbers, and their continuation after a kill."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import gymnasium as gym
import numpy as np
import pytest
from quick import AGENTS, QUICK

import nas_gym  # noqa: F401
from nas_gym.experiments.search import LockstepSearch, run_search
from nas_gym.experiments.settings import SearchSettings
from nas_gym.tables import DamagedDataError
from nas_gym.utils.files import sha256


def settings(agent="rea", queries=60, seeds=3, env="NB201-cifar10-v0", **more):
    quick = {"agent_settings": QUICK.get(agent, {})}
    return SearchSettings(env, agent, queries, seeds, **quick | more)


def without_seconds(history):
    rows = [json.loads(line) for line in history.read_text().splitlines()]
    for row in rows:
        del row["agent_seconds"]
    return rows


def test_output_files(tmp_path):
    summary = run_search(settings(), tmp_path, progress_bar=False)
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [(row["query"], row["seed"]) for row in rows[:4]] == [(1, 0), (1, 1), (1, 2), (2, 0)]
    assert len(rows) == 60 * 3
    assert summary["task"]["signal"] == "analog-nasbench:baseline_accuracy"
    assert summary["optimum"] == pytest.approx(94.0664)
    assert set(summary["at_queries"]) == {"50", "60"}
    last = [row for row in rows if row["query"] == 60]
    assert [row["regret"] for row in last] == [trial["regret"] for trial in summary["trials"]]
    mean = np.mean([row["regret"] for row in last])
    assert summary["at_queries"]["60"]["regret"]["mean"] == pytest.approx(mean)
    for picture in ("curves.png", "in_common.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    (events,) = tmp_path.glob("**/events.out.tfevents.*")
    assert events.parent == tmp_path / "tensorboard" / "rea"


def read_events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return events


def test_events_hold_the_mean_and_the_trials_that_are_asked_for(tmp_path):
    run_search(settings(), tmp_path, progress_bar=False, tensorboard_trials=3)
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    regrets = np.array([row["regret"] for row in rows]).reshape(60, 3)
    runs = tmp_path / "tensorboard" / "rea"
    for folder, expected in [
        (runs, regrets.mean(axis=1)),
        *((runs / f"seed-{i}", regrets[:, i]) for i in range(3)),
    ]:
        written = read_events(folder).Scalars("search/regret")
        assert [event.step for event in written] == list(range(1, 61))
        np.testing.assert_allclose([event.value for event in written], expected, rtol=1e-6)
    run_search(settings(), tmp_path, progress_bar=False)
    assert not list(runs.glob("seed-*")), "the runs of trials that are not asked for are removed"


def test_the_curves_can_be_watched_during_a_search(tmp_path, monkeypatch):
    seen = []

    class Stop(Exception):
        pass

    def advance(run, queries):
        if queries > 30:
            seen.append(read_events(tmp_path / "tensorboard" / "l2nas"))
            raise Stop
        return LockstepSearch.advance(run, queries)

    monkeypatch.setattr("nas_gym.experiments.search._advance_or_explain", advance)
    with pytest.raises(Stop):
        run_search(settings("l2nas", queries=50), tmp_path, progress_bar=False)
    for name, first in (("search/regret", 1), ("train/epsilon", 1), ("train/critic_loss", 8)):
        steps = [event.step for event in seen[0].Scalars(name)]
        assert steps == list(range(first, 31)), name
    monkeypatch.undo()
    run_search(settings("l2nas", queries=50), tmp_path, progress_bar=False)
    events = read_events(tmp_path / "tensorboard" / "l2nas")
    assert [event.step for event in events.Scalars("train/epsilon")] == list(range(1, 51))


@pytest.mark.long
@pytest.mark.parametrize(
    ("agent", "env"),
    [
        *((agent, "NB201-cifar10-v0") for agent in AGENTS),
        *itertools.product(
            ("rea", "l2nas"), ("NBGraph-proteins-alpha-v0", "NB201-cifar10-population-v0")
        ),
    ],
)
def test_an_interrupted_search_has_the_same_history(agent, env, tmp_path):
    wanted = settings(agent, 55, 2, env)
    LockstepSearch(wanted, tmp_path / "straight").advance(55)
    run = LockstepSearch(wanted, tmp_path / "cut")
    run.advance(17)
    run.advance(31)
    with run.history_file.open("a") as file:  # what a kill in the middle of writing leaves
        file.write('{"query": 32, "se')
    run_search(wanted, tmp_path / "cut", progress_bar=False)
    histories = [without_seconds(tmp_path / name / "history.jsonl") for name in ("straight", "cut")]
    assert histories[0] == histories[1]
    assert len(histories[0]) == 55 * 2


@pytest.mark.parametrize("agent", ["l2nas", "rea"])
def test_an_interrupted_search_has_the_same_history_with_noise(agent, tmp_path):
    wanted = settings(agent, env="NB201-cifar10-alpha-v0", env_arguments={"noise": 0.5})
    LockstepSearch(wanted, tmp_path / "straight").advance(60)
    LockstepSearch(wanted, tmp_path / "cut").advance(31)
    run_search(wanted, tmp_path / "cut", progress_bar=False)
    histories = [without_seconds(tmp_path / name / "history.jsonl") for name in ("straight", "cut")]
    assert histories[0] == histories[1]
    assert sorted({row["seed"] for row in histories[0]}) == [0, 1, 2]


def test_events_hold_the_agents_diagnostics(tmp_path):
    wanted = settings("l2nas", queries=40, seeds=2)
    run = LockstepSearch(wanted, tmp_path)
    run.advance(15)  # what was logged before a kill is there, too
    run_search(wanted, tmp_path, progress_bar=False)
    events = read_events(tmp_path / "tensorboard" / "l2nas")
    assert [event.step for event in events.Scalars("train/epsilon")] == list(range(1, 41))
    # from the first batch on
    assert [event.step for event in events.Scalars("train/critic_loss")] == list(range(8, 41))
    assert {"best/architecture", "best/in_common"} == set(events.Tags()["images"])


def test_refused_settings_leave_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="quantile"):
        run_search(settings("l2nas", agent_settings={"quantile": 2.0}), tmp_path / "a")
    run_search(settings("l2nas", queries=8, agent_settings={"noise": 1}), tmp_path / "a")


def test_saved_agent_starts_another_search(tmp_path):
    run_search(settings("l2nas", seeds=2), tmp_path / "first", progress_bar=False)
    file = tmp_path / "first" / "agent.safetensors"
    wanted = settings(
        "l2nas",
        queries=20,
        agent_settings={"pretrained": str(file), "num_random": 4, **QUICK["l2nas"]},
    )
    run_search(wanted, tmp_path / "second", progress_bar=False)
    config = json.loads((tmp_path / "second" / "config.json").read_text())
    assert config["pretrained_sha256"] == sha256(file)
    # another file of the same name is another search
    run_search(settings("l2nas", seeds=1), tmp_path / "first2", progress_bar=False)
    (tmp_path / "first2" / "agent.safetensors").rename(file)
    with pytest.raises(ValueError, match="pretrained_sha256"):
        run_search(wanted, tmp_path / "second", progress_bar=False)


@pytest.mark.long
def test_a_killed_search_has_the_same_history(tmp_path):
    command = [sys.executable, "-m", "nas_gym", "search", "NB201-cifar10-v0", "--agent"]
    command += ["local", "--queries", "600", "--seeds", "20", "--out"]
    folder = tmp_path / "killed"
    kills = 0
    for length in (1, 400_000):  # SIGKILL early and in the middle
        process = subprocess.Popen([*command, str(folder)], stdout=subprocess.DEVNULL)
        history = folder / "history.jsonl"
        while process.poll() is None:
            if history.exists() and history.stat().st_size > length:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        process.wait()
    assert kills >= 1
    summaries = [
        run_search(settings("local", 600, 20), tmp_path / name, progress_bar=False)
        for name in ("straight", "killed")
    ]
    straight = without_seconds(tmp_path / "straight" / "history.jsonl")
    assert without_seconds(folder / "history.jsonl") == straight
    for summary in summaries:
        del summary["agent_seconds"]
    assert summaries[0] == summaries[1]


def test_a_finished_search_is_not_repeated(tmp_path):
    run_search(settings(), tmp_path, progress_bar=False)
    before = (tmp_path / "checkpoint.npz").stat().st_mtime_ns
    run_search(settings(), tmp_path, progress_bar=False)
    assert (tmp_path / "checkpoint.npz").stat().st_mtime_ns == before


def test_a_folder_of_another_search_is_refused(tmp_path):
    run_search(settings(), tmp_path, progress_bar=False)
    with pytest.raises(ValueError, match="different queries"):
        run_search(settings(queries=59), tmp_path, progress_bar=False)
    with pytest.raises(ValueError, match="task"):
        run_search(
            settings(env_arguments={"report": "analog_accuracy"}), tmp_path, progress_bar=False
        )


def test_a_lost_history_is_an_error(tmp_path):
    run_search(settings(), tmp_path, progress_bar=False)
    (tmp_path / "history.jsonl").write_text("")
    with pytest.raises(DamagedDataError, match="shorter"):
        run_search(settings(), tmp_path, progress_bar=False)


def test_thinned_events_end_with_the_last_query(tmp_path):
    summary = run_search(settings("random", queries=601, seeds=1), tmp_path, progress_bar=False)
    events = read_events(tmp_path / "tensorboard" / "random")
    last = events.Scalars("search/regret")[-1]
    assert last.step == 601
    assert last.value == pytest.approx(summary["trials"][0]["regret"], rel=1e-6)
    assert len(events.Scalars("search/regret")) <= 251


def test_a_damaged_config_is_an_error(tmp_path):
    (tmp_path / "config.json").write_text('{"env": ')
    with pytest.raises(DamagedDataError, match=r"config\.json is damaged"):
        run_search(settings(), tmp_path, progress_bar=False)


def test_a_search_never_goes_beyond_its_budget(tmp_path):
    run = LockstepSearch(settings(env="NB201-cifar10-population-v0", queries=7, seeds=2), tmp_path)
    run.advance(7)  # the first generation alone is ten
    assert run.queries == len(run.curves().rewards) == 7
    assert (tmp_path / "history.jsonl").read_text().count("\n") == 14


def test_text_behind_the_checkpoint_is_removed(tmp_path):
    run = LockstepSearch(settings(), tmp_path)
    run.advance(60)
    whole = run.history_file.read_bytes()
    with run.history_file.open("a") as file:
        file.write("x" * 10_000)
    run = LockstepSearch(settings(), tmp_path)
    run.write_checkpoint()
    assert run.history_file.read_bytes() == whole


def test_agent_seconds_accumulate_over_processes(tmp_path):
    run = LockstepSearch(settings(), tmp_path)
    first = run.advance(30).agent_seconds
    run = LockstepSearch(settings(), tmp_path)
    seconds = run.advance(60).agent_seconds
    np.testing.assert_array_equal(seconds[:30], first)
    assert (np.diff(seconds, axis=0) >= 0).all()
    assert (seconds[-1] > first[-1]).all()


@pytest.mark.long
def test_sb3_trials_are_stored_one_by_one(tmp_path):
    summary = run_search(settings("ppo", queries=30, seeds=2), tmp_path, progress_bar=False)
    assert [trial["seed"] for trial in summary["trials"]] == [0, 1]
    assert len(without_seconds(tmp_path / "history.jsonl")) == 60
    assert summary["agent_settings"]["policy"] == "MlpPolicy"
    (events,) = tmp_path.glob("**/events.out.tfevents.*")
    assert events.parent == tmp_path / "tensorboard" / "ppo"
    before = (tmp_path / "seeds-0-0.npz").stat().st_mtime_ns
    run_search(settings("ppo", queries=30, seeds=3), tmp_path, progress_bar=False)  # one more
    assert (tmp_path / "seeds-0-0.npz").stat().st_mtime_ns == before


def test_a_search_that_cannot_start_is_refused(tmp_path):
    with pytest.raises(ValueError, match="PPO uses no action masks"):
        run_search(settings("ppo", env="NBGraph-proteins-v0"), tmp_path, progress_bar=False)


def test_agent_seconds_exclude_writing_files(tmp_path, monkeypatch):
    from nas_gym.experiments import search

    write = search.write_arrays
    monkeypatch.setattr(search, "write_arrays", lambda *all: (time.sleep(0.02), write(*all)))
    summary = run_search(settings("random"), tmp_path, progress_bar=False)
    assert summary["agent_seconds"] < 0.3  # 50 checkpoints take a second


def test_one_command_at_a_time_in_a_folder(tmp_path):
    from nas_gym.experiments.outputs import locked_folder

    with (
        locked_folder(tmp_path),
        pytest.raises(ValueError, match="Another command is writing"),
    ):
        run_search(settings(), tmp_path, progress_bar=False)
    run_search(settings(), tmp_path, progress_bar=False)


@pytest.mark.long
@pytest.mark.attack
def test_two_searches_in_one_folder(tmp_path):
    command = [sys.executable, "-m", "nas_gym", "search", "NB201-cifar10-v0", "--agent", "local"]
    command += ["--queries", "1000", "--seeds", "20", "--out", str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for _ in range(2)]  # fmt: skip
    messages = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2]
    assert any("Another command is writing" in message for message in messages)
    rows = without_seconds(tmp_path / "history.jsonl")
    assert [(row["query"], row["seed"]) for row in rows] == [
        (query, seed) for query in range(1, 1001) for seed in range(20)
    ]


def test_a_config_of_nested_brackets_is_an_error(tmp_path):
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(DamagedDataError, match=r"config\.json is damaged"):
        run_search(settings(), tmp_path, progress_bar=False)


def test_an_unknown_environment_makes_no_folder(tmp_path):
    with pytest.raises(gym.error.NameNotFound, match="Did you mean NB201-cifar10-v0"):
        run_search(settings(env="NB201-cifar10"), tmp_path / "out", progress_bar=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "env", ["NB201-cifar10-v0", "NB201-cifar10-alpha-v0", "NB201-cifar10-population-v0"]
)
@pytest.mark.parametrize("agent", ["local", "rea", "l2nas"])
def test_more_queries_extend_a_search_exactly(agent, env, tmp_path):
    LockstepSearch(settings(agent, 30, 2, env), tmp_path / "straight").advance(30)
    for queries in (7, 19, 30):
        LockstepSearch(settings(agent, queries, 2, env), tmp_path / "grown").advance(queries)
    histories = [
        without_seconds(tmp_path / name / "history.jsonl") for name in ("straight", "grown")
    ]
    assert histories[0] == histories[1]
    assert json.loads((tmp_path / "grown" / "config.json").read_text())["queries"] == 30


def test_more_seeds_run_a_search_again(tmp_path):
    run_search(settings("rea", 20, 2), tmp_path / "grown", progress_bar=False)
    with pytest.warns(UserWarning, match="holds this search with 2 seeds"):
        run_search(settings("rea", 25, 3), tmp_path / "grown", progress_bar=False)
    run_search(settings("rea", 25, 3), tmp_path / "straight", progress_bar=False)
    histories = [
        without_seconds(tmp_path / name / "history.jsonl") for name in ("straight", "grown")
    ]
    assert histories[0] == histories[1]


@pytest.mark.long
def test_more_queries_run_trials_of_other_methods_again(tmp_path):
    run_search(settings("ppo", 10, 1), tmp_path, progress_bar=False)
    with pytest.warns(UserWarning, match="holds trials of 10 queries"):
        summary = run_search(settings("ppo", 20, 1), tmp_path, progress_bar=False)
    assert summary["queries"] == 20
    assert len(without_seconds(tmp_path / "history.jsonl")) == 20


def test_a_changed_history_is_an_error(tmp_path):
    run_search(settings("random", 20, 1), tmp_path, progress_bar=False)
    file = tmp_path / "history.jsonl"
    text = file.read_text()
    file.write_text(text.replace('"query": 3', '"query": 4', 1))
    with pytest.raises(DamagedDataError, match="was changed"):
        run_search(settings("random", 20, 1), tmp_path, progress_bar=False)
    file.write_text(text)
    run_search(settings("random", 20, 1), tmp_path, progress_bar=False)


@pytest.mark.long
@pytest.mark.attack
def test_twenty_kills_of_a_search_change_nothing(tmp_path):
    command = [sys.executable, "-m", "nas_gym", "search", "NB201-cifar10-v0", "--agent", "local"]
    command += ["--queries", "1000", "--seeds", "50", "--out"]
    subprocess.run([*command, str(tmp_path / "straight")], check=True, capture_output=True)
    straight = without_seconds(tmp_path / "straight" / "history.jsonl")
    kills, round_ = 0, 0
    while kills < 20:
        folder = tmp_path / f"killed{round_}"
        checkpoint = folder / "checkpoint.npz"
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = subprocess.Popen([*command, str(folder)], stdout=subprocess.DEVNULL)
        while process.poll() is None:
            if checkpoint.exists() and checkpoint.stat().st_mtime_ns != before:
                time.sleep(0.007 * (kills % 10))  # at different moments between checkpoints
                break
            time.sleep(0.001)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        if process.wait() == 0:
            assert without_seconds(folder / "history.jsonl") == straight
            round_ += 1
    subprocess.run([*command, str(folder)], check=True, capture_output=True)
    assert without_seconds(folder / "history.jsonl") == straight
