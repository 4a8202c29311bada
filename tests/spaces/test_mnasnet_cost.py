"""Parameters and multiply-adds of MnasNet-like networks."""

import numpy as np
import pytest

from nas_gym.spaces import MnasNetSpace
from nas_gym.spaces.mnasnet_cost import (
    count_mnasnet_flops,
    count_mnasnet_macs,
    count_mnasnet_parameters,
)

EFFICIENTNET_B0 = "e1k3l1se-e6k3l2se-e6k5l2se-e6k3l3se-e6k5l3se-e6k5l4se-e6k3l1se"


def test_efficientnet_b0():
    b0 = MnasNetSpace().from_text([EFFICIENTNET_B0])
    assert count_mnasnet_parameters(b0)[0] == 5_288_548
    assert count_mnasnet_flops(b0)[0] == 385_814_752  # 390 M in the paper
    difference = count_mnasnet_parameters(b0, 1000) - count_mnasnet_parameters(b0, 10)
    assert difference[0] == 990 * 1281


def test_costs_are_those_of_accel_nasbench(open_table):
    table = open_table("accel-nasbench")
    genotypes = table.space.decode(np.arange(table.space.size))
    for metric, count in (("params", count_mnasnet_parameters), ("macs", count_mnasnet_macs)):
        np.testing.assert_allclose(count(genotypes) / 1e6, table.column(metric), rtol=1e-12)


def test_a_larger_choice_costs_more():
    space = MnasNetSpace()
    genotypes = space.sample(200, np.random.default_rng(0))
    for decision in range(space.num_decisions):
        smaller, larger = genotypes.copy(), genotypes.copy()
        smaller[:, decision], larger[:, decision] = 0, 1
        for count in (count_mnasnet_parameters, count_mnasnet_flops, count_mnasnet_macs):
            assert (count(larger) > count(smaller)).all()


def test_multiply_adds_grow_with_the_image():
    genotypes = MnasNetSpace().sample(10, np.random.default_rng(0))
    assert (count_mnasnet_flops(genotypes, 10, 32) < count_mnasnet_flops(genotypes, 10, 64)).all()


def test_invalid_genotypes():
    with pytest.raises(ValueError, match="decision 0"):
        count_mnasnet_parameters([[3] + [0] * 27])
