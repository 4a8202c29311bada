"""MP-NAS: search by a graph predictor that was meta-learned on earlier tasks."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from nas_gym import tables
from nas_gym.agents.common.base import Callback, State, part
from nas_gym.agents.common.meta_agent import MetaAgent, describe
from nas_gym.agents.common.queried import Remembering, drawn_indices, unseen
from nas_gym.predictors.config import MetaTrainingConfig, PredictorConfig
from nas_gym.spaces.graphs import to_graphs
from nas_gym.tasks import task_sets
from nas_gym.tasks.task_set import TaskSet, dataset_of
from nas_gym.utils.errors import DamagedDataError

if TYPE_CHECKING:
    from torch import Tensor

    from nas_gym.predictors.meta_training import MetaTraining, MetricSource
    from nas_gym.predictors.predictor import Predictor

_OF_SCHEDULE = {name: v for name, v in asdict(MetaTrainingConfig()).items() if name != "epochs"}


class MPNAS(Remembering, MetaAgent):
    """MP-NAS (Loya et al., NeurIPS 2023): predictor-based search, section 4.4.

    A graph convolutional network scores architectures. Each query goes to the best score among
    candidates drawn uniformly that were not queried before; every few queries, the network is
    fine-tuned anew on all that was observed. :meth:`meta_learn` finds where fine-tuning begins:
    from there, the first picks need no observation at all. Without it, searches begin with random
    architectures and a random network.

    A meta-learned agent can search any space whose operations are part of the unified graph
    (:mod:`nas_gym.spaces.graphs`), not only the one that it learned on. Nothing but the order
    of the rewards counts, so that their scale need not be known.

    Settings:
        refit_every: 4 queries, or a quarter of those so far where that is more; num_candidates:
            10,000 for each query.
        num_random: 5 random architectures first, where nothing was meta-learned.
        width: 64 features of each node (the paper: 600); layers: 4; dropout: 0.0 (0.2).
        algorithm: ``"boil"``, ``"maml"`` or ``"anil"``; inner_rate: 0.03, its learning rate.
        joint: 0.5; this share of the meta-training is joint pre-training.
        steps: 100 gradient steps of an epoch; outer_rate: 2e-3, their highest learning rate.
        tasks: 6 of each step, with shots: 5 to adapt to and validation: 64 to predict.
        inner_steps: 3; first_order: False, whether their gradients are taken for constants.
        pretrained: a file of a meta-learned agent: the trial of seed ``s`` begins with the
            network of its trial ``s``, counted around.
    """

    settings: ClassVar[dict[str, Any]] = {
        "refit_every": 4,
        "num_candidates": 10_000,
        "num_random": 5,
        **asdict(PredictorConfig()),
        **_OF_SCHEDULE,
        "pretrained": "",
    }
    uses_torch = True
    meta_epochs = MetaTrainingConfig.epochs
    meta_queries = 7812  # half of NAS-Bench-201, as in section 4.3
    refit_every: int
    num_candidates: int
    num_random: int
    pretrained: str
    _STATE = ("queried", "rewards", "log", "learned_from", "meta_epoch", "meta_plan")
    _LOGGED = ("score", "fine_tuning_steps")

    def _setup(self) -> None:
        from nas_gym.predictors.predictor import Predictor

        for name in ("refit_every", "num_candidates"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, got {getattr(self, name)}.")
        if self.num_random < 0:
            raise ValueError(f"num_random is at least 0, got {self.num_random}.")
        self._schedule(1)  # refuses settings that make no sense
        to_graphs(self.space, self.space.decode([0]))  # and operations that are not in the graph
        recipe = self._recipe()
        self.start = [Predictor(recipe, seed=seed) for seed in self.streams.seeds]
        """Of each trial, the predictor that fine-tuning begins from."""
        self._unfinished: dict[str, NDArray[np.float32]] = {}  # what a meta-training goes on with
        self._learned_from = np.array("")
        self._meta_epoch = np.array(0)
        self._meta_plan = np.zeros(2, np.int64)  # epochs and queries that it was begun with
        self._loss = np.nan
        self._forget()
        if self.pretrained:
            self._take_over(self.read_pretrained(self.pretrained), self.pretrained)

    def _recipe(self) -> PredictorConfig:
        return PredictorConfig(
            **{each.name: getattr(self, each.name) for each in fields(PredictorConfig)}
        )

    def _schedule(self, epochs: int) -> MetaTrainingConfig:
        return MetaTrainingConfig(
            epochs=epochs, **{name: getattr(self, name) for name in _OF_SCHEDULE}
        )

    def _forget(self) -> None:
        """Begin the search with what was meta-learned."""
        n = self.num_trials
        self._forget_queries(n)
        self._predicted = np.full(n, np.nan, np.float32)  # of the latest picks
        self._rewards = np.empty((n, 0))
        self._log = np.empty((n, 0, len(self._LOGGED)), np.float32)
        self._refit()

    # -- meta-training ----------------------------------------------------------------------------

    @property
    def epochs(self) -> int:
        """How many epochs of meta-training lie behind it."""
        return int(self._meta_epoch)

    def meta_learn(
        self,
        tasks: TaskSet | str,
        epochs: int = meta_epochs,
        queries: int = meta_queries,
        callback: Callback | None = None,
        progress_bar: bool = False,
    ) -> Self:
        """Learn where fine-tuning is to begin (section 3.2), each trial on its own.

        Training that was cut off goes on to ``epochs`` in all.

        Args:
            tasks: over the search space of this agent's environment; a task set or its name.
            epochs: of :class:`~nas_gym.predictors.meta_training.MetaTrainingConfig`.
            queries: of how many architectures, drawn at random for each trial, all metrics are
                known; all of them where the space has fewer.
            callback: called with the agent after each epoch; returning ``False`` stops.
            progress_bar: show one on the terminal.

        Raises:
            ValueError: tasks over another search space, or another task set, epochs or queries than
                those it was begun with.
        """
        from nas_gym.agents.common.search_log import track

        tasks = task_sets.load_task_set(tasks) if isinstance(tasks, str) else tasks
        self.check_tasks(tasks, epochs, queries)
        self._learned_from = np.array(describe(tasks))
        self._meta_plan = np.array([epochs, queries])
        left = range(self.epochs, epochs)
        trainings = [self._train(tasks, trial) for trial in range(self.num_trials)] if left else []
        for _ in track(left, "meta epochs", enabled=progress_bar):
            self._loss = float(np.mean([each.run_epoch() for each in trainings]))
            self._note(trainings)
            if callback is not None and callback(self) is False:
                break
        self._forget()
        return self

    def _note(self, trainings: list[MetaTraining]) -> None:
        """Know what has been learned in one epoch more."""
        self._meta_epoch = np.array(self.epochs + 1)
        self.start = [each.current_predictor for each in trainings]
        every = (
            [each.state_arrays() for each in trainings]
            if self.epochs < self._meta_plan[0]
            else [{}]
        )
        self._unfinished = {name: np.stack([each[name] for each in every]) for name in every[0]}

    def check_tasks(self, tasks: TaskSet, epochs: int, queries: int) -> None:
        """As :meth:`MetaAgent.check_tasks`; how long it takes is decided once, for learning rates
        depend on it."""
        super().check_tasks(tasks, epochs, queries)
        if self.epochs and self._meta_plan.tolist() != [epochs, queries]:
            raise ValueError(
                "This agent was begun with epochs={} and queries={}; go on with the same.".format(
                    *self._meta_plan
                )
            )

    def _train(self, tasks: TaskSet, trial: int) -> MetaTraining:
        """A trial's meta-training, as far as it has come."""
        from nas_gym.predictors.gcn import to_tensors
        from nas_gym.predictors.meta_training import MetaTraining

        seed = self.streams.seeds[trial]
        space = tasks.draw(np.random.default_rng(0)).space
        if space.choices != self.space.choices:
            raise ValueError(
                f"The tasks are over {space.name}, this agent is for {self.space.name}."
            )
        epochs, queries = self._meta_plan.tolist()
        known = known_architectures(space.size, seed, queries)
        inputs = to_tensors(to_graphs(space, space.decode(known)))
        training = MetaTraining(
            self._recipe(), self._schedule(epochs), _sources(tasks, inputs, known), seed
        )
        if self.epochs:
            training.load_state_arrays(
                {k: v[trial] for k, v in self._unfinished.items()}, self.epochs
            )
        return training

    def meta_diagnostics(self) -> dict[str, float]:
        """The mean loss of the last epoch."""
        return {"train/meta_loss": self._loss}

    # -- search -----------------------------------------------------------------------------------

    def _ask(self) -> NDArray[np.int64]:
        draws = self.streams.random((self.num_trials, self.num_candidates))
        spare = draws[:, 0]
        candidates = drawn_indices(self.space, draws)
        picks = [self._pick(i, *each) for i, each in enumerate(zip(candidates, spare, strict=True))]
        return self.space.decode(picks)

    def _pick(self, trial: int, candidates: NDArray[np.int64], spare: float) -> int:
        """The index of the best candidate that was not queried."""
        self._predicted[trial] = np.nan
        new = candidates[~self._seen.contains(candidates[None], np.array([trial]))[0]]
        if not len(new):
            return int(self.space.encode(unseen(self.space, self._seen, trial, spare))[0])
        if not self.epochs and self._order.shape[1] < self.num_random:
            return int(new[0])
        scores = self._score(trial, new)
        self._predicted[trial] = scores.max()
        return int(new[scores.argmax()])

    def _score(self, trial: int, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of architectures, the higher the better, ``(m,)``.

        In small spaces those of all architectures at once, until the next refit: what a network
        gives for one varies in the last bits with what is computed beside it, which decides between
        equal graphs.
        """
        predictor, sign = self._predictors[trial], self.task.direction
        if not self._seen.is_enumerable:
            return (sign * predictor.predict_tensors(*self._read(indices))).astype(np.float32)
        if trial not in self._scores:
            scores = sign * predictor.predict_tensors(*self._everything)
            self._scores[trial] = scores.astype(np.float32)
        return self._scores[trial].take(indices)

    def _read(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Architectures as networks read them."""
        from nas_gym.predictors.gcn import to_tensors

        return to_tensors(to_graphs(self.space, self.space.decode(indices)))

    @cached_property
    def _everything(self) -> tuple[Tensor, Tensor]:
        return self._read(np.arange(self.space.size))

    def _tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        indices = self.space.encode(genotypes)
        self._note_queries(indices)
        self._rewards = np.concatenate([self._rewards, fitness[:, None]], axis=1)
        if self._num_fitted(self._order.shape[1]) == self._order.shape[1]:
            self._refit()
        steps = np.array([each.fine_tuning_steps for each in self._predictors], np.float32)
        logged = np.stack([self._predicted, steps], axis=1)
        self._log = np.concatenate([self._log, logged[:, None]], axis=1)

    def _num_fitted(self, observed: int) -> int:
        """Of how many observations the predictors know, by the time there are so many."""
        known, following = 0, self.refit_every
        while following <= observed:
            known, following = following, following + max(self.refit_every, following // 4)
        return known

    def _refit(self) -> None:
        """Fine-tune each trial's network on what it had observed when the latest refit was due."""
        self._scores: dict[int, NDArray[np.float32]] = {}
        known = self._num_fitted(self._order.shape[1])
        self._predictors: list[Predictor] = list(self.start)
        if not known:
            return
        metrics = self.task.direction * self._rewards[:, :known]
        for trial, start in enumerate(self.start):
            observed = self.space.decode(self._order[trial, :known])
            self._predictors[trial] = start.fit(to_graphs(self.space, observed), metrics[trial])

    def diagnostics(self) -> dict[str, NDArray[np.float64]]:
        """``score``, what was predicted of each query, and ``fine_tuning_steps`` after it; NaN
        where nothing was predicted; ``(queries, n)`` each."""
        columns = self._log.astype(np.float64).transpose(2, 1, 0)
        return dict(zip(self._LOGGED, columns, strict=True))

    # -- keeping ----------------------------------------------------------------------------------

    def state_dict(self) -> State:
        """As :meth:`Agent.state_dict`, networks included."""
        every = [each.state_arrays() for each in self.start]
        networks = {f"networks/{k}": np.stack([each[k] for each in every]) for k in every[0]}
        training = {f"training/{name}": each.copy() for name, each in self._unfinished.items()}
        return super().state_dict() | networks | training

    def load_state_dict(self, state: State, *, began: bool = False) -> None:
        """As :meth:`Agent.load_state_dict`, networks included."""
        super().load_state_dict(state, began=began)
        self._unfinished = part(state, "training/")
        self._set_networks(part(state, "networks/"), np.arange(self.num_trials))
        self._refit()

    def _set_networks(self, arrays: State, chosen: NDArray[np.int64]) -> None:
        every = ({name: each[i] for name, each in arrays.items()} for i in chosen)
        self.start = [
            own.with_state_arrays(each) for own, each in zip(self.start, every, strict=True)
        ]

    def _check_start(self, state: State, whose: str | Path) -> None:
        """Any agent of this kind will do: what it learned serves other search spaces, too."""
        if str(state["agent"]) != type(self).__name__:
            raise ValueError(f"{whose} is a {state['agent']}, and cannot start a MPNAS.")

    def _take_over(self, state: State, whose: str | Path) -> None:
        theirs = json.loads(str(state["settings"]))
        for name in ("width", "layers", "algorithm"):
            if theirs[name] != getattr(self, name):
                raise ValueError(
                    f"{whose} was trained with {name} = {theirs[name]}; set it to the same here."
                )
        try:
            chosen = np.array(self.streams.seeds) % len(state["best_fitness"])
            self._set_networks(part(state, "networks/"), chosen)
            self._meta_epoch = state["own/meta_epoch"].copy()
            self._meta_plan = state["own/meta_plan"].copy()
            self._learned_from = state["own/learned_from"].copy()
        except (KeyError, ValueError, IndexError) as error:
            raise DamagedDataError(f"{whose} is not a whole saved agent.") from error
        self._refit()
        if self.epochs:
            self._warn_of_leaks(whose)


def known_architectures(size: int, seed: int, queries: int) -> NDArray[np.int64]:
    """Indices of those that the trial of a seed learns from, of a space of ``size``."""
    return np.random.default_rng([seed, 1]).permutation(size)[:queries]


def _sources(
    tasks: TaskSet, inputs: tuple[Tensor, ...], known: NDArray[np.int64]
) -> list[MetricSource]:
    """What is known of a task set's columns: those of one data set are one source, as are those of
    one table where that names none.

    Sources in a unit of the test tasks have two thirds of all draws: without a single label, the
    network predicts what most tasks agree on, and accuracies and latencies do not.
    """
    from nas_gym.predictors.meta_training import MetricSource

    tested = [tasks.test_task(name) for name in tasks.test]
    wanted = {task.metric(task.signal).unit for task in tested}
    groups: dict[tuple[bool, str], list[NDArray[np.float64]]] = {}
    for column in tasks.columns:
        table, _, name = column.partition(":")
        found = tables.load_table(table)
        group = found.metric(name).unit in wanted, dataset_of(column) or table
        groups.setdefault(group, []).append(found.column(name)[known])
    like = sum(is_like for is_like, _ in groups)
    weights = {True: 2 / 3 / max(like, 1), False: 1 / 3 / max(len(groups) - like, 1)}
    return [
        MetricSource(inputs, np.stack(each), weights[group[0]]) for group, each in groups.items()
    ]
