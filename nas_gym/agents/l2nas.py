"""L2NAS: an actor proposes relaxed architectures, and a critic predicts a quantile of rewards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.config import AgentConfig, setting
from nas_gym.agents.common.diagnostics import QueryDiagnostics
from nas_gym.agents.common.query_memory import QueryMemory
from nas_gym.agents.common.saved import State, explain_damage, part, refuse_infinite
from nas_gym.envs.alpha import TopArchitectures
from nas_gym.utils.ranks import rank_scores

if TYPE_CHECKING:
    from torch import Tensor

    from nas_gym.agents.common.batched_networks import Activations

_WINDOW = 50  # number of queries over which diagnostics are averaged


@dataclass(frozen=True)
class L2NASConfig(AgentConfig):
    """Settings of :class:`L2NAS`.

    The default is the best configuration found on tasks for which no results are reported; see
    "Additions to the paper" in :class:`L2NAS`. The preset ``l2nas-paper`` is the configuration of
    the L2NAS paper. Section and equation numbers in the explanations refer to that paper.
    """

    top_k: int = setting(
        64, "The state is the mean of this number of best architectures so far.", low=1, high=10_000
    )
    hidden: int = setting(
        128,
        "Units per hidden layer; each network has three. With a multiple of 32, results do not "
        "depend on the number of trials.",
        low=32,
        multiple_of=32,
        high=4096,
    )
    loss: str = setting(
        "quantile",
        "Loss of the critic: quantile, which is the check loss (Eq. 5 of the L2NAS paper); or "
        "squared, which is the squared error, as in DDPG.",
        choices=("quantile", "squared"),
    )
    quantile: float = setting(0.9, "Quantile that the critic predicts.", above=0, below=1)
    num_critics: int = setting(
        1,
        "Number of critics; the mean of their predictions is used.",
        low=1,
        high=64,
    )
    batch_size: int = setting(8, "Number of experiences per batch.", low=1, high=10_000)
    max_batches: int = setting(
        10, "Maximum number of training batches per query.", low=1, high=10_000
    )
    min_batches: int = setting(
        10,
        "Minimum number of training batches per query, once the replay buffer holds one batch.",
        low=0,
        high=10_000,
    )
    buffer_size: int = setting(
        0,
        "Capacity of the replay buffer, in experiences; 0 keeps all experiences.",
        low=0,
        high=10**9,
    )
    actor_learning_rate: float = setting(1e-3, "Learning rate of the actor.", low=0, high=100.0)
    critic_learning_rate: float = setting(1e-3, "Learning rate of the critic.", low=0, high=100.0)
    reward: str = setting(
        "signal",
        "Reward as a function of the search signal: signal, exponential (Eq. 3 of the L2NAS paper) "
        "or rescaled(best=0.94) (Eq. 7). It has no effect if scaling is ranks.",
    )
    scaling: str = setting(
        "ranks",
        "Scaling of the rewards in the replay buffer before each update: ranks, which replaces "
        "rewards by scores of their ranks; standard (mean 0, standard deviation 1); or none.",
        choices=("ranks", "standard", "none"),
    )
    relaxed_actions: bool = setting(
        False, "Whether the replay buffer holds the noisy alpha rather than the discretized one."
    )
    revisits: bool = setting(False, "Whether an architecture may be queried more than once.")
    noise: float = setting(
        0.3,
        "Half width of the uniform noise on the first candidate. The half width rises to four "
        "times this value at the last candidate.",
        low=0,
        high=1000.0,  # nearly uniform candidates, as in docs/results/l2nas.md
    )
    num_candidates: int = setting(
        64,
        "Number of noisy outputs of the actor from which the critic picks.",
        low=1,
        high=10_000,
    )
    num_random: int = setting(20, "Number of random architectures at the start.", low=0, high=10**9)
    anneal_until: int = setting(
        0,
        "Query at which epsilon, the probability of a random architecture, reaches final_epsilon. "
        "Epsilon falls from 1 by a cosine schedule; with 0, it has its final value from the start.",
        low=0,
        high=10**9,
    )
    final_epsilon: float = setting(0.0, "Final value of epsilon.", low=0, high=1)
    pretrained: str = setting(
        "",
        "File of a saved agent whose networks are copied and fine-tuned (section 2.4 of the L2NAS "
        "paper). If it has m trials, the trial with seed s copies the networks of trial s modulo "
        "m.",
    )


class L2NAS(QueryDiagnostics, QueryMemory, Agent):
    """L2NAS (Mills et al., CIKM 2021): continuous actions and a quantile critic.

    Section, equation and algorithm numbers in this class refer to that paper. The state is the mean
    of the ``top_k`` best architectures so far (section 2.2). The actor maps the state to alpha. The
    critic maps an architecture to the ``quantile`` of its reward (check loss, Eq. 5), and the actor
    follows the critic's gradient (Eq. 6). After each query, actor and critic are trained on the
    number of batches that the replay buffer fills, at most ``max_batches`` (section 2.3).

    **Additions to the paper**, each with a setting that turns it off:

    - The critic picks the best of several noisy actions (``num_candidates``; paper: 1).
    - Rewards in the replay buffer are replaced by scores of their ranks (``scaling``; paper:
      ``"none"``).
    - No architecture is queried twice (``revisits``; paper: true).
    - The critic learns from the discretized action (``relaxed_actions``; paper: true).
    - After each query, there are at least ``min_batches`` training batches (paper: 1).

    The preset ``l2nas-paper`` is the configuration of section 4.1 for NAS-Bench-201. Some values
    are illegible in the available text of the paper (``top_k``, ``batch_size``, ``max_batches``,
    ``noise`` and the schedule of epsilon); they were chosen on tasks for which no results are
    reported. The preset reproduces the paper's results at 500 and 1,000 queries. At 100 queries it
    is no better than random search (docs/results/l2nas.md), because most of its first 175
    architectures are random.
    """

    config_class = L2NASConfig
    config: L2NASConfig
    presets: ClassVar[Mapping[str, AgentConfig]] = {
        "l2nas-paper": L2NASConfig(
            batch_size=32,
            actor_learning_rate=1e-4,
            reward="exponential",
            scaling="none",
            relaxed_actions=True,
            revisits=True,
            num_candidates=1,
            num_random=0,
            anneal_until=175,
            final_epsilon=0.05,
            min_batches=1,
        )
    }
    preset_notes: ClassVar[Mapping[str, str]] = {
        "l2nas-paper": "It needs 500 queries: at 100 queries it is no better than random search."
    }
    uses_torch = True
    state_attributes = ("states", "actions", "rewards")
    checks_state = True
    diagnostic_names = (
        "critic_loss", "actor_loss", "epsilon", "novelty", "prediction", "calibration"
    )  # fmt: skip

    def setup(self) -> None:
        """Build actor, critics and an empty replay buffer; see :meth:`Agent.setup`."""
        from nas_gym.agents.common.batched_networks import BatchedMLP

        config, n, size = self.config, self.num_trials, self.space.alpha_size
        hidden = [config.hidden] * 3
        self.actor = BatchedMLP([size, *hidden, size], config.actor_learning_rate, self.rng)
        self.critics = BatchedMLP(
            [size, *hidden, 1], config.critic_learning_rate, self.rng, config.num_critics
        )
        if config.pretrained:
            self._take_over_networks(config.pretrained)
        is_same_reward = self.task.reward_name == config.reward
        if not is_same_reward and "signal" not in (config.reward, self.task.reward_name):
            raise ValueError(
                f"The environment already has reward={self.task.reward_name!r}: give the agent "
                "reward='signal', or make the environment without reward=."
            )
        self._reward = self.task.reward_function("signal" if is_same_reward else config.reward)
        self.top = TopArchitectures(self.space, n, config.top_k)
        self._rows = np.arange(n)
        self.forget_queries(n)
        self.clear_diagnostics(n)
        # replay buffer of states, actions and rewards
        self.states = np.empty((n, 0, size), np.float32)
        self.actions = np.empty((n, 0, size), np.float32)
        self.rewards = np.empty((n, 0))
        # action of the current query, and diagnostics that are known before the reward
        self._action: NDArray[np.float32] | None = None
        self._novelty = self._prediction = np.full(n, np.nan)

    # -- one query (sections 2.2 and 2.3) ---------------------------------------------------------

    @property
    def epsilon(self) -> float:
        """Probability that the next query is a random architecture."""
        config, queries = self.config, self.queried.shape[1]
        if queries < config.num_random:  # random warm-up
            return 1.0
        if queries >= config.anneal_until:
            return config.final_epsilon
        progress = (queries - config.num_random) / (config.anneal_until - config.num_random)
        cosine = 0.5 * (1 + np.cos(np.pi * progress))
        return float(config.final_epsilon + (1 - config.final_epsilon) * cosine)

    def ask(self) -> NDArray[np.int64]:
        """Return the critic's pick among the actor's noisy outputs; see :meth:`Agent.ask`."""
        config = self.config
        n, size, candidates = self.num_trials, self.space.alpha_size, config.num_candidates
        # every query draws equally many random numbers, so that trials are independent
        explore = self.rng.random((n, 1)) < self.epsilon
        noise = self.rng.random((n, candidates * size)).reshape(n, candidates, size)
        spare = self.rng.random((n, 1))[:, 0]
        alphas = np.where(explore[:, :, None], noise, self._noisy_actor(noise))
        genotypes = self.space.alpha_to_genotype(alphas.reshape(-1, size))  # Algorithms 1 and 2
        indices = self.space.encode(genotypes).reshape(n, candidates)
        is_known = self.seen.contains(indices)
        one_hots = self.space.genotype_to_alpha(genotypes).reshape(alphas.shape)
        actions = (alphas if config.relaxed_actions else one_hots).astype(np.float32)

        values = self.predict_rewards(actions)
        # a random query takes the first candidate, other queries the critic's pick
        preference = np.where(explore, -np.arange(candidates), values)
        if not config.revisits:
            preference[is_known] = -np.inf
        chosen = self._rows, preference.argmax(axis=1)
        proposed: NDArray[np.int64] = genotypes.reshape(n, candidates, -1)[chosen]
        self._action = actions[chosen]
        self._novelty = 1 - is_known.mean(axis=1)
        is_trained = self.queried.shape[1] >= config.batch_size or bool(config.pretrained)
        self._prediction = values[chosen] if is_trained else np.full(n, np.nan)
        for trial in np.flatnonzero(np.isneginf(preference[chosen])).tolist():
            # all candidates were queried before
            proposed[trial] = self.sample_unseen(trial, spare[trial])
            self._action[trial] = self.space.genotype_to_alpha(proposed[[trial]])[0]
            self._prediction[trial] = np.nan
        return proposed

    def _noisy_actor(self, noise: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the alphas of the candidates, ``(n, candidates, alpha_size)``.

        Noise is added to the actor's output as in Eq. 4 of the L2NAS paper.

        Args:
            noise: Uniform numbers in [0, 1), ``(n, candidates, alpha_size)``.
        """
        import torch

        from nas_gym.agents.common.batched_networks import sigmoid

        # eight equal rows: products of few rows are rounded differently for one trial than for many
        state = torch.from_numpy(self.top.mean())[:, None].repeat(1, 8, 1)
        alpha = sigmoid(self.actor(state))[:, :1].numpy().astype(np.float64)
        width = self.config.noise * np.linspace(1, 4, self.config.num_candidates)[:, None]
        noisy: NDArray[np.float64] = alpha + width * (2 * noise - 1)
        return noisy

    def tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        """Add an experience to the replay buffer and learn; see :meth:`Agent.tell`."""
        indices, epsilon = self.space.encode(genotypes), self.epsilon
        if self._action is None:  # the first generation of a population environment
            self._action = self.space.genotype_to_alpha(genotypes)
        reward = self._reward(fitness)
        self.remember_queries(indices)
        self.states = np.concatenate([self.states, self.top.mean()[:, None]], axis=1)
        self.actions = np.concatenate([self.actions, self._action[:, None]], axis=1)
        self.rewards = np.concatenate([self.rewards, reward[:, None]], axis=1)
        if self.config.buffer_size:
            for name in ("states", "actions", "rewards"):
                setattr(self, name, getattr(self, name)[:, -self.config.buffer_size :])
        self.top.add(genotypes, indices, fitness)
        targets = self.scaled_rewards()
        below = np.where(np.isnan(self._prediction), np.nan, targets[:, -1] <= self._prediction)
        others = np.full(self.num_trials, epsilon), self._novelty, self._prediction, below
        self.record_diagnostics(np.stack([*self._learn_from_buffer(targets), *others], axis=1))
        self._action = None

    # -- learning (section 2.3) -------------------------------------------------------------------

    def scaled_rewards(self) -> NDArray[np.float64]:
        """Return the scaled rewards in the replay buffer, the critic's targets; ``(n, m)``."""
        rewards = self.rewards
        if self.config.scaling == "ranks":
            return rank_scores(rewards)
        if self.config.scaling == "standard":
            centred = rewards - rewards.mean(axis=1, keepdims=True)
            scaled: NDArray[np.float64] = centred / (rewards.std(axis=1, keepdims=True) + 1e-8)
            return scaled
        return rewards

    def _learn_from_buffer(
        self, targets: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Train critics and actor on random batches; return their mean losses, ``(n,)`` each."""
        import torch

        config, experiences = self.config, targets.shape[1]
        batches = experiences // config.batch_size
        if batches:
            batches = min(max(batches, config.min_batches), config.max_batches)
        shape = (self.num_trials, batches, config.batch_size)
        draws = self.rng.random((self.num_trials, batches * config.batch_size)).reshape(shape)
        picks = (draws * experiences).astype(np.int64)  # with replacement
        losses = []
        for batch in range(batches):
            members = self._rows[:, None], picks[:, batch]
            target = torch.from_numpy(targets[members].astype(np.float32))
            critic_loss = self._update_critics(torch.from_numpy(self.actions[members]), target)
            actor_loss = self.update_actor(torch.from_numpy(self.states[members]))
            losses.append((critic_loss, actor_loss))
        if not losses:
            nothing = np.full(self.num_trials, np.nan, np.float32)
            return nothing, nothing
        critic, actor = (
            torch.stack(column).mean(dim=0).numpy() for column in zip(*losses, strict=True)
        )
        return critic, actor

    def _update_critics(self, actions: Tensor, target: Tensor) -> Tensor:
        """Train the critics for one step on the setting ``loss``; return the loss, ``(n,)``."""
        import torch

        values, activations = self._evaluate_critics(actions)
        error = target[:, None] - values
        if self.config.loss == "squared":
            loss, gradient = error**2, -2 * error
        else:
            quantile = self.config.quantile
            gradient = torch.where(error < 0, 1 - quantile, -quantile)
            loss = -gradient * error
        batch_size = self.config.batch_size
        self.critics.backward_and_step(
            activations, gradient.reshape(-1, batch_size, 1) / batch_size
        )
        return loss.mean(dim=(1, 2))

    def update_actor(self, states: Tensor) -> Tensor:
        """Train the actor for one step to raise the critics' value (Eq. 6 of the L2NAS paper).

        Args:
            states: States from the replay buffer, ``(n, batch_size, alpha_size)``.

        Returns:
            The actor's loss, ``(n,)``.
        """
        import torch

        from nas_gym.agents.common.batched_networks import sigmoid

        outputs, activations = self.actor.forward(states)
        alphas = sigmoid(outputs)
        values, critic_activations = self._evaluate_critics(alphas)
        each = -1 / (self.config.num_critics * self.config.batch_size)
        rows = len(critic_activations[0])
        gradient = self.critics.input_gradient(
            critic_activations, torch.full((rows, self.config.batch_size, 1), each)
        )
        shape = (len(states), self.config.num_critics, *alphas.shape[1:])
        gradient = gradient.reshape(shape).sum(dim=1)
        self.actor.backward_and_step(activations, gradient * (1 - alphas) * alphas)
        return -values.mean(dim=(1, 2))

    def predict_rewards(self, actions: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the critics' mean prediction for actions.

        Args:
            actions: Alphas, ``(n, b, alpha_size)``.

        Returns:
            Predicted quantiles of scaled rewards, ``(n, b)``.
        """
        import torch

        values, _ = self._evaluate_critics(torch.from_numpy(actions))
        return values.mean(dim=1).numpy().astype(np.float64)

    def _evaluate_critics(self, actions: Tensor) -> tuple[Tensor, Activations]:
        """Return the value of each critic, ``(n, num_critics, b)``, and the activations."""
        copies = actions[:, None].expand(-1, self.config.num_critics, -1, -1).flatten(0, 1)
        values, activations = self.critics.forward(copies)
        return values.reshape(len(actions), self.config.num_critics, -1), activations

    # -- diagnostics, saving and loading ----------------------------------------------------------

    def diagnostics(self) -> dict[str, NDArray[np.float64]]:
        """Return diagnostics by name, one array ``(queries, n)`` each; NaN marks missing values.

        - ``critic_loss`` and ``actor_loss`` are means over the batches after the query.
        - ``epsilon`` is the probability of a random architecture.
        - ``novelty`` is the fraction of candidates that were not queried before.
        - ``prediction`` is the critics' prediction for the query, as a scaled reward.
        - ``calibration`` is the fraction of rewards that were not above the prediction. For random
          architectures, an accurate quantile critic has a calibration of ``quantile``; if the
          prediction chose the query, the calibration is higher.

        The last three are means over the last 50 queries.
        """
        recorded = super().diagnostics()
        recent = {name: _recent_mean(recorded[name]) for name in self.diagnostic_names[3:]}
        return recorded | recent

    def state_dict(self) -> State:
        """Return the state, including the networks; see :meth:`Agent.state_dict`."""
        state = super().state_dict()
        for owner, arrays in (
            ("actor", self.actor.arrays()),
            ("critics", self.critics.arrays()),
            ("top", self.top.state_dict()),
        ):
            state |= {f"{owner}/{name}": array.copy() for name, array in arrays.items()}
        return state

    def load_state_dict(self, state: State, *, env_restored: bool = False) -> None:
        """Restore a state, including the networks; see :meth:`Agent.load_state_dict`."""
        super().load_state_dict(state, env_restored=env_restored)
        self.actor.set_arrays(part(state, "actor/"))
        self.critics.set_arrays(part(state, "critics/"))
        self.top.load_state_dict(part(state, "top/"))

    def check_state(self) -> None:
        """Raise an error if the replay buffer is damaged; see :meth:`Agent.check_state`."""
        super().check_state()
        buffer = {name: getattr(self, name) for name in ("states", "actions", "rewards")}
        refuse_infinite(buffer)
        if len({array.shape[1] for array in buffer.values()}) > 1:
            raise ValueError("states, actions and rewards differ in length")

    def _take_over_networks(self, path: str) -> None:
        """Copy the networks of a saved agent (section 2.4 of the L2NAS paper)."""
        state = self.read_pretrained(path)
        self.check_same_settings(state, path, ("hidden", "num_critics"))
        with explain_damage(path):
            self.actor.set_weights(part(state, "actor/"))
            self.critics.set_weights(part(state, "critics/"))


def _recent_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return running means over the last queries, ``(queries, n)``; NaN values are ignored."""
    present = ~np.isnan(values)
    sums = np.cumsum([np.where(present, values, 0), present], axis=1)
    sums[:, _WINDOW:] -= sums[:, :-_WINDOW].copy()
    means = np.full(values.shape, np.nan)
    np.divide(sums[0], sums[1], out=means, where=sums[1] > 0)
    return means
