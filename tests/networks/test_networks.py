"""The networks of search spaces: counts, paths, mixtures, inheritance, and their gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from nas_gym.networks.darts_network import DARTSNetwork
from nas_gym.networks.nb201_network import NB201Network
from nas_gym.spaces import DARTSSpace, NB201Space
from nas_gym.spaces.nb201 import EDGES, OPERATIONS
from nas_gym.spaces.nb201_cost import count_nb201_flops, count_nb201_parameters

# as DARTS' authors publish it
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)

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


@pytest.mark.parametrize("classes", [10, 120])
def test_parameters_are_those_of_nas_bench_201(classes):
    genotypes = np.concatenate([drawn(NB201Space(), 5), [[0] * 6, [3] * 6]])
    counted = [count(NB201Network(classes, genotype=genotype)) for genotype in genotypes]
    assert counted == count_nb201_parameters(genotypes, classes).tolist()


def multiply_adds(network, images):
    """Of convolutions and linear layers, one image."""
    total = 0

    def add(layer, _, output):
        nonlocal total
        if isinstance(layer, torch.nn.Conv2d):
            total += output[0].numel() * layer.weight[0].numel()
        else:
            total += layer.weight.numel() + layer.bias.numel()

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(add)
    network(images)
    return total


def test_flops_are_those_of_nas_bench_201():
    # cells without dead edges, of which a forward pass computes nothing
    genotypes = np.array([[3, 1, 2, 3, 2, 4], [3] * 6, [1, 4, 2, 2, 3, 1]])
    for genotype in genotypes:
        network = NB201Network(10, channels=4, cells=2, genotype=genotype)
        found = multiply_adds(network, torch.zeros(1, 3, 16, 16))
        assert found == count_nb201_flops(genotype, 10, 16, 4, 2).item()


def test_darts_has_the_published_number_of_parameters():
    genotype = DARTSSpace().from_text([DARTS_V2])[0]
    network = DARTSNetwork(
        10, channels=36, layers=20, affine=True, auxiliary=True, genotype=genotype
    )
    counted = sum(p.numel() for name, p in network.named_parameters() if "auxiliary" not in name)
    assert counted == 3_349_342  # "param size = 3.349342MB", as its authors' code prints


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


def test_a_network_inherits_its_operations(supernet, images):
    for genotype in drawn(supernet.space):
        alone = supernet.subnet(genotype)
        torch.testing.assert_close(alone(images), supernet(images, genotype))
        assert count(alone) < count(supernet)
        with torch.no_grad():
            alone.head.weight.zero_()  # a copy
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


def test_dead_edges_are_left_out():
    none, conv = OPERATIONS.index("none"), OPERATIONS.index("nor_conv_3x3")
    network = NB201Network(10, 1, 4, 1)
    genotype = [conv, conv, conv, none, conv, none]  # nothing leads from node 2 on
    images = torch.randn(3, 1, 8, 8)
    before = network(images, genotype)
    dead = EDGES.index((0, 2)), EDGES.index((1, 2))
    for block in network.blocks:
        for edge in dead if hasattr(block, "edges") else ():
            block.edges[edge]["nor_conv_3x3"][1].weight.data.zero_()
    torch.testing.assert_close(network(images, genotype), before)
    nothing = network(images, [none] * 6)
    torch.testing.assert_close(nothing, nothing[:1].expand(3, -1))  # whatever the image


def test_partial_channels_pass_by():
    network = DARTSNetwork(10, 1, channels=8, layers=3, partial=4)
    operation = network.cells[0].edges[0]["skip_connect"]
    values = torch.randn(2, 8, 4, 4)
    joined = operation.join(values, torch.zeros(2, 2, 4, 4))
    # 2 of 8 were computed; shuffled over four groups: (computed, 1 of each other group), twice
    kept = [joined[:, channel].abs().max() > 0 for channel in range(8)]
    assert kept == [False, True, True, True, False, True, True, True]
    with pytest.raises(ValueError, match="does not divide"):
        DARTSNetwork(10, 1, channels=6, partial=4)


def test_channels_are_shuffled_in_either_memory_format():
    operation = DARTSNetwork(10, 1, channels=8, layers=3, partial=4).cells[0].edges[0]
    values, part = torch.randn(2, 8, 5, 4), torch.randn(2, 2, 5, 4)
    plain = operation["skip_connect"].join(values, part)
    last = [each.contiguous(memory_format=torch.channels_last) for each in (values, part)]
    other = operation["skip_connect"].join(*last)
    assert torch.equal(plain, other)
    assert other.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        plain, torch.nn.functional.channel_shuffle(torch.cat([part, values[:, 2:]], 1), 4)
    )


def test_edges_without_weights_are_left_out(supernet, images):
    logits = supernet.forward_mixed(images, torch.zeros(supernet.space.alpha_size).double())
    torch.testing.assert_close(logits, logits[:1].expand(6, -1))  # whatever the image


@pytest.mark.parametrize("size", [5, 10, 15, 16, 33])
def test_images_of_any_size(supernet, size):
    images = torch.randn(2, 1, size, size).double()
    assert supernet(images, drawn(supernet.space, 1)[0]).shape == (2, 10)
    alpha = torch.rand(supernet.space.alpha_size).double()
    assert supernet.forward_mixed(images, alpha).shape == (2, 10)


@pytest.mark.parametrize("wrong", [{"channels": 0}, {"cells": -1}, {"num_classes": 0}])
def test_counts_below_one(wrong):
    with pytest.raises(ValueError, match=r"is at least 1, got"):
        NB201Network(**{"num_classes": 10, **wrong})
    with pytest.raises(ValueError, match=r"below 1, got 1\.5"):
        DARTSNetwork(10, drop_path=1.5)


def test_drop_path_and_auxiliary_head():
    genotype = drawn(DARTSSpace(), 1)[0]
    torch.manual_seed(0)
    network = DARTSNetwork(
        10, channels=4, layers=3, affine=True, auxiliary=True, drop_path=0.5, genotype=genotype
    )
    images = torch.randn(4, 3, 32, 32)
    logits = network(images)
    assert network.auxiliary_logits.shape == logits.shape == (4, 10)
    torch.testing.assert_close(network(images), logits)  # no path is dropped at the beginning
    network.set_progress(1.0)
    assert not torch.allclose(network(images), network(images))
    network.generator = torch.Generator().manual_seed(1)
    before, first = torch.get_rng_state(), network(images)
    assert torch.equal(torch.get_rng_state(), before)
    network.generator.manual_seed(1)
    torch.testing.assert_close(network(images), first)
    assert network(images[..., :16, :16]).shape == network.auxiliary_logits.shape
    network.eval()
    torch.testing.assert_close(network(images), network(images))
    assert network.auxiliary_logits is None


def test_refuses_what_it_cannot_compute(supernet, images):
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
