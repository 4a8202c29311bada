"""Multiply-adds of networks, counted and limited."""

import numpy as np
import pytest
import torch
from networks.few_shot.small_tasks import make_data, make_plan

from nas_gym.networks.few_shot.flops import count_flops, flops_limit
from nas_gym.networks.few_shot.meta_supernet import train_meta_supernet
from nas_gym.spaces.nb201_cost import count_nb201_flops


def test_the_limit_accepts_networks_below_it():
    plan = make_plan(make_data())
    genotypes = plan.build().space.sample(20, np.random.default_rng(0))
    flops = np.array([count_flops(plan.build, genotype, plan.shape) for genotype in genotypes])
    accept = flops_limit(plan.build, plan.shape, float(np.median(flops)))
    np.testing.assert_array_equal(accept(genotypes), flops <= np.median(flops))


def test_flops_differ_as_those_of_nas_bench_201():
    # both count convolutions; NAS-Bench-201's network has three input channels
    plan = make_plan(make_data())
    cells = np.array([[3, 3, 3, 3, 3, 3], [2, 3, 3, 3, 3, 3]])
    found = [count_flops(plan.build, cell, plan.shape) for cell in cells]
    expected = count_nb201_flops(cells, num_classes=3, image_size=8, channels=2, cells=1) / 1e6
    assert found[0] - found[1] == pytest.approx(expected[0] - expected[1])


def test_the_population_respects_the_limit(tmp_path):
    data = make_data()
    limit = 0.02
    plan = make_plan(data, max_flops=limit)
    found = train_meta_supernet(plan, data, tmp_path / "meta.safetensors", torch.device("cpu"))
    flops = [count_flops(plan.build, genotype, plan.shape) for genotype in found.population]
    assert max(flops) <= limit
    sample = plan.build().space.sample(20, np.random.default_rng(0))
    assert max(count_flops(plan.build, genotype, plan.shape) for genotype in sample) > limit
