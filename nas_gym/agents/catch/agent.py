"""CATCH: an agent that learns from many tasks what to try first on the next one."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from gymnasium.vector import SyncVectorEnv
from numpy.typing import NDArray
from typing_extensions import Self

from nas_gym.agents.common.base import Callback, State, part
from nas_gym.agents.common.driver import Player
from nas_gym.agents.common.meta_agent import MetaAgent, describe
from nas_gym.agents.common.queried import Remembering, drawn_indices, unseen
from nas_gym.agents.common.random_streams import TrialStreams
from nas_gym.envs.sequential import SequentialEnv
from nas_gym.tasks import task_sets
from nas_gym.tasks.task_set import TaskSet
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.ranks import rank_scores, rank_scores_among

if TYPE_CHECKING:
    from torch import Tensor

    from nas_gym.agents.catch.networks import Candidates, Context
    from nas_gym.agents.catch.second_opinion import SecondOpinion
    from nas_gym.tasks import Task

_VARIANTS = ("meta", "sfs", "zero", "random")
_ENTROPY_RATE = 0.05  # of the entropy weight's logarithm, for each update
_PRIORITY_EXPONENT = 0.6  # prioritized experience replay (Schaul et al., ICLR 2016)
_FIRST_PRIORITY = 10.0  # of a network that the evaluator has not learned from


class CATCH(Remembering, MetaAgent):
    """CATCH (Chen et al., ECCV 2020): context-based meta reinforcement learning, section 3.

    An encoder maps the networks queried so far and their rewards to a latent context z; a
    controller samples candidates given z; an evaluator, given z, too, picks the one to query. All
    three learn end to end from each reward (Eq. 2). :meth:`meta_learn` trains them on a set of
    tasks; :meth:`adapt`, or ``pretrained``, takes them to a task that they have not seen. There, a
    second opinion competes with them: an evaluator that knows that task alone, and random networks.
    Whose picks do better is asked more often, so that little is lost where the past misleads.

    Where the paper is silent or its recipe breaks, this is what holds: the controller learns from
    all candidates, with the evaluator's scores for those that were not queried, since one network
    a query is too little to learn a policy from; the entropy's weight is adjusted to keep the
    entropy at a share of its maximum, and candidates beyond the first ones are sampled at rising
    temperatures, without either of which some controllers end on one wrong choice for good; no
    network is queried twice; rewards are normalised by rank; and the encoder and the evaluator
    rehearse earlier tasks while they meta-learn, with part of a task's pairs as context.

    Settings:
        variant: ``"meta"``; ``"sfs"`` (searches from scratch: refuses to meta-learn); ``"zero"``
            and ``"random"``, section 5's ablations: z is 0, or drawn from the prior.
        num_evaluators: 3, whose mean counts.
        latent: 10 dimensions of z; hidden: 64 units in each of two layers.
        num_candidates: 128 networks are sampled for the evaluator to choose from, M.
        on_policy: 16 of them at temperature 1; these train the controller.
        temperature: 5.0; of the last candidate, rising evenly.
        updates: 5 after each query; learning_rate: 1e-3; max_norm: 1.0, of a trial's gradient.
        clip: 0.2, PPO's; entropy: 0.8 of its maximum.
        kl_weight: 0.1, of the mean divergence over z's dimensions (beta).
        batch_share: 0.8 of the task's networks are in the evaluator's batch.
        epsilon: 0.3 of the picks are random candidates at first; epsilon_decay: after 10 queries
            it is 1/e of that. Begins anew with each task.
        num_random: 5 random networks begin the search history. Once meta-learned, a search has
            neither those nor random picks.
        second_opinion: True; whether a meta-learned agent has one.
        pretrained: a file of a meta-learned agent: the trial of seed ``s`` begins with the
            networks of its trial ``s``, counted around.
    """

    settings: ClassVar[dict[str, Any]] = {
        "variant": "meta",
        "num_evaluators": 3,
        "latent": 10,
        "hidden": 64,
        "num_candidates": 128,
        "on_policy": 16,
        "temperature": 5.0,
        "updates": 5,
        "learning_rate": 1e-3,
        "max_norm": 1.0,
        "clip": 0.2,
        "entropy": 0.8,
        "kl_weight": 0.1,
        "batch_share": 0.8,
        "epsilon": 0.3,
        "epsilon_decay": 10.0,
        "num_random": 5,
        "second_opinion": True,
        "pretrained": "",
    }
    uses_torch = True
    meta_epochs = 25
    meta_queries = 20
    variant: str
    num_evaluators: int
    latent: int
    hidden: int
    num_candidates: int
    on_policy: int
    temperature: float
    updates: int
    learning_rate: float
    max_norm: float
    clip: float
    entropy: float
    kl_weight: float
    batch_share: float
    epsilon: float
    epsilon_decay: float
    num_random: int
    second_opinion: bool
    pretrained: str
    _STATE = (
        "queried", "rewards", "picks", "priorities", "entropy_weight", "past", "past_rewards",
        "log", "learned_from",
    )  # fmt: skip
    _LOGGED = ("controller_loss", "evaluator_loss", "kl", "entropy", "epsilon", "novelty", "trust")

    def _setup(self) -> None:
        from nas_gym.agents.catch.networks import Components

        _check(self)
        n = self.num_trials
        self._components = Components(
            self.space,
            self.num_evaluators,
            self.hidden,
            self.latent,
            self.learning_rate,
            self.clip,
            self.max_norm,
            self.streams,
        )
        self._entropy_weight = np.full(n, 0.3)
        self._past = np.empty(
            (n, 0, 0), np.int64
        )  # tasks of the meta-training, (n, tasks, queries)
        self._past_rewards = np.empty((n, 0, 0))
        self._learned_from = np.array("")  # the task set's description
        self._meta_learning = False
        self._rows = np.arange(n)
        self._new_task()
        if self.pretrained:
            self._take_over(self.read_pretrained(self.pretrained), self.pretrained)

    def _new_task(self) -> None:
        """Initialize the search history (line 3)."""
        n = self.num_trials
        self._rewards = np.empty((n, 0))
        self._picks = np.empty((n, 0), np.int8)
        self._priorities = np.empty((n, 0))
        self._forget_queries(n)
        self._log = np.empty((n, 0, len(self._LOGGED)), np.float32)
        self._candidates: tuple[NDArray[np.int64], Tensor, Tensor] | None = None
        self._novelty = np.full(n, np.nan)
        self._second: SecondOpinion | None = None
        self._next_picks = np.ones(n, np.int8)

    # -- the two phases of Algorithm 1 ------------------------------------------------------------

    def meta_learn(
        self,
        tasks: TaskSet | str,
        epochs: int = meta_epochs,
        queries: int = meta_queries,
        callback: Callback | None = None,
        progress_bar: bool = False,
    ) -> Self:
        """Learn from tasks (lines 1-13), each trial from tasks of its own.

        An agent that has met some epochs already goes on up to ``epochs`` in all.

        Args:
            tasks: over the search space of this agent's environment; a task set or its name.
            epochs: tasks that each trial meets, at least 1.
            queries: networks that it evaluates on each, at least 1.
            callback: called with the agent after each epoch; returning ``False`` stops.
            progress_bar: show one on the terminal.

        Raises:
            ValueError: tasks over another search space, another task set or other queries than in
                the epochs before, or a variant that searches from scratch.
        """
        from nas_gym.agents.common.search_log import track

        tasks = task_sets.load_task_set(tasks) if isinstance(tasks, str) else tasks
        self.check_tasks(tasks, epochs, queries)
        self._learned_from = np.array(describe(tasks))
        done = self.epochs
        player = self._player
        self._meta_learning = True
        try:
            for epoch in track(range(done, epochs), "meta epochs", enabled=progress_bar):
                self._player = Player(self._draw_envs(tasks, epoch))  # line 2
                self._player.reset(self._epoch_seed(epoch))
                self._new_task()
                for _ in range(queries):
                    genotypes = self._ask()
                    self._tell(genotypes, self._player.evaluate(genotypes))
                self._remember()
                if callback is not None and callback(self) is False:
                    break
        finally:
            self._player, self._meta_learning = player, False
            self._new_task()
        return self

    def check_tasks(self, tasks: TaskSet, epochs: int, queries: int) -> None:
        """Refuse what :meth:`meta_learn` cannot begin, or go on with.

        Raises:
            ValueError: as :meth:`meta_learn` does.
        """
        if self.variant == "sfs":
            raise ValueError("variant='sfs' searches from scratch: it does not meta-learn.")
        super().check_tasks(tasks, epochs, queries)
        if self.epochs and self._past.shape[2] != queries:
            raise ValueError(
                f"This agent has met {self.epochs} tasks with {self._past.shape[2]} queries each; "
                f"go on with queries={self._past.shape[2]}."
            )

    @property
    def epochs(self) -> int:
        """How many tasks each trial has learned from."""
        return int(self._past.shape[1])

    @property
    def best_of_task(self) -> NDArray[np.float64]:
        """The highest reward on the current task, ``(n,)``."""
        best: NDArray[np.float64] = self._rewards.max(axis=1, initial=-np.inf)
        return best

    def _draw_envs(self, tasks: TaskSet, epoch: int) -> SyncVectorEnv:
        """One environment for each trial, with a task that its seed and the epoch determine."""
        drawn = [self.draw_task(tasks, epoch, trial) for trial in range(self.num_trials)]
        if drawn[0].space.choices != self.space.choices:
            raise ValueError(
                f"The tasks are over {drawn[0].space.name}, this agent is for {self.space.name}."
            )
        return SyncVectorEnv([partial(SequentialEnv, task=task) for task in drawn])

    def draw_task(self, tasks: TaskSet, epoch: int, trial: int = 0) -> Task:
        """The task that a trial meets in an epoch of its meta-training, from 0."""
        return tasks.draw(np.random.default_rng([self.seed + trial, epoch]))

    def task_contexts(self, trial: int = 0) -> NDArray[np.float32]:
        """The mean of z after each query of each task that a trial met, as its encoder sees them
        now; ``(tasks, queries, latent)``."""
        import torch

        tasks, queries = self._past.shape[1:]
        found = np.empty((tasks, queries, self.latent), np.float32)
        noise = np.zeros((self.num_trials, self.latent), np.float32)
        for task in range(tasks):
            for query in range(queries):
                present = np.broadcast_to(np.arange(queries) <= query, self._past[:, task].shape)
                pairs = self._past[:, task], self._past_rewards[:, task]
                with torch.no_grad():
                    z, _ = self._encode(self._context(*pairs, present, noise))
                found[task, query] = z[trial].numpy()
        return found

    def _epoch_seed(self, epoch: int) -> int:
        """Of the first trial's noise; the next ones have those that follow."""
        return self.seed + epoch * 2**32

    def _remember(self) -> None:
        if not self._past.shape[1]:
            self._past = np.empty((self.num_trials, 0, self._queried.shape[1]), np.int64)
            self._past_rewards = np.empty(self._past.shape)
        self._past = np.concatenate([self._past, self._queried[:, None]], axis=1)
        self._past_rewards = np.concatenate([self._past_rewards, self._rewards[:, None]], axis=1)

    def _hand_over(self, agent: Self) -> None:
        if self.variant != "sfs":
            super()._hand_over(agent)

    # -- one query: lines 5 to 8 ------------------------------------------------------------------

    @property
    def _explores(self) -> bool:
        return self._meta_learning or not self.epochs

    @property
    def current_epsilon(self) -> float:
        """The share of random picks among the candidates at the next query."""
        if not self._explores:
            return 0.0
        return float(self.epsilon * np.exp(-self._queried.shape[1] / self.epsilon_decay))

    def _ask(self) -> NDArray[np.int64]:
        import torch

        n, count, decisions = self.num_trials, self.num_candidates, self.space.num_decisions
        # the same numbers are drawn whatever happens, so that trials stay independent
        draws = self.streams.random((n, count * decisions)).reshape(n, count, decisions)
        explore, pick, spare = self.streams.random((n, 3)).T
        hotter = np.linspace(1, self.temperature, count - self.on_policy)
        temperatures = np.concatenate([np.ones(self.on_policy), hotter])
        with torch.no_grad():
            z, _ = self._encode(self._sample_context())  # lines 5 and 6
            sampled = self._components.controller.sample_networks(z, draws, temperatures)  # line 7
            genotypes = sampled[0]
            indices = self.space.encode(genotypes.reshape(-1, decisions)).reshape(n, count)
            scores = self._scores(indices, z)
        known = self._seen.contains(indices)
        self._candidates, self._scored, self._novelty = sampled, scores, 1 - known.mean(axis=1)
        random = (explore < self.current_epsilon)[:, None]
        shifted = (np.arange(count) - (pick * count).astype(np.int64)[:, None]) % count
        preference = np.where(random, -shifted, scores)  # line 8
        preference[known] = -np.inf
        chosen = self._rows, preference.argmax(axis=1)
        proposed: NDArray[np.int64] = genotypes[chosen]
        begins = self._explores and self._queried.shape[1] < self.num_random
        for trial in np.flatnonzero(begins | np.isneginf(preference[chosen])).tolist():
            proposed[trial] = unseen(self.space, self._seen, trial, spare[trial])
        if self.second_opinion and not self._explores:
            proposed = self._ask_second(indices, proposed)
        return proposed

    def _ask_second(
        self, candidates: NDArray[np.int64], proposed: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The second opinion's picks among candidates and random networks, where they are due."""
        from nas_gym.agents.catch.second_opinion import OWN, SECOND, trust

        self._second = self._second or self._new_second(self.streams)
        noise = self.streams.normal((self.num_trials, 1))[:, 0]
        draws = self.streams.random(candidates.shape)
        random = drawn_indices(self.space, draws)
        indices = np.concatenate([random, candidates], axis=1)
        scores = self._second.score(self._one_hot(indices))
        scores[self._seen.contains(indices)] = -np.inf
        chosen = self._rows, scores.argmax(axis=1)
        nothing_new = np.isneginf(scores[chosen])
        trusted = trust(self._picks, self._rewards, noise) | nothing_new
        self._next_picks = np.where(trusted, OWN, SECOND).astype(np.int8)
        picked = self.space.decode(indices[chosen])
        result: NDArray[np.int64] = np.where(trusted[:, None], proposed, picked)
        return result

    def _new_second(self, streams: TrialStreams) -> SecondOpinion:
        from nas_gym.agents.catch.second_opinion import SecondOpinion

        sizes = [self.space.one_hot_size, self.hidden, self.hidden]
        return SecondOpinion(sizes, self.num_evaluators, self.learning_rate, streams)

    def _scores(self, indices: NDArray[np.int64], z: Tensor) -> NDArray[np.float64]:
        scores = self._components.evaluator.score(self._one_hot(indices), z)
        return scores.numpy().astype(np.float64)

    def _one_hot(self, indices: NDArray[np.int64]) -> Tensor:
        """Networks as the components read them, ``(n, m)`` -> ``(n, m, one_hot_size)``."""
        import torch

        rows = self.space.one_hot(self.space.decode(indices.reshape(-1)))
        return torch.from_numpy(rows.astype(np.float32)).reshape(
            *indices.shape, self.space.one_hot_size
        )

    def _sample_context(self) -> Context:
        """All pairs of the search history ("all ... are utilized", section 3.1)."""
        everything = np.ones(self._queried.shape, bool)
        return self._context(self._queried, self._rewards, everything, self._noise())

    def _noise(self) -> NDArray[np.float32]:
        return self.streams.normal((self.num_trials, self.latent)).astype(np.float32)

    def _context(
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

    def _encode(self, context: Context) -> tuple[Tensor, Tensor]:
        """z and its divergence from the prior; the ablations' own z, without one."""
        import torch

        nothing = torch.zeros(self.num_trials)
        if self.variant == "zero":
            return torch.zeros_like(context.noise), nothing
        if self.variant == "random":
            return context.noise, nothing
        return self._components.encoder.encode(context)

    # -- learning: lines 9 to 11 ------------------------------------------------------------------

    def _tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        epsilon = np.full(self.num_trials, self.current_epsilon)
        indices = self.space.encode(genotypes)
        self._note_queries(indices)
        self._rewards = np.concatenate([self._rewards, fitness[:, None]], axis=1)  # line 10
        picks = self._next_picks if self._candidates else np.zeros_like(self._next_picks)
        self._picks = np.concatenate([self._picks, picks[:, None]], axis=1)
        first = np.full((self.num_trials, 1), _FIRST_PRIORITY)
        self._priorities = np.concatenate([self._priorities, first], axis=1)
        losses = self._optimize()  # line 11
        trusted = np.array([np.nan, 1.0, 0.0])[picks]
        logged = np.stack([*losses, epsilon, self._novelty, trusted], axis=1)
        self._log = np.concatenate([self._log, logged[:, None]], axis=1, dtype=np.float32)
        self._candidates = None

    def _optimize(self) -> NDArray[np.float64]:
        """Train the three components end to end; means over the updates of what is logged."""
        import torch

        components = self._components
        targets = torch.from_numpy(rank_scores(self._rewards).astype(np.float32))
        candidates = self._scored_candidates(targets.numpy())
        if self._second:
            self._second.learn(self._one_hot(self._queried), targets, self.updates)
        logged = []
        for _ in range(self.updates):
            z, divergence = self._encode(self._sample_context())
            batch = self._prioritized_batch()
            rows = self._rows[:, None], batch
            evaluator_loss, errors = components.evaluator_loss(
                z, self._one_hot(self._queried[rows]), targets[rows]
            )
            self._priorities[rows] = errors.numpy()
            loss = evaluator_loss + self.kl_weight * divergence
            controller_loss = entropy = torch.zeros(self.num_trials)
            if candidates is not None:
                weight = torch.from_numpy(self._entropy_weight.astype(np.float32))
                controller_loss, entropy = components.controller_loss(z, candidates, weight)
                loss = loss + controller_loss
                self._adjust_entropy_weight(entropy.numpy())
            if self._meta_learning and self.epochs:
                loss = loss + self._rehearsal_loss()
            components.learn(loss)
            logged.append([controller_loss, evaluator_loss, divergence, entropy])
        found: NDArray[np.float64] = np.array(
            [[each.detach().numpy() for each in losses] for losses in logged]
        ).mean(axis=0)
        return found

    def _scored_candidates(self, targets: NDArray[np.float32]) -> Candidates | None:
        """The candidates of the controller's own temperature, with their advantages: the
        normalised reward of those that were queried, the evaluator's score of the others."""
        import torch

        from nas_gym.agents.catch.networks import Candidates

        if self._candidates is None:  # a first population that the environment drew
            return None
        own = slice(self.on_policy)
        choices, masks, log_probs = self._candidates
        choices, n = choices[:, own], self.num_trials
        indices = self.space.encode(choices.reshape(n * self.on_policy, -1)).reshape(n, -1)
        equal = indices[:, :, None] == self._queried[:, None]
        rewards = (equal * targets[:, None]).sum(axis=2)
        times = equal.sum(axis=2)  # more than once in a first population or a space exhausted
        values = np.where(times, rewards / np.maximum(times, 1), self._scored[:, own])
        advantages = (values - values.mean(axis=1, keepdims=True)).astype(np.float32)
        return Candidates(
            self._one_hot(indices),
            torch.from_numpy(choices),
            masks[:, own],
            log_probs[:, own],
            torch.from_numpy(advantages),
        )

    def _prioritized_batch(self) -> NDArray[np.int64]:
        """Entries of the history, without replacement, more likely where errors were large."""
        draws = self.streams.random(self._priorities.shape)
        size = int(np.ceil(self.batch_share * draws.shape[1]))
        with np.errstate(divide="ignore"):
            keys = _PRIORITY_EXPONENT * np.log(self._priorities + 1e-3) - np.log(-np.log(draws))
        batch: NDArray[np.int64] = np.argsort(-keys, axis=1, kind="stable")[:, :size]
        return batch

    def _adjust_entropy_weight(self, entropy: NDArray[np.float32]) -> None:
        most = np.log(self.space.num_choices).mean()
        change = np.exp(_ENTROPY_RATE * (self.entropy * most - entropy))
        self._entropy_weight = (self._entropy_weight * change).clip(0.02, 5.0)

    def _rehearsal_loss(self) -> Tensor:
        """The losses of encoder and evaluator on one earlier task: part of its pairs are the
        context, all of them are predicted."""
        import torch

        past, queries = self._past.shape[1:]
        draws = self.streams.random((self.num_trials, 2 + queries))
        task = (draws[:, 0] * past).astype(np.int64)
        size = 1 + (draws[:, 1] * queries).astype(np.int64)
        present = draws[:, 2:].argsort(axis=1).argsort(axis=1) < size[:, None]
        indices, rewards = self._past[self._rows, task], self._past_rewards[self._rows, task]
        z, divergence = self._encode(self._context(indices, rewards, present, self._noise()))
        targets = torch.from_numpy(rank_scores(rewards).astype(np.float32))
        loss, _ = self._components.evaluator_loss(z, self._one_hot(indices), targets)
        return loss + self.kl_weight * divergence

    def meta_diagnostics(self) -> dict[str, float]:
        """As :meth:`diagnostics`, means over the last task's queries; and the best reward."""
        found = {f"train/{k}": float(np.nanmean(v)) for k, v in self.diagnostics().items()}
        return found | {"search/incumbent_reward": float(self.best_of_task.mean())}

    def diagnostics(self) -> dict[str, NDArray[np.float64]]:
        """What is logged of each query, ``(queries, n)`` each.

        ``controller_loss``, ``evaluator_loss``, ``kl`` and ``entropy`` (nats, mean over decisions)
        are means over the query's updates; ``epsilon`` is the share of random picks, ``novelty``
        that of candidates that were not queried before; ``trust`` is 1 where the query was the
        agent's own pick, 0 where it was the second opinion's.
        """
        columns = self._log.astype(np.float64).transpose(2, 1, 0)
        return dict(zip(self._LOGGED, columns, strict=True))

    # -- keeping ----------------------------------------------------------------------------------

    def state_dict(self) -> State:
        """As :meth:`Agent.state_dict`, networks included."""
        state = super().state_dict()
        if self._meta_learning:  # a task's search is over with it
            for name in ("queried", "rewards", "picks", "priorities", "log"):
                state[f"own/{name}"] = state[f"own/{name}"][:, :0]
        own = {f"networks/{name}": each for name, each in self._components.arrays().items()}
        second = self._second.arrays() if self._second else {}
        own |= {f"second/{name}": each for name, each in second.items()}
        return state | {name: each.copy() for name, each in own.items()}

    def load_state_dict(self, state: State, *, began: bool = False) -> None:
        """As :meth:`Agent.load_state_dict`, networks included."""
        super().load_state_dict(state, began=began)
        self._components.set_arrays(part(state, "networks/"))
        self._second, second = None, part(state, "second/")
        if second:
            self._second = self._new_second(TrialStreams(self.streams.seeds))
            self._second.set_arrays(second)

    def _take_over(self, state: State, whose: str | Path) -> None:
        """Begin with the networks of a meta-learned agent of any number of trials."""
        if self.variant == "sfs":
            raise ValueError("variant='sfs' searches from scratch: leave out pretrained=.")
        theirs = json.loads(str(state["settings"]))
        if theirs["variant"] == "sfs":
            raise ValueError(f"{whose} searches from scratch: there is nothing to begin from.")
        for name in ("variant", "num_evaluators", "hidden", "latent"):
            if theirs[name] != getattr(self, name):
                raise ValueError(
                    f"{whose} was trained with {name} = {theirs[name]}; set it to the same here."
                )
        try:
            self._components.set_weights(part(state, "networks/"))
            chosen = np.array(self.streams.seeds) % len(state["own/entropy_weight"])
            self._entropy_weight = state["own/entropy_weight"][chosen].copy()
            self._past = state["own/past"][chosen].copy()
            self._past_rewards = state["own/past_rewards"][chosen].copy()
            self._learned_from = state["own/learned_from"].copy()
        except (KeyError, RuntimeError, IndexError) as error:
            raise DamagedDataError(f"{whose} is not a whole saved agent.") from error
        if self.epochs:
            self._warn_of_leaks(whose)


def _check(agent: CATCH) -> None:
    """Refuse settings that make no sense.

    Raises:
        ValueError: naming the setting and what it can be.
    """
    if agent.variant not in _VARIANTS:
        raise ValueError(f"variant is one of {', '.join(_VARIANTS)}, got {agent.variant!r}.")
    for name, multiple in (("hidden", 32), ("on_policy", 16), ("num_candidates", 16)):
        if getattr(agent, name) < multiple or getattr(agent, name) % multiple:
            raise ValueError(f"{name} is a multiple of {multiple}, got {getattr(agent, name)}.")
    if agent.on_policy > agent.num_candidates:
        raise ValueError("on_policy is at most num_candidates.")
    for name in ("num_evaluators", "latent", "updates"):
        if getattr(agent, name) < 1:
            raise ValueError(f"{name} is at least 1, got {getattr(agent, name)}.")
    for name in ("entropy", "epsilon", "batch_share"):
        if not 0 <= getattr(agent, name) <= 1:
            raise ValueError(f"{name} is a share, 0 to 1, got {getattr(agent, name)}.")
    for name in ("temperature", "epsilon_decay", "max_norm", "clip", "learning_rate"):
        if not 0 < getattr(agent, name) < np.inf:
            raise ValueError(f"{name} is above 0, and finite; got {getattr(agent, name)}.")
    if agent.num_random < 0 or not 0 <= agent.kl_weight < np.inf:
        raise ValueError("num_random and kl_weight are at least 0.")
