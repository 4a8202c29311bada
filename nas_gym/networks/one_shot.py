"""One-shot searches: the weights of a supernet are trained while an architecture is chosen.

Each is a :class:`nas_gym.networks.training.Training` that also learns from validation images which
architecture is best. Settings are those of NAS-Bench-201's own baselines (Dong and Yang, 2020,
section 5 and its code), which CATCH compares with (Table 1).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.device import mixed_precision, to_fast_layout, without_tf32
from nas_gym.networks.evaluation import NetworkScore, evaluate_network, recalibrated_batch_norm
from nas_gym.networks.network import Network
from nas_gym.networks.training import Training, TrainingConfig, tensors

Genotype = NDArray[np.int64]
Batch = tuple[Tensor, Tensor]  # normalized images, and their labels

_SAMPLES = 100  # architectures that RSWS, SETN and ENAS choose among
_TAU = (10.0, 0.1)  # of GDAS, at the beginning and at the end


class OneShotSearch(Training):
    """Training of a supernet that comes to prefer architectures.

    Args:
        network: a supernet, on its device.
        train: images that weights are trained on, on the same device.
        valid: images that architectures are chosen by.
        config: how weights are trained.
        seed: of everything drawn.
    """

    def __init__(
        self,
        network: Network,
        train: DeviceImages,
        valid: DeviceImages,
        config: TrainingConfig,
        seed: int,
    ) -> None:
        super().__init__(network, train, config, seed, self._draw)
        self.space = network.space
        self.valid = valid
        self._batches: Iterator[tuple[Tensor, Tensor]] = iter(())

    def begin_epoch(self) -> None:
        """Begin anew with the validation images, so that a search can be cut off between epochs."""
        self._batches = self._endless()

    def _draw(self, rng: np.random.Generator) -> Genotype:
        """What a batch trains; uniform unless a method has another idea."""
        drawn: Genotype = self.space.sample(1, rng)[0]
        return drawn

    def fix_architecture(self, genotype: Genotype) -> None:
        """Let every batch train this architecture, as far as the method draws any: how much a step
        takes depends on it."""
        self._choose = lambda _: genotype

    @abstractmethod
    def derive(self) -> Genotype:
        """The architecture that the search would choose now, ``(num_decisions,)``."""

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of validation images in random order, again and again, augmented alike."""
        while True:
            yield from self.valid.shuffled(
                self.config.batch_size, self.config.augmentation, self._generator
            )

    def _loss_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, labels)

    def _best(self, genotypes: Genotype) -> Genotype:
        """The one of highest accuracy on one and the same batch of validation images."""
        rows = self._rng.permutation(len(self.valid))[: max(self.config.batch_size, 256)]
        part = self.valid.subset(torch.from_numpy(rows))
        scores = []
        for genotype in genotypes:
            forward = partial(self.network, genotype=genotype)
            with recalibrated_batch_norm(self.network, forward, self.split, 0, len(part)):
                scores.append(evaluate_network(forward, part, len(part)))
        best: Genotype = genotypes[max(range(len(scores)), key=lambda i: _order(scores[i]))]
        return best


def _order(score: NetworkScore) -> tuple[float, float]:
    """The better the higher; accuracies of few images are often equal."""
    return score.accuracy, -score.loss


class SinglePathSearch(OneShotSearch):
    """Random search with weight sharing (Li and Talwalkar, UAI 2019).

    Batches train architectures drawn uniformly; the best of 100 others is chosen.
    """

    def derive(self) -> Genotype:
        """As :meth:`OneShotSearch.derive`."""
        return self._best(self.space.sample(_SAMPLES, self._rng))


class DifferentiableSearch(OneShotSearch):
    """A search that learns alpha by gradients of the validation loss (DARTS, Algorithm 1).

    Before each step of the weights comes one of alpha: Adam with a rate of 3e-4 and a weight
    decay of 1e-3. Operations of an edge are weighted by a softmax.
    """

    def __init__(
        self,
        network: Network,
        train: DeviceImages,
        valid: DeviceImages,
        config: TrainingConfig,
        seed: int,
    ) -> None:
        super().__init__(network, train, valid, config, seed)
        start = 1e-3 * torch.randn(network.alpha_shape, generator=self._generator)
        self.logits = nn.Parameter(start.to(train.device))
        self._adam = torch.optim.Adam([self.logits], lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)

    @property
    def alpha(self) -> Tensor:
        """The weights of operations, ``(alpha_size,)``."""
        return self.logits.softmax(dim=-1).flatten()

    def derive(self) -> Genotype:
        """The discretization of alpha."""
        alpha = self.alpha.detach().cpu().numpy()
        genotype: Genotype = self.space.alpha_to_genotype(alpha)[0]
        return genotype

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """As :meth:`Training.step`, after one of alpha."""
        train, valid = (images, labels), next(self._batches)
        self.logits.grad = self.retry_in_halves(lambda: self._alpha_gradient(train, valid))
        self._adam.step()
        return super().step(images, labels)

    def _alpha_gradient(self, train: Batch, valid: Batch) -> Tensor:
        """The gradient of the validation loss in alpha."""
        return self._gradients(valid, [self.logits])[0]

    def _gradients(self, batch: Batch, of: list[Any]) -> list[Tensor]:
        """Gradients of the loss that alpha is judged by; zeros where it does not depend on
        something, as on alpha where all edges are dead."""
        total = [torch.zeros_like(each) for each in of]
        for images, labels, share in self.parts(*batch):
            with self._precision(images.device):
                loss = self._alpha_loss(images, labels) * share
            found = torch.autograd.grad(loss, of, allow_unused=True)
            for each, gradient in zip(total, found, strict=True):
                if gradient is not None:
                    each += gradient
        return total

    def _precision(self, device: torch.device) -> AbstractContextManager[object]:
        return mixed_precision(device)

    def _alpha_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        return self._loss_of(self.network.forward_mixed(images, self.alpha), labels)

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """As :meth:`Training.state_arrays`, alpha included."""
        found = {"alpha/logits": self.logits.detach()}
        for name, value in self._adam.state[self.logits].items():
            found[f"alpha/{name}"] = torch.as_tensor(value)
        return super().state_arrays() | {
            name: each.cpu().numpy().copy() for name, each in found.items()
        }

    def load_state_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """As :meth:`Training.load_state_arrays`."""
        super().load_state_arrays(arrays)
        found = tensors(arrays, "alpha/")
        with torch.no_grad():
            self.logits.copy_(found.pop("logits"))
        if found:
            device = self.logits.device
            self._adam.state[self.logits] = {
                name: value if name == "step" else value.to(device) for name, value in found.items()
            }


class DARTSSearch(DifferentiableSearch):
    """DARTS, first order: the weights of the mixture are taken as they are (Liu et al., 2019)."""

    def _loss(self, images: Tensor, labels: Tensor, genotype: Any) -> Tensor:
        return self._loss_of(self.network.forward_mixed(images, self.alpha.detach()), labels)


class SecondOrderDARTSSearch(DARTSSearch):
    """DARTS, second order: alpha looks one step of the weights ahead (Eqs. 6 to 8)."""

    copies = 3  # what weights were, the gradient one step behind, and that one step ahead
    _STEP = 0.01  # of all weights together, by which the product with the Hessian is approximated

    def _precision(self, device: torch.device) -> AbstractContextManager[object]:
        return nullcontext()  # bfloat16 does not tell weights apart that are so near;
        # nor does TensorFloat-32, which holds for backward passes, too: below

    def _alpha_gradient(self, train: Batch, valid: Batch) -> Tensor:
        weights = [each for each in self.network.parameters() if each.requires_grad]
        rate = self._optimizer.param_groups[0]["lr"]
        with without_tf32(), _restored(weights) as kept:
            ahead = self._gradients(train, weights)
            _move(weights, kept, self._steps(weights, ahead), -rate)
            gradient, *vector = self._gradients(valid, [self.logits, *weights])
            norm = float(torch.cat([each.flatten() for each in vector]).norm())
            size = self._STEP / max(norm, 1e-12)
            sides = []
            for by in (size, -size):
                _move(weights, kept, vector, by)
                sides.append(self._gradients(train, [self.logits])[0])
        result: Tensor = gradient - rate * (sides[0] - sides[1]) / (2 * size)
        return result

    def _steps(self, weights: list[Any], gradients: list[Tensor]) -> list[Tensor]:
        """What the optimizer would subtract for a rate of 1, but for Nesterov's look ahead."""
        steps = []
        for weight, gradient in zip(weights, gradients, strict=True):
            step = gradient + self.config.weight_decay * weight.detach()
            momentum = self._optimizer.state[weight].get("momentum_buffer")
            steps.append(step if momentum is None else step + self.config.momentum * momentum)
        return steps


@contextmanager
def _restored(weights: list[Any]) -> Iterator[list[Tensor]]:
    """Weights have their values again afterwards, also where memory does not do; these values."""
    kept = [each.detach().clone() for each in weights]
    try:
        yield kept
    finally:
        _move(weights, kept, kept, 0.0)


@torch.no_grad()
def _move(weights: list[Any], start: list[Tensor], directions: list[Tensor], by: float) -> None:
    """Put weights at so many times their direction from where they start."""
    for weight, before, direction in zip(weights, start, directions, strict=True):
        weight.copy_(before + by * direction)


class GDASSearch(DifferentiableSearch):
    """GDAS: each batch sees one architecture, drawn by Gumbel noise (Dong and Yang, CVPR 2019).

    Its gradient reaches alpha through a softmax whose temperature falls from 10 to 0.1. In the
    space of DARTS an architecture is drawn by discretizing the noisy alpha, so that it has the
    edges that its cells will have; GDAS' own code keeps all of them.
    """

    def fix_architecture(self, genotype: Genotype) -> None:
        """As :meth:`OneShotSearch.fix_architecture`."""
        alpha = torch.from_numpy(self.space.genotype_to_alpha(genotype[None])[0])
        with torch.no_grad():  # no noise makes up for so much
            self.logits.copy_(100 * (alpha > 0).reshape(self.logits.shape))

    def _sample(self) -> tuple[Genotype, Tensor]:
        first, last = _TAU
        tau = first + (last - first) * min(self.epoch / max(self.config.epochs - 1, 1), 1.0)
        uniform = torch.rand(self.logits.shape, generator=self._generator).clamp(1e-10, 1 - 1e-7)
        gumbel = -torch.log(-torch.log(uniform)).to(self.logits.device)
        noisy = self.logits.log_softmax(dim=-1) + gumbel
        soft = (noisy / tau).softmax(dim=-1).flatten()
        # of the noisy logits, for near the end the softmax of many edges is 1 exactly
        genotype = self.space.alpha_to_genotype(noisy.detach().flatten().cpu().numpy())
        chosen = torch.from_numpy(self.space.genotype_to_alpha(genotype)[0] > 0)
        scales = 1.0 - soft.detach() + soft  # 1, with the gradient of the softmax
        own = scales[chosen.to(soft.device)].reshape(self.network.scales_shape)
        return genotype[0], own

    def _alpha_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        genotype, scales = self._sample()
        return self._loss_of(self.network(images, genotype, scales), labels)

    def _loss(self, images: Tensor, labels: Tensor, genotype: Any) -> Tensor:
        with torch.no_grad():
            genotype, scales = self._sample()
        return self._loss_of(self.network(images, genotype, scales), labels)


class SETNSearch(DifferentiableSearch):
    """SETN: weights of uniformly drawn architectures, alpha of the mixture (Dong and Yang, ICCV
    2019). Of 100 architectures drawn by alpha, the best is chosen."""

    def derive(self) -> Genotype:
        """As :meth:`OneShotSearch.derive`."""
        alpha = self.alpha.detach().cpu().numpy()
        noise = self._rng.gumbel(size=(_SAMPLES, len(alpha)))
        return self._best(self.space.alpha_to_genotype(np.log(alpha) + noise))


class ENASSearch(OneShotSearch):
    """ENAS: a recurrent controller draws architectures, and is rewarded with the accuracy of
    shared weights (Pham et al., ICML 2018).

    After each epoch of the weights, the controller takes 50 steps of REINFORCE, each of the mean
    over 20 architectures on a batch each, with a moving baseline and a bonus for entropy. The best
    of 100 architectures that it draws is chosen.
    """

    _STEPS, _DRAWN = 50, 20
    _ENTROPY, _DECAY = 1e-4, 0.99

    def __init__(
        self,
        network: Network,
        train: DeviceImages,
        valid: DeviceImages,
        config: TrainingConfig,
        seed: int,
    ) -> None:
        super().__init__(network, train, valid, config, seed)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch's would seed every GPU, too
            self.controller = ENASController(self.space.num_choices.tolist())
        self._adam = torch.optim.Adam(self.controller.parameters(), lr=1e-3, betas=(0.0, 0.999))
        self._baseline = float("nan")

    def _draw(self, rng: np.random.Generator) -> Genotype:
        with torch.no_grad():
            genotypes, _, _ = self.controller.sample(1, self._generator)
        drawn: Genotype = genotypes[0]
        return drawn

    def run_epoch(self) -> float:
        """As :meth:`Training.run_epoch`, then the controller's steps."""
        loss = super().run_epoch()
        for _ in range(self._STEPS):
            self._step_controller()
        return loss

    def _step_controller(self) -> None:
        genotypes, log_probability, entropy = self.controller.sample(self._DRAWN, self._generator)
        advantages = torch.tensor([self._advantage(each) for each in genotypes])
        loss = -(log_probability * advantages + self._ENTROPY * entropy).mean()
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.controller.parameters(), 5.0)
        self._adam.step()

    def _advantage(self, genotype: Genotype) -> float:
        """Its accuracy on the next batch, as far as it is above the baseline, which moves on."""
        reward = self._accuracy(genotype, *next(self._batches))
        if np.isnan(self._baseline):
            self._baseline = reward
        self._baseline = self._DECAY * self._baseline + (1 - self._DECAY) * reward
        return reward - self._baseline

    @torch.no_grad()
    def _accuracy(self, genotype: Genotype, images: Tensor, labels: Tensor) -> float:
        forward = partial(self.network, genotype=genotype)
        with (
            recalibrated_batch_norm(self.network, forward, self.split, 0, len(images)),
            mixed_precision(images.device),
        ):
            logits = forward(to_fast_layout(images))
        return float((logits.argmax(dim=1) == labels).float().mean())

    def derive(self) -> Genotype:
        """As :meth:`OneShotSearch.derive`."""
        with torch.no_grad():
            genotypes, _, _ = self.controller.sample(_SAMPLES, self._generator)
        return self._best(genotypes)

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """As :meth:`Training.state_arrays`, the controller included."""
        found = {f"controller/{k}": v for k, v in self.controller.state_dict().items()}
        for name, parameter in self.controller.named_parameters():
            for kind, value in self._adam.state[parameter].items():
                found[f"adam/{kind}/{name}"] = torch.as_tensor(value)
        arrays = {name: each.detach().numpy().copy() for name, each in found.items()}
        return super().state_arrays() | arrays | {"baseline": np.array(self._baseline)}

    def load_state_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """As :meth:`Training.load_state_arrays`."""
        super().load_state_arrays(arrays)
        self.controller.load_state_dict(tensors(arrays, "controller/"))
        for name, parameter in self.controller.named_parameters():
            kinds = ("step", "exp_avg", "exp_avg_sq")
            state = {kind: tensors(arrays, f"adam/{kind}/").get(name) for kind in kinds}
            if state["step"] is not None:
                self._adam.state[parameter] = state
        self._baseline = float(arrays["baseline"])


class ENASController(nn.Module):
    """ENAS' controller: an LSTM that makes one decision after the other.

    Args:
        num_choices: of each decision.
        hidden: units; 64 as in NAS-Bench-201's code.
    """

    _TEMPERATURE, _TANH = 5.0, 2.5

    def __init__(self, num_choices: list[int], hidden: int = 64) -> None:
        super().__init__()
        self.hidden = hidden
        self.start = nn.Parameter(torch.empty(1, hidden))
        self.cell = nn.LSTMCell(hidden, hidden)
        self.embeddings = nn.ModuleList(nn.Embedding(n, hidden) for n in num_choices[:-1])
        self.heads = nn.ModuleList(nn.Linear(hidden, n) for n in num_choices)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Genotype, Tensor, Tensor]:
        """Draw genotypes ``(n, L)``, with their log-probabilities and entropies, ``(n,)`` each."""
        inputs = self.start.expand(n, -1)
        state = (torch.zeros(n, self.hidden), torch.zeros(n, self.hidden))
        choices, total, entropy = [], torch.zeros(n), torch.zeros(n)
        for decision, head in enumerate(self.heads):
            state = self.cell(inputs, state)
            logits = self._TANH * torch.tanh(head(state[0]) / self._TEMPERATURE)
            logs = logits.log_softmax(dim=1)
            choice = torch.multinomial(logs.detach().exp(), 1, generator=generator)
            total = total + logs.gather(1, choice)[:, 0]
            entropy = entropy - (logs.exp() * logs).sum(dim=1)
            choices.append(choice[:, 0])
            if decision < len(self.embeddings):
                inputs = self.embeddings[decision](choice[:, 0])
        genotypes: Genotype = torch.stack(choices, dim=1).numpy()
        return genotypes, total, entropy


ONE_SHOT_SEARCHES: dict[str, type[OneShotSearch]] = {
    "rsws": SinglePathSearch,
    "darts-v1": DARTSSearch,
    "darts-v2": SecondOrderDARTSSearch,
    "gdas": GDASSearch,
    "setn": SETNSearch,
    "enas": ENASSearch,
}
"""By the names that CATCH's Table 1 and NAS-Bench-201 call them."""
