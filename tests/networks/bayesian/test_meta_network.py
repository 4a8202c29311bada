"""Files of meta-networks: resumed, checked, loaded, and adapted to a target."""

import numpy as np
import pytest
import torch
from networks.bayesian.small_meta import CPU, make_base_plan
from networks.few_shot.small_tasks import make_data, make_plan
from networks.few_shot.test_meta_supernet import Stop, assert_equal_files, stop_after

from nas_gym.networks.bayesian.embedding import mean_network_logits, random_batches
from nas_gym.networks.bayesian.meta_network import (
    load_meta_network,
    train_meta_network,
    untrained_meta_network,
)
from nas_gym.networks.few_shot.meta_supernet import load_meta_supernet, train_meta_supernet
from nas_gym.utils.errors import DamagedDataError, MissingDataError
from nas_gym.utils.files import read_tensors, write_tensors


@pytest.fixture
def data():
    return make_data()


def test_interrupted_training_equals_uninterrupted(data, tmp_path):
    plan = make_base_plan(data, epochs=3)
    train_meta_network(plan, data, tmp_path / "whole.safetensors", CPU)
    cut = tmp_path / "cut.safetensors"
    with pytest.raises(Stop):
        train_meta_network(plan, data, cut, CPU, stop_after(1), seconds=0)
    with pytest.raises(MissingDataError, match="1 of 3 epochs"):
        load_meta_network(cut, CPU)
    train_meta_network(plan, data, cut, CPU)
    assert_equal_files(cut, tmp_path / "whole.safetensors")


def test_loading(data, tmp_path):
    plan, path = make_base_plan(data, "DARTS"), tmp_path / "darts.safetensors"
    trained = train_meta_network(plan, data, path, CPU)
    loaded = load_meta_network(path, CPU)
    assert loaded.plan == plan
    assert loaded.plan.dataset == "patterns"
    for name, each in loaded.prior.parameters().items():
        assert torch.equal(each, trained.prior.parameters()[name])


def test_other_plans_and_other_files_are_refused(data, tmp_path):
    path = tmp_path / "meta.safetensors"
    train_meta_network(make_base_plan(data), data, path, CPU)
    with pytest.raises(ValueError, match="holds a meta-network of BASE with other settings"):
        train_meta_network(make_base_plan(data, alpha_rate=0.5), data, path, CPU)
    with pytest.raises(DamagedDataError, match="holds no meta-supernet"):
        load_meta_supernet(path, CPU)
    supernet = tmp_path / "supernet.safetensors"
    train_meta_supernet(make_plan(data), data, supernet, CPU)
    with pytest.raises(DamagedDataError, match="holds no meta-network of BASE"):
        load_meta_network(supernet, CPU)
    with pytest.raises(MissingDataError, match="There is no meta-network of BASE"):
        load_meta_network(tmp_path / "none.safetensors", CPU)


def test_damaged_files(data, tmp_path):
    path = tmp_path / "meta.safetensors"
    train_meta_network(make_base_plan(data), data, path, CPU)
    arrays = read_tensors(path)
    spread = next(each for each in arrays if each.startswith("log_deviation/"))
    for change in (
        {"alpha_logits": arrays["alpha_logits"] * np.nan},
        {"alpha_logits": arrays["alpha_logits"][:1]},
        {spread: arrays[spread] + 100},
        {spread: arrays[spread][:0]},
        {"base_plan": np.array("{}")},
    ):
        write_tensors(path, {**arrays, **change})
        with pytest.raises(DamagedDataError):
            load_meta_network(path, CPU)


def test_adaptation_to_other_images_and_classes(data):
    meta = untrained_meta_network(make_base_plan(data), CPU)
    target = meta.for_images(num_classes=7, in_channels=3, seed=1)
    own, found = meta.prior.parameters(), target.prior.parameters()
    assert found["network/head.weight"].shape[0] == 7
    assert found["network/stem.0.weight"].shape[1] == 3
    assert torch.equal(found["alpha_logits"], own["alpha_logits"])
    body = "network/blocks.0.edges.0.nor_conv_3x3.1.weight"
    assert torch.equal(found[body], own[body])
    images, labels = torch.randn(14, 3, 9, 9), torch.arange(7).repeat(2)
    generator = torch.Generator().manual_seed(0)
    batches = random_batches(images, labels, 7, 3, generator)
    posterior = target.adapt(batches, 14, generator)
    logits = mean_network_logits(target.network, posterior, images)
    assert logits.shape == (14, 7)
    with torch.no_grad():
        again = target.discrete_network(posterior)(images)
    torch.testing.assert_close(again, logits)
    unchanged = target.adapt([], 14, generator)
    assert unchanged is target.prior
