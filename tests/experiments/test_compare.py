"""Comparisons: the same results after interruptions, and one failure loses nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import gymnasium as gym
import numpy as np
import pytest

import nas_gym
from nas_gym.agents.random_search import RandomSearch
from nas_gym.agents.regularized_evolution import RegularizedEvolution
from nas_gym.experiments.compare import Comparison, find_searches, run_comparison
from nas_gym.experiments.methods import find_method
from nas_gym.experiments.runners import run_job
from nas_gym.experiments.stored_search import run_missing

ENV = "NB201-cifar10-v0"


def comparison(agents="random,rea", envs=(ENV,), queries=60, seeds=4, **more):
    return Comparison(list(envs), agents, queries, seeds, **more)


def run(folder, *arguments, runner=None, **more):
    wanted = comparison(*arguments, **more)
    return run_comparison(wanted, folder, progress_bar=False, runner=runner)


def without_seconds(summary):
    text = json.dumps(summary, sort_keys=True)
    found = json.loads(text)
    for env in found["environments"].values():
        for agent in env["agents"].values():
            del agent["agent_seconds"]
    return found


def test_output_files(tmp_path):
    summary = run(tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    found = summary["environments"][ENV]["agents"]
    assert list(found) == ["random", "rea"]
    assert found["rea"]["seeds"] == [0, 1, 2, 3]
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert list(tmp_path.glob("*.png"))
    assert len(list(tmp_path.glob("tensorboard/*/rea/events*"))) == 1


def test_trials_depend_on_their_seeds_alone(tmp_path):
    trials = run_missing(find_searches(comparison("rea", seeds=3), tmp_path), progress_bar=False)
    for seed in range(3):
        envs = gym.make_vec(ENV, num_envs=1)
        agent = RegularizedEvolution(envs, seed=seed)
        while agent.num_queries < 60:
            agent.query()
        np.testing.assert_array_equal(trials[0].curves.indices[:, seed], envs.history.indices[:, 0])


def test_agents_and_seeds_can_be_added(tmp_path):
    run(tmp_path / "grown", seeds=2)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("grown/*/*/seeds-*.npz")}
    grown = run(tmp_path / "grown", "random,rea,local", seeds=5)
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())
    assert without_seconds(grown) == without_seconds(
        run(tmp_path / "whole", "random,rea,local", seeds=5)
    )


@pytest.mark.long
def test_noise_depends_on_the_seed_alone(tmp_path):
    noisy = {"env_arguments": {"noise": 1.0}}
    run(tmp_path / "grown", "random,ppo", queries=20, seeds=1, **noisy)
    grown = run(tmp_path / "grown", "random,ppo", queries=20, seeds=2, **noisy)
    whole = run(tmp_path / "whole", "random,ppo", queries=20, seeds=2, **noisy)
    assert without_seconds(grown) == without_seconds(whole)
    assert whole["environments"][ENV]["task"]["noise"] == 1.0
    with pytest.raises(ValueError, match="task"):
        run(tmp_path / "whole", "random,ppo", queries=20, seeds=2)
    # what the agents were told is kept, the same of an architecture whoever asked
    told = {}
    for agent in ("random", "ppo"):
        for file in (tmp_path / "whole" / ENV / agent).glob("*.npz"):
            first = int(file.stem.split("-")[1])
            with np.load(file) as record:
                pairs = zip(record["indices"].T, record["rewards"].T, strict=True)
                for seed, (indices, rewards) in enumerate(pairs, first):
                    for index, reward in zip(indices, rewards, strict=True):
                        assert told.setdefault((seed, int(index)), reward) == reward
    table = gym.make(ENV).unwrapped.task.rewards
    assert all(reward != table[index] for (_, index), reward in told.items())


def test_a_folder_of_another_comparison_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(ValueError, match="different queries"):
        run(tmp_path, queries=50)
    with pytest.raises(ValueError, match="task"):
        run(tmp_path, env_arguments={"report": "analog_accuracy"})


@pytest.mark.long
def test_sb3_algorithms_take_part(tmp_path):
    summary = run(tmp_path, "random,ppo,ddpg(learning_starts=10)", queries=30, seeds=2)
    agents = summary["environments"][ENV]["agents"]
    assert [entry["trials"] for entry in agents.values()] == [2, 2, 2]
    assert not any(entry["failures"] for entry in agents.values())


class InProcess:
    """A runner in this process, which alone can import the agents of this file."""

    workers = 2

    def run(self, jobs, ended):
        waiting = list(jobs)
        while waiting:
            job = waiting.pop(0)
            waiting[:0] = ended(job, run_job(job))


class Failing(RandomSearch):
    """Fails in the trial of seed 2, at the tenth query; in lockstep with it all others do, too."""

    mended = False

    def ask(self):
        if not self.mended and self.num_queries == 9 and 2 in self.rng.seeds:
            raise RuntimeError("seed 2\n<fails>")
        return super().ask()


def test_one_failure_loses_no_other_trial(tmp_path, monkeypatch):
    agents = {"random": "random", "failing": Failing}
    summary = run(tmp_path, agents, runner=InProcess())
    found = summary["environments"][ENV]["agents"]
    assert found["failing"]["seeds"] == [0, 1, 3]
    assert list(found["failing"]["failures"]) == ["2"]
    assert found["failing"]["failures"]["2"].startswith("RuntimeError: seed 2 <fails>\n")
    assert found["random"]["trials"] == 4
    assert "seed 2 &lt;fails&gt;" in (tmp_path / "report.html").read_text()
    monkeypatch.setattr(Failing, "mended", True)
    summary = run(tmp_path, agents, runner=InProcess())  # failures are tried again
    assert summary["environments"][ENV]["agents"]["failing"]["failures"] == {}


class Leaving(RandomSearch):
    """Ends its process, as if all were well, in the trial of seed 2."""

    def ask(self):
        if 2 in self.rng.seeds:
            raise SystemExit(0)
        return super().ask()


def test_missing_trials_are_reported_as_failures(tmp_path):
    summary = run(tmp_path, ["random", Leaving], runner=InProcess())
    entry = summary["environments"][ENV]["agents"]["Leaving"]
    assert entry["seeds"] == [0, 1, 3]
    assert list(entry["failures"]) == ["2"]


def test_agents_that_cannot_search_are_refused_before_the_first_trial(tmp_path):
    envs = [ENV, "NBGraph-proteins-v0"]
    with pytest.raises(ValueError, match="maskableppo"):
        run(tmp_path, "random,dqn", envs, queries=20, seeds=1)
    with pytest.raises(ValueError, match="gdas cannot search NBGraph-proteins-v0"):
        run(tmp_path, "random,gdas", envs, queries=20, seeds=1)
    assert not list(tmp_path.rglob("*.npz"))
    assert not list(tmp_path.rglob("config.json"))


@pytest.mark.parametrize("agents", ["random,local,rea,reinforce", "tpe"])
def test_exhausted_spaces(agents, tmp_path, cache, write_csv):
    nas_gym.import_table(write_csv(), "Tiny", signal="val", report="test")
    summary = run(tmp_path / "out", agents, ["Tiny-v0"], queries=40, seeds=2)
    for entry in summary["environments"]["Tiny-v0"]["agents"].values():
        assert entry["failures"] == {}
        assert entry["unique_queries"] <= 6
        if entry["unique_queries"] == 6:
            assert entry["reached"]["best"] == 1.0


@pytest.mark.long
def test_a_killed_comparison_ends_with_the_same_summary(tmp_path):
    command = [sys.executable, "-m", "nas_gym", "compare", ENV, "--agents"]
    command += ["random,rea,ddpg", "--queries", "20", "--seeds", "2", "--out"]
    folder = tmp_path / "killed"
    kills = 0
    for files in (1, 2):
        process = subprocess.Popen(
            [*command, str(folder)], stdout=subprocess.DEVNULL, start_new_session=True
        )
        while process.poll() is None:
            if len(list(folder.glob("*/*/seeds-*.npz"))) >= files:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.005)
        process.wait()
    assert kills == 2
    assert not (folder / "summary.json").exists()
    straight, killed = (
        without_seconds(run(tmp_path / name, "random,rea,ddpg", queries=20, seeds=2))
        for name in ("straight", "killed")
    )
    assert straight == killed


@pytest.mark.long
@pytest.mark.parametrize("agent", ["random", "rea"])
def test_300_trials_of_1000_queries(agent, tmp_path):
    started = time.perf_counter()
    trials = run_missing(
        find_searches(comparison(agent, queries=1000, seeds=300), tmp_path), progress_bar=False
    )
    assert trials[0].curves.regrets.shape == (1000, 300)
    assert time.perf_counter() - started < 30


def test_bad_comparisons(tmp_path):
    with pytest.raises(ValueError, match="listed twice"):
        run(tmp_path, envs=[ENV, ENV])
    with pytest.raises(ValueError, match=f"{ENV} and NB201-cifar10-alpha-v0 are the same task"):
        run(tmp_path, envs=[ENV, "NB201-cifar10-alpha-v0"])
    with pytest.raises(TypeError, match="list of IDs"):
        run_comparison(Comparison(ENV, "random", 5, 1), tmp_path, progress_bar=False)
    for agents in ("random,rea(foo=1)", "ppo(foo=1)"):
        with pytest.raises(TypeError, match="no setting foo"):
            run(tmp_path, agents)
    with pytest.raises(TypeError, match="sample_size must be an integer"):
        run(tmp_path, "rea(sample_size=x)")
    with pytest.raises(ValueError, match="There is no agent"):
        run(tmp_path, "random,magic")
    with pytest.raises(gym.error.Error, match="cifar11"):
        run(tmp_path, envs=["NB201-cifar11-v0"])
    with pytest.raises(ValueError, match="not an environment of nas_gym"):
        run(tmp_path, envs=["CartPole-v1"])
    assert not list(tmp_path.rglob("*.npz"))


def test_damaged_trials_are_run_again(tmp_path):
    summary = run(tmp_path)
    files = sorted(tmp_path.glob("*/rea/seeds-*.npz"))
    files[0].write_bytes(files[0].read_bytes()[:100])
    with np.load(files[1]) as record:
        np.savez(files[1], **{name: array[:20] for name, array in record.items()})
    with pytest.warns(UserWarning, match="is damaged.*run again"):
        again = run(tmp_path)
    assert without_seconds(again) == without_seconds(summary)


def test_trials_without_a_config_are_refused(tmp_path):
    run(tmp_path, "rea")
    (tmp_path / ENV / "rea" / "config.json").unlink()
    with pytest.raises(ValueError, match=r"without a config\.json"):
        run(tmp_path, "rea", queries=61)


def test_one_comparison_at_a_time(tmp_path):
    from filelock import FileLock

    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(ValueError, match="Another command is writing"),
    ):
        run(tmp_path)
    run(tmp_path, "random", seeds=1)


def test_outputs_of_an_earlier_comparison_are_removed(tmp_path):
    run(tmp_path, "random,rea")
    run(tmp_path, "random", ["NBGraph-cora-v0"], queries=20, seeds=1)
    assert {file.name for file in tmp_path.glob("*.png")} == {
        "curves-NBGraph-cora-v0.png",
        "profile-NBGraph-cora-v0.png",
    }
    assert [path.name for path in (tmp_path / "tensorboard").iterdir()] == ["NBGraph-cora-v0"]


def test_the_report_names_the_mode_of_the_search(tmp_path):
    summary = run(tmp_path, "random,td3(learning_starts=5)", queries=12, seeds=1)
    agents = summary["environments"][ENV]["agents"]
    assert agents["random"]["searched_env"] == ENV
    assert agents["td3(learning_starts=5)"]["searched_env"] == "NB201-cifar10-alpha-v0"
    assert "in NB201-cifar10-alpha-v0" in (tmp_path / "report.html").read_text()


UNGUARDED = """
import sys
import nas_gym
nas_gym.compare(
    "NB201-cifar10-v0", "random", queries=20, seeds=4, out=sys.argv[1], progress_bar=False
)
print("done")
"""


def test_a_script_without_a_guard_gets_advice(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    command = [sys.executable, str(script), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stdout == ""
    assert 'if __name__ == "__main__":' in done.stderr.splitlines()[-3]
    script.write_text(UNGUARDED.replace("nas_gym.comp", 'if __name__ == "__main__": nas_gym.comp'))
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_settings_with_slashes_stay_in_their_folder(tmp_path):
    run(tmp_path, 'random,ppo(vec_env_wrapper=[],policy="MlpPolicy")', queries=10, seeds=1)
    folders = {folder.name for folder in (tmp_path / ENV).iterdir()}
    assert folders == {"random", "ppo(vec_env_wrapper=__,policy=_MlpPolicy_)"}


def test_events_of_a_comparison(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tmp_path, "rea", seeds=1)
    events = EventAccumulator(str(tmp_path / "tensorboard" / ENV / "rea"))
    events.Reload()
    tags = events.Tags()
    curves = {"incumbent_reward", "incumbent_report", "regret", "unique_queries", "agent_seconds"}
    assert {f"search/{name}" for name in curves} <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("search/regret")] == list(range(1, 61))
    assert tags["images"] == ["best/architecture", "best/in_common"]
    assert "best/arch/text_summary" in tags["tensors"]
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"population_size" in content


def test_sb3_trials_have_the_requested_number_of_queries():
    record = find_method("ppo", {}).run_trials(ENV, 25, [0, 1], {})
    assert record["indices"].shape == (25, 2)


def test_a_latency_reward_is_named(tmp_path, open_table):
    for table in ("nats-bench", "help-latency"):
        open_table(table)
    reward = "latency(column=help-latency:raspi4,target=5,weight=-0.07)"
    summary = nas_gym.compare(
        "NB201-cifar100-v0", "random,rea", queries=10, seeds=2, out=tmp_path, reward=reward,
        progress_bar=False,
    )  # fmt: skip
    found = summary["environments"]["NB201-cifar100-v0"]
    assert found["task"]["reward"] == reward
    assert found["metric"]["name"] == "reward"
    assert found["metric"]["regret_of"] == f"{reward} of nats-bench:cifar100-test"
    assert found["optimum"] > 0
    text = (tmp_path / "report.html").read_text()
    assert f"Reward: {reward}." in text
    assert f"Regret is of {reward} of nats-bench:cifar100-test:" in text


class Counting:
    """A runner that runs jobs in this process, and counts them."""

    workers = 1

    def __init__(self):
        self.jobs = 0

    def run(self, jobs, ended):
        for job in jobs:
            self.jobs += 1
            assert ended(job, run_job(job)) == []


def test_a_custom_runner(tmp_path):
    runner = Counting()
    arguments = {"queries": 10, "seeds": 3, "progress_bar": False}
    summary = nas_gym.compare(ENV, "random,rea", out=tmp_path / "own", runner=runner, **arguments)
    assert runner.jobs == 2
    local = nas_gym.compare([ENV], ["random", "rea"], out=tmp_path / "local", **arguments)
    assert without_seconds(summary) == without_seconds(local)
    assert np.isfinite(summary["environments"][ENV]["optimum"])


@pytest.mark.parametrize(
    "agent", ["ppo(n_steps=-3)", "ppo(learning_rate=abc)", "sac(policy=Nope)", "rea(sample_size=0)"]
)
def test_settings_that_cannot_work_are_refused_before_the_first_trial(agent, tmp_path):
    with pytest.raises(ValueError, match=r"cannot search|must be"):
        run(tmp_path, f"random,{agent}", queries=20, seeds=1)
    assert not list(tmp_path.rglob("*.npz"))


def test_equal_failures_are_one_entry_of_the_report(tmp_path):
    class Broken(RandomSearch):
        """Fails in its first query."""

        def ask(self):
            raise RuntimeError("out of ideas")

    run(tmp_path, ["random", Broken], runner=InProcess())
    text = (tmp_path / "report.html").read_text()
    assert text.count("<details>") == text.count("Traceback (most recent call last)") == 1
    assert "<strong>RuntimeError: out of ideas</strong>" in text
    assert "seeds 0, 1, 2, 3" in text


def test_more_queries_run_a_comparison_again(tmp_path):
    run(tmp_path / "grown", queries=10, seeds=2, runner=InProcess())
    with pytest.warns(UserWarning, match="trials of 10 queries. They are run again with 20"):
        grown = run(tmp_path / "grown", queries=20, seeds=2, runner=InProcess())
    whole = run(tmp_path / "whole", queries=20, seeds=2, runner=InProcess())
    assert without_seconds(grown) == without_seconds(whole)


def test_tensorboard_has_one_run_for_each_agent(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    wanted = comparison("rea", queries=12, seeds=3)
    run_comparison(wanted, tmp_path, progress_bar=False, runner=InProcess(), tensorboard_trials=1)
    runs = sorted(file.parent for file in tmp_path.glob("tensorboard/**/events*"))
    agent = tmp_path / "tensorboard" / ENV / "rea"
    assert runs == [agent, agent / "seed-0"]
    events = EventAccumulator(str(agent))
    events.Reload()
    (trials,) = run_missing(find_searches(wanted, tmp_path), progress_bar=False)
    regrets = trials.curves.regrets
    mean = [event.value for event in events.Scalars("search/regret")]
    np.testing.assert_allclose(mean, regrets.mean(axis=1), rtol=1e-5)
    half = 1.96 * regrets.std(axis=1, ddof=1) / 3**0.5
    high = [event.value for event in events.Scalars("interval/regret_high")]
    np.testing.assert_allclose(high, regrets.mean(axis=1) + half, rtol=1e-5)


@pytest.mark.long
@pytest.mark.attack
def test_twenty_kills_of_a_comparison_change_nothing(tmp_path):
    command = [sys.executable, "-m", "nas_gym", "compare", ENV, "--agents", "random,rea,local"]
    command += ["--queries", "200", "--seeds", "8", "--out"]
    subprocess.run([*command, str(tmp_path / "straight")], check=True, capture_output=True)
    straight = json.loads((tmp_path / "straight" / "summary.json").read_text())
    for number in range(20):
        folder = tmp_path / f"killed{number // 4}"
        process = subprocess.Popen(
            [*command, str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while process.poll() is None and not list(folder.rglob("*.json")):
            time.sleep(0.002)
        time.sleep(0.15 * (number % 4))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if number % 4 == 3:
            subprocess.run([*command, str(folder)], check=True, capture_output=True)
            found = json.loads((folder / "summary.json").read_text())
            assert without_seconds(found) == without_seconds(straight)
            assert (folder / "report.html").exists()
