"""Contract of networks: single paths, mixtures, inherited weights, and their gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from nas_gym.networks.darts_network import DARTSNetwork
from nas_gym.networks.nb201_network import NB201Network

MADE = {
    "nb201": lambda **own: NB201Network(10, 1, channels=4, cells=2, **own),
    "darts": lambda **own: DARTSNetwork(10, 1, channels=4, layers=3, **own),
    "pc-darts": lambda **own: DARTSNetwork(10, 1, channels=8, layers=4, partial=4, **own),
}


@pytest.fixture(params=MADE)
def kind(request):
    return request.param


@pytest.fixture
def supernet(kind):
    torch.manual_seed(0)
    return MADE[kind]().double()


@pytest.fixture
def images():
    return torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()


def drawn(space, n=4):
    return space.sample(n, np.random.default_rng(0))


def one_hot(space, genotype):
    return torch.from_numpy(space.genotype_to_alpha(genotype)[0]).double()


def count(network):
    return sum(each.numel() for each in network.parameters())


def test_a_path_is_the_mixture_of_one_hot_alpha(supernet, images):
    space = supernet.space
    for genotype in drawn(space):
        path = supernet(images, genotype)
        mixed = supernet.forward_mixed(images, one_hot(space, genotype))
        torch.testing.assert_close(path, mixed, atol=1e-10, rtol=0)


def gradients(network, loss):
    network.zero_grad()
    loss.backward()
    return {
        name: each.grad.clone()
        for name, each in network.named_parameters()
        if each.grad is not None
    }


def test_gradients_of_path_mixture_and_stand_alone_network_agree(supernet, images):
    space, labels = supernet.space, torch.arange(6)
    genotype = drawn(space, 1)[0]
    path = gradients(supernet, cross_entropy(supernet(images, genotype), labels))
    alpha = one_hot(space, genotype).requires_grad_()
    mixed = gradients(supernet, cross_entropy(supernet.forward_mixed(images, alpha), labels))
    alone = supernet.subnet(genotype)
    own = gradients(alone, cross_entropy(alone(images), labels))
    assert path.keys() == own.keys()
    for name, gradient in path.items():
        torch.testing.assert_close(gradient, mixed[name], atol=1e-8, rtol=0)
        torch.testing.assert_close(gradient, own[name], atol=1e-8, rtol=0)
    others = [mixed[name].abs().max() for name in mixed.keys() - path.keys()]
    assert max(others, default=0) <= 1e-12
    assert alpha.grad.abs().max() > 0


def test_subnet_inherits_weights(supernet, images):
    for genotype in drawn(supernet.space):
        alone = supernet.subnet(genotype)
        torch.testing.assert_close(alone(images), supernet(images, genotype))
        assert count(alone) < count(supernet)
        with torch.no_grad():
            alone.head.weight.zero_()  # the subnet has a copy
        assert supernet.head.weight.abs().max() > 0


def test_only_chosen_operations_are_computed(supernet, images):
    ran = []
    for name, module in supernet.named_modules():
        if ".edges." in name and name.count(".") >= 4:
            module.register_forward_hook(lambda *_, name=name: ran.append(name))
    genotype = drawn(supernet.space, 1)[0]
    supernet(images, genotype)
    own = set(supernet.subnet(genotype).state_dict())
    assert ran
    assert {key.rsplit(".", 1)[0] for key in own} & set(ran)
    for name in ran:
        assert any(key.startswith(name) for key in own) or not list(
            supernet.get_submodule(name).parameters()
        )


def test_scales_reach_the_gradient(supernet, images):
    space = supernet.space
    genotype = drawn(space, 1)[0]
    shape = (6,) if space.name == "NB201" else (2, 8)
    scales = torch.ones(shape, dtype=torch.float64, requires_grad=True)
    logits = supernet(images, genotype, scales)
    torch.testing.assert_close(logits, supernet(images, genotype))
    logits.sum().backward()
    assert scales.grad.shape == shape


def test_edges_without_weights_are_left_out(supernet, images):
    logits = supernet.forward_mixed(images, torch.zeros(supernet.space.alpha_size).double())
    torch.testing.assert_close(logits, logits[:1].expand(6, -1))  # the same logits for every image


@pytest.mark.parametrize("size", [5, 10, 15, 16, 33])
def test_images_of_any_size(supernet, size):
    images = torch.randn(2, 1, size, size).double()
    assert supernet(images, drawn(supernet.space, 1)[0]).shape == (2, 10)
    alpha = torch.rand(supernet.space.alpha_size).double()
    assert supernet.forward_mixed(images, alpha).shape == (2, 10)


def test_invalid_arguments(supernet, images):
    genotype, other = drawn(supernet.space, 2)
    alone = supernet.subnet(genotype)
    with pytest.raises(ValueError, match="give a genotype"):
        supernet(images)
    with pytest.raises(ValueError, match="it cannot compute"):
        alone(images, other)
    with pytest.raises(ValueError, match="no operations to mix"):
        alone.forward_mixed(images, one_hot(supernet.space, genotype))
    with pytest.raises(ValueError, match="Alpha of"):
        supernet.forward_mixed(images, torch.zeros(3))
    with pytest.raises(ValueError, match=r"\(n, 1, height, width\)"):
        supernet(images[0], genotype)
    with pytest.raises(ValueError, match="One genotype"):
        supernet(images, drawn(supernet.space))
