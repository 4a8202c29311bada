"""The class :class:`Task`: search space, evaluators, search signal, reward and reported metric."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.evaluators.base import Evaluator
from nas_gym.evaluators.table import TableEvaluator
from nas_gym.spaces import SearchSpace
from nas_gym.spaces.checks import check_consistency
from nas_gym.tables import Metric
from nas_gym.tasks import noise as noises
from nas_gym.tasks.columns import Column, Mixture, Signal, parse_signal, weighted_columns
from nas_gym.tasks.rewards import ExponentialReward, Reward, parse_reward
from nas_gym.tasks.task_columns import TaskColumns

if TYPE_CHECKING:  # otherwise imported on use, so that the first environment is made quickly
    from nas_gym.tasks.constraints import Constraint
    from nas_gym.tasks.fronts import ParetoFront

Indices = NDArray[np.int64]
Values = NDArray[np.float64]
Origin = tuple[Callable[..., "Task"], Mapping[str, Any]]


class Task:
    """A search space, its evaluators, the search signal, the reward and the reported metric.

    Agents always maximize the reward. By default, the reward of an architecture is its signal,
    negated if the metric is minimized; the argument ``reward`` selects another function of the
    signal. Rewards and observations do not depend on the reported metric, which is for evaluation
    only.

    Regret, rank and optimum refer to the reported metric. If the reward combines several metrics
    (such as accuracy and latency), they refer to the same combination with the reported metric in
    place of the signal.

    With constraints, regret, rank and optimum refer to the feasible architectures. Every feasible
    architecture has a higher reward than every infeasible one, and among infeasible architectures,
    less violation gives a higher reward (:func:`nas_gym.tasks.constraints.penalize`). The floor of
    this rule is the lowest reward of the search space without noise, and the span is the distance
    of the median reward from the floor. In a space that cannot be enumerated, the floor is the
    reward of an accuracy of 0 %, and the span is its distance from the reward of 100 %. The regret
    of an infeasible architecture is higher than the largest regret of the space.

    With objectives, rewards are vectors with one entry per objective, to be maximized: the metrics
    in their units, negated if they are minimized, with constraints applied to each entry. Reports
    are hypervolumes: the hypervolume of architectures relative to that of the Pareto front of the
    feasible architectures, with the nadir as the reference point
    (:meth:`nas_gym.tasks.fronts.ParetoFront.hypervolume`). For this front, the report takes the
    place of the signal if the signal is an objective.

    Args:
        space: Search space.
        evaluator: Main evaluator. Metrics of this evaluator are written without its name, and all
            of these metrics are in ``info["metrics"]``.
        signal: Metric from which rewards are computed: ``"metric"`` of the evaluator,
            ``"table:metric"`` of a table over the same space, ``"predictor:FILE"`` (a saved
            predictor), or a weighted sum of metrics in one unit,
            ``"0.3 * metric + 0.7 * table:metric"``. By default, the evaluator's default for
            ``dataset``.
        report: Metric that histories and comparisons report, ``"metric"`` or ``"table:metric"``.
            ``"metric:denoised"`` is the mean over isomorphic architectures, which are the same
            network trained several times. By default, the evaluator's default for ``dataset``.
        reward: A :class:`~nas_gym.tasks.rewards.Reward`, or its string: ``"signal"``,
            ``"exponential"``, ``"rescaled(best=0.94)"`` or
            ``"latency(column=help-latency:fpga,target=5,weight=-0.07)"``.
        noise: Standard deviation of Gaussian noise on the signal, in the unit of the signal. The
            noise simulates the spread of single training runs. Each search draws its own noise;
            within a search, an architecture always has the same noise. Reports and regrets have no
            noise.
        constraint: Bound on a metric, such as ``"help-latency:raspi4 <= 5"`` (in the unit of the
            metric, which may follow the number) or ``"params <= 0.5"``; or several bounds.
        objectives: At least two metrics for vector rewards, such as ``["signal",
            "help-latency:raspi4", "params"]`` or ``"signal,params"``; ``"signal"`` is the search
            signal. The metrics of the whole search space must be known, or computed quickly, as
            those of surrogates; the Pareto front of a large space is then an approximation.
            ``None`` for scalar rewards.
        dataset: Name of the data set.
        others: Further evaluators that ``signal``, ``report``, ``reward``, ``constraint`` and
            ``objectives`` may name.

    Attributes:
        space, evaluator, dataset, noise: The arguments.
        signal: Column or mixture from which rewards are computed.
        report: Column that is reported.
        reward_name: String of the reward.
        direction: -1 if rewards are the negated signal, else 1.
        constraints: Bounds that feasible architectures satisfy.
        objectives: Columns or mixtures that vector rewards consist of; empty for scalar rewards.
        columns: Every column from which rewards and reports are computed.
        origin: Function and arguments that rebuild this task from stored tables; a pickle holds
            these in place of the task. ``None`` if the task is pickled as a whole.
        rewards: Reward of every architecture without noise, ``(space.size,)`` or, with objectives,
            ``(space.size, D)`` float64; ``None`` if the space cannot be enumerated.

    Raises:
        KeyError: If there is no such metric or table.
        ValueError: If a column has missing values or another search space, the noise is negative,
            the reward is unknown or needs an accuracy although the signal is not one, or no
            architecture satisfies the constraints.
        MissingDataError: If a table is not on this machine.

    Example:
        >>> import numpy as np
        >>> from nas_gym.evaluators import TableEvaluator
        >>> from nas_gym.tables import load_table
        >>> table = load_table("analog-nasbench")
        >>> task = Task(table.space, TableEvaluator(table), dataset="cifar10")
        >>> task.optimum == float(table.column("baseline_accuracy").max())
        True
    """

    def __init__(
        self,
        space: SearchSpace,
        evaluator: Evaluator,
        *,
        signal: str | Signal | None = None,
        report: str | Column | None = None,
        reward: str | Reward = "signal",
        noise: float = 0.0,
        constraint: str | Constraint | Sequence[str | Constraint] | None = None,
        objectives: str | Sequence[str | Column] | None = None,
        dataset: str = "",
        others: Sequence[Evaluator] = (),
    ) -> None:
        _check_objects(space, evaluator)
        self.space = space
        self.evaluator = evaluator
        self.dataset = dataset
        self.noise = _check_noise(noise)
        if signal is None or report is None:
            defaults = evaluator.default_columns(dataset)
            signal = defaults[0] if signal is None else signal
            report = defaults[1] if report is None else report
        self.signal = parse_signal(signal, evaluator) if isinstance(signal, str) else signal
        self.report = Column.parse(report, evaluator) if isinstance(report, str) else report
        self._reward = _with_best(parse_reward(reward) if isinstance(reward, str) else reward, self)
        self.reward_name = str(self._reward)
        self._reward_columns = [Column.parse(text, evaluator) for text in self._reward.columns]
        self.constraints = self._parse_constraints(constraint)
        self.objectives = self._parse_objectives(objectives)
        signal_columns = [column for _, column in weighted_columns(self.signal)]
        others_used = [each.column for each in self.constraints]
        others_used += [c for each in self.objectives for _, c in weighted_columns(each)]
        self.columns = list(
            dict.fromkeys([*signal_columns, self.report, *self._reward_columns, *others_used])
        )
        _check_rewards_are_raw([*signal_columns, *self._reward_columns, *others_used])
        self._lookup = TaskColumns(space, (evaluator, *others), self.columns, dataset)
        self._check_mixture()
        negated = not self._reward.takes_accuracy and not self._maximizes_signal
        self.direction = -1.0 if negated else 1.0
        self._signals = self._all_signals()
        self._whole = self._check_accuracy(self._reward)
        self._check_constraints(signal_columns)
        self._check_objectives(signal_columns)
        self._unconstrained = self._all_rewards()
        self._floor, self._span = self._penalty_range() if self.constraints else (0.0, 1.0)
        self.rewards = self._all_constrained()
        self._reports_reward = self._report_is_like_signal and bool(self._reward.columns)
        self.origin: Origin | None = None

    # -- evaluators and columns -----------------------------------------------------------------

    def is_made_of_stored_tables(self) -> bool:
        """Return whether every column is of a table as it is stored in the cache now."""
        return self._lookup.are_stored()

    def metric(self, column: Signal) -> Metric:
        """Return the description of a column; a mixture has the description of its first column,
        with another name.

        Raises:
            KeyError: If the task does not use this column.
        """
        return self._lookup.metric(column)

    def source(self, column: Column) -> Evaluator:
        """Return the evaluator of a column.

        Raises:
            KeyError: If the task does not use this column.
        """
        return self._lookup.evaluator(column)

    def column_values(self, column: Column, indices: Indices) -> Values:
        """Return the values of one column, in the shape of ``indices`` and the column's unit."""
        return self._lookup.values(column, indices)

    @property
    def side_columns(self) -> list[Column]:
        """Columns to show beside the reported value.

        These are the report, the columns of a reward that combines several metrics, and the columns
        of constraints; none for a task with neither.
        """
        others = [*self._reward_columns, *(each.column for each in self.constraints)]
        return list(dict.fromkeys([self.report, *others])) if others else []

    def metrics(self, indices: Indices) -> dict[str, Values]:
        """Return the values of every metric of the evaluator, and of the task's other columns.

        Args:
            indices: Indices of architectures, ``(n,)`` int64.

        Returns:
            Values by name, one array ``(n,)`` float64 each; columns of other evaluators are named
            ``table:metric``.
        """
        found = self.evaluator.all_values(self.space.decode(indices))
        for column in self.columns:
            if self.source(column) is not self.evaluator or column.denoised:
                found[str(column)] = self.column_values(column, indices)
        return found

    @property
    def sources(self) -> list[Evaluator]:
        """Evaluators of the task's columns, the main evaluator first."""
        found = [self.evaluator, *self._lookup.evaluators()]
        return list({id(each): each for each in found}.values())

    def keep_results(self, folder: Path) -> None:
        """Keep results of the evaluators in a folder; see :meth:`Evaluator.keep_results`."""
        for source in self.sources:
            if not isinstance(source, TableEvaluator):
                source.keep_results(folder, self.space)

    # -- signal and reward ----------------------------------------------------------------------

    @property
    def _maximizes_signal(self) -> bool:
        return self.metric(weighted_columns(self.signal)[0][1]).maximize

    def _check_mixture(self) -> None:
        found = [self.metric(column) for _, column in weighted_columns(self.signal)]
        if len({(metric.unit, metric.maximize) for metric in found}) > 1:
            raise ValueError(
                f"The columns of {self.signal} have different units or directions. The columns of "
                "a mixture must have the same unit and direction."
            )

    def _signal_of(self, values: Callable[[Column], Values]) -> Values:
        """Return signals to be maximized, given a function that returns the values of a column."""
        return self._oriented(self.signal, values)

    def _oriented(self, column: Signal, values: Callable[[Column], Values]) -> Values:
        """Return a column to be maximized, given a function that returns the values of a column."""
        terms = weighted_columns(column)
        if isinstance(column, Mixture):
            total = np.sum([weight * values(each) for weight, each in terms], axis=0)
        else:
            total = values(terms[0][1])
        oriented: Values = total * (1.0 if self.metric(terms[0][1]).maximize else -1.0)
        return oriented

    def _all_signals(self) -> Values | None:
        columns = [column for _, column in weighted_columns(self.signal)]
        arrays = self._lookup.arrays(columns)
        if arrays is None:
            return None
        return self._signal_of(dict(zip(columns, arrays, strict=True)).__getitem__)

    def _all_rewards(self) -> Values | None:
        others = self._lookup.arrays(self._reward_columns)
        if self._signals is None or others is None:
            return None
        if self.objectives:
            return self._vectors(self._signals, np.arange(self.space.size))
        return self._reward.apply(self._signals, others, self._whole)

    def reward(self, indices: Indices, keys: noises.Keys | None = None) -> Values:
        """Return the rewards of architectures, float64, in the shape of ``indices``.

        With ``D`` objectives, the result has the shape of ``indices`` and a last axis of length
        ``D``.

        Args:
            indices: Indices of architectures, int64, any shape.
            keys: Keys that determine the noise of the searches (``SearchHistory.keys``), in a shape
                that broadcasts to the shape of ``indices``. Without keys, no noise is added.
        """
        noisy = self.noise and keys is not None
        if self.rewards is not None and not noisy:
            return self.rewards.take(indices, axis=0)
        if self._signals is not None:
            signals = self._signals.take(indices)
        else:
            signals = self._signal_of(lambda column: self.column_values(column, indices))
        if noisy:
            assert keys is not None
            signals = signals + self.noise * noises.standard_normal(keys, indices)
        if self.objectives:
            return self._apply_constraints(self._vectors(signals, indices), indices)
        others = [self.column_values(column, indices) for column in self._reward_columns]
        rewards = self._reward.apply(signals, others, self._whole)
        return self._apply_constraints(rewards, indices)

    def noise_keys(self, seeds: Sequence[int | None]) -> noises.Keys:
        """Return the keys that determine the noise of searches with these seeds, one per seed."""
        if not self.noise:
            return np.zeros(len(seeds), np.uint64)
        return noises.keys(seeds)

    def reward_function(self, text: str) -> Callable[[Values], Values]:
        """Return a function that computes rewards from this task's signals.

        Args:
            text: String of the reward; see :func:`~nas_gym.tasks.rewards.parse_reward`. A latency
                reward is not accepted.

        Raises:
            ValueError: If the reward is unknown, depends on other metrics, or needs an accuracy
                although the signal is not one.
        """
        reward = _with_best(parse_reward(text), self)
        if reward.columns:
            raise ValueError(
                f"{text!r} depends on other metrics of architectures: give it to the environment."
            )
        whole = self._check_accuracy(reward)
        return partial(reward.apply, others=(), whole=whole)

    def _check_accuracy(self, reward: Reward) -> float:
        """Return 100 % in the signal's unit (100 or 1).

        Raise ``ValueError`` if the reward needs an accuracy and the signal is not one.
        """
        metric = self.metric(self.signal)
        whole = 100.0 if metric.unit == "%" else 1.0
        if not reward.takes_accuracy:
            return whole
        lowest, highest = 0.0, whole if metric.unit == "%" else np.inf
        if self._signals is not None:
            lowest, highest = float(self._signals.min()), float(self._signals.max())
        hint = ""
        if not metric.maximize:
            fault = "is minimized"
        elif lowest < 0 or highest > whole:
            fault = f"goes from {lowest:.4g} to {highest:.4g} {metric.unit}".rstrip()
            if not metric.unit:
                hint = " A metric without a unit must be a fraction: divide values in % by 100."
        else:
            return whole
        raise ValueError(
            f"The reward {str(reward)!r} needs an accuracy, in % or as a fraction, but "
            f"{self.signal} {fault}.{hint} Choose another signal, or reward='signal'."
        )

    # -- constraints ----------------------------------------------------------------------------

    def _parse_constraints(self, given: Any) -> tuple[Constraint, ...]:
        if given is None:
            return ()
        from nas_gym.tasks.constraints import parse_constraints

        return parse_constraints(given, self.evaluator)

    def _check_constraints(self, signal_columns: Sequence[Column]) -> None:
        """Check units, and that the constraints reveal no reported metric and can be satisfied."""
        if not self.constraints:
            return
        for each in self.constraints:
            each.check_unit(self.metric(each.column))
            measured = dataclasses.replace(self.report, denoised=False)
            if each.column == measured and measured not in signal_columns:
                raise ValueError(
                    f"A constraint on {self.report}, the reported metric, would show it to agents. "
                    "Choose another column, or another report=."
                )
        from nas_gym.tasks.constraints import check_satisfiable

        known = self._lookup.arrays([each.column for each in self.constraints])
        if known is not None:
            check_satisfiable(self.constraints, known)

    def _penalty_range(self) -> tuple[Values | float, Values | float]:
        """Return the lowest reward of feasible architectures, and the span of the penalties.

        With objectives, both have one entry per objective.
        """
        if self._unconstrained is not None:
            floor = self._unconstrained.min(axis=0)
            span = np.median(self._unconstrained, axis=0) - floor
            return floor, np.where(span > 0, span, 1.0)
        if not self._is_percentage(self.signal) or not self._is_percentage(self.report):
            raise ValueError(
                f"A constraint needs a search space that can be enumerated, or a signal and a "
                f"report in %, so that the lowest reward is known; {self.space.name} is too large, "
                f"and the signal {self.signal} and the report {self.report} are not both in %."
            )
        if self._reward.columns:
            return 0.0, self._whole
        lowest, highest = self._reward.apply(np.array([0.0, self._whole]), (), self._whole).tolist()
        return lowest, highest - lowest

    def _is_percentage(self, column: Signal) -> bool:
        metric = self.metric(column)
        return metric.unit == "%" and metric.maximize

    def _all_constrained(self) -> Values | None:
        if not self.constraints or self._unconstrained is None:
            return self._unconstrained
        if not self._knows_feasibility:
            return None
        return self._apply_constraints(self._unconstrained, np.arange(self.space.size))

    def _apply_constraints(self, rewards: Values, indices: Indices) -> Values:
        if not self.constraints:
            return rewards
        from nas_gym.tasks.constraints import penalize

        violations = self.violations(indices)
        if self.objectives:
            violations = violations[..., None]
        return penalize(rewards, violations, self._floor, self._span)

    def violations(self, indices: Indices) -> Values:
        """Return by how much architectures violate the constraints, in the shape of ``indices``.

        The violation is the sum over all constraints of the excess relative to the bound. It is 0
        for feasible architectures, and for all architectures of a task without constraints.
        """
        if not self.constraints:
            return np.zeros(np.shape(indices))
        from nas_gym.tasks.constraints import total_violation

        values = [self.column_values(each.column, indices) for each in self.constraints]
        return total_violation(self.constraints, values)

    # -- objectives -----------------------------------------------------------------------------

    def _parse_objectives(self, given: Any) -> tuple[Signal, ...]:
        if given is None:
            return ()
        from nas_gym.tasks.objectives import parse_objectives

        return parse_objectives(given, self.signal, self.evaluator)

    def _check_objectives(self, signal_columns: Sequence[Column]) -> None:
        """Check that the objectives are known and reveal no reported metric."""
        if not self.objectives:
            return
        if self._reward.columns or self._reward.takes_accuracy:
            raise ValueError(
                f"A task with objectives has a vector of metrics as its reward, but "
                f"reward={self.reward_name!r} was given. Leave out reward= or objectives=."
            )
        unknown = [column for column in self.columns if self._lookup.array(column) is None]
        slow = [column for column in unknown if not self.source(column).is_fast]
        if slow:
            raise ValueError(
                f"Objectives need metrics that are known for the whole search space, such as those "
                f"of tables, or computed quickly; {slow[0]} is evaluated when it is asked for."
            )
        if unknown and self.constraints:
            raise ValueError(
                f"Objectives with a constraint need a search space that can be enumerated; "
                f"{self.space.name} has {self.space.size:.1e} architectures. Make the constraint's "
                "metric an objective."
            )
        shown = [c for each in self.objectives for _, c in weighted_columns(each)]
        measured = dataclasses.replace(self.report, denoised=False)
        if measured in shown and measured not in signal_columns:
            raise ValueError(
                f"The objective {self.report} is the reported metric, which agents must not see. "
                "Choose another objective, or another report=."
            )
        if self.signal in self.objectives and not self._report_is_like_signal:
            raise ValueError(
                f"The report {self.report} differs from the signal {self.signal} in its unit or "
                "direction. It takes the place of the signal in the reported objectives, so choose "
                "a report= like the signal."
            )
        if self.noise and self.signal not in self.objectives:
            raise ValueError(
                "noise= is noise on the signal, which is not among the objectives. Add signal to "
                "objectives=, or leave out noise=."
            )

    def _vectors(self, signals: Values, indices: Indices) -> Values:
        """Return the objectives, to be maximized, shape of ``indices`` and ``D``.

        Args:
            signals: Values of the objective that is the signal, in the shape of ``indices``.
            indices: Indices of architectures.
        """
        parts = [
            signals
            if each == self.signal
            else self._oriented(each, lambda column: self.column_values(column, indices))
            for each in self.objectives
        ]
        return np.stack(parts, axis=-1)

    def reported_objectives(self, indices: Indices) -> Values:
        """Return the objectives, with the report in place of the signal, to be maximized.

        Args:
            indices: Indices of architectures, int64, any shape.

        Returns:
            Vectors without noise, float64, shape of ``indices`` and a last axis of length ``D``.
        """
        reports = self._oriented(self.report, lambda column: self.column_values(column, indices))
        return self._vectors(reports, indices)

    @cached_property
    def front(self) -> ParetoFront:
        """Pareto front of the rewards of the feasible architectures."""
        return self._find_front(self._unconstrained, self.reward)

    @cached_property
    def reported_front(self) -> ParetoFront:
        """Pareto front of the reported objectives of the feasible architectures."""
        whole = None
        if self._unconstrained is not None:
            whole = self.reported_objectives(np.arange(self.space.size))
        return self._find_front(whole, self.reported_objectives)

    def _find_front(
        self, whole: Values | None, objectives: Callable[[Indices], Values]
    ) -> ParetoFront:
        """Return the Pareto front of the feasible architectures.

        Args:
            whole: Objectives of the whole space, ``(space.size, D)``; ``None`` if the space cannot
                be enumerated. The front is then an approximation.
            objectives: Function that returns the objectives of architectures.
        """
        from nas_gym.tasks.front_search import search_front
        from nas_gym.tasks.fronts import ParetoFront

        if whole is not None:
            return ParetoFront.of_space(whole, self._feasible)
        return search_front(self.space, objectives, lambda each: self.violations(each) == 0)

    @cached_property
    def _all_hypervolumes(self) -> Values:
        """Hypervolume of every architecture alone; 0 for infeasible architectures."""
        return self._hypervolumes(np.arange(self.space.size))

    def _hypervolumes(self, indices: Indices) -> Values:
        """Return the hypervolume of each architecture alone, in the shape of ``indices``."""
        front = self.reported_front
        scaled = np.maximum(front.normalize(self.reported_objectives(indices)), 0.0)
        feasible = self.violations(indices) == 0
        alone: Values = scaled.prod(axis=-1) * feasible / front.volume
        return alone

    # -- report, regret and rank ----------------------------------------------------------------

    @property
    def _report_is_like_signal(self) -> bool:
        signal, report = self.metric(self.signal), self.metric(self.report)
        return (signal.unit, signal.maximize) == (report.unit, report.maximize)

    @property
    def report_metric(self) -> Metric:
        """Description of what :meth:`reported` returns: the reported metric, or the reward."""
        if self.objectives:
            names = ", ".join(str(self.report if c == self.signal else c) for c in self.objectives)
            return Metric("hypervolume", "", True, f"hypervolume of {names}")
        if not self._reports_reward:
            return self.metric(self.report)
        return Metric("reward", "", True, f"{self.reward_name} of {self.report}")

    def reported(self, indices: Indices) -> Values:
        """Return the reported values of architectures, in the shape of ``indices``.

        A reported value is the reported metric in its own unit. With objectives, it is the
        hypervolume of the architecture alone. If the reward combines several
        metrics, it is the same combination, without noise, with the reported metric in place of the
        signal.
        """
        if self.objectives:
            if self._unconstrained is None:
                return np.minimum(self._hypervolumes(indices), 1.0)
            return self._all_hypervolumes.take(indices)
        values = self.column_values(self.report, indices)
        if not self._reports_reward:
            return values
        others = [self.column_values(column, indices) for column in self._reward_columns]
        return self._reward.apply(values, others, self._whole)

    @cached_property
    def _all_reported(self) -> Values | None:
        others = self._reward_columns if self._reports_reward else []
        if self._lookup.arrays([self.report, *others]) is None:
            return None
        return self.reported(np.arange(self.space.size))

    @property
    def _knows_feasibility(self) -> bool:
        """``True`` if every column of a constraint is known for the whole search space."""
        return self._lookup.arrays([each.column for each in self.constraints]) is not None

    @cached_property
    def _feasible(self) -> NDArray[np.bool_]:
        """Mask of the feasible architectures of the search space, ``(space.size,)``."""
        feasible: NDArray[np.bool_] = self.violations(np.arange(self.space.size)) == 0
        return feasible

    @cached_property
    def optimum(self) -> float | None:
        """Best reported value of all feasible architectures, in its unit; ``None`` if unknown.

        With objectives, it is 1, the hypervolume of the Pareto front.
        """
        if self.objectives:
            return 1.0
        everything = self._all_reported
        if everything is not None and self._knows_feasibility:
            everything = everything[self._feasible]
            best = everything.max() if self.report_metric.maximize else everything.min()
            return float(best)
        if self._reports_reward or not self._knows_feasibility:
            return None
        return self.source(self.report).optimum(self.report.metric)

    def regret(self, indices: Indices) -> Values:
        """Return the distance of reported values from the optimum, >= 0, shape of ``indices``.

        If the optimum is unknown, the regret is the distance from 100 for a metric in %, and from 0
        for another metric that is minimized. The regret of another metric that is maximized is
        the negated value, so that less is better here, too. The regret of an infeasible
        architecture with violation ``v`` is the largest regret of the space, multiplied by
        ``1 + v / (1 + v)``.
        """
        best, reported = self._best_possible, self.reported(indices)
        regret: Values = best - reported if self.report_metric.maximize else reported - best
        if not self.constraints:
            return regret
        violations = self.violations(indices)
        worse = self._largest_regret * (1.0 + violations / (1.0 + violations))
        return np.where(violations > 0, worse, regret)

    @cached_property
    def _largest_regret(self) -> float:
        if self._all_reported is None:
            return self._best_possible
        return float(np.abs(self._best_possible - self._all_reported).max()) or 1.0

    @cached_property
    def _best_possible(self) -> float:
        if self.optimum is not None:
            return self.optimum
        metric = self.report_metric
        if metric.unit == "%":
            return 100.0 if metric.maximize else 0.0
        return self._whole if self._reports_reward else 0.0

    @cached_property
    def ranked_regrets(self) -> Values | None:
        """Regret of every feasible architecture, ascending; ``None`` if unknown, and with
        objectives, where a set of architectures is ranked."""
        if self._all_reported is None or self.objectives or not self._knows_feasibility:
            return None
        return np.sort(self.regret(np.flatnonzero(self._feasible)))

    def log_rank(self, indices: Indices) -> Values | None:
        """Return ``log10(1 + rank)`` of architectures, in the shape of ``indices``.

        The rank is the number of feasible architectures with less regret: 0 for the best. ``None``
        if the regrets of the space are unknown.
        """
        if self.ranked_regrets is None:
            return None
        ranks = np.searchsorted(self.ranked_regrets, self.regret(indices), side="left")
        logarithms: Values = np.log10(1.0 + ranks)
        return logarithms

    @cached_property
    def regret_unit(self) -> float:
        """Divisor that makes regrets of different tasks comparable.

        The divisor is the regret of the median feasible architecture: a normalized regret of 0 is
        the optimum, and 1 is as good as the median of random architectures. If at least half of the
        architectures are optimal, the divisor is the mean regret. If all architectures are optimal
        or the regrets are unknown, it is 1.
        """
        ranked = self.ranked_regrets
        if ranked is None:
            return 1.0
        return float(np.median(ranked)) or float(ranked.mean()) or 1.0

    def training_seconds(self, indices: Indices) -> Values | None:
        """Return the time to obtain the signal, in seconds, in the shape of ``indices``.

        For tables, this is the training time that the benchmark states. ``None`` if unknown.
        """
        if isinstance(self.signal, Mixture):
            return None
        return self._lookup.training_seconds(self.signal, indices)

    # -- description ----------------------------------------------------------------------------

    def describe(self) -> dict[str, object]:
        """Return plain values that identify this task exactly, for histories."""
        others = [each for each in self._lookup.evaluators() if each is not self.evaluator]
        provenance: dict[str, object] = {}
        for source in [*others, self.evaluator]:
            provenance |= source.provenance()
        constraints = [str(each) for each in self.constraints]
        return {
            "space": self.space.name,
            "dataset": self.dataset,
            **self.evaluator.identity(),
            "signal": str(self.signal),
            "report": str(self.report),
            "noise": self.noise,
            "reward": self.reward_name,
            **({"constraints": constraints} if constraints else {}),
            **({"objectives": [str(each) for each in self.objectives]} if self.objectives else {}),
            "provenance": provenance,
        }

    def __reduce_ex__(self, protocol: Any) -> str | tuple[Any, ...]:
        if self.origin is None or not self.is_made_of_stored_tables():
            return super().__reduce_ex__(protocol)
        function, arguments = self.origin
        return function, (arguments, self.describe())

    def __deepcopy__(self, memo: dict[int, Any]) -> Task:
        """Return the task itself, because it never changes; copies of an environment share it."""
        return self

    def __repr__(self) -> str:
        columns = f"signal {self.signal}, report {self.report}"
        return f"<Task {self.space.name} on {self.dataset or self.evaluator.name}: {columns}>"


def _with_best(reward: Reward, task: Task) -> Reward:
    """Fill in the best accuracy that the evaluator knows (L2NAS paper, section 3.2)."""
    if not isinstance(reward, ExponentialReward) or reward.best is not None:
        return reward
    best = task.evaluator.best_accuracy
    if best is None:
        raise ValueError(
            f"reward='rescaled' needs the best accuracy, which {task.evaluator.name} does not "
            "know. Give it: reward='rescaled(best=0.94)'."
        )
    return ExponentialReward(best / 100)


def _check_rewards_are_raw(columns: Sequence[Column]) -> None:
    """Raise ``ValueError`` if an agent would see a denoised column."""
    for column in columns:
        if column.denoised:
            raise ValueError(
                f"{column} averages trainings of architectures that a search has not queried, so "
                "it cannot be part of a signal, reward, constraint or objective. Use it in report=."
            )


def _check_objects(space: SearchSpace, evaluator: Evaluator) -> None:
    """Check the evaluator, and the search space if it is from outside this package.

    Raises:
        TypeError: If the evaluator or the search space is not of the required class.
        ValueError: If the search space is inconsistent.
    """
    if not isinstance(evaluator, Evaluator):
        raise TypeError(
            f"evaluator must be an object of a subclass of nas_gym.Evaluator, got {evaluator!r}."
        )
    metrics = evaluator.metrics
    if not (
        isinstance(metrics, Mapping)
        and metrics
        and all(isinstance(metric, Metric) for metric in metrics.values())
    ):
        raise TypeError(
            f"{type(evaluator).__name__}.metrics must be a dictionary of at least one "
            f"nas_gym.Metric by name, got {evaluator.metrics!r}."
        )
    if not type(space).__module__.startswith("nas_gym."):
        check_consistency(space)


def _check_noise(noise: float) -> float:
    if not 0 <= noise < np.inf:
        raise ValueError(f"noise is a standard deviation and must be at least 0, got {noise}.")
    return float(noise)
