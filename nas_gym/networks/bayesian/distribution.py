"""Distribution of the weights and operations of a network, and its KL divergence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_gym.networks.few_shot.adaptation import Weights
from nas_gym.networks.network import Network
from nas_gym.spaces import SearchSpace
from nas_gym.utils.errors import DivergedError

DEVIATIONS = (1e-6, 10.0)
"""Smallest and largest accepted standard deviation of a weight."""

_ALPHA_NOISE = 1e-3  # standard deviation of the initial logits of alpha, as in DARTS


@dataclass(frozen=True)
class NetworkDistribution:
    """Independent distributions of all weights, and of the operation of each edge.

    A weight is normal, theta ~ N(mean, deviation^2), and an operation is categorical,
    z ~ Categorical(softmax(alpha_logits)). The meta-parameters W = (mu, sigma, alpha) of BASE have
    this form, and so does the posterior (psi, phi) of a task.

    Attributes:
        mean: Mean of each weight, by the name of the network's parameter.
        log_deviation: Logarithm of the standard deviation of each weight, by the same names; empty
            if the weights are points.
        alpha_logits: Logits of the operations of each edge, ``(edges, operations)``.
    """

    mean: Weights
    log_deviation: Weights
    alpha_logits: Tensor

    @classmethod
    def initial(
        cls, network: Network, deviation: float | None, generator: torch.Generator
    ) -> NetworkDistribution:
        """Return a distribution around a network's weights, with nearly equal operations.

        Args:
            network: Supernet.
            deviation: Standard deviation of the weights; ``None`` for point weights.
            generator: Random generator of the logits of alpha.
        """
        mean = {name: each.detach().clone() for name, each in network.named_parameters()}
        log_deviation = {}
        if deviation is not None:
            log_deviation = {k: torch.full_like(v, math.log(deviation)) for k, v in mean.items()}
        logits = _ALPHA_NOISE * torch.randn(network.alpha_shape, generator=generator)
        return cls(mean, log_deviation, logits.to(next(iter(mean.values())).device))

    # -- parameters -------------------------------------------------------------------------------

    def parameters(self) -> dict[str, Tensor]:
        """Return all parameters of the distribution, by name."""
        return {
            **{f"network/{name}": each for name, each in self.mean.items()},
            **{f"log_deviation/{name}": each for name, each in self.log_deviation.items()},
            "alpha_logits": self.alpha_logits,
        }

    @classmethod
    def from_parameters(cls, parameters: dict[str, Tensor]) -> NetworkDistribution:
        """Return the distribution with the parameters that :meth:`parameters` returned."""
        parts: dict[str, Weights] = {"network": {}, "log_deviation": {}}
        for name, each in parameters.items():
            part, _, rest = name.partition("/")
            if part in parts:
                parts[part][rest] = each
        return cls(parts["network"], parts["log_deviation"], parameters["alpha_logits"])

    def check(self) -> None:
        """Raise an error if a parameter is not finite, or a deviation collapsed or exploded.

        Raises:
            DivergedError: If there is such a parameter.
        """
        for name, each in self.parameters().items():
            if not torch.isfinite(each).all():
                raise DivergedError(
                    f"{name} became NaN or infinite. Lower inner_rate or alpha_rate."
                )
        low, high = map(math.log, DEVIATIONS)
        for name, each in self.log_deviation.items():
            if each.min() < low or each.max() > high:
                raise DivergedError(
                    f"The standard deviation of {name} is {each.min().exp():.3g} to "
                    f"{each.max().exp():.3g}; {DEVIATIONS[0]:g} to {DEVIATIONS[1]:g} is accepted. "
                    "Lower inner_rate or kl_weight, or set variational=False."
                )

    # -- weights ----------------------------------------------------------------------------------

    def sample_weights(self, generator: torch.Generator) -> Weights:
        """Draw weights, mean + deviation * noise; the gradient reaches both parameters."""
        if not self.log_deviation:
            return self.mean
        drawn = {}
        for name, mean in self.mean.items():
            noise = torch.randn(mean.shape, generator=generator).to(mean.device)
            drawn[name] = mean + self.log_deviation[name].exp() * noise
        return drawn

    # -- architectures ----------------------------------------------------------------------------

    def genotype(self, space: SearchSpace) -> NDArray[np.int64]:
        """Return the discretization of alpha, ``(num_decisions,)``."""
        logits = self.alpha_logits.detach().flatten().cpu().numpy()
        genotype: NDArray[np.int64] = space.alpha_to_genotype(logits)[0]
        return genotype

    def sample_genotypes(
        self, space: SearchSpace, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw architectures, ``(count, num_decisions)``.

        The Gumbel-max trick draws an operation of every edge, and the space discretizes the result.
        """
        logits = self.alpha_logits.detach().log_softmax(dim=-1).flatten().cpu().numpy()
        return space.alpha_to_genotype(logits + rng.gumbel(size=(count, len(logits))))

    def entropy(self) -> float:
        """Return the mean entropy of the operation of an edge, in nats."""
        logs = self.alpha_logits.detach().log_softmax(dim=-1)
        return float(-(logs.exp() * logs).sum(dim=-1).mean())


def agreement(genotypes: NDArray[np.int64]) -> float:
    """Return the fraction of equal decisions, averaged over all pairs of genotypes ``(n, L)``."""
    first, second = np.triu_indices(len(genotypes), 1)
    return float((genotypes[first] == genotypes[second]).mean())


def kl_divergence(posterior: NetworkDistribution, prior: NetworkDistribution) -> Tensor:
    """Return the divergence KL(posterior || prior) in nats, a scalar.

    Point weights have no divergence; only operations count then.
    """
    total = categorical_kl(posterior.alpha_logits, prior.alpha_logits)
    for name, log_deviation in posterior.log_deviation.items():
        total = total + normal_kl(
            posterior.mean[name], log_deviation, prior.mean[name], prior.log_deviation[name]
        )
    return total


def categorical_kl(logits: Tensor, prior_logits: Tensor) -> Tensor:
    """Return the sum over edges of KL(softmax(logits) || softmax(prior_logits))."""
    logs, prior_logs = logits.log_softmax(dim=-1), prior_logits.log_softmax(dim=-1)
    return (logs.exp() * (logs - prior_logs)).sum()


def normal_kl(
    mean: Tensor, log_deviation: Tensor, prior_mean: Tensor, prior_log_deviation: Tensor
) -> Tensor:
    """Return the sum over weights of the KL divergence of two normal distributions."""
    log_ratio = log_deviation - prior_log_deviation
    distance = (mean - prior_mean) / prior_log_deviation.exp()
    return (((2 * log_ratio).exp() + distance**2 - 1) / 2 - log_ratio).sum()
