"""Agents from outside the package: a class with ask and tell, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import pytest

import nas_gym  # noqa: F401  (registers the environments)
from nas_gym.agents import Agent, AgentConfig, setting

ENVS = ("NB201-cifar10-v0", "NB201-cifar10-alpha-v0", "NB201-cifar10-population-v0")


@dataclass(frozen=True)
class ClimberConfig(AgentConfig):
    patience: int = setting(20, "Number of failures after which it restarts.", low=1)


class Climber(Agent):
    config_class = ClimberConfig
    state_attributes = ("parents", "fitness", "_failures", "steps")

    def setup(self):
        self.parents = self.space.sample(self.num_trials, self.rng)
        self.fitness, self.steps = np.full(self.num_trials, -np.inf), 0
        self._failures = np.zeros(self.num_trials, int)

    def ask(self):
        children, fresh = (self.space.mutate(self.parents, self.rng) for _ in range(2))
        return np.where((self._failures > self.config.patience)[:, None], fresh, children)

    def tell(self, genotypes, fitness):
        better, self.steps = fitness > self.fitness, self.steps + 1
        self.parents[better], self.fitness[better] = genotypes[better], fitness[better]
        self._failures = np.where(better, 0, self._failures + 1)


def history(agent):
    inner = agent.env.unwrapped
    return (inner.envs[0].unwrapped if hasattr(inner, "envs") else inner).history.indices


def run(agent, queries):
    while agent.num_queries < queries:
        agent.query()
    return agent


@pytest.mark.parametrize("env_id", ENVS)
def test_trials_are_independent_and_repeatable(env_id):
    many = run(Climber(gym.make_vec(env_id, num_envs=4), seed=0, patience=3), 60)
    alone = run(Climber(gym.make(env_id), seed=2, patience=3), 60)
    np.testing.assert_array_equal(history(many)[:, 2], history(alone)[:, 0])
    assert many.best_fitness.min() > 85


@pytest.mark.parametrize("env_id", ENVS)
def test_a_loaded_agent_continues_alike(env_id, tmp_path):
    straight = run(Climber(gym.make_vec(env_id, num_envs=2), seed=0, patience=3), 60)
    half = run(Climber(gym.make_vec(env_id, num_envs=2), seed=0, patience=3), 30)
    half.save(tmp_path / "agent")
    envs = gym.make_vec(env_id, num_envs=2)
    loaded = Climber.load(tmp_path / "agent", envs)
    assert loaded.config == ClimberConfig(patience=3)
    assert loaded.steps == half.steps
    assert isinstance(loaded.steps, int)
    assert "own/failures" in loaded.state_dict()
    loaded.load_state_dict(loaded.state_dict(), env_restored=True)
    envs.restore_state(half.env.unwrapped.clone_state())
    np.testing.assert_array_equal(history(run(loaded, 60)), history(straight))


def test_a_config_in_place_of_settings():
    agent = Climber(ENVS[1], config=ClimberConfig(patience=5))
    assert agent.config.patience == 5
    assert Climber(ENVS[1], config=agent.config, patience=6).config.patience == 6
    with pytest.raises(TypeError, match="config must be a ClimberConfig, got a AgentConfig"):
        Climber(ENVS[1], config=AgentConfig())


class Proposing(Agent):
    """Proposes what its class attribute says."""

    proposal = None

    def ask(self):
        return self.proposal


@pytest.mark.parametrize(
    ("proposal", "message"),
    [
        (None, "must be integers of shape"),
        (np.zeros((2, 6)), "integers of shape.*got float64"),
        (np.zeros((1, 6), int), r"shape \(2, 6\).*got int64 of shape \(1, 6\)"),
        (np.zeros(6, int), r"of shape \(6,\)"),
        ([[0] * 6, [0] * 5], "must be an array"),
        (np.full((2, 6), 5), r"invalid genotype: row 0, \[5, 5, 5, 5, 5, 5\]"),
        (np.array([[0] * 6, [-1] * 6]), "invalid genotype: row 1"),
    ],
)
def test_proposals_that_are_no_genotypes(proposal, message):
    envs = gym.make_vec(ENVS[1], num_envs=2)
    agent = Proposing(envs, seed=0)
    agent.proposal = proposal
    with pytest.raises(ValueError, match=rf"Proposing\.ask\(\).*{message}"):
        agent.query()
    assert agent.num_queries == envs.unwrapped.history.queries == 0


def test_genotypes_outside_a_restricted_space():
    agent = Proposing("NBGraph-proteins-v0", seed=0)
    everything = np.array(np.meshgrid(*map(range, agent.space.num_choices))).reshape(
        agent.space.num_decisions, -1
    )
    outside = everything.T[~agent.space.contains(everything.T)]
    agent.proposal = outside[:1]
    with pytest.raises(ValueError, match="is not an architecture of NBGraph"):
        agent.query()


def test_small_integers_are_accepted():
    agent = Proposing(ENVS[1], seed=0)
    agent.proposal = np.ones((1, 6), np.uint8)
    agent.query()
    assert agent.best_genotypes.tolist() == [[1] * 6]


def test_a_state_that_setup_does_not_set():
    class Forgetful(Proposing):
        state_attributes = ("memory",)

    with pytest.raises(AttributeError, match=r"Forgetful\.state_attributes lists 'memory'"):
        Forgetful(ENVS[1])


def test_a_state_that_cannot_be_saved():
    class Listing(Proposing):
        state_attributes = ("found",)

        def setup(self):
            self.found = [1, 2]

    with pytest.raises(TypeError, match=r"Listing\.found is in state_attributes.*not to a list"):
        Listing(ENVS[1])
