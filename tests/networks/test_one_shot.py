"""One-shot searches: gradients of alpha, derived architectures, resuming and memory errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks.small import small_supernet

from nas_gym.networks import data
from nas_gym.networks import training as trainings
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.one_shot import (
    ONE_SHOT_SEARCHES,
    ENASSearch,
    OneShotSearch,
    SecondOrderDARTSSearch,
    differentiable,
)
from nas_gym.networks.one_shot.enas import ENASController
from nas_gym.spaces import NB201Space
from nas_gym.utils.errors import TrainingError

CPU = torch.device("cpu")
DIGITS = data.load_images("digits")
TRAIN, VALID = (
    DeviceImages.from_split(DIGITS, split, CPU) for split in (DIGITS.train, DIGITS.valid)
)
SPACE = NB201Space()

every_method = pytest.mark.parametrize("name", ONE_SHOT_SEARCHES)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(OneShotSearch, "num_samples", 6)
    monkeypatch.setattr(ENASSearch, "controller_steps", 2)


def make(name, space="NB201", epochs=2):
    plan = small_supernet(space, epochs)
    return ONE_SHOT_SEARCHES[name](plan.build(), TRAIN, VALID, plan.training, 0)


def weights(search):
    return {name: each.copy() for name, each in search.state_arrays().items()}


@pytest.mark.parametrize(
    ("name", "space"), [*((name, "NB201") for name in ONE_SHOT_SEARCHES), ("gdas", "DARTS")]
)
def test_derives_an_architecture_after_an_epoch(name, space):
    search = make(name, space)
    before = weights(search)
    loss = search.run_epoch()
    assert 0 < loss < 6
    genotype = search.derive()
    assert search.space.contains(genotype).all()
    after = weights(search)
    assert any(not np.array_equal(after[key], before[key]) for key in after if "network/" in key)


@pytest.mark.long
@every_method
def test_resumed_search_is_identical(name):
    straight = make(name)
    for _ in range(2):
        straight.run_epoch()
    first = make(name)
    first.run_epoch()
    second = make(name)
    second.load_state_arrays(first.state_arrays())
    second.run_epoch()
    arrays = second.state_arrays()
    for key, value in weights(straight).items():
        np.testing.assert_array_equal(value, arrays[key], err_msg=key)


class Mixed(torch.nn.Module):
    """A supernet's mixed forward pass as a module."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images, alpha):
        return self.network.forward_mixed(images, alpha)


def test_second_order_gradient_looks_one_step_ahead():
    """Compare with the gradient by differentiating through the step."""
    plan = small_supernet("NB201")
    network = plan.build().double()
    search = SecondOrderDARTSSearch(network, TRAIN, VALID, plan.training, 0)
    search.alpha_logits.data = search.alpha_logits.data.double()
    (images, labels), held = (next(split.in_order(64)) for split in (TRAIN, VALID))
    images, held = images.double(), (held[0].double(), held[1])
    before = {name: each.clone() for name, each in network.named_parameters()}
    search.perturbation = 1e-6  # exact in double precision
    found = search.alpha_gradient((images, labels), held)
    for name, each in network.named_parameters():
        torch.testing.assert_close(each, before[name])
    gradients = torch.autograd.grad(
        search.alpha_loss(images, labels), list(network.parameters()), create_graph=True
    )
    rate, decay = plan.training.learning_rate, plan.training.weight_decay
    ahead = {
        f"network.{name}": weight - rate * (gradient + decay * weight)
        for (name, weight), gradient in zip(network.named_parameters(), gradients, strict=True)
    }
    logits = torch.func.functional_call(Mixed(network), ahead, (held[0], search.alpha))
    loss = torch.nn.functional.cross_entropy(logits, held[1])
    (expected,) = torch.autograd.grad(loss, search.alpha_logits)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-8)


def test_second_order_looks_ahead_in_float32(monkeypatch):
    """bfloat16 cannot represent the small changes of the weights."""

    def gradient():
        search = make("darts-v2")
        batches = (next(split.in_order(64)) for split in (TRAIN, VALID))
        return search.alpha_gradient(*batches)

    exact = gradient()
    low = lambda device: torch.autocast(device.type, torch.bfloat16)  # noqa: E731
    monkeypatch.setattr(differentiable, "mixed_precision", low)
    torch.testing.assert_close(gradient(), exact)


def test_second_order_looks_ahead_without_tensorfloat32(monkeypatch):
    """TensorFloat-32 cannot represent them either, in forward and backward passes."""
    search, allowed = make("darts-v2"), []

    def spied(function):
        def run(*arguments, **more):
            allowed.append(torch.backends.cudnn.allow_tf32)
            return function(*arguments, **more)

        return run

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    search.network.forward_mixed = spied(search.network.forward_mixed)
    monkeypatch.setattr(torch.autograd, "grad", spied(torch.autograd.grad))
    search.alpha_gradient(*(next(split.in_order(64)) for split in (TRAIN, VALID)))
    assert allowed == [False] * 8
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("name", ["darts-v1", "darts-v2", "gdas"])
def test_out_of_memory_halves_the_batches_of_alpha(name):
    search = make(name)
    mixed, single, sizes = search.network.forward_mixed, search.network.forward, []

    def limited(forward):
        def run(images, *others):
            sizes.append(len(images))
            if len(images) > limit:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return forward(images, *others)

        return run

    search.network.forward_mixed, search.network.forward = limited(mixed), limited(single)
    limit = 32
    search.run_epoch()
    assert sizes[0] == 64
    assert set(sizes[1:]) == {32}
    assert len({int(state["step"]) for state in search.alpha_optimizer.state.values()} | {14}) == 1
    before, limit = weights(search), 16
    with pytest.raises(TrainingError, match="half a batch"):
        search.run_epoch()
    for key, value in weights(search).items():
        if key.startswith("network/") and "running" not in key and "tracked" not in key:
            np.testing.assert_array_equal(value, before[key], err_msg=key)


@pytest.mark.long
@pytest.mark.parametrize("name", ["darts-v1", "setn"])
def test_alpha_avoids_the_none_operation(name):
    search = make(name, epochs=8)
    search.alpha_optimizer.param_groups[0]["lr"] = 0.05
    for _ in range(8):
        search.run_epoch()
    weights = search.alpha.detach().reshape(6, 5)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(6))
    # the initial weight of each of the five operations is 0.2
    assert weights[:, 0].mean() < 0.2
    derived = SPACE.alpha_to_genotype(search.alpha.detach().numpy())
    assert (derived[0] == weights.argmax(dim=1).numpy()).all()


def test_gdas_samples_follow_alpha():
    search = make("gdas")
    search.epoch = 2  # the lowest temperature
    search.alpha_logits.data = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.15, 0.25]])).repeat(6, 1)
    drawn = np.array([search.sample()[0] for _ in range(2000)])
    shares = np.stack([np.bincount(column, minlength=5) / 2000 for column in drawn.T])
    np.testing.assert_allclose(shares, np.tile([0.1, 0.2, 0.3, 0.15, 0.25], (6, 1)), atol=0.04)
    _, scales = search.sample()
    torch.testing.assert_close(scales, torch.ones(6))
    assert scales.requires_grad


def test_gdas_draws_edges_uniformly_at_the_lowest_temperature():
    search = make("gdas", "DARTS")
    search.epoch, search.alpha_logits.data[:] = 2, 0.0
    drawn = np.array([search.sample()[0] for _ in range(4000)])
    alphas = search.space.genotype_to_alpha(drawn).reshape(4000, 2, 14, -1)
    shares = (alphas[:, :, 9:].max(axis=3) > 0).mean(axis=(0, 1))  # 2 of the last node's 5 edges
    np.testing.assert_allclose(shares, 0.4, atol=0.02)


def test_controller_learns_by_reinforcement():
    controller = ENASController(SPACE.num_choices.tolist())
    generator = torch.Generator().manual_seed(0)
    genotypes, logs, entropy = controller.sample(200, generator)
    assert SPACE.contains(genotypes).all()
    np.testing.assert_allclose(logs.detach(), 6 * np.log(1 / 5), atol=0.3)  # about uniform
    np.testing.assert_allclose(entropy.detach(), 6 * np.log(5), atol=0.05)
    optimizer = torch.optim.Adam(controller.parameters(), lr=0.01)
    for _ in range(60):
        genotypes, logs, _ = controller.sample(20, generator)
        rewards = torch.from_numpy((genotypes == 3).mean(axis=1)).float()
        optimizer.zero_grad()
        (-(logs * (rewards - rewards.mean()))).mean().backward()
        optimizer.step()
    assert (controller.sample(100, generator)[0] == 3).mean() > 0.5


@pytest.mark.parametrize("space", ["NB201", "DARTS"])
@every_method
def test_steps_as_on_a_gpu(name, space, monkeypatch):
    """The loss is nearly the same with bfloat16 and channels last, which CUDA uses."""

    def loss():
        search = make(name, space)
        search.begin_epoch()
        search.step(*next(TRAIN.in_order(64)))  # the next loss depends on gradients
        return search.step(*next(TRAIN.in_order(64)))

    exact = loss()
    low = lambda _: torch.autocast("cpu", torch.bfloat16)  # noqa: E731
    monkeypatch.setattr(differentiable, "mixed_precision", low)
    monkeypatch.setattr(trainings, "training_precision", low)
    monkeypatch.setattr(
        trainings, "to_fast_layout", lambda images: images.to(memory_format=torch.channels_last)
    )
    torch.testing.assert_close(loss(), exact, rtol=0.1, atol=0.0)
