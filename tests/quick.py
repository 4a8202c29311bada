"""Agents for tests, with settings that make slow ones quick."""

import gymnasium as gym

from nas_gym.agents.registry import SAMPLE_BASED, find_agent

QUICK = {
    "atnas": {"population_size": 8},
    "catch": {"num_candidates": 32, "updates": 1, "hidden": 32},
    "catch-paper": {"num_candidates": 32, "on_policy": 32, "updates": 1, "hidden": 32},
    "l2nas": {"hidden": 32},
    "mpnas": {"width": 8, "layers": 1, "refit_every": 25, "num_candidates": 64},
    "mpnas-paper": {"width": 8, "layers": 1, "refit_every": 25, "num_candidates": 64},
    "mpnas-mixture": {"width": 8, "layers": 1, "refit_every": 25, "num_candidates": 64},
}


AGENTS = [
    name for name in SAMPLE_BASED if name not in ("catch-paper", "mpnas-paper", "atnas-paper")
]
"""Names for tests of every agent; the presets left out share their code with others."""


def make_agent(name, env, seed=0, **settings):
    """Return a registered agent with its quick settings, changed by further ones."""
    return find_agent(name).make_agent(env, QUICK.get(name, {}) | settings, seed=seed)


def run_agent(name, env, queries, seed=0, **settings):
    """Return a registered agent after a number of queries."""
    agent = make_agent(name, env, seed, **settings)
    while agent.num_queries < queries:
        agent.query()
    return agent


def mean_regret(name, queries, **settings):
    """Return the mean regret of 100 trials of an agent, in percent."""
    envs = gym.make_vec("NB201-cifar10-alpha-v0", num_envs=100)
    agent = run_agent(name, envs, queries, 1000, **settings)
    return agent.task.regret(agent.space.encode(agent.best_genotypes)).mean()


def queried(agent):
    """Return the indices that the environment of an agent has recorded, ``(queries, n)``."""
    inner = agent.env.unwrapped
    return (inner.envs[0].unwrapped if hasattr(inner, "envs") else inner).history.indices
