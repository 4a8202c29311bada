"""L2NAS: an actor that proposes relaxed architectures, and a critic of the best to be expected."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent, State, part
from nas_gym.agents.common.queried import Remembering, unseen
from nas_gym.envs.alpha import TopArchitectures
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.ranks import rank_scores

if TYPE_CHECKING:
    from torch import Tensor

    from nas_gym.agents.common.batched_networks import Kept

_WINDOW = 50  # queries over which diagnostics are averaged


class L2NAS(Remembering, Agent):
    """L2NAS (Mills et al., CIKM 2021): continuous actions and a quantile critic, section 2.

    The state is the mean of the ``top_k`` best architectures so far; the actor maps it to alpha,
    the critic maps an architecture to the ``quantile`` of its reward (check loss, Eq. 5), and the
    actor follows the critic's gradient (Eq. 6). Each query is followed by as many batches as the
    replay buffer fills, at most ``max_batches`` (section 2.3).

    This is the best configuration that stays within the method; :class:`L2NASPaper` has the
    paper's own, which pays for every proposal of the noisy actor. Beyond it, the rewards in the
    buffer are replaced by scores of their ranks before each update; the critic picks the best of
    ``num_candidates`` noisy outputs of the actor; architectures that were queried before are
    passed over; the critic learns from the discretized action, which is what was evaluated; and
    from the first batch on there are ``min_batches``, so that early queries are learned from.

    Settings:
        top_k: 64; hidden: 128 units in each of three layers.
        loss: ``"quantile"`` or ``"squared"`` (the mean, as in DDPG); quantile: 0.9.
        num_critics: 1; the mean of more is an ensemble.
        batch_size: 8; max_batches: 10; min_batches: 10, as soon as there is one batch.
        buffer_size: how many of the latest experiences are learned from; 0: all. (Section 4.2 has
            5,000 of 20,000.)
        actor_learning_rate: 1e-3; critic_learning_rate: 1e-3.
        reward: ``"signal"``, ``"exponential"`` (Eq. 3) or ``"rescaled(best=0.94)"`` (Eq. 7) of the
            search signal, see :mod:`nas_gym.tasks.rewards`. Of no effect with ``scaling="ranks"``.
        scaling: of the rewards in the buffer: ``"ranks"`` (scores of ranks), ``"standard"`` (mean
            0, standard deviation 1) or ``"none"``.
        relaxed_actions: whether the buffer keeps the noisy alpha; no.
        revisits: whether an architecture may be queried again; no.
        noise: 0.3; the half width of the uniform noise on the first candidate; that on the last
            is four times as wide.
        num_candidates: 64.
        num_random: 20 random architectures first; then the share of random ones falls, by half a
            cosine, from 1 to ``final_epsilon`` (0) at query ``anneal_until`` (0: at once).
        pretrained: a file of a saved agent, whose networks are taken over and fine-tuned (section
            2.4): the trial of seed ``s`` begins with those of its trial ``s``, counted around, so
            that trials do not depend on those beside them.
    """

    settings: ClassVar[dict[str, Any]] = {
        "top_k": 64,
        "hidden": 128,
        "loss": "quantile",
        "quantile": 0.9,
        "num_critics": 1,
        "batch_size": 8,
        "max_batches": 10,
        "min_batches": 10,
        "buffer_size": 0,
        "actor_learning_rate": 1e-3,
        "critic_learning_rate": 1e-3,
        "reward": "signal",
        "scaling": "ranks",
        "relaxed_actions": False,
        "revisits": False,
        "noise": 0.3,
        "num_candidates": 64,
        "num_random": 20,
        "anneal_until": 0,
        "final_epsilon": 0.0,
        "pretrained": "",
    }
    uses_torch = True
    top_k: int
    hidden: int
    loss: str
    quantile: float
    num_critics: int
    batch_size: int
    max_batches: int
    min_batches: int
    buffer_size: int
    actor_learning_rate: float
    critic_learning_rate: float
    reward: str
    scaling: str
    relaxed_actions: bool
    revisits: bool
    noise: float
    num_candidates: int
    num_random: int
    anneal_until: int
    final_epsilon: float
    pretrained: str
    _STATE = ("queried", "states", "actions", "rewards", "log")
    _LOGGED = ("critic_loss", "actor_loss", "epsilon", "novelty", "prediction", "calibration")

    def _setup(self) -> None:
        from nas_gym.agents.common.batched_networks import StackedMLP

        _check(self)
        n, size = self.num_trials, self.space.alpha_size
        hidden = [self.hidden] * 3
        self._actor = StackedMLP([size, *hidden, size], self.actor_learning_rate, self.streams)
        self._critics = StackedMLP(
            [size, *hidden, 1], self.critic_learning_rate, self.streams, self.num_critics
        )
        if self.pretrained:
            self._take_over(self.pretrained)
        same = self.task.reward_name == self.reward
        if not same and "signal" not in (self.reward, self.task.reward_name):
            raise ValueError(
                f"The environment has reward={self.task.reward_name!r} already: give the agent "
                "reward='signal', or make the environment without."
            )
        self._reward = self.task.reward_function("signal" if same else self.reward)
        self._top = TopArchitectures(self.space, n, self.top_k)
        self._rows = np.arange(n)
        self._forget_queries(n)
        # the replay buffer
        self._states = np.empty((n, 0, size), np.float32)
        self._actions = np.empty((n, 0, size), np.float32)
        self._rewards = np.empty((n, 0))
        # what is logged of each query, and what of it is known before its reward
        self._log = np.empty((n, 0, len(self._LOGGED)), np.float32)
        self._proposed: NDArray[np.float32] | None = None
        self._novelty = self._prediction = np.full(n, np.nan)

    @property
    def epsilon(self) -> float:
        """The share of random architectures at the next query."""
        made = self._queried.shape[1]
        if made < self.num_random:
            return 1.0
        if made >= self.anneal_until:
            return self.final_epsilon
        progress = (made - self.num_random) / (self.anneal_until - self.num_random)
        cosine = 0.5 * (1 + np.cos(np.pi * progress))
        return float(self.final_epsilon + (1 - self.final_epsilon) * cosine)

    # -- proposing --------------------------------------------------------------------------------

    def _ask(self) -> NDArray[np.int64]:
        n, size, candidates = self.num_trials, self.space.alpha_size, self.num_candidates
        # the same numbers are drawn whatever happens, so that trials stay independent
        explore = self.streams.random((n, 1)) < self.epsilon
        noise = self.streams.random((n, candidates * size)).reshape(n, candidates, size)
        spare = self.streams.random((n, 1))[:, 0]
        alphas = np.where(explore[:, :, None], noise, self._noisy_actor(noise))
        genotypes = self.space.alpha_to_genotype(alphas.reshape(-1, size))
        indices = self.space.encode(genotypes).reshape(n, candidates)
        known = self._seen.contains(indices)
        one_hots = self.space.genotype_to_alpha(genotypes).reshape(alphas.shape)
        actions = (alphas if self.relaxed_actions else one_hots).astype(np.float32)

        values = self._values(actions)
        # of random candidates the first, of the actor's the best
        preference = np.where(explore, -np.arange(candidates), values)
        if not self.revisits:
            preference[known] = -np.inf
        chosen = self._rows, preference.argmax(axis=1)
        proposed: NDArray[np.int64] = genotypes.reshape(n, candidates, -1)[chosen]
        self._proposed = actions[chosen]
        self._novelty = 1 - known.mean(axis=1)
        trained = self._queried.shape[1] >= self.batch_size or bool(self.pretrained)
        self._prediction = values[chosen] if trained else np.full(n, np.nan)
        for trial in np.flatnonzero(np.isneginf(preference[chosen])).tolist():
            # nothing new among the candidates
            proposed[trial] = unseen(self.space, self._seen, trial, spare[trial])
            self._proposed[trial] = self.space.genotype_to_alpha(proposed[[trial]])[0]
            self._prediction[trial] = np.nan
        return proposed

    def _noisy_actor(self, noise: NDArray[np.float64]) -> NDArray[np.float64]:
        """Alphas of the candidates (Eq. 4), ``(n, candidates, alpha_size)``."""
        import torch

        from nas_gym.agents.common.batched_networks import sigmoid

        # products of few rows are rounded differently for one trial than for many
        state = torch.from_numpy(self._top.mean())[:, None].repeat(1, 8, 1)
        alpha = sigmoid(self._actor(state))[:, :1].numpy().astype(np.float64)
        width = self.noise * np.linspace(1, 4, self.num_candidates)[:, None]
        noisy: NDArray[np.float64] = alpha + width * (2 * noise - 1)
        return noisy

    def _values(self, actions: NDArray[np.float32]) -> NDArray[np.float64]:
        """What the critics make of actions ``(n, b, alpha_size)``; ``(n, b)``."""
        import torch

        values, _ = self._criticize(torch.from_numpy(actions))
        return values.mean(dim=1).numpy().astype(np.float64)

    def _criticize(self, actions: Tensor) -> tuple[Tensor, Kept]:
        """Of each critic, ``(n, num_critics, b)``, and what its gradient needs."""
        copies = actions[:, None].expand(-1, self.num_critics, -1, -1).flatten(0, 1)
        values, kept = self._critics.forward(copies)
        return values.reshape(len(actions), self.num_critics, -1), kept

    # -- learning ---------------------------------------------------------------------------------

    def _tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        indices, epsilon = self.space.encode(genotypes), self.epsilon
        if self._proposed is None:  # a first population that the environment drew
            self._proposed = self.space.genotype_to_alpha(genotypes)
        reward = self._reward(fitness)
        self._note_queries(indices)
        self._states = np.concatenate([self._states, self._top.mean()[:, None]], axis=1)
        self._actions = np.concatenate([self._actions, self._proposed[:, None]], axis=1)
        self._rewards = np.concatenate([self._rewards, reward[:, None]], axis=1)
        if self.buffer_size:
            for name in ("_states", "_actions", "_rewards"):
                setattr(self, name, getattr(self, name)[:, -self.buffer_size :])
        self._top.add(genotypes, indices, fitness)
        targets = self._scaled_rewards()
        below = np.where(np.isnan(self._prediction), np.nan, targets[:, -1] <= self._prediction)
        told = np.full(self.num_trials, epsilon), self._novelty, self._prediction, below
        logged = np.stack([*self._learn(targets), *told], axis=1)
        self._log = np.concatenate([self._log, logged[:, None]], axis=1, dtype=np.float32)
        self._proposed = None

    def _scaled_rewards(self) -> NDArray[np.float64]:
        """The rewards in the buffer as the critic is to learn them, ``(n, queries)``."""
        found = self._rewards
        if self.scaling == "ranks":
            return rank_scores(found)
        if self.scaling == "standard":
            centred = found - found.mean(axis=1, keepdims=True)
            scaled: NDArray[np.float64] = centred / (found.std(axis=1, keepdims=True) + 1e-8)
            return scaled
        return found

    def _learn(
        self, targets: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Update the networks; the mean losses of critics and actor, ``(n,)`` each."""
        import torch

        made = targets.shape[1]
        batches = made // self.batch_size
        if batches:
            batches = min(max(batches, self.min_batches), self.max_batches)
        shape = (self.num_trials, batches, self.batch_size)
        draws = self.streams.random((self.num_trials, batches * self.batch_size)).reshape(shape)
        picks = (draws * made).astype(np.int64)  # with replacement
        losses = []
        for batch in range(batches):
            members = self._rows[:, None], picks[:, batch]
            target = torch.from_numpy(targets[members].astype(np.float32))
            critic_loss = self._learn_critics(torch.from_numpy(self._actions[members]), target)
            losses.append((critic_loss, self._learn_actor(torch.from_numpy(self._states[members]))))
        if not losses:
            nothing = np.full(self.num_trials, np.nan, np.float32)
            return nothing, nothing
        critic, actor = (
            torch.stack(part).mean(dim=0).numpy() for part in zip(*losses, strict=True)
        )
        return critic, actor

    def _learn_critics(self, actions: Tensor, target: Tensor) -> Tensor:
        """One step of the critics (Eq. 5); the loss, ``(n,)``."""
        import torch

        values, kept = self._criticize(actions)
        error = target[:, None] - values
        if self.loss == "squared":
            loss, slope = error**2, -2 * error
        else:
            slope = torch.where(error < 0, 1 - self.quantile, -self.quantile)
            loss = -slope * error
        self._critics.learn(kept, slope.reshape(-1, self.batch_size, 1) / self.batch_size)
        return loss.mean(dim=(1, 2))

    def _learn_actor(self, states: Tensor) -> Tensor:
        """One step of the actor up the critics' value (Eq. 6); the loss, ``(n,)``."""
        import torch

        from nas_gym.agents.common.batched_networks import sigmoid

        outputs, kept = self._actor.forward(states)
        alphas = sigmoid(outputs)
        values, kept_by_critics = self._criticize(alphas)
        each = -1 / (self.num_critics * self.batch_size)
        slope = self._critics.slopes(
            kept_by_critics, torch.full((len(kept_by_critics[0]), self.batch_size, 1), each)
        )
        slope = slope.reshape(len(states), self.num_critics, *alphas.shape[1:]).sum(dim=1)
        self._actor.learn(kept, slope * (1 - alphas) * alphas)
        return -values.mean(dim=(1, 2))

    def diagnostics(self) -> dict[str, NDArray[np.float64]]:
        """What is logged of each query, ``(queries, n)`` each; NaN where there is nothing yet.

        ``critic_loss`` and ``actor_loss`` are means over the query's batches; ``epsilon`` the share
        of random architectures; ``novelty`` the share of candidates that were not queried before;
        ``prediction`` what the critics had predicted of the architecture, in scaled rewards;
        ``calibration`` the share of rewards that were not above it: ``quantile`` for random
        architectures where a quantile critic is right, more where picking by prediction
        overestimates. The last three are means over the last 50 queries.
        """
        columns = self._log.astype(np.float64).transpose(2, 1, 0)
        logged = dict(zip(self._LOGGED, columns, strict=True))
        recent = {name: _recent_mean(logged[name]) for name in self._LOGGED[3:]}
        return logged | recent

    # -- keeping ----------------------------------------------------------------------------------

    def state_dict(self) -> State:
        """As :meth:`Agent.state_dict`, networks included."""
        state = super().state_dict()
        for owner, arrays in (
            ("actor", self._actor.arrays()),
            ("critics", self._critics.arrays()),
            ("top", self._top.state_dict()),
        ):
            state |= {f"{owner}/{name}": array.copy() for name, array in arrays.items()}
        return state

    def load_state_dict(self, state: State, *, began: bool = False) -> None:
        """As :meth:`Agent.load_state_dict`, networks included."""
        super().load_state_dict(state, began=began)
        self._actor.set_arrays(part(state, "actor/"))
        self._critics.set_arrays(part(state, "critics/"))
        self._top.load_state_dict(part(state, "top/"))

    def _take_over(self, path: str) -> None:
        state = self.read_pretrained(path)
        theirs = json.loads(str(state["settings"]))
        for name in ("hidden", "num_critics"):
            if theirs[name] != getattr(self, name):
                raise ValueError(
                    f"{path} was trained with {name} = {theirs[name]}; set it to the same here."
                )
        try:
            self._actor.set_weights(part(state, "actor/"))
            self._critics.set_weights(part(state, "critics/"))
        except (KeyError, RuntimeError) as error:
            raise DamagedDataError(f"{path} is not a whole saved agent.") from error


class L2NASPaper(L2NAS):
    """L2NAS as section 4.1 of the paper has it for NAS-Bench-201.

    Rewards are those of Eq. 3 as they are; the noisy output of the actor is queried, seen or not,
    and stays in the buffer as it was.

    Settings: as those of :class:`L2NAS`, with other defaults. Numbers that our copy of the paper
    lost (``top_k``, ``batch_size``, ``max_batches``, ``noise``, and the course of epsilon) were
    chosen on tasks that are not reported.
    """

    settings: ClassVar[dict[str, Any]] = L2NAS.settings | {
        "batch_size": 32,
        "actor_learning_rate": 1e-4,
        "reward": "exponential",
        "scaling": "none",
        "relaxed_actions": True,
        "revisits": True,
        "num_candidates": 1,
        "num_random": 0,
        "anneal_until": 175,
        "final_epsilon": 0.05,
        "min_batches": 1,
    }


def _check(agent: L2NAS) -> None:
    """Refuse settings that make no sense.

    Raises:
        ValueError: naming the setting and what it can be.
    """
    if agent.loss not in ("quantile", "squared"):
        raise ValueError(f"loss is 'quantile' or 'squared', got {agent.loss!r}.")
    if agent.scaling not in ("ranks", "standard", "none"):
        raise ValueError(f"scaling is 'ranks', 'standard' or 'none', got {agent.scaling!r}.")
    if not 0 < agent.quantile < 1:
        raise ValueError(f"quantile lies between 0 and 1, got {agent.quantile}.")
    if not 0 <= agent.final_epsilon <= 1:
        raise ValueError(f"final_epsilon is a share, 0 to 1, got {agent.final_epsilon}.")
    for name in ("top_k", "hidden", "num_critics", "batch_size", "max_batches", "num_candidates"):
        if getattr(agent, name) < 1:
            raise ValueError(f"{name} is at least 1, got {getattr(agent, name)}.")
    if agent.hidden % 32:
        raise ValueError(
            f"hidden is a multiple of 32, got {agent.hidden}: others are rounded differently alone "
            "and beside other trials."
        )
    rates = ("actor_learning_rate", "critic_learning_rate")
    counts = ("num_random", "anneal_until", "min_batches", "buffer_size")
    for name in ("noise", *counts, *rates):
        if not 0 <= getattr(agent, name) < np.inf:
            raise ValueError(f"{name} is at least 0, and finite; got {getattr(agent, name)}.")


def _recent_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over the last queries, NaN left out; shape of ``values``, ``(queries, n)``."""
    present = ~np.isnan(values)
    sums = np.cumsum([np.where(present, values, 0), present], axis=1)
    sums[:, _WINDOW:] -= sums[:, :-_WINDOW].copy()
    means = np.full(values.shape, np.nan)
    np.divide(sums[0], sums[1], out=means, where=sums[1] > 0)
    return means
