"""L2NAS: an actor that proposes relaxed architectures, and a critic of the best to be expected."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.base import Agent, State
from nas_gym.envs.alpha import TopArchitectures


class L2NAS(Agent):
    """L2NAS (Mills et al., CIKM 2021): continuous actions and a quantile critic, section 2.

    The state is the mean of the ``top_k`` best architectures so far; the actor maps it to alpha,
    the critic maps an architecture to the ``quantile`` of its reward (check loss, Eq. 5), and the
    actor follows the critic's gradient (Eq. 6). Each query is followed by as many batches as the
    replay buffer fills, at most ``max_batches`` (section 2.3).

    Beyond the paper, which pays for every proposal of the noisy actor: rewards are standardised
    over the buffer before each update; the critic picks the best of ``num_candidates`` noisy
    outputs of the actor; architectures that were queried before are passed over; and the critic
    learns from the discretized action, which is what was evaluated.

    Settings:
        top_k: 64; hidden: 128 units in each of three layers; quantile: 0.9.
        batch_size: 8; max_batches: 10.
        actor_learning_rate: 1e-3; critic_learning_rate: 1e-3.
        noise: 0.3; the half width of the uniform noise on the first candidate; that on the last
            is four times as wide.
        num_candidates: 64.
        num_random: 20 random architectures first; then the share of random ones falls, by half a
            cosine, until query ``anneal_until`` (50) and to ``final_epsilon`` (0.05).
    """

    settings: ClassVar[dict[str, Any]] = {
        "top_k": 64,
        "hidden": 128,
        "quantile": 0.9,
        "batch_size": 8,
        "max_batches": 10,
        "actor_learning_rate": 1e-3,
        "critic_learning_rate": 1e-3,
        "noise": 0.3,
        "num_candidates": 64,
        "num_random": 20,
        "anneal_until": 50,
        "final_epsilon": 0.05,
    }
    uses_torch = True
    top_k: int
    hidden: int
    quantile: float
    batch_size: int
    max_batches: int
    actor_learning_rate: float
    critic_learning_rate: float
    noise: float
    num_candidates: int
    num_random: int
    anneal_until: int
    final_epsilon: float
    _STATE = ("seen", "states", "actions", "rewards")

    def _setup(self) -> None:
        from nas_gym.agents.stacked import StackedMLP

        n, size = self.num_trials, self.space.alpha_size
        hidden = [self.hidden] * 3
        self._actor = StackedMLP([size, *hidden, size], self.actor_learning_rate, self.streams)
        self._critic = StackedMLP([size, *hidden, 1], self.critic_learning_rate, self.streams)
        self._top = TopArchitectures(self.space, n, self.top_k)
        self._rows = np.arange(n)
        self._seen = np.zeros((n, self.space.size), bool)
        # the replay buffer
        self._states = np.empty((n, 0, size), np.float32)
        self._actions = np.empty((n, 0, size), np.float32)
        self._rewards = np.empty((n, 0))

    @property
    def epsilon(self) -> float:
        """The share of random architectures at the next query."""
        made = self._rewards.shape[1]
        if made < self.num_random:
            return 1.0
        progress = (made - self.num_random) / max(1, self.anneal_until - self.num_random)
        cosine = 0.5 * (1 + np.cos(np.pi * min(1.0, progress)))
        return float(self.final_epsilon + (1 - self.final_epsilon) * cosine)

    def _ask(self) -> NDArray[np.int64]:
        n, size, candidates = self.num_trials, self.space.alpha_size, self.num_candidates
        # the same numbers are drawn whatever happens, so that trials stay independent
        explore = self.streams.random((n, 1))[:, 0] < self.epsilon
        noise = self.streams.random((n, candidates * size)).reshape(n, candidates, size)
        genotypes = self.space.alpha_to_genotype(
            np.where(explore[:, None, None], noise, self._noisy_actor(noise)).reshape(-1, size)
        )
        fresh = self.space.sample(n, self.streams)
        actions = self.space.genotype_to_alpha(genotypes).reshape(n, candidates, size)
        indices = self.space.encode(genotypes).reshape(n, candidates)
        values = np.where(explore[:, None], -np.arange(candidates), self._values(actions))
        values[self._seen[self._rows[:, None], indices]] = -np.inf
        best = values.argmax(axis=1)
        chosen = genotypes.reshape(n, candidates, -1)[self._rows, best]
        # nothing new among the candidates: any architecture, as random search would take
        none = np.isneginf(values[self._rows, best])
        return np.where(none[:, None], fresh, chosen)

    def _noisy_actor(self, noise: NDArray[np.float64]) -> NDArray[np.float64]:
        import torch

        with torch.no_grad():
            state = torch.from_numpy(self._top.mean())[:, None]
            alpha = self._actor(state).sigmoid().numpy().astype(np.float64)
        width = self.noise * np.linspace(1, 4, self.num_candidates)[:, None]
        noisy: NDArray[np.float64] = alpha + width * (2 * noise - 1)
        return noisy

    def _values(self, actions: NDArray[np.float32]) -> NDArray[np.float64]:
        import torch

        with torch.no_grad():
            values = self._critic(torch.from_numpy(actions.astype(np.float32)))
        return values.numpy()[:, :, 0].astype(np.float64)

    def _tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        indices = self.space.encode(genotypes)
        action = self.space.genotype_to_alpha(genotypes).astype(np.float32)
        self._seen[self._rows, indices] = True
        self._states = np.concatenate([self._states, self._top.mean()[:, None]], axis=1)
        self._actions = np.concatenate([self._actions, action[:, None]], axis=1)
        self._rewards = np.concatenate([self._rewards, fitness[:, None]], axis=1)
        self._top.add(genotypes, indices, fitness)
        self._learn()

    def _learn(self) -> None:
        import torch

        made = self._rewards.shape[1]
        batches = min(made // self.batch_size, self.max_batches)
        if batches == 0:
            return
        spread = self._rewards.std(axis=1, keepdims=True)
        scores = (self._rewards - self._rewards.mean(axis=1, keepdims=True)) / (spread + 1e-8)
        draws = self.streams.random((self.num_trials, batches * self.batch_size))
        picks = (draws * made).astype(np.int64).reshape(self.num_trials, batches, -1)
        for batch in range(batches):
            rows, members = self._rows[:, None], picks[:, batch]
            actions = torch.from_numpy(self._actions[rows, members])
            targets = torch.from_numpy(scores[rows, members].astype(np.float32))
            error = targets - self._critic(actions)[:, :, 0]
            check = torch.maximum(self.quantile * error, (self.quantile - 1) * error)
            self._critic.learn(check.mean(dim=1))
            states = torch.from_numpy(self._states[rows, members])
            self._actor.learn(-self._critic(self._actor(states).sigmoid()).mean(dim=(1, 2)))

    def state_dict(self) -> State:
        """As :meth:`Agent.state_dict`, networks included."""
        parts: dict[str, Any] = {"actor": self._actor.arrays(), "critic": self._critic.arrays()}
        parts["top"] = self._top.state()
        arrays = {f"{part}/{k}": v.copy() for part, found in parts.items() for k, v in found.items()}
        return super().state_dict() | arrays

    def load_state_dict(self, state: State, *, began: bool = False) -> None:
        """As :meth:`Agent.load_state_dict`, networks included."""
        super().load_state_dict(state, began=began)
        for part, take in (
            ("actor/", self._actor.set_arrays),
            ("critic/", self._critic.set_arrays),
            ("top/", self._top.set_state),
        ):
            take({k.removeprefix(part): v for k, v in state.items() if k.startswith(part)})
