"""The three components of CATCH, for many trials side by side: encoder, controller, evaluator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_gym.agents.common.base import part
from nas_gym.agents.common.batched_networks import Arrays, StackedMLP
from nas_gym.agents.common.random_streams import TrialStreams
from nas_gym.spaces import SearchSpace

_ROWS = 16  # of contexts at a time; with others, products are rounded differently for one trial
_LEAST_DEVIATION = 0.05  # of the Gaussian factor of one network-reward pair
_MOST_LOG_RATIO = 5.0  # between new and old policy, beyond which exp() would run away


@dataclass(frozen=True)
class Context:
    """Network-reward pairs of one task for each trial.

    Attributes:
        networks: one-hot, ``(n, c, one_hot_size)`` float32.
        rewards: normalised within the context, ``(n, c)`` float32.
        present: which of the pairs there are, ``(n, c)`` bool.
        noise: of the reparameterized z, standard normal, ``(n, latent)`` float32.
    """

    networks: Tensor
    rewards: Tensor
    present: Tensor
    noise: Tensor


@dataclass(frozen=True)
class Candidates:
    """Networks as the controller has sampled them.

    Attributes:
        networks: one-hot, ``(n, m, one_hot_size)`` float32.
        choices: the same as genotypes, ``(n, m, L)`` int64.
        masks: which choices were valid, ``(n, m, L, max_choices)`` bool.
        log_probs: of the choices at that time, ``(n, m, L)`` float32.
        advantages: of the networks, ``(n, m)`` float32.
    """

    networks: Tensor
    choices: Tensor
    masks: Tensor
    log_probs: Tensor
    advantages: Tensor


class Encoder:
    """Maps network-reward pairs to the latent context z (section 3.1)."""

    def __init__(self, mlp: StackedMLP, latent: int) -> None:
        self.mlp = mlp
        self.latent = latent

    def encode(self, context: Context) -> tuple[Tensor, Tensor]:
        """z ``(n, latent)``, and its KL divergence from the prior ``(n,)``, a mean over z.

        The posterior is the product of one Gaussian factor for each pair (Eq. 1). Without pairs,
        z comes from the prior.
        """
        pairs = torch.cat([context.networks, context.rewards[..., None]], dim=2)
        missing = -pairs.shape[1] % _ROWS
        pairs = torch.nn.functional.pad(pairs, (0, 0, 0, missing))
        present = torch.nn.functional.pad(context.present, (0, missing))[..., None]
        mean, deviation = self.mlp(pairs).tensor_split(2, dim=2)
        deviation = torch.nn.functional.softplus(deviation) + _LEAST_DEVIATION
        precision = present / deviation**2
        some = context.present.any(dim=1, keepdim=True)
        total = torch.where(some, precision.sum(dim=1), 1.0)
        mean, variance = (precision * mean).sum(dim=1) / total, 1 / total
        divergence = 0.5 * (variance + mean**2 - 1 - variance.log())
        return mean + variance.sqrt() * context.noise, divergence.mean(dim=1)


class Controller:
    """Builds networks decision by decision, given z (section 3.2)."""

    def __init__(self, mlp: StackedMLP, space: SearchSpace) -> None:
        self.mlp = mlp
        self._space = space
        # where the choices of each decision lie among the outputs, (L, max_choices)
        slots = space.one_hot_offsets[:, None] + np.arange(space.max_choices)
        self._slots = torch.from_numpy(np.minimum(slots, space.one_hot_size - 1))

    def sample_networks(
        self, z: Tensor, draws: NDArray[np.float64], temperatures: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], Tensor, Tensor]:
        """Genotypes ``(n, m, L)``, their masks, and log probabilities of their choices.

        Args:
            z: ``(n, latent)``.
            draws: uniform numbers, ``(n, m, L)``.
            temperatures: that the logits are divided by, ``(m,)``; 1 is the policy itself.
        """
        trials, count, decisions = draws.shape
        space, divisors = self._space, torch.from_numpy(temperatures).float()[:, None]
        prefixes = torch.zeros(trials, count, space.one_hot_size)
        nodes = np.zeros(trials * count, np.int64)
        genotypes = np.empty(draws.shape, np.int64)
        all_masks, all_log_probs = [], []
        for decision in range(decisions):
            masks = torch.from_numpy(space.prefix_masks(decision, nodes))
            masks = masks.reshape(trials, count, space.max_choices)
            outputs = self._outputs(prefixes, z)[..., self._slots[decision]]
            logits = outputs.masked_fill(~masks, -torch.inf)
            bounds = (logits / divisors).softmax(dim=2).double().cumsum(dim=2).numpy()
            # bounds of invalid choices equal those before, so that no draw falls to them
            draw = draws[:, :, decision, None] * bounds[..., -1:]
            choices = (bounds > draw).argmax(axis=2)
            genotypes[:, :, decision] = choices
            nodes = space.extend(decision, nodes, choices.reshape(-1))
            taken = torch.from_numpy(choices)[..., None]
            prefixes.scatter_(2, taken + int(space.one_hot_offsets[decision]), 1.0)
            all_masks.append(masks)
            all_log_probs.append(logits.log_softmax(dim=2).gather(2, taken)[..., 0])
        return genotypes, torch.stack(all_masks, dim=2), torch.stack(all_log_probs, dim=2)

    def evaluate(self, z: Tensor, candidates: Candidates) -> tuple[Tensor, Tensor]:
        """Log probabilities of candidates' choices as the policy is now, and its entropy at each of
        them; ``(n, m, L)`` each."""
        trials, count, decisions = candidates.choices.shape
        slot = torch.arange(self._space.one_hot_size)
        # decision l sees those before it: [a_1 ... a_{l-1}, 0, ..., 0]
        before = slot < torch.from_numpy(self._space.one_hot_offsets)[:, None]
        prefixes = (candidates.networks[:, :, None] * before).reshape(trials, count * decisions, -1)
        outputs = self._outputs(prefixes, z).reshape(trials, count, decisions, -1)
        slots = self._slots.expand(trials, count, -1, -1)
        logits = outputs.gather(3, slots).masked_fill(~candidates.masks, -torch.inf)
        log_probs = logits.log_softmax(dim=3)
        surprise = log_probs.masked_fill(~candidates.masks, 0.0)
        entropy = -(log_probs.exp() * surprise).sum(dim=3)
        return log_probs.gather(3, candidates.choices[..., None])[..., 0], entropy

    def _outputs(self, prefixes: Tensor, z: Tensor) -> Tensor:
        return self.mlp(with_context(prefixes, z))


class Evaluator:
    """Predicts the normalised reward of networks, given z (section 3.3); several predict apart."""

    def __init__(self, mlp: StackedMLP, copies: int) -> None:
        self.mlp = mlp
        self._copies = copies

    def predict(self, networks: Tensor, z: Tensor) -> Tensor:
        """What each copy makes of one-hot networks ``(n, m, one_hot_size)``; ``(n, copies, m)``."""
        trials, count = networks.shape[:2]
        missing = -count % _ROWS
        rows = torch.nn.functional.pad(with_context(networks, z), (0, 0, 0, missing))
        rows = rows[:, None].expand(-1, self._copies, -1, -1).flatten(0, 1)
        return self.mlp(rows)[:, :count, 0].reshape(trials, self._copies, count)

    def score(self, networks: Tensor, z: Tensor) -> Tensor:
        """The mean of the copies, ``(n, m)``."""
        return self.predict(networks, z).mean(dim=1)


def with_context(rows: Tensor, z: Tensor) -> Tensor:
    """Each row followed by its trial's z."""
    return torch.cat([rows, z[:, None].expand(-1, rows.shape[1], -1)], dim=2)


class Components:
    """Encoder, controller and evaluator of many trials, and what trains them end to end.

    Args:
        space: what is searched.
        num_evaluators: copies of the evaluator.
        hidden: units of each of two layers, in each network.
        latent: dimensions of z.
        learning_rate: Adam's.
        clip: how far the policy's ratio may go from 1 (PPO).
        max_norm: of a trial's gradient, which is cut down to it.
        streams: where the first weights are drawn from.
    """

    def __init__(
        self,
        space: SearchSpace,
        num_evaluators: int,
        hidden: int,
        latent: int,
        learning_rate: float,
        clip: float,
        max_norm: float,
        streams: TrialStreams,
    ) -> None:
        size, layers = space.one_hot_size, [hidden, hidden]
        self._networks = {
            "encoder": StackedMLP([size + 1, *layers, 2 * latent], learning_rate, streams),
            "controller": StackedMLP([size + latent, *layers, size], learning_rate, streams),
            "evaluator": StackedMLP(
                [size + latent, *layers, 1], learning_rate, streams, num_evaluators
            ),
        }
        self._clip, self._max_norm = clip, max_norm
        self.encoder = Encoder(self._networks["encoder"], latent)
        self.controller = Controller(self._networks["controller"], space)
        self.evaluator = Evaluator(self._networks["evaluator"], num_evaluators)
        for parameter in self._parameters():
            parameter.requires_grad_()

    def _parameters(self) -> list[Tensor]:
        return [each for network in self._networks.values() for each in network.parameters]

    def controller_loss(
        self, z: Tensor, candidates: Candidates, entropy_weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """PPO's clipped surrogate less the weighted entropy, and the entropy; ``(n,)`` each."""
        log_probs, entropy = self.controller.evaluate(z, candidates)
        change = log_probs - candidates.log_probs
        ratio = change.clamp(-_MOST_LOG_RATIO, _MOST_LOG_RATIO).exp()
        clipped = ratio.clamp(1 - self._clip, 1 + self._clip)
        advantage = candidates.advantages[..., None]
        gain = torch.minimum(ratio * advantage, clipped * advantage).mean(dim=(1, 2))
        disorder = entropy.mean(dim=(1, 2))
        return -gain - entropy_weight * disorder, disorder.detach()

    def evaluator_loss(self, z: Tensor, networks: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The Huber loss of each copy, summed, ``(n,)``, and mean errors ``(n, b)``."""
        predicted = self.evaluator.predict(networks, z)
        expected = targets[:, None].expand_as(predicted)
        loss = torch.nn.functional.huber_loss(predicted, expected, reduction="none")
        return loss.mean(dim=2).sum(dim=1), (predicted - expected).detach().abs().mean(dim=1)

    def learn(self, losses: Tensor) -> None:
        """Take a step down the gradient of each trial's loss (Eq. 2), ``(n,)``."""
        gradients = torch.autograd.grad(
            losses.sum(), self._parameters(), allow_unused=True, materialize_grads=True
        )
        squares = [each.square().sum(dim=(1, 2)).reshape(len(losses), -1) for each in gradients]
        norm = torch.cat(squares, dim=1).sum(dim=1).sqrt()
        scale = (self._max_norm / (norm + 1e-6)).clamp(max=1)
        targets = [each for network in self._networks.values() for each in network.gradients]
        for target, gradient in zip(targets, gradients, strict=True):
            copies = len(gradient) // len(losses)
            torch.mul(gradient, scale.repeat_interleave(copies)[:, None, None], out=target)
        for network in self._networks.values():
            network.step()

    def arrays(self) -> Arrays:
        """Weights, and what Adam keeps, by name."""
        return {
            f"{name}.{key}": array
            for name, network in self._networks.items()
            for key, array in network.arrays().items()
        }

    def set_arrays(self, arrays: Arrays) -> None:
        """Take over what :meth:`arrays` gave."""
        for name, network in self._networks.items():
            network.set_arrays(part(arrays, f"{name}."))

    def set_weights(self, arrays: Arrays) -> None:
        """Take the weights alone, as :meth:`StackedMLP.set_weights` does."""
        for name, network in self._networks.items():
            network.set_weights(part(arrays, f"{name}."))
