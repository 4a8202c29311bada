"""The network of DARTS: published counts, drop path, and the auxiliary head."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas_gym.networks.darts_network import DARTSNetwork
from nas_gym.spaces import DARTSSpace

# published by the authors of DARTS
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)


def test_darts_has_the_published_number_of_parameters():
    genotype = DARTSSpace().from_text([DARTS_V2])[0]
    network = DARTSNetwork(
        10, channels=36, layers=20, affine=True, auxiliary=True, genotype=genotype
    )
    counted = sum(p.numel() for name, p in network.named_parameters() if "auxiliary" not in name)
    assert counted == 3_349_342  # "param size = 3.349342MB", printed by the code of DARTS


def test_drop_path_and_auxiliary_head():
    genotype = DARTSSpace().sample(1, np.random.default_rng(0))[0]
    torch.manual_seed(0)
    network = DARTSNetwork(
        10, channels=4, layers=3, affine=True, auxiliary=True, drop_path=0.5, genotype=genotype
    )
    images = torch.randn(4, 3, 32, 32)
    logits = network(images)
    assert network.auxiliary_logits.shape == logits.shape == (4, 10)
    torch.testing.assert_close(network(images), logits)  # no path is dropped at first
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


def test_drop_path_out_of_range():
    with pytest.raises(ValueError, match=r"below 1, got 1\.5"):
        DARTSNetwork(10, drop_path=1.5)
