"""Batched networks: each equals a torch.nn network, and is independent of the others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas_gym.agents.common.batched_networks import BatchedMLP, join_trials, sigmoid, split_trials
from nas_gym.agents.common.random_streams import RandomStreams

SIZES = [30, 128, 128, 128, 1]


def make(seeds, sizes=SIZES):
    return BatchedMLP(sizes, 1e-3, RandomStreams(seeds))


def inputs(trials, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.random((trials, 8, 30), dtype=np.float32))


def losses(y, x):
    return ((y[..., 0] - x.sum(dim=-1)) ** 2).mean(dim=-1)


def learn(network, x, losses=losses):
    y, activations = network.forward(x)
    y.requires_grad_()
    (gradient,) = torch.autograd.grad(losses(y, x).sum(), y)
    network.backward_and_step(activations, gradient)


def trained(network, trials, steps=20):
    for step in range(steps):
        learn(network, inputs(16, step)[:trials])
    return network


def plain(network, trial):
    """Return the network of one trial as a torch.nn module."""
    layers = []
    for weight, bias in zip(network.parameters[::2], network.parameters[1::2], strict=True):
        layer = torch.nn.Linear(weight.shape[1], weight.shape[2])
        layer.weight.data = weight[trial].T.detach().clone()
        layer.bias.data = bias[trial, 0].detach().clone()
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def test_outputs_and_updates_equal_those_of_torch():
    network = make([0, 1, 2])
    one = plain(network, 1)
    adam = torch.optim.Adam(one.parameters(), lr=1e-3)
    for step in range(20):
        x = inputs(16, step)[:3]
        torch.testing.assert_close(network(x)[1], one(x[1]), rtol=1e-4, atol=1e-5)
        learn(network, x)
        adam.zero_grad()
        losses(one(x[1]), x[1]).backward()
        adam.step()


@pytest.mark.parametrize("sizes", [SIZES, [30, 128, 128, 128, 30], [45, 256, 45], [29, 32, 32, 1]])
@pytest.mark.parametrize("batch", [8, 32, 64])
def test_a_network_is_bit_identical_for_every_number_of_trials(sizes, batch):
    # the remainders of vector instructions would be rounded differently without padding
    def trained_on(which):
        network = make(which, sizes)
        for step in range(12):
            rng = np.random.default_rng(step)
            x = torch.from_numpy(rng.random((16, batch, sizes[0]), dtype=np.float32))[which]
            learn(
                network,
                x,
                lambda y, x: ((sigmoid(y) - x[:, :, : y.shape[2]]) ** 2).mean(dim=(1, 2)),
            )
        return network, network(x)

    together, outputs = trained_on(list(range(16)))
    for which in ([0], [15], [3, 4], [9, 10, 11, 12, 13]):
        fewer, some = trained_on(which)
        assert torch.equal(some, outputs[which])
        for mine, theirs in zip(fewer.parameters, together.parameters, strict=True):
            assert torch.equal(mine, theirs[which])


@pytest.mark.parametrize("sizes", [SIZES, [30, 128, 128, 128, 30]])
def test_input_gradients_equal_those_of_autograd(sizes):
    network = make([0, 1, 2], sizes)
    x = inputs(3)
    y, activations = network.forward(x)
    gradients = network.input_gradient(activations, torch.cos(y))
    for trial in range(3):
        row = x[trial].clone().requires_grad_()
        plain(network, trial)(row).sin().sum().backward()
        torch.testing.assert_close(gradients[trial], row.grad, rtol=1e-4, atol=1e-6)


def test_learns():
    network = make([0, 1])
    x = inputs(2)
    before = losses(network(x), x)
    for _ in range(200):
        learn(network, x)
    assert (losses(network(x), x) < 0.01 * before).all()


def test_arrays_restore_weights_and_moments():
    first = trained(make([0, 1]), 2)
    second = make([7, 8])
    second.set_arrays({name: array.copy() for name, array in first.arrays().items()})
    for network in (first, second):
        trained(network, 2)
    for mine, theirs in zip(first.parameters, second.parameters, strict=True):
        assert torch.equal(mine, theirs)


def test_initial_weights_have_the_range_of_torch_linear():
    weight, bias, *_ = make([0], [400, 300, 1]).parameters
    bound = 1 / 400**0.5
    assert weight.abs().max() <= bound
    assert bias.abs().max() <= bound
    assert abs(float(weight.detach().std()) - bound / 3**0.5) < 0.01 * bound


def test_copies_are_drawn_from_the_stream_of_their_trial():
    alone = BatchedMLP(SIZES, 1e-3, RandomStreams([5]), 3)
    together = BatchedMLP(SIZES, 1e-3, RandomStreams([4, 5]), 3)
    for mine, theirs in zip(alone.parameters, together.parameters, strict=True):
        assert torch.equal(mine, theirs[3:])
        assert not torch.equal(mine[0], mine[1])


def test_weights_are_copied_modulo_the_number_of_trials():
    saved = trained(make([0, 1]), 2)
    fresh = make([5, 6, 7])
    fresh.set_weights(saved.arrays())
    for mine, theirs in zip(fresh.parameters, saved.parameters, strict=True):
        assert torch.equal(mine, theirs[[1, 0, 1]])  # seeds 5, 6 and 7
    assert "exp_avg" not in fresh.arrays()  # moments are not copied


def test_the_arrays_of_trials_can_be_split_and_joined():
    x = inputs(3)
    together = BatchedMLP(SIZES, 1e-3, RandomStreams([4, 5, 6]))
    learn(together, x)
    apart = split_trials(together.arrays(), 3)
    for trial, seed in enumerate((4, 5, 6)):
        alone = make([seed])
        learn(alone, x[trial : trial + 1])
        for name, array in alone.arrays().items():
            np.testing.assert_array_equal(apart[trial][name], array, err_msg=name)
    joined = join_trials(apart)
    for name, array in together.arrays().items():
        np.testing.assert_array_equal(joined[name], array, err_msg=name)
