"""Agents and settings as the command line names them."""

from __future__ import annotations

import pytest

from nas_gym.experiments.methods import parse_agents
from nas_gym.experiments.settings import SearchSettings
from nas_gym.utils.expressions import parse_settings


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
def test_what_is_no_list_of_agents(text):
    with pytest.raises(ValueError, match=r"name|NAME"):
        parse_agents(text)


def test_an_agent_listed_twice():
    with pytest.raises(ValueError, match="'rea' is listed twice"):
        parse_agents("rea,random,rea")
    with pytest.raises(ValueError, match="is listed twice"):
        parse_agents("rea(sample_size=5),rea( sample_size = 5 )")


def test_values_of_settings():
    assert parse_settings(["a=1", "b=true", "c=text", "d=[1, 2]", "e=1e-3", "f=a=b"]) == {
        "a": 1, "b": True, "c": "text", "d": [1, 2], "e": 0.001, "f": "a=b"
    }  # fmt: skip
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_settings(["=1"])


def test_bad_search_settings():
    with pytest.raises(ValueError, match=r"random, local, rea.*ppo.*tqc"):
        SearchSettings("NB201-cifar10-v0", "evolution", 1, 1)
    with pytest.raises(ValueError, match="queries must be at least 1, got 0"):
        SearchSettings("NB201-cifar10-v0", "rea", 0, 1)
    with pytest.raises(ValueError, match="first_seed must be at least 0, got -1"):
        SearchSettings("NB201-cifar10-v0", "rea", 1, 1, first_seed=-1)
    with pytest.raises(ValueError, match="--first-seed"):
        SearchSettings("NB201-cifar10-v0", "rea", 1, 1, agent_settings={"seed": 3})
