"""Encoder, controller and evaluator of CATCH (Chen et al., ECCV 2020), for many trials at once.

In the shapes of arrays, ``n`` is the number of trials and ``L`` the number of decisions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_gym.agents.common.batched_networks import Arrays, BatchedMLP
from nas_gym.agents.common.random_streams import RandomStreams
from nas_gym.agents.common.saved import part
from nas_gym.spaces import SearchSpace

# Batches are padded to a multiple of this number of rows: matrix products with other numbers of
# rows are rounded differently for one trial than for many.
_ROW_MULTIPLE = 16
_MIN_DEVIATION = 0.05  # minimum standard deviation of the Gaussian factor of a pair
_MAX_LOG_RATIO = 5.0  # bound of the log probability ratio, so that exp() does not overflow


@dataclass(frozen=True)
class Context:
    """Architecture-reward pairs of one task per trial.

    Attributes:
        architectures: One-hot architectures, ``(n, c, one_hot_size)`` float32.
        rewards: Rewards, normalised within the context, ``(n, c)`` float32.
        present: True for pairs that are in the context, ``(n, c)`` bool.
        noise: Standard normal numbers for sampling z, ``(n, latent)`` float32.
    """

    architectures: Tensor
    rewards: Tensor
    present: Tensor
    noise: Tensor


@dataclass(frozen=True)
class Candidates:
    """Architectures that the controller sampled.

    Attributes:
        architectures: One-hot architectures, ``(n, m, one_hot_size)`` float32.
        choices: Genotypes of the architectures, ``(n, m, L)`` int64.
        masks: True for valid choices, ``(n, m, L, max_choices)`` bool.
        log_probs: Log probabilities of the choices when they were sampled, ``(n, m, L)`` float32.
        advantages: Advantages of the architectures, ``(n, m)`` float32.
    """

    architectures: Tensor
    choices: Tensor
    masks: Tensor
    log_probs: Tensor
    advantages: Tensor


class CATCHEncoder:
    """Encoder from architecture-reward pairs to the latent context z (CATCH paper, section 3.1).

    Args:
        mlp: Network that outputs the mean and the deviation of each pair's Gaussian factor.
        latent: Number of dimensions of z.
    """

    def __init__(self, mlp: BatchedMLP, latent: int) -> None:
        self.mlp = mlp
        self.latent = latent

    def encode(self, context: Context) -> tuple[Tensor, Tensor]:
        """Return the latent context z, and the KL divergence of its posterior from the prior.

        z has shape ``(n, latent)``. The divergence has shape ``(n,)`` and is averaged over the
        dimensions of z. The posterior is a product of Gaussian factors, one per pair (Eq. 1 of the
        CATCH paper). Without pairs, z is drawn from the prior.
        """
        pairs = torch.cat([context.architectures, context.rewards[..., None]], dim=2)
        missing = -pairs.shape[1] % _ROW_MULTIPLE
        pairs = torch.nn.functional.pad(pairs, (0, 0, 0, missing))
        present = torch.nn.functional.pad(context.present, (0, missing))[..., None]
        mean, deviation = self.mlp(pairs).tensor_split(2, dim=2)
        deviation = torch.nn.functional.softplus(deviation) + _MIN_DEVIATION
        precision = present / deviation**2
        has_pairs = context.present.any(dim=1, keepdim=True)
        total = torch.where(has_pairs, precision.sum(dim=1), 1.0)
        mean, variance = (precision * mean).sum(dim=1) / total, 1 / total
        divergence = 0.5 * (variance + mean**2 - 1 - variance.log())
        return mean + variance.sqrt() * context.noise, divergence.mean(dim=1)


class CATCHController:
    """Policy that samples architectures decision by decision, given z (CATCH paper, section 3.2).

    Args:
        mlp: Policy network.
        space: Search space.
    """

    def __init__(self, mlp: BatchedMLP, space: SearchSpace) -> None:
        self.mlp = mlp
        self._space = space
        # output index of each choice of each decision, (L, max_choices)
        slots = space.one_hot_offsets[:, None] + np.arange(space.max_choices)
        self._slots = torch.from_numpy(np.minimum(slots, space.one_hot_size - 1))

    def sample_architectures(
        self, z: Tensor, draws: NDArray[np.float64], temperatures: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], Tensor, Tensor]:
        """Sample architectures from the policy.

        Args:
            z: Latent contexts, ``(n, latent)``.
            draws: Uniform numbers in [0, 1), ``(n, m, L)``.
            temperatures: Numbers by which the logits are divided, ``(m,)``; 1 leaves the policy
                unchanged.

        Returns:
            Genotypes ``(n, m, L)``; masks that are true for valid choices,
            ``(n, m, L, max_choices)``; and the log probabilities of the sampled choices at
            temperature 1, ``(n, m, L)``.
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
            # the bound of an invalid choice equals the previous bound, so it is never drawn
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
        """Return the log probabilities of the candidates' choices under the current policy, and the
        policy's entropy at each decision; both ``(n, m, L)``."""
        trials, count, decisions = candidates.choices.shape
        slot = torch.arange(self._space.one_hot_size)
        # the input of decision l holds the previous decisions: [a_1 ... a_{l-1}, 0, ..., 0]
        before = slot < torch.from_numpy(self._space.one_hot_offsets)[:, None]
        prefixes = (candidates.architectures[:, :, None] * before).reshape(
            trials, count * decisions, -1
        )
        outputs = self._outputs(prefixes, z).reshape(trials, count, decisions, -1)
        slots = self._slots.expand(trials, count, -1, -1)
        logits = outputs.gather(3, slots).masked_fill(~candidates.masks, -torch.inf)
        log_probs = logits.log_softmax(dim=3)
        finite_log_probs = log_probs.masked_fill(~candidates.masks, 0.0)
        entropy = -(log_probs.exp() * finite_log_probs).sum(dim=3)
        return log_probs.gather(3, candidates.choices[..., None])[..., 0], entropy

    def _outputs(self, prefixes: Tensor, z: Tensor) -> Tensor:
        return self.mlp(append_context(prefixes, z))


class CATCHEvaluator:
    """Predictor of the normalised reward of architectures, given z (CATCH paper, section 3.3).

    Args:
        mlp: Networks of the evaluator.
        copies: Number of independent networks per trial.
    """

    def __init__(self, mlp: BatchedMLP, copies: int) -> None:
        self.mlp = mlp
        self._copies = copies

    def predict(self, architectures: Tensor, z: Tensor) -> Tensor:
        """Return the prediction of each network, ``(n, copies, m)``.

        Args:
            architectures: One-hot architectures, ``(n, m, one_hot_size)``.
            z: Latent contexts, ``(n, latent)``.
        """
        trials, count = architectures.shape[:2]
        missing = -count % _ROW_MULTIPLE
        rows = torch.nn.functional.pad(append_context(architectures, z), (0, 0, 0, missing))
        rows = rows[:, None].expand(-1, self._copies, -1, -1).flatten(0, 1)
        return self.mlp(rows)[:, :count, 0].reshape(trials, self._copies, count)

    def score(self, architectures: Tensor, z: Tensor) -> Tensor:
        """Return the mean prediction of each trial's networks, ``(n, m)``."""
        return self.predict(architectures, z).mean(dim=1)


def append_context(rows: Tensor, z: Tensor) -> Tensor:
    """Append the trial's latent context z to each row."""
    return torch.cat([rows, z[:, None].expand(-1, rows.shape[1], -1)], dim=2)


class CATCHComponents:
    """Encoder, controller and evaluator of many trials, and their joint training.

    The joint training is described in section 3.4 of the CATCH paper.

    Args:
        space: Search space.
        num_evaluators: Number of evaluator networks per trial.
        hidden: Units per hidden layer; each network has two.
        latent: Number of dimensions of z.
        learning_rate: Learning rate of Adam.
        clip: PPO's clipping parameter: how far the probability ratio may move from 1 before it is
            clipped.
        max_norm: Maximum norm of a trial's gradient; longer gradients are scaled down.
        rng: Source of the initial weights.
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
        rng: RandomStreams,
    ) -> None:
        size, layers = space.one_hot_size, [hidden, hidden]
        self._networks = {
            "encoder": BatchedMLP([size + 1, *layers, 2 * latent], learning_rate, rng),
            "controller": BatchedMLP([size + latent, *layers, size], learning_rate, rng),
            "evaluator": BatchedMLP(
                [size + latent, *layers, 1], learning_rate, rng, num_evaluators
            ),
        }
        self._clip, self._max_norm = clip, max_norm
        self.encoder = CATCHEncoder(self._networks["encoder"], latent)
        self.controller = CATCHController(self._networks["controller"], space)
        self.evaluator = CATCHEvaluator(self._networks["evaluator"], num_evaluators)
        for parameter in self.parameters():
            parameter.requires_grad_()

    def parameters(self) -> list[Tensor]:
        """Return the parameters of encoder, controller and evaluator."""
        return [each for network in self._networks.values() for each in network.parameters]

    def controller_loss(
        self, z: Tensor, candidates: Candidates, entropy_weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return PPO's clipped loss with an entropy bonus, and the entropy; both ``(n,)``.

        The loss is ``-mean(min(ratio * A, clip(ratio) * A)) - weight * entropy``, which is L_c in
        Eq. 2 of the CATCH paper; ``ratio`` is new over old probability of a choice.

        Args:
            z: Latent contexts, ``(n, latent)``.
            candidates: Sampled architectures; ``A`` are their advantages.
            entropy_weight: Weight of the entropy, ``(n,)``.
        """
        log_probs, entropies = self.controller.evaluate(z, candidates)
        change = log_probs - candidates.log_probs
        ratio = change.clamp(-_MAX_LOG_RATIO, _MAX_LOG_RATIO).exp()
        clipped = ratio.clamp(1 - self._clip, 1 + self._clip)
        advantage = candidates.advantages[..., None]
        gain = torch.minimum(ratio * advantage, clipped * advantage).mean(dim=(1, 2))
        entropy = entropies.mean(dim=(1, 2))
        return -gain - entropy_weight * entropy, entropy.detach()

    def evaluator_loss(
        self, z: Tensor, architectures: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the evaluator's Huber loss and the absolute error of each prediction.

        The loss is summed over each trial's networks, the error is averaged over the networks.

        Args:
            z: Latent contexts, ``(n, latent)``.
            architectures: One-hot architectures, ``(n, b, one_hot_size)``.
            targets: Normalised rewards, ``(n, b)``.

        Returns:
            The loss ``(n,)``, which is L_e in Eq. 2 of the CATCH paper, and the errors ``(n, b)``.
        """
        predicted = self.evaluator.predict(architectures, z)
        expected = targets[:, None].expand_as(predicted)
        loss = torch.nn.functional.huber_loss(predicted, expected, reduction="none")
        return loss.mean(dim=2).sum(dim=1), (predicted - expected).detach().abs().mean(dim=1)

    def backward_and_step(self, losses: Tensor) -> None:
        """Take one step of Adam on each trial's loss ``(n,)`` (Eq. 2 of the CATCH paper)."""
        gradients = torch.autograd.grad(
            losses.sum(), self.parameters(), allow_unused=True, materialize_grads=True
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
        """Return weights and Adam's moments by name."""
        return {
            f"{name}.{key}": array
            for name, network in self._networks.items()
            for key, array in network.arrays().items()
        }

    def set_arrays(self, arrays: Arrays) -> None:
        """Restore a result of :meth:`arrays`."""
        for name, network in self._networks.items():
            network.set_arrays(part(arrays, f"{name}."))

    def set_weights(self, arrays: Arrays) -> None:
        """Copy the weights only; see :meth:`BatchedMLP.set_weights`."""
        for name, network in self._networks.items():
            network.set_weights(part(arrays, f"{name}."))
