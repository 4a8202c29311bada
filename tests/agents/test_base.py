"""BASE as an agent: its queries, its meta-network, saving, and bad input."""

import gymnasium as gym
import numpy as np
import pytest
from networks.bayesian.small_meta import CPU, make_base_plan
from networks.few_shot.small_tasks import make_data

from nas_gym.agents.base import BASE
from nas_gym.agents.registry import find_agent
from nas_gym.networks.bayesian.meta_network import load_meta_network, train_meta_network
from nas_gym.utils.errors import DamagedDataError, MissingDataError

ENV = "NB201-cifar10-alpha-v0"


@pytest.fixture(scope="module")
def meta_file(tmp_path_factory):
    path, data = tmp_path_factory.mktemp("base") / "meta.safetensors", make_data()
    plan = make_base_plan(data, alpha_rate=50.0, tasks=4)
    train_meta_network(plan, data, path, CPU)
    return path


def make_agent(n=2, env=ENV, **settings):
    return BASE(gym.make_vec(env, num_envs=n), seed=3, **settings)


def test_the_prior_proposes_its_architecture_without_images(meta_file):
    agent = make_agent(pretrained=str(meta_file), steps=0, images="missing").learn(5)
    meta = load_meta_network(meta_file, CPU)
    expected = meta.prior.genotype(meta.network.space)
    index = agent.space.encode(expected)[0]
    assert (agent.queried[:, 0] == index).all()
    assert all(len(set(row)) == 5 for row in agent.queried.tolist())  # no repetition
    assert agent.queried[0, 1:].tolist() != agent.queried[1, 1:].tolist()
    entropy = agent.diagnostics()["alpha_entropy"]
    assert entropy.shape == (5, 2)
    np.testing.assert_allclose(entropy, meta.prior.entropy(), rtol=1e-5)


def test_adaptation_changes_alpha_and_is_repeatable(meta_file):
    settings = {"pretrained": str(meta_file), "images": "digits", "steps": 3, "batch_size": 16}
    first, again = make_agent(**settings).learn(3), make_agent(**settings).learn(3)
    np.testing.assert_array_equal(first.queried, again.queried)
    prior = make_agent(pretrained=str(meta_file), steps=0).learn(1)
    assert np.abs(first.log_alpha - prior.log_alpha).max() > 1e-6
    alone = BASE(gym.make_vec(ENV, num_envs=1), seed=4, **settings).learn(3)
    np.testing.assert_array_equal(alone.queried[0], first.queried[1])


def test_save_and_load_need_no_meta_network(meta_file, tmp_path):
    agent = make_agent(pretrained=str(meta_file), steps=0)
    agent.save(tmp_path / "agent")
    straight = agent.learn(4)
    loaded = BASE.load(tmp_path / "agent", gym.make_vec(ENV, num_envs=2)).learn(4)
    np.testing.assert_array_equal(loaded.queried, straight.queried)
    assert loaded.config.pretrained == ""


@pytest.mark.parametrize("name", ["base", "base-paper"])
def test_without_a_meta_network(name):
    settings = {"images": "digits", "steps": 2, "batch_size": 8}
    agent = find_agent(name).make_agent(gym.make_vec(ENV, num_envs=1), settings, seed=0)
    genotypes = agent.ask()
    assert agent.config.method == name
    assert agent.space.contains(genotypes).all()


def test_bad_input(meta_file, tmp_path):
    with pytest.raises(ValueError, match="networks of NB201, DARTS and MnasNet, not of 'NBGraph'"):
        make_agent(env="NBGraph-cora-v0")
    data, darts = make_data(), tmp_path / "darts.safetensors"
    train_meta_network(make_base_plan(data, "DARTS", epochs=1, updates=1), data, darts, CPU)
    with pytest.raises(ValueError, match="meta-network of DARTS, and this environment searches"):
        make_agent(pretrained=str(darts))
    with pytest.raises(MissingDataError, match="There is no meta-network"):
        make_agent(pretrained=str(tmp_path / "none"))
    (tmp_path / "text.safetensors").write_text("text")
    with pytest.raises(DamagedDataError):
        make_agent(pretrained=str(tmp_path / "text.safetensors"))
    with pytest.raises(MissingDataError, match="neither a data set"):
        make_agent(images=str(tmp_path / "images")).learn(1)
    with pytest.raises(ValueError, match="method must be one of 'base', 'base-paper'"):
        make_agent(method="maml")


def test_a_damaged_state_is_refused(meta_file, tmp_path):
    agent = make_agent(pretrained=str(meta_file), steps=0).learn(1)
    state = agent.state_dict()
    state["own/log_alpha"] = state["own/log_alpha"] * np.nan
    with pytest.raises(DamagedDataError, match="log_alpha holds NaN"):
        make_agent().restore(state, "file")


def test_a_meta_network_of_the_target_gives_a_warning(tmp_path, recwarn):
    data = make_data()
    object.__setattr__(data, "name", "cifar10")
    path = tmp_path / "meta.safetensors"
    train_meta_network(make_base_plan(data, epochs=1, updates=1), data, path, CPU)
    make_agent(pretrained=str(path))
    assert any("learned from classes of cifar10" in str(each.message) for each in recwarn)
