"""Saved agents that were damaged or tampered with: one clear error, or a search that works."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch

from nas_gym.agents import (
    ATNAS,
    CATCH,
    L2NAS,
    MPNAS,
    TPE,
    LocalSearch,
    RegularizedEvolution,
    Reinforce,
)
from nas_gym.agents.common.saved import AgentMismatchError, read_agent
from nas_gym.experiments.search import run_search
from nas_gym.experiments.settings import SearchSettings
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import read_arrays, write_arrays, write_tensors

torch.set_num_threads(1)

ENV = "NB201-cifar10-alpha-v0"
SMALL = {
    RegularizedEvolution: {"population_size": 4, "sample_size": 2},
    LocalSearch: {"num_initial": 3},
    Reinforce: {},
    TPE: {"num_initial": 3},
    L2NAS: {"hidden": 32, "num_candidates": 4, "num_random": 2, "top_k": 4},
    CATCH: {"hidden": 32, "num_candidates": 16, "num_random": 2, "updates": 1, "latent": 2},
    MPNAS: {"width": 8, "layers": 2, "num_candidates": 20},
    ATNAS: {"population_size": 4},
}
TEXTS = {
    "agent": ["", "RandomSearch"],
    "settings": ["", "[]", "null", '{"keys": 1}', '{"hidden": {}}', "[" * 100_000],
    "choices": ["", "[]"],
    "task": [""],
    "space": [""],
}


@pytest.fixture(scope="module", params=list(SMALL), ids=lambda each: each.__name__)
def saved(request, tmp_path_factory):
    """Class of an agent, and the state of one that has made 12 queries."""
    agent = request.param(ENV, seed=3, **SMALL[request.param]).learn(12)
    path = tmp_path_factory.mktemp("saved") / "agent"
    agent.save(path)
    return request.param, read_agent(path.with_suffix(".safetensors"))


def tampered(array):
    """Yield variants of an array: other values, types and shapes."""
    if array.dtype.kind in "iu":
        yield from (np.full_like(array, value) for value in (-1, 100, np.iinfo(array.dtype).max))
    if array.dtype.kind == "f":
        yield np.full_like(array, np.nan)
        yield array.astype(np.int32)
    else:
        yield array.astype(np.float64)
    yield np.zeros((0,), array.dtype)
    yield np.stack([array, array])
    if array.ndim > 1 and array.shape[1] > 1:
        yield array[:, 1:]


def load_and_search(agent_class, path):
    """Load an agent and search; only errors that the documentation names may be raised."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            agent = agent_class.load(path, ENV)
    except (DamagedDataError, AgentMismatchError) as refusal:
        error = refusal
    else:
        agent.learn(3)
        return None
    assert 20 < len(str(error)) < 1000
    return error


@pytest.mark.long
@pytest.mark.attack
def test_every_tampered_entry_is_refused_or_harmless(saved, tmp_path):
    agent_class, state = saved
    path = tmp_path / "tampered.safetensors"
    for name, array in state.items():
        if array.dtype.kind == "U":
            variants = [np.array(text) for text in TEXTS.get(name, [""])]
        else:
            variants = list(tampered(array))
        for variant in variants:
            write_tensors(path, state | {name: variant})
            load_and_search(agent_class, path)


@pytest.mark.long
@pytest.mark.attack
def test_every_missing_entry_is_refused(saved, tmp_path):
    agent_class, state = saved
    path = tmp_path / "incomplete.safetensors"
    for name in state:
        write_tensors(path, {each: array for each, array in state.items() if each != name})
        error = load_and_search(agent_class, path)
        assert isinstance(error, DamagedDataError), name
        assert str(path) in str(error)
        assert name.split("/")[-1].split(".")[-1] in str(error)


def test_architectures_out_of_range_and_nan_networks_are_refused(saved, tmp_path):
    agent_class, state = saved
    path = tmp_path / "wrong.safetensors"
    wrong = {
        name: array
        for name, array in state.items()
        if name in ("best_genotypes", "own/genotypes", "own/queried", "own/current")
    }
    for name, array in wrong.items():
        for value in (-1, 10**6):
            write_tensors(path, state | {name: np.full_like(array, value)})
            assert isinstance(load_and_search(agent_class, path), DamagedDataError), name
    networks = [name for name in state if name.startswith(("actor", "critics", "networks/"))]
    assert bool(networks) == (agent_class in (L2NAS, CATCH, MPNAS))
    for name in networks:
        for value in (np.nan, np.inf):
            write_tensors(path, state | {name: np.full_like(state[name], value)})
            error = load_and_search(agent_class, path)
            assert isinstance(error, DamagedDataError), name
            assert "NaN or infinite" in str(error)


def test_flipped_bits_are_refused(saved, tmp_path):
    agent_class, state = saved
    path = tmp_path / "flipped.safetensors"
    write_tensors(path, state)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for position in rng.integers(len(content), size=30).tolist():
        changed = bytearray(content)
        changed[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        assert isinstance(load_and_search(agent_class, path), DamagedDataError), position


@pytest.mark.parametrize("agent_class", [L2NAS, CATCH, MPNAS])
def test_pretrained_agents_that_are_damaged(agent_class, tmp_path):
    settings, path = SMALL[agent_class], tmp_path / "pretrained.safetensors"
    agent = agent_class(ENV, seed=0, **settings)
    state = agent.state_dict()
    network = next(name for name in state if name.startswith(("actor/", "networks/")))
    for damage in (
        {network: np.full_like(state[network], np.nan)},
        {network: np.zeros(3, np.float32)},
        {"settings": np.array('{"keys": []}')},
        {"settings": np.array("[]")},
    ):
        write_tensors(path, state | damage)
        with pytest.raises(DamagedDataError, match=r"pretrained\.safetensors is not a complete"):
            agent_class(ENV, seed=1, pretrained=str(path), **settings)


@pytest.mark.parametrize("agent", ["rea", "local", "l2nas"])
def test_checkpoints_with_indices_out_of_range(agent, tmp_path):
    settings = SearchSettings("NB201-cifar10-v0", agent, queries=20, seeds=1)
    folder = tmp_path / agent
    run_search(settings, folder, progress_bar=False)
    checkpoint = folder / "checkpoint.npz"
    state = read_arrays(checkpoint)
    names = [name for name in state if name.startswith("agent/own/") and state[name].dtype == int]
    assert names
    for name in names:
        if state[name].ndim > 1:
            write_arrays(checkpoint, state | {name: np.full_like(state[name], 10**7)})
            with pytest.raises(DamagedDataError, match=r"checkpoint\.npz is not a complete"):
                run_search(settings, folder, progress_bar=False)


def test_settings_of_another_version_are_refused(tmp_path):
    path = tmp_path / "agent.safetensors"
    state = RegularizedEvolution(ENV, seed=0).learn(2).state_dict()
    write_tensors(path, state | {"settings": np.array(json.dumps({"hidden": 3}))})
    with pytest.raises(DamagedDataError, match="has no setting hidden"):
        RegularizedEvolution.load(path, ENV)
