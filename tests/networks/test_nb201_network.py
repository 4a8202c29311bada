"""The network of NAS-Bench-201: published counts and dead edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas_gym.networks.nb201_network import NB201Network
from nas_gym.spaces import NB201Space
from nas_gym.spaces.nb201 import EDGES, OPERATIONS
from nas_gym.spaces.nb201_cost import count_nb201_flops, count_nb201_parameters


def count(network):
    return sum(each.numel() for each in network.parameters())


@pytest.mark.parametrize("classes", [10, 120])
def test_parameters_are_those_of_nas_bench_201(classes):
    genotypes = np.concatenate(
        [NB201Space().sample(5, np.random.default_rng(0)), [[0] * 6, [3] * 6]]
    )
    counted = [count(NB201Network(classes, genotype=genotype)) for genotype in genotypes]
    assert counted == count_nb201_parameters(genotypes, classes).tolist()


def multiply_adds(network, images):
    """Return the multiply-adds of convolutions and linear layers for one image."""
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
    # cells without dead edges, which a forward pass does not compute
    genotypes = np.array([[3, 1, 2, 3, 2, 4], [3] * 6, [1, 4, 2, 2, 3, 1]])
    for genotype in genotypes:
        network = NB201Network(10, channels=4, cells=2, genotype=genotype)
        found = multiply_adds(network, torch.zeros(1, 3, 16, 16))
        assert found == count_nb201_flops(genotype, 10, 16, 4, 2).item()


def test_dead_edges_are_left_out():
    none, conv = OPERATIONS.index("none"), OPERATIONS.index("nor_conv_3x3")
    network = NB201Network(10, 1, 4, 1)
    genotype = [conv, conv, conv, none, conv, none]  # node 2 has no outgoing edge
    images = torch.randn(3, 1, 8, 8)
    before = network(images, genotype)
    dead = EDGES.index((0, 2)), EDGES.index((1, 2))
    for block in network.blocks:
        for edge in dead if hasattr(block, "edges") else ():
            block.edges[edge]["nor_conv_3x3"][1].weight.data.zero_()
    torch.testing.assert_close(network(images, genotype), before)
    nothing = network(images, [none] * 6)
    torch.testing.assert_close(nothing, nothing[:1].expand(3, -1))  # same logits for all images


@pytest.mark.parametrize("wrong", [{"channels": 0}, {"cells": -1}, {"num_classes": 0}])
def test_counts_below_one(wrong):
    with pytest.raises(ValueError, match=r"is at least 1 and at most \S+, got"):
        NB201Network(**{"num_classes": 10, **wrong})
