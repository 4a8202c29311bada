"""Network of MnasNet's search space: costs, sub-networks, mixture and training."""

import numpy as np
import pytest
import torch
from networks.small import small_supernet
from torch.utils.flop_counter import FlopCounterMode

from nas_gym.networks.data import load_images
from nas_gym.networks.mnasnet_network import MnasNetNetwork
from nas_gym.networks.plans import training_plan
from nas_gym.networks.supernet import load_supernet, train_supernet
from nas_gym.spaces import MnasNetSpace
from nas_gym.spaces.mnasnet_cost import count_mnasnet_flops, count_mnasnet_parameters

SPACE = MnasNetSpace()
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def supernet():
    torch.manual_seed(0)
    return MnasNetNetwork(num_classes=10, in_channels=1, channels=8).eval()


@pytest.fixture(scope="module")
def images():
    return torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def random_genotypes(n):
    return SPACE.sample(n, np.random.default_rng(0))


def test_parameters_are_the_counted_ones():
    genotypes = random_genotypes(20)
    with torch.device("meta"):
        networks = [MnasNetNetwork(1000, genotype=each) for each in genotypes]
    built = [sum(each.numel() for each in network.parameters()) for network in networks]
    np.testing.assert_array_equal(built, count_mnasnet_parameters(genotypes))


def test_multiply_adds_are_the_counted_ones():
    for genotype in random_genotypes(1):
        with torch.device("meta"):
            network = MnasNetNetwork(1000, genotype=genotype)
            with FlopCounterMode(display=False) as counter:
                network(torch.zeros(1, 3, 64, 64))
        assert counter.get_total_flops() == 2 * count_mnasnet_flops([genotype], 1000, 64)[0]


def test_a_subnet_computes_what_the_supernet_computes(supernet, images):
    for genotype in random_genotypes(5):
        subnet = supernet.subnet(genotype)
        torch.testing.assert_close(subnet(images), supernet(images, genotype))
        assert sum(p.numel() for p in subnet.parameters()) < sum(
            p.numel() for p in supernet.parameters()
        )
        with pytest.raises(ValueError, match="This is the network of"):
            subnet(images, (genotype + 1) % SPACE.num_choices)


def test_the_mixture_of_one_architecture_is_this_architecture(supernet, images):
    for genotype in random_genotypes(2):
        alpha = torch.from_numpy(SPACE.genotype_to_alpha([genotype])[0])
        mixed = supernet.forward_mixed(images, alpha)
        torch.testing.assert_close(mixed, supernet(images, genotype), rtol=1e-4, atol=1e-5)


def test_every_entry_of_alpha_has_a_gradient(supernet, images):
    alpha = torch.rand(SPACE.alpha_size, generator=torch.Generator().manual_seed(0))
    alpha.requires_grad_()
    supernet.forward_mixed(images[:1], alpha).sum().backward()
    assert (alpha.grad != 0).all()


def test_scales_have_a_gradient(supernet, images):
    (genotype,) = random_genotypes(1)
    scales = torch.ones(supernet.scales_shape, requires_grad=True)
    logits = supernet(images, genotype, scales)
    torch.testing.assert_close(logits, supernet(images, genotype))
    logits.sum().backward()
    assert (scales.grad != 0).all()


def test_an_update_trains_only_the_chosen_part(images):
    supernet = MnasNetNetwork(num_classes=10, in_channels=1, channels=8)
    smallest = np.zeros(28, np.int64)
    supernet(images, smallest).sum().backward()
    layer = supernet.blocks[0][0]
    assert layer.expand.weight.grad is None
    kernel = layer.depthwise.weight.grad
    assert (kernel[: layer.inputs, 0, 1:4, 1:4] != 0).any()
    assert (kernel[layer.inputs :] == 0).all()
    assert (kernel[:, :, 0] == 0).all()
    assert supernet.blocks[0][1].project.weight.grad is None


@pytest.mark.parametrize("fault", [torch.zeros(105), torch.zeros(7, 12)])
def test_refuses_other_alphas(supernet, images, fault):
    with pytest.raises(ValueError, match="Alpha of MnasNet has shape"):
        supernet.forward_mixed(images, fault)


@pytest.mark.long
def test_train_supernet(tmp_path):
    data = load_images("digits")
    path = tmp_path / "supernet.safetensors"
    trained = train_supernet(small_supernet("MnasNet", 1), data, path, CPU)
    loaded = load_supernet(path, CPU, data)
    assert 0 <= trained.best_accuracy <= 100
    (genotype,) = random_genotypes(1)
    assert loaded.network.subnet(genotype)(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def test_plan_of_a_single_architecture():
    plan = training_plan("MnasNet", load_images("digits"))
    assert plan.build(np.zeros(28, np.int64)).genotype == (0,) * 28
