"""CATCH: an agent that learns from many tasks which architectures to try first on a new task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from gymnasium.vector import SyncVectorEnv
from numpy.typing import NDArray
from typing_extensions import Self

from nas_gym.agents.catch.config import PAPER, CATCHConfig
from nas_gym.agents.catch.rehearsal import draw_rehearsal
from nas_gym.agents.common.config import AgentConfig
from nas_gym.agents.common.diagnostics import QueryDiagnostics
from nas_gym.agents.common.driver import EnvironmentDriver
from nas_gym.agents.common.meta_agent import MetaAgent, TaskEmbeddings
from nas_gym.agents.common.query_memory import QueryMemory, uniform_to_indices
from nas_gym.agents.common.random_streams import RandomStreams
from nas_gym.agents.common.saved import (
    AgentMismatchError,
    State,
    explain_damage,
    part,
    refuse_infinite,
    saved_array,
)
from nas_gym.envs.sequential import SequentialEnv
from nas_gym.tasks.task_set import TaskSet
from nas_gym.utils.ranks import rank_scores, rank_scores_among

if TYPE_CHECKING:
    from torch import Tensor

    from nas_gym.agents.catch.networks import Candidates, Context
    from nas_gym.agents.catch.task_evaluator import TaskEvaluator
    from nas_gym.tasks import Task

_ENTROPY_RATE = 0.05  # change of log(entropy weight) per nat and update
_PRIORITY_EXPONENT = 0.6  # prioritized experience replay (Schaul et al., ICLR 2016)
_INITIAL_PRIORITY = 10.0  # priority of pairs that the evaluator has not been trained on


class CATCH(QueryDiagnostics, QueryMemory, MetaAgent):
    """CATCH (Chen et al., ECCV 2020): context-based meta reinforcement learning.

    Section, equation and line numbers in this class refer to that paper and its Algorithm 1; the
    method is described in section 3. Where the paper says "network", this code says
    "architecture".

    An encoder maps the architectures queried so far and their rewards to a latent context z. Given
    z, a controller samples candidates, and an evaluator picks the candidate to query. After each
    reward, all three are trained jointly (Eq. 2). :meth:`meta_learn` trains them on a set of tasks.
    :meth:`adapt`, or the setting ``pretrained``, uses them on a new task.

    In :meth:`meta_learn`, ``epochs`` is the number of tasks that each trial learns from, and
    ``queries`` is the number of architectures that each trial evaluates on each task.

    **Additions to the paper**, each with a setting that turns it off:

    - While a meta-learned agent adapts, a second evaluator learns from the current task alone. The
      better its picks are, the more of the queries it chooses (``second_opinion``; see
      :mod:`nas_gym.agents.catch.task_evaluator`).
    - The controller learns from all on-policy candidates. The evaluator's scores replace the
      rewards of candidates that were not queried, because one architecture per query is too little
      to learn a policy from (``candidate_credit``).
    - Encoder and evaluator also learn from earlier tasks in meta-training (``rehearsal``).
    - The weight of the entropy bonus is adapted to keep the entropy at a fixed fraction of its
      maximum (``adapt_entropy``), and further candidates are sampled at rising temperatures
      (``on_policy``, ``temperature``). Without these two additions, some controllers converge to
      a wrong choice and never leave it.
    - No architecture is queried twice (``revisits``).
    - A meta-learned agent does not begin with random architectures and picks (``explore_adapted``).
    - The scores of several evaluators are averaged (``num_evaluators``).

    Rewards are normalised by rank; the paper does not say how it normalises them. The preset
    ``catch-paper`` (:data:`nas_gym.agents.catch.config.PAPER`) turns all additions off.

    Attributes:
        rewards: Rewards of the search history, ``(n, queries)``, for ``n`` trials.
        picks: Chooser of each query, ``(n, queries)``; constants of
            :mod:`nas_gym.agents.catch.task_evaluator`.
        past: Indices of the architectures queried on earlier tasks of meta-training,
            ``(n, tasks, queries)``.
        past_rewards: Rewards of ``past``, in the same shape.
    """

    config_class = CATCHConfig
    config: CATCHConfig
    presets: ClassVar[Mapping[str, AgentConfig]] = {"catch-paper": PAPER}
    uses_torch = True
    checks_state = True
    meta_epochs = 25
    meta_queries = 20
    state_attributes = (
        "rewards", "picks", "priorities", "entropy_weight", "past", "past_rewards"
    )  # fmt: skip
    diagnostic_names = (
        "controller_loss", "evaluator_loss", "kl", "entropy", "epsilon", "novelty", "trust"
    )  # fmt: skip

    def setup(self) -> None:
        """Build the three components; see :meth:`Agent.setup`."""
        from nas_gym.agents.catch.networks import CATCHComponents

        config, n = self.config, self.num_trials
        self.components = CATCHComponents(
            self.space,
            config.num_evaluators,
            config.hidden,
            config.latent,
            config.learning_rate,
            config.clip,
            config.max_norm,
            self.rng,
        )
        self.entropy_weight = np.full(n, float(config.entropy_weight))
        self.past = np.empty((n, 0, 0), np.int64)
        self.past_rewards = np.empty((n, 0, 0))
        self._meta_learning = False
        self._rows = np.arange(n)
        self.start_search()

    def start_search(self) -> None:
        """Initialize the search history (line 3)."""
        n = self.num_trials
        self.rewards = np.empty((n, 0))
        self.picks = np.empty((n, 0), np.int8)
        self.priorities = np.empty((n, 0))
        self.forget_queries(n)
        self.clear_diagnostics(n)
        self._candidates: tuple[NDArray[np.int64], Tensor, Tensor] | None = None
        self._novelty = np.full(n, np.nan)
        self._task_evaluator: TaskEvaluator | None = None
        self._next_picks = np.ones(n, np.int8)

    # -- meta-training: lines 1 to 13 -------------------------------------------------------------

    @property
    def epochs(self) -> int:
        """Number of tasks that each trial has learned from."""
        return int(self.past.shape[1])

    def train_epochs(self, tasks: TaskSet, epochs: int, queries: int) -> Iterator[None]:
        """Learn from one task after another; each trial draws its own tasks.

        See :meth:`MetaAgent.train_epochs`; ``queries`` is the number of architectures on each task.
        """
        driver = self._driver
        self._meta_learning = True
        try:
            while self.epochs < epochs:  # line 1
                self._driver = EnvironmentDriver(self._make_envs(tasks, self.epochs))  # line 2
                # noise of the signal differs between the tasks of a trial, and between trials
                self._driver.reset(self.seed + self.epochs * 2**32)
                self.start_search()  # line 3
                for _ in range(queries):  # line 4
                    genotypes = self.ask()  # lines 5 to 8
                    self.tell(genotypes, self._driver.evaluate(genotypes))  # lines 9 to 11
                self._keep_task()
                yield
        finally:
            self._driver, self._meta_learning = driver, False

    def check_tasks(self, tasks: TaskSet, epochs: int, queries: int) -> None:
        """Raise an error if :meth:`meta_learn` cannot start, or continue, with these arguments.

        Raises:
            ValueError: If the variant searches from scratch, a count is below 1, or the agent has
                started with another task set or number of queries.
        """
        if self.config.variant == "sfs":
            raise ValueError("variant='sfs' searches from scratch: it does not meta-learn.")
        super().check_tasks(tasks, epochs, queries)
        if self.epochs and self.past.shape[2] != queries:
            raise ValueError(
                f"This agent has learned from {self.epochs} tasks with {self.past.shape[2]} "
                f"queries each; continue with queries={self.past.shape[2]}."
            )

    def draw_task(self, tasks: TaskSet, epoch: int, trial: int = 0) -> Task:
        """Return the task that a trial learns from in an epoch of meta-training.

        Args:
            tasks: Task set.
            epoch: Number of the epoch, counted from 0.
            trial: Number of the trial, counted from 0.
        """
        return tasks.draw(np.random.default_rng([self.seed + trial, epoch]))

    def _make_envs(self, tasks: TaskSet, epoch: int) -> SyncVectorEnv:
        """Return a vector environment with the task that each trial learns from in an epoch."""
        drawn = [self.draw_task(tasks, epoch, trial) for trial in range(self.num_trials)]
        if drawn[0].space.choices != self.space.choices:
            raise ValueError(
                f"The tasks are over {drawn[0].space.name}, this agent is for {self.space.name}."
            )
        return SyncVectorEnv([partial(SequentialEnv, task=task) for task in drawn])

    def _keep_task(self) -> None:
        """Add the search history of the current task to the histories of earlier tasks."""
        if not self.epochs:
            self.past = np.empty((self.num_trials, 0, self.queried.shape[1]), np.int64)
            self.past_rewards = np.empty(self.past.shape)
        self.past = np.concatenate([self.past, self.queried[:, None]], axis=1)
        self.past_rewards = np.concatenate([self.past_rewards, self.rewards[:, None]], axis=1)

    # -- one query: lines 5 to 8 ------------------------------------------------------------------

    @property
    def is_adapting(self) -> bool:
        """Whether the agent is searching a task after meta-learning."""
        return not self._meta_learning and self.epochs > 0

    @property
    def _explores(self) -> bool:
        return not self.is_adapting or self.config.explore_adapted

    @property
    def current_epsilon(self) -> float:
        """Probability that the next query is a random candidate."""
        if not self._explores:
            return 0.0
        queries = self.queried.shape[1]
        return float(self.config.epsilon * np.exp(-queries / self.config.epsilon_decay))

    def ask(self) -> NDArray[np.int64]:
        """Return the controller's candidate that the evaluator picks; see :meth:`Agent.ask`."""
        import torch

        config = self.config
        n, count, decisions = self.num_trials, config.num_candidates, self.space.num_decisions
        # every query draws equally many random numbers, so that trials are independent
        draws = self.rng.random((n, count * decisions)).reshape(n, count, decisions)
        explore, pick, spare = self.rng.random((n, 3)).T
        with torch.no_grad():
            z, _ = self.encode_context(self.sample_context())  # lines 5 and 6
            sampled = self.components.controller.sample_architectures(  # line 7
                z, draws, self._temperatures()
            )
            genotypes = sampled[0]
            indices = self.space.encode(genotypes.reshape(-1, decisions)).reshape(n, count)
            scores = self._score(indices, z)
        is_known = self.seen.contains(indices)
        self._candidates, self._scores, self._novelty = sampled, scores, 1 - is_known.mean(axis=1)
        is_random = (explore < self.current_epsilon)[:, None]  # epsilon-greedy (section 4.1)
        shifted = (np.arange(count) - (pick * count).astype(np.int64)[:, None]) % count
        preference = np.where(is_random, -shifted, scores)  # line 8
        if not config.revisits:
            preference[is_known] = -np.inf
        chosen = self._rows, preference.argmax(axis=1)
        proposed: NDArray[np.int64] = genotypes[chosen]
        # random architectures initialize the search history (section 3.1)
        is_initial = self._explores and self.queried.shape[1] < config.num_random
        for trial in np.flatnonzero(is_initial | np.isneginf(preference[chosen])).tolist():
            proposed[trial] = self.sample_unseen(trial, spare[trial])
        if config.second_opinion and self.is_adapting:
            proposed = self._ask_task_evaluator(indices, proposed)
        return proposed

    def sample_context(self) -> Context:
        """Return all pairs of the search history, as in section 3.1 of the CATCH paper."""
        everything = np.ones(self.queried.shape, bool)
        return self._make_context(self.queried, self.rewards, everything, self._latent_noise())

    def _make_context(
        self,
        indices: NDArray[np.int64],
        rewards: NDArray[np.float64],
        present: NDArray[np.bool_],
        noise: NDArray[np.float32],
    ) -> Context:
        import torch

        from nas_gym.agents.catch.networks import Context

        normalised = rank_scores_among(rewards, present).astype(np.float32)
        parts = normalised, present.copy(), noise
        return Context(self._one_hot(indices), *(torch.from_numpy(each) for each in parts))

    def _latent_noise(self) -> NDArray[np.float32]:
        return self.rng.normal((self.num_trials, self.config.latent)).astype(np.float32)

    def encode_context(self, context: Context) -> tuple[Tensor, Tensor]:
        """Return the latent context z, and the KL divergence of its posterior from the prior.

        z has shape ``(n, latent)``, the divergence ``(n,)``, for ``n`` trials. In the ablations
        (section 5 of the CATCH paper), z is zero or random and the divergence is 0.
        """
        import torch

        zero_divergence = torch.zeros(self.num_trials)
        if self.config.variant == "zero":
            return torch.zeros_like(context.noise), zero_divergence
        if self.config.variant == "random":
            return context.noise, zero_divergence
        return self.components.encoder.encode(context)

    def _score(self, indices: NDArray[np.int64], z: Tensor) -> NDArray[np.float64]:
        scores = self.components.evaluator.score(self._one_hot(indices), z)
        return scores.numpy().astype(np.float64)

    def _one_hot(self, indices: NDArray[np.int64]) -> Tensor:
        """Return architectures ``(n, m)`` as one-hot inputs, ``(n, m, one_hot_size)``."""
        import torch

        rows = self.space.one_hot(self.space.decode(indices.reshape(-1)))
        return torch.from_numpy(rows.astype(np.float32)).reshape(
            *indices.shape, self.space.one_hot_size
        )

    # -- learning: lines 9 to 11 ------------------------------------------------------------------

    def tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        """Add pairs to the search history and optimize; see :meth:`Agent.tell`."""
        epsilon = np.full(self.num_trials, self.current_epsilon)
        self.remember_queries(self.space.encode(genotypes))  # line 10
        self.rewards = np.concatenate([self.rewards, fitness[:, None]], axis=1)
        picks = self._next_picks if self._candidates else np.zeros_like(self._next_picks)
        self.picks = np.concatenate([self.picks, picks[:, None]], axis=1)
        initial = np.full((self.num_trials, 1), _INITIAL_PRIORITY)
        self.priorities = np.concatenate([self.priorities, initial], axis=1)
        losses = self._optimize()  # line 11
        trusted = np.array([np.nan, 1.0, 0.0])[picks]
        self.record_diagnostics(np.stack([*losses, epsilon, self._novelty, trusted], axis=1))
        self._candidates = None

    def _optimize(self) -> NDArray[np.float64]:
        """Train the three components jointly (Eq. 2 of the CATCH paper).

        Returns:
            Controller loss, evaluator loss, KL divergence and entropy, as means over the updates;
            ``(4, n)``.
        """
        import torch

        components, config = self.components, self.config
        targets = torch.from_numpy(rank_scores(self.rewards).astype(np.float32))
        candidates = self._scored_candidates(targets.numpy())
        if self._task_evaluator:
            self._task_evaluator.learn(self._one_hot(self.queried), targets, config.updates)
        recorded = []
        for _ in range(config.updates):
            z, divergence = self.encode_context(self.sample_context())
            rows = self._rows[:, None], self._prioritized_batch()
            evaluator_loss, errors = components.evaluator_loss(
                z, self._one_hot(self.queried[rows]), targets[rows]
            )
            self.priorities[rows] = errors.numpy()
            loss = evaluator_loss + config.kl_weight * divergence
            controller_loss = entropy = torch.zeros(self.num_trials)
            if candidates is not None:
                weight = torch.from_numpy(self.entropy_weight.astype(np.float32))
                controller_loss, entropy = components.controller_loss(z, candidates, weight)
                loss = loss + controller_loss
                if config.adapt_entropy:
                    self._adapt_entropy_weight(entropy.numpy())
            if config.rehearsal and self._meta_learning and self.epochs:
                loss = loss + self._rehearsal_loss()
            components.backward_and_step(loss)
            recorded.append([controller_loss, evaluator_loss, divergence, entropy])
        means: NDArray[np.float64] = np.array(
            [[each.detach().numpy() for each in losses] for losses in recorded]
        ).mean(axis=0)
        return means

    def _prioritized_batch(self) -> NDArray[np.int64]:
        """Draw pairs of the search history without replacement, by prioritized replay."""
        draws = self.rng.random(self.priorities.shape)
        size = int(np.ceil(self.config.batch_share * draws.shape[1]))
        with np.errstate(divide="ignore"):
            keys = _PRIORITY_EXPONENT * np.log(self.priorities + 1e-3) - np.log(-np.log(draws))
        batch: NDArray[np.int64] = np.argsort(-keys, axis=1, kind="stable")[:, :size]
        return batch

    def _scored_candidates(self, targets: NDArray[np.float32]) -> Candidates | None:
        """Return the on-policy candidates with their advantages.

        Args:
            targets: Normalised rewards of the search history, ``(n, queries)``.

        Returns:
            Candidates; ``None`` if a population environment chose the latest query.
        """
        import torch

        from nas_gym.agents.catch.networks import Candidates

        if self._candidates is None:
            return None
        n, count = self.num_trials, self.config.on_policy
        choices, masks, log_probs = self._candidates
        choices = choices[:, :count]
        indices = self.space.encode(choices.reshape(n * count, -1)).reshape(n, -1)
        is_query = indices[:, :, None] == self.queried[:, None]
        rewards = (is_query * targets[:, None]).sum(axis=2)
        # above 1 only in a first generation, an exhausted space, or with revisits
        times = is_query.sum(axis=2)
        means = rewards / np.maximum(times, 1)
        if self.config.candidate_credit:
            advantages = self._credited_advantages(times, means)
        else:
            # normalised rewards have mean 0; the loss is a mean over all candidates
            is_queried = times > 0
            share = np.maximum(is_queried.sum(axis=1, keepdims=True), 1) / count
            advantages = np.where(is_queried, means, 0.0) / share
        return Candidates(
            self._one_hot(indices),
            torch.from_numpy(choices),
            masks[:, :count],
            log_probs[:, :count],
            torch.from_numpy(advantages.astype(np.float32)),
        )

    # -- additions to the paper -------------------------------------------------------------------

    def _credited_advantages(
        self, times: NDArray[np.int64], means: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Return the advantages of all on-policy candidates, ``(n, on_policy)``.

        A candidate that was not queried has the evaluator's score in place of a reward.

        Args:
            times: Number of times that each candidate was queried, ``(n, on_policy)``.
            means: Mean normalised reward of each queried candidate, ``(n, on_policy)``.
        """
        values = np.where(times, means, self._scores[:, : self.config.on_policy])
        advantages: NDArray[np.float64] = values - values.mean(axis=1, keepdims=True)
        return advantages

    def _temperatures(self) -> NDArray[np.float64]:
        """Return the sampling temperature of each candidate."""
        config = self.config
        rising = np.linspace(1, config.temperature, config.num_candidates - config.on_policy)
        return np.concatenate([np.ones(config.on_policy), rising])

    def _adapt_entropy_weight(self, entropy: NDArray[np.float32]) -> None:
        """Raise the entropy bonus's weight if the entropy is below the target, else lower it."""
        maximum = np.log(self.space.num_choices).mean()
        change = np.exp(_ENTROPY_RATE * (self.config.entropy * maximum - entropy))
        self.entropy_weight = (self.entropy_weight * change).clip(0.02, 5.0)

    def _rehearsal_loss(self) -> Tensor:
        """Return each trial's loss of encoder and evaluator on one earlier task, ``(n,)``."""
        import torch

        indices, rewards, in_context = draw_rehearsal(self.past, self.past_rewards, self.rng)
        context = self._make_context(indices, rewards, in_context, self._latent_noise())
        z, divergence = self.encode_context(context)
        targets = torch.from_numpy(rank_scores(rewards).astype(np.float32))
        loss, _ = self.components.evaluator_loss(z, self._one_hot(indices), targets)
        return loss + self.config.kl_weight * divergence

    def _ask_task_evaluator(
        self, candidates: NDArray[np.int64], proposed: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Replace the agent's pick in trials whose next query the task evaluator chooses.

        The task evaluator picks among the ``m`` candidates and ``m`` random architectures.

        Args:
            candidates: Indices of the controller's candidates, ``(n, m)``.
            proposed: Genotypes that the agent picks, ``(n, L)``.

        Returns:
            Genotypes to query, ``(n, L)``.
        """
        from nas_gym.agents.catch.task_evaluator import AGENT, TASK_EVALUATOR, trust_agent

        self._task_evaluator = self._task_evaluator or self._make_task_evaluator(self.rng)
        noise = self.rng.normal((self.num_trials, 1))[:, 0]
        draws = self.rng.random(candidates.shape)
        random = uniform_to_indices(self.space, draws)
        indices = np.concatenate([random, candidates], axis=1)
        scores = self._task_evaluator.score(self._one_hot(indices))
        scores[self.seen.contains(indices)] = -np.inf
        chosen = self._rows, scores.argmax(axis=1)
        has_nothing_new = np.isneginf(scores[chosen])
        trusted = trust_agent(self.picks, self.rewards, noise) | has_nothing_new
        self._next_picks = np.where(trusted, AGENT, TASK_EVALUATOR).astype(np.int8)
        picked = self.space.decode(indices[chosen])
        result: NDArray[np.int64] = np.where(trusted[:, None], proposed, picked)
        return result

    def _make_task_evaluator(self, rng: RandomStreams) -> TaskEvaluator:
        from nas_gym.agents.catch.task_evaluator import TaskEvaluator

        config = self.config
        sizes = [self.space.one_hot_size, config.hidden, config.hidden]
        return TaskEvaluator(sizes, config.num_evaluators, config.learning_rate, rng)

    # -- diagnostics ------------------------------------------------------------------------------

    @property
    def best_of_task(self) -> NDArray[np.float64]:
        """Highest reward on the current task, ``(n,)``."""
        best: NDArray[np.float64] = self.rewards.max(axis=1, initial=-np.inf)
        return best

    def diagnostics(self) -> dict[str, NDArray[np.float64]]:
        """Return diagnostics by name, one array ``(queries, n)`` each.

        - ``controller_loss``, ``evaluator_loss``, ``kl`` and ``entropy`` are means over the updates
          after the query; ``entropy`` is in nats, averaged over the decisions.
        - ``epsilon`` is the probability of a random pick.
        - ``novelty`` is the fraction of candidates that were not queried before.
        - ``trust`` is 1 if the agent chose the query, 0 if the task evaluator did.
        """
        return super().diagnostics()

    def meta_diagnostics(self) -> dict[str, float]:
        """Return means of :meth:`diagnostics` over the last task, and the task's best reward."""
        means = {f"train/{k}": float(np.nanmean(v)) for k, v in self.diagnostics().items()}
        return means | {"search/incumbent_reward": float(self.best_of_task.mean())}

    def task_contexts(self, trial: int = 0) -> NDArray[np.float32]:
        """Return the posterior mean of z after each query of each earlier task.

        All means are computed by the encoder in its current state.

        Args:
            trial: Number of the trial, counted from 0.

        Returns:
            Vectors ``(tasks, queries, latent)``.
        """
        import torch

        tasks, queries = self.past.shape[1:]
        contexts = np.empty((tasks, queries, self.config.latent), np.float32)
        noise = np.zeros((self.num_trials, self.config.latent), np.float32)
        for task in range(tasks):
            for query in range(queries):
                present = np.broadcast_to(np.arange(queries) <= query, self.past[:, task].shape)
                pairs = self.past[:, task], self.past_rewards[:, task]
                with torch.no_grad():
                    z, _ = self.encode_context(self._make_context(*pairs, present, noise))
                contexts[task, query] = z[trial].numpy()
        return contexts

    def task_embeddings(self, tasks: TaskSet) -> TaskEmbeddings:
        """Return the first trial's :meth:`task_contexts` with labels; see :class:`MetaAgent`."""
        contexts = self.task_contexts()
        met = [self.draw_task(tasks, epoch) for epoch in range(self.epochs)]
        labels = [
            {
                "task": epoch + 1,
                "queries": query + 1,
                "signal": str(task.signal),
                "reward": task.reward_name,
            }
            for epoch, task in enumerate(met)
            for query in range(contexts.shape[1])
        ]
        return contexts.reshape(len(labels), -1), labels

    # -- saving and loading -----------------------------------------------------------------------

    def state_dict(self) -> State:
        """Return the state, including the networks; see :meth:`Agent.state_dict`."""
        state = super().state_dict()
        if self._meta_learning:  # the search history of a finished task is not needed
            for name in ("queried", "rewards", "picks", "priorities", "log"):
                state[f"own/{name}"] = state[f"own/{name}"][:, :0]
        own = {f"networks/{name}": each for name, each in self.components.arrays().items()}
        evaluator = self._task_evaluator.arrays() if self._task_evaluator else {}
        own |= {f"second/{name}": each for name, each in evaluator.items()}
        return state | {name: each.copy() for name, each in own.items()}

    def load_state_dict(self, state: State, *, env_restored: bool = False) -> None:
        """Restore a state, including the networks; see :meth:`Agent.load_state_dict`."""
        super().load_state_dict(state, env_restored=env_restored)
        self.components.set_arrays(part(state, "networks/"))
        self._task_evaluator, evaluator = None, part(state, "second/")
        if evaluator:
            self._task_evaluator = self._make_task_evaluator(RandomStreams(self.rng.seeds))
            self._task_evaluator.set_arrays(evaluator)

    def check_state(self) -> None:
        """Raise an error if the search history is damaged; see :meth:`Agent.check_state`."""
        super().check_state()
        names = ("rewards", "priorities", "entropy_weight", "past_rewards")
        refuse_infinite({name: getattr(self, name) for name in names})
        lengths = {each.shape[1] for each in (self.rewards, self.picks, self.priorities)}
        if lengths != {self.queried.shape[1]} or self.priorities.min(initial=0.0) < 0:
            raise ValueError("queried, rewards, picks and priorities do not fit together")
        if self.picks.min(initial=0) < 0 or self.picks.max(initial=0) > 2:
            raise ValueError("picks holds other numbers than 0, 1 and 2")
        self._check_past()

    def _check_past(self) -> None:
        past, size = self.past, self.space.size
        if past.shape != self.past_rewards.shape:
            raise ValueError("past and past_rewards differ in shape")
        if past.size and (past.min() < 0 or past.max() >= size):
            raise ValueError(f"past holds the indices {past.min()} to {past.max()}")

    def take_over(self, state: State, source: str | Path) -> None:
        """Take over meta-learned networks; see :meth:`MetaAgent.take_over`."""
        if self.config.variant == "sfs":
            raise AgentMismatchError("variant='sfs' searches from scratch: leave out pretrained=.")
        saved = self.saved_config(state)
        if isinstance(saved, CATCHConfig) and saved.variant == "sfs":
            raise AgentMismatchError(
                f"{source} searches from scratch and has not meta-learned: use another saved agent."
            )
        sizes = ("variant", "num_evaluators", "hidden", "latent")
        self.check_same_settings(state, source, sizes)
        with explain_damage(source):
            self.components.set_weights(part(state, "networks/"))
            weights = saved_array(state, "entropy_weight")
            chosen = self.source_trials(len(weights))
            self.entropy_weight = weights[chosen]
            self.past = saved_array(state, "past")[chosen]
            self.past_rewards = saved_array(state, "past_rewards")[chosen]
            refuse_infinite({"entropy_weight": self.entropy_weight, "past": self.past_rewards})
            self._check_past()

    def _hand_over(self, agent: Self) -> None:
        if self.config.variant != "sfs":
            super()._hand_over(agent)
