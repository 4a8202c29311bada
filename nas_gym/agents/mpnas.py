"""MP-NAS: search with a graph predictor that was meta-learned on earlier tasks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.config import AgentConfig, setting
from nas_gym.agents.common.diagnostics import QueryDiagnostics
from nas_gym.agents.common.meta_agent import MetaAgent, MetaAgentConfig
from nas_gym.agents.common.query_memory import QueryMemory, uniform_to_indices
from nas_gym.agents.common.saved import (
    AgentMismatchError,
    State,
    explain_damage,
    part,
    refuse_infinite,
    saved_array,
)
from nas_gym.predictors.config import (
    ALGORITHMS,
    MIXTURE,
    MetaTrainingConfig,
    PredictorConfig,
)
from nas_gym.spaces.graphs import NODES, describe_node_types, to_graphs
from nas_gym.tables import load_table
from nas_gym.tasks.task_set import TaskSet, dataset_of

if TYPE_CHECKING:
    from torch import Tensor

    from nas_gym.predictors.meta_training import MetaTraining, MetricSource
    from nas_gym.predictors.predictor import Predictor


_PART = 4096  # candidates whose graphs are in memory at a time
_MOST_NUMBERS = 2**27  # in the graphs of a space that are remembered; 512 MiB


@dataclass(frozen=True)
class MPNASConfig(MetaAgentConfig):
    """Settings of :class:`MPNAS`.

    Values in parentheses are the MP-NAS paper's (section 4.4 and Table 9).
    """

    refit_every: int = setting(
        4,
        "Number of queries from one fine-tuning of the predictor to the next (4).",
        low=1,
        high=10**9,
    )
    num_candidates: int = setting(
        10_000,
        "Number of random architectures that are scored per query (10,000).",
        low=1,
        high=1_000_000,
    )
    num_random: int = setting(
        5,
        "Number of random architectures at the start of a search without meta-learning (0).",
        low=0,
        high=10**9,
    )
    width: int = setting(
        PredictorConfig.width, "Features per node in each layer (600).", low=1, high=4096
    )
    layers: int = setting(
        PredictorConfig.layers, "Number of graph convolutions (4).", low=1, high=16
    )
    dropout: float = setting(
        PredictorConfig.dropout, "Dropout rate in meta-training (0.2).", low=0, below=1
    )
    algorithm: str = setting(
        PredictorConfig.algorithm,
        "Meta-learning algorithm: maml, anil and boil differ in the parameters that the inner loop "
        "adapts; mixture weights the earlier tasks (boil).",
        choices=(*ALGORITHMS, MIXTURE),
    )
    inner_rate: float = setting(
        PredictorConfig.inner_rate,
        "Learning rate of the inner loop and of fine-tuning (0.035).",
        above=0,
        high=100.0,
    )
    steps: int = setting(
        MetaTrainingConfig.steps, "Number of outer-loop steps per epoch.", low=1, high=1_000_000
    )
    joint: float = setting(
        MetaTrainingConfig.joint,
        "Fraction of epochs that are joint pre-training on all tasks (0).",
        low=0,
        high=1,
    )
    outer_rate: float = setting(
        MetaTrainingConfig.outer_rate,
        "Maximum learning rate of the outer loop (8e-5).",
        above=0,
        high=100.0,
    )
    tasks: int = setting(MetaTrainingConfig.tasks, "Number of tasks per step.", low=1, high=1000)
    shots: int = setting(
        MetaTrainingConfig.shots,
        "Size of a task's support set: architectures on which the inner loop adapts (5).",
        low=2,
        high=1000,
    )
    validation: int = setting(
        MetaTrainingConfig.validation,
        "Size of a task's query set: architectures that the adapted predictor has to predict (64).",
        low=2,
        high=10_000,
    )
    inner_steps: int = setting(
        MetaTrainingConfig.inner_steps,
        "Number of steps of the inner loop (6).",
        low=1,
        high=1000,
    )
    first_order: bool = setting(
        MetaTrainingConfig.first_order,
        "Whether the outer loop treats the gradients of the inner loop as constants.",
    )
    refit_growth: float = setting(
        0.25,
        "The interval between two fine-tunings grows to this fraction of the number of queries, "
        "which saves time in long searches (0).",
        low=0,
        high=1e6,
    )

    @property
    def predictor(self) -> PredictorConfig:
        """Settings of the predictor."""
        return PredictorConfig(
            **{each.name: getattr(self, each.name) for each in fields(PredictorConfig)}
        )

    def meta_training(self, epochs: int) -> MetaTrainingConfig:
        """Return the settings of meta-training for a number of epochs."""
        names = [each.name for each in fields(MetaTrainingConfig) if each.name != "epochs"]
        return MetaTrainingConfig(epochs=epochs, **{name: getattr(self, name) for name in names})


class MPNAS(QueryDiagnostics, QueryMemory, MetaAgent):
    """MP-NAS (Loya et al., NeurIPS 2023): predictor-based search.

    Section and table numbers in this class refer to that paper; the search is described in section
    4.4. A graph convolutional network, the predictor, scores architectures. Candidates are drawn
    uniformly; each query is the candidate with the best score among those not queried before. Every
    few queries, the predictor is fine-tuned on all observations. :meth:`meta_learn` learns the
    weights from which fine-tuning starts (section 3.2). With meta-learned weights, the first
    queries need no observation. Without meta-learning, a search starts with random architectures
    and random weights.

    A meta-learned agent can search every space whose operations are part of the unified graph
    (:mod:`nas_gym.spaces.graphs`), not only the space of its task set. Only the order of rewards
    matters, so rewards may have any scale. In a search space with other operations, such as a
    user's table, the graph is a chain of the decisions, and the agent learns its operations from
    scratch.

    In :meth:`meta_learn`, ``epochs`` is the number of epochs of meta-training. ``queries`` is the
    number of random architectures for which each trial knows all metrics of the task set, or all
    architectures if the space has fewer. The two numbers are fixed at the start, because the
    learning rates depend on the number of epochs.

    **Additions to the paper**, each with a setting that turns it off: joint pre-training on all
    tasks (``joint``), random architectures at the start without meta-learning (``num_random``), and
    a growing interval between fine-tunings (``refit_growth``).

    The preset ``mpnas-paper`` has the values of the paper's Table 9 and section 4.4; use it with
    ``epochs=400`` in :meth:`meta_learn`. The paper gives neither the number of steps per epoch nor
    the number of tasks per step; these settings keep their defaults.

    **Tasks of other domains.** With ``algorithm="mixture"``, the network has one output per metric
    of the task set, and observations weight these earlier tasks instead of fine-tuning the network
    (:mod:`nas_gym.predictors.mixture`). The weights of the task set's domains are balanced, and
    metrics that resemble the test tasks weigh more. The settings of the inner loop (``inner_rate``,
    ``inner_steps``, ``shots``, ``tasks``, ``joint`` and ``first_order``) have no effect. The preset
    ``mpnas-mixture`` has suitable learning rates.

    Attributes:
        start: Predictors from which fine-tuning starts, one per trial.
        rewards: Rewards of the queries, ``(n, queries)``, for ``n`` trials.
    """

    config_class = MPNASConfig
    config: MPNASConfig
    presets: ClassVar[Mapping[str, AgentConfig]] = {
        "mpnas-paper": MPNASConfig(
            width=600,
            dropout=0.2,
            inner_rate=0.035,
            inner_steps=6,
            outer_rate=8e-5,
            joint=0.0,
            num_random=0,
            refit_growth=0.0,
        ),
        "mpnas-mixture": MPNASConfig(
            algorithm=MIXTURE, steps=50, validation=128, outer_rate=0.01, refit_growth=0.0
        ),
    }
    preset_notes: ClassVar[Mapping[str, str]] = {
        "mpnas-mixture": "Preset for earlier tasks of other domains: labels weight these tasks."
    }
    uses_torch = True
    checks_state = True
    meta_epochs = MetaTrainingConfig.epochs
    meta_queries = 7812  # half of NAS-Bench-201, as in section 4.3 of the paper
    state_attributes = ("rewards", "_meta_epoch", "_meta_plan")
    diagnostic_names = ("score", "fine_tuning_steps")

    def setup(self) -> None:
        """Build a predictor for each trial; see :meth:`Agent.setup`."""
        from nas_gym.predictors.mixture import MixturePredictor
        from nas_gym.predictors.predictor import Predictor

        config = self.config.predictor
        predictor_class = MixturePredictor if config.algorithm == MIXTURE else Predictor
        self._node_types = to_graphs(self.space, self.space.decode([0])).node_types
        self.start: list[Predictor] = [
            predictor_class(config, seed, self._node_types) for seed in self.rng.seeds
        ]
        self._unfinished: dict[str, NDArray[np.float32]] = {}  # state of an unfinished training
        self._meta_epoch = np.array(0)
        self._meta_plan = np.zeros(2, np.int64)  # epochs and queries of meta-training
        self._loss = np.nan
        self.start_search()

    def start_search(self) -> None:
        """Prepare a new search with the meta-learned predictors."""
        n = self.num_trials
        self.forget_queries(n)
        self.clear_diagnostics(n)
        self._predicted = np.full(n, np.nan, np.float32)  # scores of the latest queries
        self.rewards = np.empty((n, 0))
        self._refit()

    # -- search (section 4.4) ---------------------------------------------------------------------

    def ask(self) -> NDArray[np.int64]:
        """Return the candidates with the best scores; see :meth:`Agent.ask`."""
        draws = self.rng.random((self.num_trials, self.config.num_candidates))
        spare = draws[:, 0]
        candidates = uniform_to_indices(self.space, draws)
        picks = [self._pick(i, *each) for i, each in enumerate(zip(candidates, spare, strict=True))]
        return self.space.decode(picks)

    def _pick(self, trial: int, candidates: NDArray[np.int64], spare: float) -> int:
        """Return the index of the best candidate that was not queried before."""
        self._predicted[trial] = np.nan
        new = candidates[~self.seen.contains(candidates[None], np.array([trial]))[0]]
        if not len(new):
            return int(self.space.encode(self.sample_unseen(trial, spare))[0])
        if not self.epochs and self.queried.shape[1] < self.config.num_random:
            return int(new[0])
        scores = self._score(trial, new)
        self._predicted[trial] = scores.max()
        return int(new[scores.argmax()])

    def _score(self, trial: int, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the scores of architectures, ``(m,)``; higher is better.

        In small spaces, the scores of all architectures are computed together and cached until the
        next fine-tuning. The last bits of a network's output depend on the other rows of a batch,
        and they decide between architectures with equal graphs.
        """
        predictor, sign = self._predictors[trial], self.task.direction
        if not self._scores_all:
            # in parts, because the graphs of all candidates may take much memory
            parts = [indices[i : i + _PART] for i in range(0, len(indices), _PART)]
            found = [predictor.predict_tensors(*self._to_tensors(each)) for each in parts]
            return (sign * np.concatenate(found)).astype(np.float32)
        if trial not in self._scores:
            scores = sign * predictor.predict_tensors(*self._all_tensors)
            self._scores[trial] = scores.astype(np.float32)
        return self._scores[trial].take(indices)

    def _to_tensors(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return architectures as inputs of the predictor."""
        from nas_gym.predictors.gcn import to_tensors

        return to_tensors(to_graphs(self.space, self.space.decode(indices)))

    @cached_property
    def _scores_all(self) -> bool:
        """``True`` if the predictor scores the whole search space, whose graphs fit in memory."""
        numbers = self.space.size * (self.space.num_decisions + 3) * len(self._node_types)
        is_small = self._node_types == NODES or numbers <= _MOST_NUMBERS
        return self.seen.is_enumerable and is_small

    @cached_property
    def _all_tensors(self) -> tuple[Tensor, Tensor]:
        return self._to_tensors(np.arange(self.space.size))

    def tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        """Add observations, and fine-tune the predictor when a refit is due.

        See :meth:`Agent.tell`.
        """
        self.remember_queries(self.space.encode(genotypes))
        self.rewards = np.concatenate([self.rewards, fitness[:, None]], axis=1)
        observed = self.queried.shape[1]
        if self.last_refit(observed) == observed:
            self._refit()
        steps = np.array([each.fine_tuning_steps for each in self._predictors], np.float32)
        self.record_diagnostics(np.stack([self._predicted, steps], axis=1))

    def last_refit(self, observed: int) -> int:
        """Return the number of observations that the latest refit used.

        Args:
            observed: Total number of observations so far.
        """
        refit, following = 0, self.config.refit_every
        while following <= observed:
            growing = int(self.config.refit_growth * following)
            refit, following = following, following + max(self.config.refit_every, growing)
        return refit

    def _refit(self) -> None:
        """Fine-tune each trial's predictor on the observations of the latest refit."""
        self._scores: dict[int, NDArray[np.float32]] = {}
        used = self.last_refit(self.queried.shape[1])
        self._predictors: list[Predictor] = list(self.start)
        if not used:
            return
        metrics = self.task.direction * self.rewards[:, :used]
        for trial, start in enumerate(self.start):
            observed = self.space.decode(self.queried[trial, :used])
            self._predictors[trial] = start.fit(to_graphs(self.space, observed), metrics[trial])

    def diagnostics(self) -> dict[str, NDArray[np.float64]]:
        """Return diagnostics by name, one array ``(queries, n)`` each.

        ``score`` is the predicted score of the query, NaN for random architectures.
        ``fine_tuning_steps`` is the number of gradient steps in the predictor's latest fine-tuning.
        """
        return super().diagnostics()

    # -- meta-training (section 3.2) --------------------------------------------------------------

    @property
    def epochs(self) -> int:
        """Number of epochs of meta-training that the agent has completed."""
        return int(self._meta_epoch)

    def train_epochs(self, tasks: TaskSet, epochs: int, queries: int) -> Iterator[None]:
        """Learn the weights from which fine-tuning starts, independently in each trial.

        See :meth:`MetaAgent.train_epochs`; ``queries`` is the total number of architectures whose
        metrics are known.
        """
        self._meta_plan = np.array([epochs, queries])
        trainings = [self._make_training(tasks, trial) for trial in range(self.num_trials)]
        while self.epochs < epochs:
            self._loss = float(np.mean([each.run_epoch() for each in trainings]))
            self._meta_epoch = np.array(self.epochs + 1)
            self.start = [each.current_predictor for each in trainings]
            is_unfinished = self.epochs < epochs
            every = [each.state_arrays() for each in trainings] if is_unfinished else [{}]
            self._unfinished = {name: np.stack([each[name] for each in every]) for name in every[0]}
            yield

    def check_tasks(self, tasks: TaskSet, epochs: int, queries: int) -> None:
        """Raise an error if :meth:`meta_learn` cannot start, or continue, with these arguments.

        Raises:
            ValueError: If a count is too low, or the agent has started with another task set, or
                another number of epochs or queries.
        """
        super().check_tasks(tasks, epochs, queries)
        needed = self.config.shots + self.config.validation
        if queries < needed:
            raise ValueError(
                f"queries must be at least {needed}, got {queries}: a step of meta-training takes "
                f"{self.config.shots} (shots) and {self.config.validation} (validation) "
                "architectures of a task."
            )
        if self.space.size < needed:
            raise ValueError(
                f"{self.space.name} has {self.space.size} architectures, and a step of "
                f"meta-training takes {self.config.shots} (shots) and {self.config.validation} "
                "(validation) architectures of a task. Set lower values."
            )
        if self.epochs and self._meta_plan.tolist() != [epochs, queries]:
            raise ValueError(
                "This agent has started with epochs={} and queries={}; continue with the "
                "same.".format(*self._meta_plan)
            )

    def _make_training(self, tasks: TaskSet, trial: int) -> MetaTraining:
        """Return the meta-training of a trial, in its state after the completed epochs."""
        from nas_gym.predictors.gcn import to_tensors
        from nas_gym.predictors.meta_training import MetaTraining, MultiTaskTraining

        seed = self.rng.seeds[trial]
        space = tasks.draw(np.random.default_rng(0)).space
        if space.choices != self.space.choices:
            raise ValueError(
                f"The tasks are over {space.name}, this agent is for {self.space.name}."
            )
        epochs, queries = self._meta_plan.tolist()
        known = known_architectures(space.size, seed, queries)
        inputs = to_tensors(to_graphs(space, space.decode(known)))
        config = self.config
        is_mixture = config.algorithm == MIXTURE
        sources = _metric_sources(tasks, inputs, known, by_table=is_mixture)
        training_class = MultiTaskTraining if is_mixture else MetaTraining
        training = training_class(
            config.predictor, config.meta_training(epochs), sources, seed, self._node_types
        )
        if self.epochs:
            training.load_state_arrays(
                {k: v[trial] for k, v in self._unfinished.items()}, self.epochs
            )
        return training

    def meta_diagnostics(self) -> dict[str, float]:
        """Return the mean loss of the last epoch of meta-training."""
        return {"train/meta_loss": self._loss}

    def check_start(self, state: State, source: str | Path) -> None:
        """Raise an error if this agent cannot start from a saved one.

        Any meta-learned MP-NAS agent with the same node types is accepted, because its predictor
        also applies to other spaces.

        Raises:
            ValueError: If the saved agent is of another class, or its graphs have other node types.
        """
        if str(state["agent"]) != type(self).__name__:
            raise AgentMismatchError(
                f"{source} is a {state['agent']}, and cannot start a {type(self).__name__}."
            )
        with explain_damage(source):
            learned = _saved_node_types(state)
        if learned != self._node_types:
            raise AgentMismatchError(
                f"{source} has learned {describe_node_types(learned)}. The search space "
                f"{self.space.name} has {describe_node_types(self._node_types)}: search it without "
                "a pretrained agent, or with one that was meta-learned on this space."
            )

    def take_over(self, state: State, source: str | Path) -> None:
        """Take over meta-learned predictors; see :meth:`MetaAgent.take_over`."""
        self.check_same_settings(state, source, ("width", "layers", "algorithm"))
        with explain_damage(source):
            chosen = self.source_trials(len(state["best_fitness"]))
            self._set_networks(part(state, "networks/"), chosen)
            self._meta_epoch = saved_array(state, "meta_epoch")
            self._meta_plan = saved_array(state, "meta_plan")
            self._check_meta_plan()
        self._refit()

    # -- saving and loading -----------------------------------------------------------------------

    def state_dict(self) -> State:
        """Return the state, including the networks; see :meth:`Agent.state_dict`."""
        every = [each.state_arrays() for each in self.start]
        networks = {f"networks/{k}": np.stack([each[k] for each in every]) for k in every[0]}
        training = {f"training/{name}": each.copy() for name, each in self._unfinished.items()}
        state = super().state_dict() | networks | training
        if self._node_types != NODES:
            state["node_types"] = np.array(json.dumps(self._node_types))
        return state

    def load_state_dict(self, state: State, *, env_restored: bool = False) -> None:
        """Restore a state, including the networks; see :meth:`Agent.load_state_dict`."""
        super().load_state_dict(state, env_restored=env_restored)
        if _saved_node_types(state) != self._node_types:
            raise AgentMismatchError(
                "The saved agent has decisions of other names than this search space."
            )
        self._set_networks(part(state, "networks/"), np.arange(self.num_trials))
        self._unfinished = part(state, "training/")
        self._check_unfinished()
        self._refit()

    def check_state(self) -> None:
        """Raise an error if the observations are damaged; see :meth:`Agent.check_state`."""
        super().check_state()
        refuse_infinite({"rewards": self.rewards})
        if self.rewards.shape != self.queried.shape:
            raise ValueError("rewards and queried differ in length")
        self._check_meta_plan()

    def _check_meta_plan(self) -> None:
        if (self._meta_epoch.shape, self._meta_plan.shape) != ((), (2,)):
            raise ValueError("meta_epoch or meta_plan has another shape")
        if self._meta_epoch.dtype.kind != "i" or self._meta_plan.dtype.kind != "i":
            raise ValueError("meta_epoch or meta_plan is not an integer")
        if self._meta_epoch < 0 or self._meta_plan.min() < 0:
            raise ValueError("meta_epoch or meta_plan is negative")

    def _check_unfinished(self) -> None:
        """Raise an error if the state of an unfinished meta-training is damaged."""
        refuse_infinite(self._unfinished)
        if not self._unfinished:
            return
        moments = {key.partition("/")[0] for key in self._unfinished} - {"parameters"}
        for name, parameter in self.start[0].parameters.items():
            for key in ("parameters", *moments):
                shape = (self.num_trials, *(() if key == "step" else parameter.shape))
                if self._unfinished[f"{key}/{name}"].shape != shape:
                    raise ValueError(f"training/{key}/{name} does not have the shape {shape}")

    def _set_networks(self, arrays: State, chosen: NDArray[np.int64]) -> None:
        every = ({name: each[i] for name, each in arrays.items()} for i in chosen)
        self.start = [
            own.with_state_arrays(each) for own, each in zip(self.start, every, strict=True)
        ]


def _saved_node_types(state: State) -> tuple[str, ...]:
    """Return the types of nodes that a saved agent has learned."""
    return tuple(json.loads(str(state["node_types"]))) if "node_types" in state else NODES


def known_architectures(size: int, seed: int, queries: int) -> NDArray[np.int64]:
    """Return the indices of the architectures that a trial learns from in meta-training.

    Args:
        size: Size of the search space.
        seed: Seed of the trial.
        queries: Number of architectures.
    """
    return np.random.default_rng([seed, 1]).permutation(size)[:queries]


def _metric_sources(
    tasks: TaskSet, inputs: tuple[Tensor, ...], known: NDArray[np.int64], *, by_table: bool
) -> list[MetricSource]:
    """Return the training data of a task set, with equal weights for its data sets.

    Columns that name no data set are grouped by table. Sources with the unit of a test task
    receive two thirds of all draws: before it has seen labels, the predictor ranks architectures as
    most training tasks do, and accuracies rank them differently from latencies. If some of these
    sources are measured on data sets related to the test tasks, they receive two thirds of all
    draws, and the other sources share the rest by the same rule.

    Args:
        tasks: Task set.
        inputs: Inputs of the predictor, for the known architectures.
        known: Indices of the known architectures.
        by_table: Whether the tables of a data set are sources of equal weight; otherwise, all
            columns of a data set are one source.
    """
    from nas_gym.predictors.meta_training import MetricSource

    tested = [tasks.test_task(name) for name in tasks.test]
    wanted = {task.metric(task.signal).unit for task in tested}
    groups: dict[tuple[int, str], dict[str, list[NDArray[np.float64]]]] = {}
    for column in tasks.columns:
        table_name, _, name = column.partition(":")
        table, dataset = load_table(table_name), dataset_of(column)
        likeness = int(table.metric(name).unit in wanted) * (2 if dataset in tasks.related else 1)
        by_source = groups.setdefault((likeness, dataset or table_name), {})
        source = table_name if by_table else ""
        by_source.setdefault(source, []).append(table.column(name)[known])
    shares = {2: 2 / 3, 1: 2 / 9, 0: 1 / 9} if tasks.related else {1: 2 / 3, 0: 1 / 3}
    counts = Counter(likeness for likeness, _ in groups)
    return [
        MetricSource(inputs, np.stack(each), shares[likeness] / counts[likeness] / len(by_source))
        for (likeness, _), by_source in groups.items()
        for each in by_source.values()
    ]
