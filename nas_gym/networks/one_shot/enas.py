"""ENAS, efficient search via parameter sharing (Pham et al., ICML 2018)."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.device import mixed_precision, to_fast_layout
from nas_gym.networks.evaluation import recalibrated_batch_norm
from nas_gym.networks.network import Network
from nas_gym.networks.one_shot.base import Genotype, OneShotSearch
from nas_gym.networks.training import TrainingConfig, tensors_with_prefix


class ENASSearch(OneShotSearch):
    """Search with a recurrent controller that samples architectures.

    The reward of an architecture is its accuracy with the shared weights on a validation batch.
    After each epoch of the weights, the controller takes 50 steps of REINFORCE. Each step averages
    over 20 architectures, with a moving baseline and an entropy bonus.

    Args:
        network: Supernet on its device.
        train: Images that train the weights, on the same device.
        valid: Images that train the controller, on the same device.
        config: Settings of the training of the weights.
        seed: Seed of all random draws.
    """

    controller_steps: ClassVar[int] = 50
    """Steps of the controller after each epoch of the weights."""
    controller_batch: ClassVar[int] = 20
    """Architectures per step of the controller."""
    entropy_weight: ClassVar[float] = 1e-4
    baseline_decay: ClassVar[float] = 0.99

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
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU
            self.controller = ENASController(self.space.num_choices.tolist())
        self._controller_optimizer = torch.optim.Adam(
            self.controller.parameters(), lr=1e-3, betas=(0.0, 0.999)
        )
        self._baseline = float("nan")

    def draw_genotype(self, rng: np.random.Generator) -> Genotype:
        """Sample the architecture that one batch trains from the controller."""
        with torch.no_grad():
            genotypes, _, _ = self.controller.sample(1, self._generator)
        drawn: Genotype = genotypes[0]
        return drawn

    def run_epoch(self) -> float:
        """Train the weights for an epoch, then the controller; return the loss of the weights."""
        loss = super().run_epoch()
        for _ in range(self.controller_steps):
            self._step_controller()
        return loss

    def _step_controller(self) -> None:
        """Take one step of REINFORCE."""
        genotypes, log_probability, entropy = self.controller.sample(
            self.controller_batch, self._generator
        )
        advantages = torch.tensor([self._advantage(genotype) for genotype in genotypes])
        loss = -(log_probability * advantages + self.entropy_weight * entropy).mean()
        self._controller_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.controller.parameters(), 5.0)
        self._controller_optimizer.step()

    def _advantage(self, genotype: Genotype) -> float:
        """Update the baseline by the reward of an architecture; return the reward minus the
        baseline."""
        reward = self._accuracy(genotype, *next(self._valid_batches))
        if np.isnan(self._baseline):
            self._baseline = reward
        decay = self.baseline_decay
        self._baseline = decay * self._baseline + (1 - decay) * reward
        return reward - self._baseline

    @torch.no_grad()
    def _accuracy(self, genotype: Genotype, images: Tensor, labels: Tensor) -> float:
        """Return the accuracy on a batch, from 0 to 1."""
        forward = partial(self.network, genotype=genotype)
        with (
            recalibrated_batch_norm(self.network, forward, self.train, 0, len(images)),
            mixed_precision(images.device),
        ):
            logits = forward(to_fast_layout(images))
        return float((logits.argmax(dim=1) == labels).float().mean())

    def derive(self) -> Genotype:
        """Sample 100 architectures from the controller; return the one with the highest accuracy on
        one validation batch."""
        with torch.no_grad():
            genotypes, _, _ = self.controller.sample(self.num_samples, self._generator)
        return self._best(genotypes)

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state of :class:`Training`, and the controller with its optimizer."""
        found = {f"controller/{k}": v for k, v in self.controller.state_dict().items()}
        for name, parameter in self.controller.named_parameters():
            for kind, value in self._controller_optimizer.state[parameter].items():
                found[f"adam/{kind}/{name}"] = torch.as_tensor(value)
        arrays = {name: each.detach().numpy().copy() for name, each in found.items()}
        return super().state_arrays() | arrays | {"baseline": np.array(self._baseline)}

    def load_state_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Restore a state that :meth:`state_arrays` returned."""
        super().load_state_arrays(arrays)
        self.controller.load_state_dict(tensors_with_prefix(arrays, "controller/"))
        for name, parameter in self.controller.named_parameters():
            kinds = ("step", "exp_avg", "exp_avg_sq")
            state = {kind: tensors_with_prefix(arrays, f"adam/{kind}/").get(name) for kind in kinds}
            if state["step"] is not None:
                self._controller_optimizer.state[parameter] = state
        self._baseline = float(arrays["baseline"])


class ENASController(nn.Module):
    """LSTM that makes the decisions of an architecture one after another.

    Args:
        num_choices: Number of choices of each decision.
        hidden: Hidden units; 64 as in the code of NAS-Bench-201.
    """

    temperature: ClassVar[float] = 5.0
    tanh_scale: ClassVar[float] = 2.5

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
        """Draw genotypes ``(n, num_decisions)``, log-probabilities ``(n,)`` and entropies
        ``(n,)``."""
        inputs = self.start.expand(n, -1)
        state = (torch.zeros(n, self.hidden), torch.zeros(n, self.hidden))
        choices, log_probability, entropy = [], torch.zeros(n), torch.zeros(n)
        for decision, head in enumerate(self.heads):
            state = self.cell(inputs, state)
            logits = self.tanh_scale * torch.tanh(head(state[0]) / self.temperature)
            logs = logits.log_softmax(dim=1)
            choice = torch.multinomial(logs.detach().exp(), 1, generator=generator)
            log_probability = log_probability + logs.gather(1, choice)[:, 0]
            entropy = entropy - (logs.exp() * logs).sum(dim=1)
            choices.append(choice[:, 0])
            if decision < len(self.embeddings):
                inputs = self.embeddings[decision](choice[:, 0])
        genotypes: Genotype = torch.stack(choices, dim=1).numpy()
        return genotypes, log_probability, entropy
