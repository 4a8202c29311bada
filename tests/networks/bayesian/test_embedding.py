"""Optimization embedding: gradients, expectations over operations, and discrete networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from nas_gym.networks.bayesian.distribution import NetworkDistribution, kl_divergence
from nas_gym.networks.bayesian.embedding import (
    mean_network_logits,
    optimization_embedding,
    random_batches,
    sampled_loss,
)
from nas_gym.networks.bayesian.plans import BASETrainingConfig
from nas_gym.networks.evaluation import use_batch_statistics
from nas_gym.networks.gumbel import gumbel_noise, straight_through_path
from nas_gym.networks.nb201_network import NB201Network
from nas_gym.networks.network import Network
from nas_gym.spaces import DARTSSpace, NB201Space
from nas_gym.utils.errors import DivergedError

CONFIG = BASETrainingConfig(
    variational=True, deviation=0.05, kl_weight=0.5, alpha_rate=1.0, outer_rate=0.5
)
IMAGES = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(3))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def make_network():
    torch.manual_seed(0)
    network = NB201Network(3, 1, channels=2, cells=1)
    use_batch_statistics(network)
    return network


def discrete(network, genotype):
    """Return the stand-alone network of an architecture, with a supernet's weights."""
    alone = NB201Network(3, 1, channels=2, cells=1, genotype=genotype)
    use_batch_statistics(alone)
    own = network.state_dict()
    alone.load_state_dict({name: own[name] for name in alone.state_dict()})
    return alone


def make_prior(network, config=CONFIG):
    deviation = config.deviation if config.variational else None
    return NetworkDistribution.initial(network, deviation, torch.Generator().manual_seed(0))


def embed(config, batches, seed=5, network=None, num_images=6):
    network = make_network() if network is None else network
    generator = torch.Generator().manual_seed(seed)
    prior = make_prior(network, config)
    found = optimization_embedding(network, prior, batches, num_images, config, 1.0, generator)
    return prior, found


def test_without_steps_the_posterior_is_the_prior():
    prior, found = embed(CONFIG, [])
    assert found is prior


def test_the_networks_own_weights_are_neither_used_nor_changed():
    network = make_network()
    prior = make_prior(network)
    with torch.no_grad():
        for each in network.parameters():
            each.fill_(float("nan"))
    generator = torch.Generator().manual_seed(0)
    batches = [(IMAGES, LABELS)]
    optimization_embedding(network, prior, batches, 6, CONFIG, 1.0, generator)
    assert all(each.isnan().all() for each in network.parameters())


@pytest.mark.parametrize("relaxation", ["straight-through", "soft"])
def test_steps_follow_the_gradient_of_the_negative_elbo(relaxation):
    """The same two steps, computed by hand."""
    config = replace(CONFIG, relaxation=relaxation)
    _, found = embed(config, [(IMAGES, LABELS)] * 2)
    network = make_network()
    generator = torch.Generator().manual_seed(5)
    prior = make_prior(network)
    current = prior
    for _ in range(2):
        own = {k: v.clone().requires_grad_() for k, v in current.parameters().items()}
        mean = {k.removeprefix("network/"): v for k, v in own.items() if "network/" in k}
        weights = {}
        for name, each in mean.items():
            epsilon = torch.randn(each.shape, generator=generator)
            weights[name] = each + own[f"log_deviation/{name}"].exp() * epsilon
        noise = gumbel_noise((6, 5), generator)
        if relaxation == "soft":
            alpha = (own["alpha_logits"].log_softmax(-1) + noise).softmax(-1).flatten()
            for name, each in weights.items():  # forward_mixed with these weights
                set_parameter(network, name, each)
            logits = network.forward_mixed(IMAGES, alpha)
        else:
            genotype, scales = straight_through_path(network, own["alpha_logits"], noise, 1.0)
            logits = functional_call(network, weights, (IMAGES, genotype, scales))
        divergence = kl_divergence(NetworkDistribution.from_parameters(own), prior)
        loss = nn.functional.cross_entropy(logits, LABELS) + 0.5 * divergence / 6
        loss.backward()
        rates = {"alpha_logits": config.alpha_rate}
        moved = {
            name: (each - rates.get(name, config.inner_rate) * each.grad).detach()
            for name, each in own.items()
            if each.grad is not None
        }
        current = NetworkDistribution.from_parameters({**current.parameters(), **moved})
    for name, each in current.parameters().items():
        torch.testing.assert_close(found.parameters()[name], each)


def set_parameter(network, name, value):
    """Replace a parameter by a tensor with a history."""
    path, _, last = name.rpartition(".")
    module = network.get_submodule(path)
    if last in module._parameters:
        del module._parameters[last]
    setattr(module, last, value)


def test_kl_terms_pull_towards_the_prior():
    def moved(kl_weight):
        config = replace(CONFIG, kl_weight=kl_weight, deviation=0.2)
        prior, found = embed(config, [(IMAGES, LABELS)] * 5, num_images=40)
        return kl_divergence(found, prior)

    assert moved(2.0) < moved(0.0)


def test_point_weights_have_no_noise_and_no_deviation():
    config = replace(CONFIG, variational=False, kl_weight=0.0)
    prior, found = embed(config, [(IMAGES, LABELS)])
    assert not prior.log_deviation
    assert not found.log_deviation


class ScoreNetwork(Network):
    """Network whose logits are sums of one score per edge and operation."""

    alpha_shape, scales_shape = (6, 5), (6,)

    def __init__(self):
        super().__init__(NB201Space(), None, {"in_channels": 1})
        generator = torch.Generator().manual_seed(0)
        self.scores = nn.Parameter(torch.randn(6, 5, 3, generator=generator))

    def forward(self, images, genotype=None, scales=None):
        chosen = self.scores[torch.arange(6), torch.as_tensor(np.asarray(genotype))]
        total = (chosen * (1 if scales is None else scales[:, None])).sum(dim=0)
        return total.expand(len(images), 3)

    def forward_mixed(self, images, alpha):
        total = (self.scores * alpha.reshape(6, 5, 1)).sum(dim=(0, 1))
        return total.expand(len(images), 3)


def test_sampled_loss_estimates_the_expectation_over_all_architectures():
    network = ScoreNetwork()
    prior = NetworkDistribution.initial(network, None, torch.Generator().manual_seed(0))
    alpha = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
    distribution = replace(prior, alpha_logits=alpha)
    every = network.space.decode(np.arange(network.space.size))
    logs = alpha.log_softmax(-1)[torch.arange(6), torch.from_numpy(every)].sum(dim=1)
    with torch.no_grad():
        logits = network.scores[torch.arange(6), torch.from_numpy(every)].sum(dim=1)
        losses = -logits.log_softmax(-1)[:, 0]
        exact = (logs.exp() * losses).sum()
        generator = torch.Generator().manual_seed(2)
        images, labels = torch.zeros(1, 1, 1, 1), torch.zeros(1, dtype=torch.long)
        drawn = torch.stack(
            [
                sampled_loss(network, distribution, images, labels, CONFIG, 1.0, generator)
                for _ in range(2000)
            ]
        )
    assert abs(drawn.mean() - exact) < 4 * drawn.std() / 2000**0.5


@pytest.mark.parametrize("temperature", [0.1, 5.0])
def test_a_straight_through_pass_is_that_of_the_discrete_network(temperature):
    network = make_network()
    noise = gumbel_noise((6, 5), torch.Generator().manual_seed(7))
    logits = torch.randn(6, 5).requires_grad_()
    genotype, scales = straight_through_path(network, logits, noise, temperature)
    assert scales.requires_grad
    torch.testing.assert_close(
        network(IMAGES, genotype, scales), discrete(network, genotype)(IMAGES), rtol=1e-6, atol=1e-6
    )


def test_architectures_of_darts_are_discretized_by_their_own_rule():
    space = DARTSSpace()
    logits = torch.randn(28, 7, generator=torch.Generator().manual_seed(0))
    distribution = NetworkDistribution({}, {}, logits)
    genotype = distribution.genotype(space)
    np.testing.assert_array_equal(genotype, space.alpha_to_genotype(logits.flatten().numpy())[0])
    drawn = distribution.sample_genotypes(space, 20, np.random.default_rng(0))
    assert space.contains(drawn).all()
    assert len(np.unique(drawn, axis=0)) == 20


def test_the_mean_network_is_the_discretized_one():
    network = make_network()
    prior = make_prior(network)
    expected = discrete(network, prior.genotype(network.space))(IMAGES)
    torch.testing.assert_close(mean_network_logits(network, prior, IMAGES), expected)


def test_random_batches():
    generator = torch.Generator().manual_seed(0)
    whole = list(random_batches(IMAGES, LABELS, 0, 2, generator))
    assert [len(labels) for _, labels in whole] == [6, 6]
    for images, labels in random_batches(IMAGES, LABELS, 4, 3, generator):
        assert len(labels) == len(np.unique(images.flatten(1).numpy(), axis=0)) == 4


@pytest.mark.parametrize("rate", [1e30, 1e5])
def test_divergence_is_an_error(rate):
    config = replace(CONFIG, inner_rate=min(rate, 9e5), alpha_rate=min(rate, 9e5))
    with pytest.raises(DivergedError):
        embed(config, [(IMAGES * 1e20, LABELS)] * 6)
    with pytest.raises(DivergedError, match=r"loss was nan in step 1\. Lower inner_rate"):
        embed(CONFIG, [(IMAGES * float("nan"), LABELS)])


def test_settings_out_of_range():
    for name, value in {
        "epochs": 0,
        "steps": 0,
        "warmup": -1,
        "inner_rate": 0.0,
        "kl_weight": -1.0,
        "outer_rate": 1.5,
        "deviation": float("nan"),
        "relaxation": "hard",
        "schedule": "cosine",
        "temperature": 0.0,
    }.items():
        with pytest.raises(ValueError, match=name):
            BASETrainingConfig(**{name: value})


def test_temperature_schedules():
    linear = BASETrainingConfig(epochs=3, temperature=4.0, final_temperature=1.0)
    assert [linear.temperature_in(epoch) for epoch in range(4)] == [4.0, 2.5, 1.0, 1.0]
    falling = replace(linear, schedule="exponential")
    assert [falling.temperature_in(epoch) for epoch in range(3)] == [4.0, 2.0, 1.0]
