"""Meta-learners from outside the package, with the base class's methods only."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import pytest

import nas_gym  # noqa: F401  (registers the environments)
from nas_gym.agents import MetaAgent, MetaAgentConfig, saved_array, setting
from nas_gym.tasks.task_set import TaskSet

ENV = "NB201-cifar10-alpha-v0"
TASK = {"signal": "noisy_accuracy", "report": "noisy_accuracy"}


@dataclass(frozen=True)
class PriorConfig(MetaAgentConfig):
    sharpness: float = setting(0.05, "Weight of the learned scores.", low=0)


class Prior(MetaAgent):
    """Samples from a table of mean rewards that it has seen on earlier tasks."""

    config_class = PriorConfig
    state_attributes = ("scores", "done")
    meta_epochs, meta_queries = 3, 500

    def setup(self):
        self.scores = np.zeros((self.num_trials, self.space.num_decisions, self.space.max_choices))
        self.done = 0

    @property
    def epochs(self):
        return self.done

    def train_epochs(self, tasks, epochs, queries):
        while self.done < epochs:
            task = tasks.draw(np.random.default_rng(self.done))
            for trial in range(self.num_trials):
                rng = np.random.default_rng([self.seed + trial, self.done])
                genotypes = self.space.sample(queries, rng)
                rewards = task.reward(self.space.encode(genotypes))
                for genotype, reward in zip(genotypes, rewards - rewards.mean(), strict=True):
                    self.scores[trial, np.arange(len(genotype)), genotype] += reward
            self.done += 1
            yield

    def take_over(self, state, source):
        scores = saved_array(state, "scores")
        self.scores = scores[self.source_trials(len(scores))]
        self.done = int(saved_array(state, "done"))

    def ask(self):
        draws = self.rng.random((self.num_trials, self.scores[0].size)).reshape(self.scores.shape)
        return (self.config.sharpness * self.scores / 100 + draws).argmax(axis=2)

    def meta_diagnostics(self):
        return {"train/spread": float(self.scores.std())}


@pytest.fixture
def tasks():
    arguments = {"table": "analog-nasbench", "dataset": "cifar10"}
    learned = arguments | {"signal": "analog_drift_60", "report": "analog_drift_60"}
    return TaskSet(
        "drift",
        ("analog-nasbench:analog_drift_60",),
        lambda rng: learned,
        {"noisy": arguments | TASK},
        separate_datasets=False,
    )


def make(trials=2, seed=0, **settings):
    return Prior(gym.make_vec(ENV, num_envs=trials, **TASK), seed, **settings)


def test_learning_pays_off(tasks):
    learned = make().meta_learn(tasks)
    assert learned.epochs == Prior.meta_epochs
    found = learned.adapt(make(6).env, queries=10, seed=0)
    fresh = make(6)
    while fresh.num_queries < 10:
        fresh.query()
    means = [
        agent.task.reward(agent.env.unwrapped.history.indices).mean() for agent in (found, fresh)
    ]
    assert means[0] > means[1] + 5
    np.testing.assert_array_equal(found.scores, learned.scores[[0, 1, 0, 1, 0, 1]])


def test_training_continues_after_a_save(tasks, tmp_path):
    straight = make().meta_learn(tasks, epochs=4, queries=5)
    seen = []
    half = make()
    half.meta_learn(tasks, 4, 5, callback=lambda agent: seen.append(agent.epochs) or len(seen) < 2)
    assert seen == [1, 2]
    half.save(tmp_path / "half")
    loaded = Prior.load(tmp_path / "half", half.env).meta_learn(tasks, epochs=4, queries=5)
    np.testing.assert_array_equal(loaded.scores, straight.scores)
    np.testing.assert_array_equal(loaded.learned_from, straight.learned_from)


def test_pretrained(tasks, tmp_path):
    make().meta_learn(tasks, epochs=2, queries=5).save(tmp_path / "learned")
    agent = make(3, seed=5, pretrained=str(tmp_path / "learned"))
    assert agent.epochs == 2
    agent.query()
    agent.save(tmp_path / "again")
    (tmp_path / "learned.safetensors").unlink()
    assert Prior.load(tmp_path / "again", make(3).env).config.pretrained == ""


def test_no_embeddings_by_default(tasks):
    assert make().task_embeddings(tasks) is None


def test_epochs_must_be_counted(tasks):
    class Careless(Prior):
        def train_epochs(self, tasks, epochs, queries):
            yield

    agent = Careless(gym.make_vec(ENV, num_envs=1, **TASK), 0)
    with pytest.raises(RuntimeError, match=r"Careless\.train_epochs must count each epoch"):
        agent.meta_learn(tasks, 2, 5)


def test_refusals(tasks, tmp_path):
    agent = make().meta_learn(tasks, epochs=1, queries=5)
    with pytest.raises(ValueError, match="at least 1"):
        agent.meta_learn(tasks, epochs=0)
    with pytest.raises(ValueError, match="has learned from drift"):
        agent.meta_learn("nbgraph/cora", epochs=2)
    with pytest.raises(ValueError, match="trained on NB201, and cannot start"):
        agent.adapt("NBGraph-cora-v0")


@pytest.mark.parametrize(
    ("is_terminal", "progress_bar", "is_shown"),
    [(True, None, True), (False, None, False), (True, False, False), (False, True, True)],
)
def test_meta_learning_shows_its_progress_on_a_terminal(
    tasks, monkeypatch, capsys, is_terminal, progress_bar, is_shown
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    Prior(ENV, seed=0).meta_learn(tasks, epochs=1, queries=10, progress_bar=progress_bar)
    printed = capsys.readouterr()
    assert ("meta epochs" in printed.err) == is_shown
    assert printed.out == ""
