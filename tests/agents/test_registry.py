"""Agents by name: built-in ones, presets, entry points and import paths; lookups that fail."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import numpy as np
import pytest

import nas_gym
from nas_gym.agents import L2NAS, MetaAgent, registry
from nas_gym.agents.registry import (
    AgentLookupError,
    agent_names,
    find_agent,
    meta_agent_names,
)


def searching(task, queries, rng):
    """Search function that is found by its import path."""


NUMBER = 3


@pytest.mark.parametrize("name", agent_names())
def test_presets_say_what_they_need(name):
    is_noted = name == "l2nas-paper"
    assert ("random search" in find_agent(name).note) == is_noted


@pytest.mark.parametrize("name", agent_names())
def test_every_name_is_an_agent(name):
    found = find_agent(name)
    assert (found.name, found.is_function) == (name, False)
    assert issubclass(found.agent_class, nas_gym.Agent)
    assert (found.config is not None) == name.endswith(("-paper", "-mixture"))


def test_presets_are_configurations():
    found = find_agent("l2nas-paper")
    assert found.target is L2NAS
    agent = found.make_agent("NB201-cifar10-alpha-v0", {"anneal_until": 5}, seed=0)
    assert agent.config.scaling == "none"
    assert agent.config.anneal_until == 5
    assert find_agent("l2nas").config is None


def test_meta_learners():
    names = ["catch", "catch-paper", "mpnas", "mpnas-paper", "mpnas-mixture"]
    assert meta_agent_names() == names
    assert all(issubclass(find_agent(name).agent_class, MetaAgent) for name in meta_agent_names())


def test_import_paths():
    found = find_agent("nas_gym.agents.l2nas:L2NAS")
    assert found.target is L2NAS
    assert found.config is None
    function = find_agent(f"{__name__}:searching")
    assert function.is_function
    assert function.target is searching
    with pytest.raises(TypeError, match="is a function"):
        function.make_config({})


@pytest.fixture
def entry_point(monkeypatch):
    def register(name, value):
        points = [EntryPoint(name, value, registry.ENTRY_POINT_GROUP)]
        monkeypatch.setattr(registry, "entry_points", lambda group: points)

    return register


def test_entry_points(entry_point):
    entry_point("mine", "nas_gym.agents.reinforce:Reinforce")
    assert agent_names()[-1] == "mine"
    assert find_agent("mine").agent_class.__name__ == "Reinforce"


def test_built_in_names_take_precedence(entry_point):
    entry_point("rea", "nas_gym.agents.reinforce:Reinforce")
    assert agent_names().count("rea") == 1
    assert find_agent("rea").agent_class.__name__ == "RegularizedEvolution"


def test_a_broken_entry_point_fails_when_it_is_used(entry_point):
    entry_point("broken", "no_such_module:Agent")
    assert "broken" in agent_names()
    find_agent("rea")
    with pytest.raises(AgentLookupError, match=r"'broken' \(no_such_module:Agent\).*No module"):
        find_agent("broken")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("reaa", "There is no agent 'reaa'. Did you mean 'rea'?.*l2nas.*module:Class"),
        ("no_such_module:Agent", "importing module 'no_such_module' raised ModuleNotFoundError"),
        ("nas_gym.agents.l2nas:Missing", "'nas_gym.agents.l2nas' has no attribute 'Missing'"),
        (":Agent", "is written module:Class"),
        ("nas_gym:", "is written module:Class"),
        (f"{__name__}:NUMBER", "it is a int, but must be a subclass of nas_gym.agents.Agent"),
        ("numpy:ndarray", "it is the class ndarray, but must be a subclass"),
        ("nas_gym.agents:Agent", "Agent does not implement ask"),
    ],
)
def test_lookups_that_fail(name, message):
    with pytest.raises(AgentLookupError, match=message):
        find_agent(name)


def test_a_module_that_raises_is_named(tmp_path, monkeypatch):
    (tmp_path / "raising_agent.py").write_text("raise OSError('disk')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AgentLookupError, match="module 'raising_agent' raised OSError: disk"):
        find_agent("raising_agent:Agent")


def test_names_and_classes_need_no_torch(run_python):
    code = (
        "import sys; from nas_gym.agents import registry, RandomSearch; registry.agent_names(); "
        "registry.find_agent('catch').agent_class.config_class(); print('torch' in sys.modules)"
    )
    assert run_python(code) == "False"


def test_agents_of_earlier_files(tmp_path):
    """Files of the class L2NASPaper, and files without the settings that are new."""
    agent = find_agent("l2nas-paper").make_agent("NB201-cifar10-alpha-v0", {}, seed=0).learn(3)
    state = agent.state_dict()
    state["agent"] = np.array("L2NASPaper")
    state["settings"] = np.array(str(state["settings"]).replace('"min_batches": 1, ', ""))
    assert "min_batches" not in str(state["settings"])
    nas_gym.utils.files.write_tensors(tmp_path / "old.safetensors", state)
    loaded = L2NAS.load(tmp_path / "old", "NB201-cifar10-alpha-v0")
    assert loaded.config.min_batches == 10
    assert loaded.config.scaling == "none"
    loaded.query()
