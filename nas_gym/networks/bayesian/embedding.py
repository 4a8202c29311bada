"""Posterior of a task by optimization embedding: the inner loop of BASE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas_gym.networks.bayesian.distribution import NetworkDistribution, kl_divergence
from nas_gym.networks.bayesian.plans import BASETrainingConfig
from nas_gym.networks.gumbel import gumbel_noise, straight_through_path
from nas_gym.networks.network import Network
from nas_gym.utils.errors import DivergedError

Batch = tuple[Tensor, Tensor]
"""Normalized images ``(n, channels, height, width)``, and their labels ``(n,)`` int64."""


def optimization_embedding(
    network: Network,
    prior: NetworkDistribution,
    batches: Iterable[Batch],
    num_images: int,
    config: BASETrainingConfig,
    temperature: float,
    generator: torch.Generator,
) -> NetworkDistribution:
    """Return the posterior of a task, by stochastic gradient steps on its ELBO.

    The posterior (phi, psi) starts at the meta-parameters W, and each batch moves it by one
    gradient step. Without batches, it is the prior. In the paper, the derivation ascends the ELBO,
    and the printed algorithm descends a loss. Here, both are the same, because the loss is the
    negative ELBO per image.

    Args:
        network: Supernet without running batch-norm statistics; its own weights are not used.
        prior: Meta-parameters W.
        batches: The T batches of the task.
        num_images: Images of the task, by which the KL terms are divided.
        config: Settings of the objective and of the steps.
        temperature: Temperature of the relaxation of operations.
        generator: CPU generator of the noise.

    Raises:
        DivergedError: If the loss or a parameter is NaN or infinite, or a deviation collapses or
            explodes.
    """
    posterior = prior
    steps = embedding_steps(network, prior, batches, num_images, config, temperature, generator)
    for moved in steps:
        posterior = moved
    posterior.check()
    return posterior


def embedding_steps(
    network: Network,
    prior: NetworkDistribution,
    batches: Iterable[Batch],
    num_images: int,
    config: BASETrainingConfig,
    temperature: float,
    generator: torch.Generator,
) -> Iterator[NetworkDistribution]:
    """Yield the posterior after each step of :func:`optimization_embedding`.

    Raises:
        DivergedError: If the loss is NaN or infinite.
    """
    posterior = prior
    for step, (images, labels) in enumerate(batches, 1):
        parameters = {k: v.detach().requires_grad_() for k, v in posterior.parameters().items()}
        current = NetworkDistribution.from_parameters(parameters)
        loss = sampled_loss(network, current, images, labels, config, temperature, generator)
        if config.kl_weight:
            loss = loss + config.kl_weight * kl_divergence(current, prior) / num_images
        if not torch.isfinite(loss):
            raise DivergedError(
                f"The loss was {loss.item()} in step {step}. Lower inner_rate "
                f"({config.inner_rate:g}) or alpha_rate ({config.alpha_rate:g})."
            )
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        pairs = zip(parameters.items(), gradients, strict=True)
        posterior = NetworkDistribution.from_parameters(
            {name: _descend(name, each, gradient, config) for (name, each), gradient in pairs}
        )
        yield posterior


def _descend(
    name: str, value: Tensor, gradient: Tensor | None, config: BASETrainingConfig
) -> Tensor:
    """Return a parameter after a gradient step; operations that were not drawn have no gradient."""
    if gradient is None:
        return value.detach()
    rate = config.alpha_rate if name == "alpha_logits" else config.inner_rate
    return value.detach() - rate * gradient


def sampled_loss(
    network: Network,
    distribution: NetworkDistribution,
    images: Tensor,
    labels: Tensor,
    config: BASETrainingConfig,
    temperature: float,
    generator: torch.Generator,
) -> Tensor:
    """Return the cross entropy for one draw of the weights and of the operations, a scalar.

    The draws are reparameterized, so that gradients reach all parameters of the distribution: with
    Gumbel noise xi for operations, and normal noise epsilon for weights.

    Args:
        network, config, temperature, generator: See :func:`optimization_embedding`.
        distribution: Distribution of weights and operations.
        images: Normalized images, ``(n, channels, height, width)``.
        labels: Class numbers, ``(n,)`` int64.
    """
    weights = distribution.sample_weights(generator)
    noise = gumbel_noise(network.alpha_shape, generator)
    logits = distribution.alpha_logits
    if config.relaxation == "soft":
        noisy = logits.log_softmax(dim=-1) + noise.to(logits.device)
        alpha = (noisy / temperature).softmax(dim=-1).flatten()
        named = {f"network.{name}": each for name, each in weights.items()}
        outputs = functional_call(_Mixture(network), named, (images, alpha))
    else:
        genotype, scales = straight_through_path(network, logits, noise, temperature)
        outputs = functional_call(network, weights, (images, genotype, scales))
    return nn.functional.cross_entropy(outputs, labels)


class _Mixture(nn.Module):
    """Mixed forward pass of a supernet as a module, which ``functional_call`` needs."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, alpha: Tensor) -> Tensor:
        return self.network.forward_mixed(images, alpha)


def random_batches(
    images: Tensor, labels: Tensor, batch_size: int, steps: int, generator: torch.Generator
) -> Iterator[Batch]:
    """Yield random batches of a task's images.

    Args:
        images: Images of the task, ``(n, channels, height, width)``.
        labels: Class numbers, ``(n,)`` int64.
        batch_size: Images per batch, drawn without replacement; 0 for all images.
        steps: Number of batches.
        generator: CPU generator.
    """
    for _ in range(steps):
        if not 0 < batch_size < len(labels):
            yield images, labels
            continue
        rows = torch.randperm(len(labels), generator=generator)[:batch_size].to(labels.device)
        yield images[rows], labels[rows]


@torch.no_grad()
def mean_network_logits(
    network: Network, distribution: NetworkDistribution, images: Tensor
) -> Tensor:
    """Return the logits of the discretized architecture with the mean weights.

    Args:
        network: Supernet without running batch-norm statistics.
        distribution: Distribution of weights and operations.
        images: Normalized images, ``(n, channels, height, width)``.
    """
    genotype = distribution.genotype(network.space)
    logits: Tensor = functional_call(network, distribution.mean, (images, genotype))
    return logits
