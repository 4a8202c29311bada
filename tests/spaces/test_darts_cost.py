"""Parameters and FLOPs of DARTS networks, compared with networks of PyTorch."""

import numpy as np
import pytest
import torch

from nas_gym.networks.darts_network import DARTSNetwork
from nas_gym.spaces import DARTSSpace
from nas_gym.spaces.darts_cost import count_darts_flops, count_darts_parameters

space = DARTSSpace()

# DARTS_V2 of Liu et al.'s repository
SECOND_ORDER = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)


def _multiply_adds(network, size):
    """Multiply-adds of convolutions and the linear layer, from the shapes that they see."""
    total = []

    def count(module, inputs, output):
        if isinstance(module, torch.nn.Conv2d):
            total.append(module.weight.numel() * output.shape[2] * output.shape[3])
        elif isinstance(module, torch.nn.Linear):
            total.append(module.weight.numel() + module.bias.numel())

    for module in network.modules():
        module.register_forward_hook(count)
    network.eval()(torch.zeros(1, 3, size, size))
    return sum(total)


@pytest.mark.parametrize("layers", [5, 6])
def test_counts_equal_those_of_networks(layers):
    genotypes = space.sample(6, np.random.default_rng(0))
    parameters = count_darts_parameters(genotypes, 7, 4, layers)
    flops = count_darts_flops(genotypes, 7, 20, 4, layers)
    for row, genotype in enumerate(genotypes):
        network = DARTSNetwork(7, channels=4, layers=layers, affine=True, genotype=genotype)
        assert sum(each.numel() for each in network.parameters()) == parameters[row]
        assert _multiply_adds(network, 20) == flops[row]


def test_published_size():
    genotype = space.from_text([SECOND_ORDER])
    # Liu et al., Table 1: 3.3 million parameters
    assert count_darts_parameters(genotype)[0] / 1e6 == pytest.approx(3.35, abs=0.05)


def test_bad_genotypes():
    with pytest.raises(ValueError, match="22"):
        count_darts_parameters([[0] * 6])
