"""Zero-cost proxies: their definitions, and environments that use them."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

import nas_gym
from nas_gym.agents import RandomSearch
from nas_gym.evaluators.named import network_evaluator
from nas_gym.evaluators.zero_cost import ZeroCostEvaluator
from nas_gym.networks.data import load_images
from nas_gym.networks.plans import training_plan
from nas_gym.networks.zero_cost import naswot, synflow

DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
RESIDUAL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"


class OneReLU(nn.Module):
    """One ReLU behind a fixed linear layer."""

    def __init__(self, weights):
        super().__init__()
        self.linear = nn.Linear(len(weights[0]), len(weights), bias=False)
        self.linear.weight.data = torch.tensor(weights)
        self.relu = nn.ReLU()

    def forward(self, inputs):
        return self.relu(self.linear(inputs.flatten(1).to(self.linear.weight.dtype)))


def test_naswot_counts_equal_responses():
    network = OneReLU([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    images = torch.tensor([[1.0, -0.5], [-1.0, 2.0], [1.0, 3.0]]).view(3, 1, 1, 2)
    active = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 1]])
    kernel = (active[:, None] == active[None]).sum(axis=2) + np.eye(3)
    assert naswot(network, images) == pytest.approx(np.linalg.slogdet(kernel)[1])


def test_synflow_of_one_layer_is_the_sum_of_absolute_weights():
    network = OneReLU([[1.0, -2.0], [-3.0, 0.5]])
    assert synflow(network, torch.zeros(4, 1, 1, 2)) == pytest.approx(np.log1p(6.5))


@pytest.fixture(scope="module")
def evaluator():
    return network_evaluator("NB201", "digits", "zero-cost(images=16)")


@pytest.mark.parametrize("metric", ["naswot", "synflow"])
def test_a_cell_without_paths_has_the_lowest_score(evaluator, metric):
    genotypes = evaluator.space.from_text([DEAD, RESIDUAL])
    dead, residual = evaluator.values(metric, genotypes)
    assert np.isfinite(dead)
    assert dead < residual
    others = evaluator.values(metric, evaluator.space.sample(5, np.random.default_rng(0)))
    assert (others >= dead).all()


def test_scores_depend_on_the_architecture_alone(evaluator):
    data = load_images("digits")
    again = ZeroCostEvaluator(training_plan("NB201", data), data, torch.device("cpu"), 16)
    genotypes = evaluator.space.sample(3, np.random.default_rng(1))
    before = torch.get_rng_state()
    for metric in evaluator.metrics:
        np.testing.assert_array_equal(
            evaluator.values(metric, genotypes[::-1]), again.values(metric, genotypes)[::-1]
        )
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("space", ["NB201", "DARTS", "MnasNet"])
def test_environments(space):
    envs = gym.make_vec(f"{space}-digits-population-v0", evaluator="zero-cost(images=8)")
    assert str(envs.task.signal) == str(envs.task.report) == "zero-cost:naswot"
    agent = RandomSearch(envs, seed=0)
    agent.query()
    assert (envs.history.reward(envs.history.indices[0]) > 0).all()


def test_a_higher_score_has_less_regret(evaluator):
    """No score is known to be the best, and scores are not in %."""
    task = nas_gym.Task(evaluator.space, evaluator, dataset="digits")
    indices = np.arange(3)
    np.testing.assert_array_equal(task.regret(indices), -task.reported(indices))


def test_one_image_is_refused():
    with pytest.raises(ValueError, match="images is at least 2, got 1"):
        network_evaluator("NB201", "digits", "zero-cost(images=1)")
