"""The network of a cell: shapes, parameter counts, errors and learning."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from nas_gym.networks.cell_network import CellNetwork
from nas_gym.spaces import NB201Space
from nas_gym.spaces.graphs import NODES, to_graphs
from nas_gym.spaces.nb201_cost import count_nb201_parameters

SPACE = NB201Space()
NONE, SKIP, CONV1, CONV3, POOL = range(5)
SHAPES = {1: (12,), 2: (8, 10)}


def cell(genotype):
    """Return the graph of a NAS-Bench-201 cell."""
    graphs = to_graphs(SPACE, [genotype])
    return graphs.adjacency[0], graphs.nodes[0]


def chain(*names):
    """Return the graph of a chain of operations."""
    nodes = np.array([NODES.index(name) for name in ("input", *names, "output")])
    return np.eye(len(nodes), k=1, dtype=bool), nodes


def small(graph, dims, **kwargs):
    torch.manual_seed(0)
    return CellNetwork(*graph, 3, 4, dims, channels=(4, 6, 8), cells=2, **kwargs)


def inputs(dims, n=5):
    return torch.randn(n, 3, *SHAPES[dims], generator=torch.Generator().manual_seed(0))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def first_cell(network):
    return next(block for block in network.body if hasattr(block, "operations"))


@pytest.mark.parametrize("dims", [1, 2])
def test_shapes(dims):
    network = small(cell([CONV3, SKIP, POOL, CONV1, NONE, CONV3]), dims)
    resolutions = []
    for block in network.body:
        block.register_forward_hook(lambda *args: resolutions.append(tuple(args[-1].shape[1:])))
    assert network(inputs(dims)).shape == (5, 4)
    full, half, quarter = {
        1: ((12,), (6,), (3,)),
        2: ((8, 10), (4, 5), (2, 3)),  # 5 is halved to 3
    }[dims]
    stacks = [(4, *full)] * 4 + [(6, *half)] * 3 + [(8, *quarter)] * 3 + [(8, *quarter)] * 2
    assert resolutions == stacks
    assert network(torch.zeros(2, 3, *[1] * dims)).shape == (2, 4)


def test_parameters_of_the_largest_network_of_nb201():
    # as NAS-Bench-201 publishes it, in millions: 1.531546
    assert count(CellNetwork(*cell([CONV3] * 6), 3, 10)) == 1_531_546


def test_parameters_of_networks_of_nb201():
    for genotype in ([CONV1] * 6, [CONV3, SKIP, POOL, CONV1, NONE, CONV3], [SKIP] * 6, [NONE] * 6):
        assert count(CellNetwork(*cell(genotype), 3, 10)) == count_nb201_parameters([genotype])[0]


@pytest.mark.parametrize("dims", [1, 2])
def test_parameters_of_operations(dims):
    convolutions = {"conv1": 1, "conv3": 3, "conv5": 5, "conv5_d2": 5, "conv7": 7, "conv7_d2": 7}
    expected = {name: size**dims * 16 + 2 * 4 for name, size in convolutions.items()}
    expected |= {"linear": 16 + 4, "avg_pool": 0, "max_pool": 0, "skip": 0}
    for name, number in expected.items():
        assert count(first_cell(small(chain(name), dims))) == number


@pytest.mark.parametrize("dims", [1, 2])
def test_parameters_outside_the_cells(dims):
    three = 3**dims
    stem = three * 3 * 4 + 2 * 4
    reductions = sum(three * a * b + three * b * b + a * b + 2 * 2 * b for a, b in [(4, 6), (6, 8)])
    head = 2 * 8 + 8 * 4 + 4
    assert count(small(chain("skip"), dims)) == stem + reductions + head


@pytest.mark.parametrize("dims", [1, 2])
def test_receptive_fields_of_operations(dims):
    reach = {
        "conv1": {0}, "conv3": {-1, 0, 1}, "conv5": {-2, -1, 0, 1, 2},
        "conv5_d2": {-4, -2, 0, 2, 4}, "conv7": {-3, -2, -1, 0, 1, 2, 3},
        "conv7_d2": {-6, -4, -2, 0, 2, 4, 6}, "linear": {0}, "avg_pool": {-1, 0, 1},
        "max_pool": {-1, 0, 1}, "skip": {0},
    }  # fmt: skip
    for name, expected in reach.items():
        operation = first_cell(small(chain(name), dims)).eval()
        background, point = torch.ones(2, 1, 4, *[15] * dims)
        point[(0, slice(None), *[7] * dims)] += 1
        with torch.no_grad():
            changed = (operation(point) != operation(background))[0].any(dim=0)
        places = torch.nonzero(changed.reshape(-1, 15).any(dim=0))[:, 0] - 7
        assert set(places.tolist()) == expected, name


@torch.no_grad()
def test_average_pooling_excludes_padding():
    pool = first_cell(small(chain("avg_pool"), 2))
    torch.testing.assert_close(pool(torch.ones(1, 4, 5, 6)), torch.ones(1, 4, 5, 6))


@torch.no_grad()
def test_nodes_sum_their_predecessors():
    block = first_cell(small(cell([CONV3, SKIP, POOL, CONV1, CONV3, SKIP]), 2)).eval()
    x = torch.randn(2, 4, 6, 6)
    one, two_0, two_1, three_0, three_1, three_2 = list(block.operations)[:6]
    first = one(x)
    second = two_0(x) + two_1(first)
    expected = three_0(x) + three_1(first) + three_2(second)
    torch.testing.assert_close(block(x), expected)


@torch.no_grad()
def test_skips_alone_are_sums():
    # four paths from node 0 to node 3
    block = first_cell(small(cell([SKIP] * 6), 1))
    x = torch.randn(2, 4, 6)
    torch.testing.assert_close(block(x), 4 * x)


@torch.no_grad()
def test_dead_nodes_do_not_matter():
    x = inputs(2)
    network = small(cell([NONE, CONV3, NONE, SKIP, NONE, CONV1]), 2).eval()
    # node 1 has no input, so that the edges 1->2 and 1->3 are dead
    same = small(cell([NONE, CONV3, CONV3, SKIP, CONV1, CONV1]), 2).eval()
    assert network.state_dict().keys() == same.state_dict().keys()
    torch.testing.assert_close(network(x), same(x))


@pytest.mark.parametrize("dims", [1, 2])
def test_a_cell_without_output(dims):
    network = small(cell([NONE] * 6), dims)
    logits = network(inputs(dims))
    cross_entropy(logits, torch.arange(5) % 4).backward()
    assert not first_cell(network)(torch.ones(1, 4, *SHAPES[dims])).any()
    torch.testing.assert_close(logits, logits[:1].expand(5, -1))
    assert network.head.bias.grad.any()


def sinusoids(n, rng):
    """Return noisy sine waves of two frequencies and random phase, ``(n, 1, 32)``."""
    labels = np.arange(n) % 2
    phase = rng.random((n, 1)) * 2 * np.pi
    waves = np.sin(np.arange(32) * np.array([0.5, 1.1])[labels][:, None] + phase)
    return waves[:, None] + 0.2 * rng.normal(size=(n, 1, 32)), labels


def stripes(n, rng):
    """Return noisy horizontal or vertical stripes of random phase, ``(n, 1, 8, 8)``."""
    labels = np.arange(n) % 2
    waves = np.sin(np.arange(8) * 1.5 + rng.random((n, 1)) * 2 * np.pi)
    images = np.repeat(waves[:, :, None], 8, axis=2)
    images = np.where(labels[:, None, None] == 0, images, images.transpose(0, 2, 1))
    return images[:, None] + 0.2 * rng.normal(size=(n, 1, 8, 8)), labels


@pytest.mark.parametrize(("dims", "task"), [(1, sinusoids), (2, stripes)])
@pytest.mark.parametrize(
    "graph", [cell([CONV3, SKIP, POOL, CONV1, NONE, SKIP]), chain("linear", "conv5_d2", "max_pool")]
)
def test_learns(dims, task, graph):
    torch.manual_seed(0)
    images, labels = task(256, np.random.default_rng(0))
    x, y = torch.from_numpy(images).float(), torch.from_numpy(labels)
    network = CellNetwork(*graph, 1, 2, dims, channels=(4, 8, 8), cells=1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for step in range(40):
        batch = torch.arange(64) + step % 4 * 64
        optimizer.zero_grad()
        cross_entropy(network(x[batch]), y[batch]).backward()
        optimizer.step()
    with torch.no_grad():
        correct = network.eval()(x).argmax(dim=1) == y
    assert correct.float().mean() >= 0.95


@torch.no_grad()
def test_same_seed_same_network():
    graph = cell([CONV3] * 6)
    torch.testing.assert_close(small(graph, 2)(inputs(2)), small(graph, 2)(inputs(2)))


def test_bad_inputs():
    network = small(chain("conv3"), 1)
    for shape in ((5, 3), (5, 3, 8, 8), (5, 2, 8)):
        with pytest.raises(ValueError, match=r"shape \(n, 3, length\), got \(5, "):
            network(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"shape \(n, 3, height, width\), got \(5, 3, 8\)"):
        small(chain("conv3"), 2)(torch.zeros(5, 3, 8))
    with pytest.raises(TypeError, match=r"floating point, got torch.int64"):
        network(torch.zeros(5, 3, 8, dtype=torch.int64))
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="NaN or infinite"):
            network(torch.full((5, 3, 8), number))


def test_bad_cells():
    adjacency, nodes = chain("conv3")
    with pytest.raises(ValueError, match="dims is 1 or 2, got 3"):
        small((adjacency, nodes), 3)
    with pytest.raises(ValueError, match=r"got \(3, 3\) and \(2,\)"):
        small((adjacency, nodes[:2]), 2)
    with pytest.raises(ValueError, match="from earlier to later"):
        small((adjacency.T, nodes), 2)
    for names in (("zero",), ("conv3", "input"), ("output",)):
        with pytest.raises(ValueError, match="operations other than zero"):
            small(chain(*names), 2)
    with pytest.raises(ValueError, match="got conv3, output"):
        small((adjacency[1:, 1:], nodes[1:]), 2)
