"""Distributions of weights and operations: KL terms, sampling, and models with known posteriors."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from nas_gym.networks.bayesian.distribution import (
    NetworkDistribution,
    agreement,
    categorical_kl,
    kl_divergence,
    normal_kl,
)
from nas_gym.networks.gumbel import gumbel_noise
from nas_gym.networks.nb201_network import NB201Network
from nas_gym.spaces import NB201Space
from nas_gym.utils.errors import DivergedError

SPACE = NB201Space()


def leaves(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(s, generator=generator, dtype=torch.double) for s in shapes]


def make_distribution(seed=0, deviation=0.1):
    network = NB201Network(3, 1, channels=2, cells=1)
    return NetworkDistribution.initial(network, deviation, torch.Generator().manual_seed(seed))


def test_kl_of_normals_against_pytorch_and_monte_carlo():
    mean, log_deviation, prior_mean, prior_log = leaves((7,), (7,), (7,), (7,))
    found = normal_kl(mean, log_deviation, prior_mean, prior_log)
    q = torch.distributions.Normal(mean, log_deviation.exp())
    p = torch.distributions.Normal(prior_mean, prior_log.exp())
    torch.testing.assert_close(found, torch.distributions.kl_divergence(q, p).sum())
    torch.manual_seed(0)
    drawn = q.sample((100_000,))
    estimates = (q.log_prob(drawn) - p.log_prob(drawn)).sum(dim=1)
    assert abs(estimates.mean() - found) < 5 * estimates.std() / 100_000**0.5


def test_kl_of_operations_against_pytorch_and_monte_carlo():
    logits, prior = leaves((6, 5), (6, 5))
    q, p = (torch.distributions.Categorical(logits=each) for each in (logits, prior))
    found = categorical_kl(logits, prior)
    torch.testing.assert_close(found, torch.distributions.kl_divergence(q, p).sum())
    torch.manual_seed(0)
    drawn = q.sample((100_000,))
    estimates = (q.log_prob(drawn) - p.log_prob(drawn)).sum(dim=1)
    assert abs(estimates.mean() - found) < 5 * estimates.std() / 100_000**0.5


def test_gradients_of_kl_in_closed_form():
    mean, log_deviation, prior_mean, prior_log = leaves((7,), (7,), (7,), (7,))
    mean.requires_grad_(), log_deviation.requires_grad_()
    normal_kl(mean, log_deviation, prior_mean, prior_log).backward()
    torch.testing.assert_close(mean.grad, (mean.detach() - prior_mean) / prior_log.exp() ** 2)
    ratio = (log_deviation.detach() - prior_log).exp() ** 2
    torch.testing.assert_close(log_deviation.grad, ratio - 1)
    logits, prior = leaves((6, 5), (6, 5))
    logits.requires_grad_()
    categorical_kl(logits, prior).backward()
    q, log_ratio = logits.softmax(-1), logits.log_softmax(-1) - prior.log_softmax(-1)
    expected = q * (log_ratio - (q * log_ratio).sum(-1, keepdim=True))
    torch.testing.assert_close(logits.grad, expected.detach())


def test_elbo_at_the_exact_posterior_is_the_log_evidence_of_a_linear_model():
    """y ~ N(w x, 1) with w ~ N(m, s^2) has a normal posterior and a known evidence."""
    x, y = torch.tensor([0.5, -1.0, 2.0]).double(), torch.tensor([1.0, -0.3, 1.7]).double()
    m, s = torch.tensor(0.3).double(), torch.tensor(0.8).double()
    variance = 1 / (1 / s**2 + (x**2).sum())
    mean = variance * (m / s**2 + (x * y).sum())
    expected_loss = ((y - mean * x) ** 2 + variance * x**2).sum() / 2 + 1.5 * math.log(2 * math.pi)
    elbo = -expected_loss - normal_kl(mean, variance.sqrt().log(), m, s.log())
    covariance = torch.eye(3).double() + s**2 * torch.outer(x, x)
    evidence = torch.distributions.MultivariateNormal(m * x, covariance).log_prob(y)
    torch.testing.assert_close(elbo, evidence)


def test_descent_of_the_negative_elbo_finds_the_posterior_of_operations():
    losses, prior = leaves((2, 5), (2, 5))
    logits = prior.clone()
    for _ in range(2000):
        logits.requires_grad_()
        loss = (logits.softmax(-1) * losses).sum() + categorical_kl(logits, prior)
        (gradient,) = torch.autograd.grad(loss, logits)
        logits = logits.detach() - 0.5 * gradient
    torch.testing.assert_close(logits.softmax(-1), (prior - losses).softmax(-1))
    evidence = (prior.softmax(-1) * (-losses).exp()).sum(-1).log().sum()
    torch.testing.assert_close(-loss, evidence)


def test_operations_are_drawn_with_their_probabilities():
    logits = torch.tensor([0.5, -1.0, 0.0, 2.0, 1.0])
    generator = torch.Generator().manual_seed(1)
    drawn = (logits + gumbel_noise((50_000, 5), generator)).argmax(dim=1)
    expected = 50_000 * logits.double().softmax(0).numpy()
    assert chisquare(np.bincount(drawn, minlength=5), expected).pvalue > 0.01
    distribution = NetworkDistribution({}, {}, logits.expand(6, 5))
    genotypes = distribution.sample_genotypes(SPACE, 50_000, np.random.default_rng(0))
    for column in genotypes.T:
        assert chisquare(np.bincount(column, minlength=5), expected).pvalue > 0.001


def test_weights_are_drawn_around_their_means():
    distribution = make_distribution(deviation=0.1)
    drawn = distribution.sample_weights(torch.Generator().manual_seed(0))
    noise = torch.cat([(drawn[k] - v).flatten() / 0.1 for k, v in distribution.mean.items()])
    assert abs(noise.mean()) < 0.05
    assert abs(noise.std() - 1) < 0.05
    points = make_distribution(deviation=None)
    assert points.sample_weights(torch.Generator()) is points.mean


def test_parameters_round_trip_and_divergence_from_itself():
    distribution = make_distribution()
    again = NetworkDistribution.from_parameters(distribution.parameters())
    assert again.parameters().keys() == distribution.parameters().keys()
    assert kl_divergence(distribution, again) == 0


def test_architecture_and_entropy():
    logits = torch.eye(5)[[0, 3, 1, 2, 4, 3]]
    distribution = NetworkDistribution({}, {}, 50 * logits)
    assert distribution.genotype(SPACE).tolist() == [0, 3, 1, 2, 4, 3]
    assert distribution.entropy() == pytest.approx(0, abs=1e-6)
    even = NetworkDistribution({}, {}, torch.zeros(6, 5))
    assert even.entropy() == pytest.approx(math.log(5))
    assert agreement(np.array([[0, 1], [0, 2], [0, 1]])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("value", [-20.0, 5.0])
def test_collapsed_and_exploded_deviations(value):
    distribution = make_distribution()
    distribution.check()
    next(iter(distribution.log_deviation.values())).fill_(value)
    with pytest.raises(DivergedError, match="standard deviation of stem"):
        distribution.check()


def test_parameters_that_are_not_finite():
    distribution = make_distribution()
    distribution.alpha_logits[0, 0] = float("nan")
    with pytest.raises(DivergedError, match="alpha_logits became NaN"):
        distribution.check()
