"""Parameters and FLOPs of DARTS networks, compared with networks of PyTorch."""

import re

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


# CIFAR_TUNED and IMAGENET_TUNED of the repository of BASE's authors
BASE_CELLS = (
    "Genotype(normal=[('skip_connect', 0), ('dil_conv_3x3', 1), ('max_pool_3x3', 0), "
    "('dil_conv_5x5', 0), ('max_pool_3x3', 0), ('sep_conv_5x5', 0), ('max_pool_3x3', 1), "
    "('dil_conv_5x5', 1)], reduce=[('sep_conv_3x3', 0), ('sep_conv_5x5', 0), ('max_pool_3x3', 0), "
    "('sep_conv_3x3', 0), ('skip_connect', 0), ('avg_pool_3x3', 3), ('max_pool_3x3', 1), "
    "('skip_connect', 2)])",
    "Genotype(normal=[('skip_connect', 0), ('max_pool_3x3', 1), ('avg_pool_3x3', 0), "
    "('sep_conv_5x5', 1), ('sep_conv_5x5', 0), ('dil_conv_5x5', 3), ('sep_conv_5x5', 0), "
    "('sep_conv_5x5', 2)], reduce=[('max_pool_3x3', 0), ('sep_conv_5x5', 0), ('max_pool_3x3', 0), "
    "('avg_pool_3x3', 0), ('sep_conv_5x5', 2), ('dil_conv_5x5', 2), ('avg_pool_3x3', 0), "
    "('sep_conv_5x5', 3)])",
)


def with_distinct_inputs(text):
    """Return a cell whose nodes read two nodes each, with the same numbers of parameters.

    If a node reads one node twice, its second operation reads another node of the same kind: an
    input of the cell, or an intermediate node.
    """
    pairs = re.findall(r"\('(\w+)', (\d)\)", text)
    for number in range(1, len(pairs), 2):
        (_, first), (name, second) = pairs[number - 1 : number + 1]
        if first == second:
            pairs[number] = (name, {"0": "1", "1": "0", "2": "3"}[second])
    cells = [[(name, int(source)) for name, source in each] for each in (pairs[:8], pairs[8:])]
    return f"Genotype(normal={cells[0]}, reduce={cells[1]})"


@pytest.mark.parametrize(
    ("cell", "parameters"), [(0, 3_145_490), (1, 4_181_570)], ids=["cifar10", "ImageNet"]
)
def test_cells_of_base(cell, parameters):
    """Some of their nodes read one node twice, which no cell of the space of DARTS does.

    Table 1 of the paper says 3.07 million for the first cell, 2.4 % less than its file. The second
    cell is for ImageNet (14 cells, 48 channels), and not the one of 3.29 million in Table 1.
    """
    with pytest.raises(ValueError, match="reads node 0 twice"):
        space.from_text([BASE_CELLS[cell]])
    genotype = space.from_text([with_distinct_inputs(BASE_CELLS[cell])])
    assert count_darts_parameters(genotype, channels=40) == parameters


def test_the_cell_of_base_without_one_convolution_has_the_published_size():
    """The network has 3.07 million parameters, as published, if one convolution is left out.

    Each operation in turn is replaced by pooling, which has no parameters. Only one replacement
    gives the published size: that of a 5x5 convolution in the first node of the reduction cell.
    """
    text = with_distinct_inputs(BASE_CELLS[0])
    pairs = re.findall(r"\('\w+', \d\)", text)
    sizes = {}
    for number, pair in enumerate(pairs):
        changed = [*pairs[:number], f"('max_pool_3x3', {pair[-2]})", *pairs[number + 1 :]]
        cells = (", ".join(each) for each in (changed[:8], changed[8:]))
        genotype = space.from_text(["Genotype(normal=[{}], reduce=[{}])".format(*cells)])
        sizes[number] = count_darts_parameters(genotype, channels=40)[0]
    published = [number for number, size in sizes.items() if round(size / 1e6, 2) == 3.07]
    assert [(pairs[number], sizes[number]) for number in published] == [
        ("('sep_conv_5x5', 1)", 3_068_530)
    ]
