"""Statistics of comparisons: averages, intervals, ranks reached, probabilities of improvement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.experiments.bootstrap import (
    average_trials,
    confidence_interval,
    probability_of_improvement,
)
from nas_gym.experiments.records import TrialResults
from nas_gym.recording.curves import Curves
from nas_gym.tasks import Task
from nas_gym.tasks.ceiling import compute_ceiling

BUDGETS = (50, 100, 150, 500, 1000)
"""Numbers of queries at which summaries describe the incumbents."""

UNIQUE_BUDGETS = (50, 100, 150)
"""Numbers of distinct architectures at which summaries describe the incumbents."""

RANKS = {"best": 1, "top_3": 3, "top_10": 10}
"""Ranks by the reported metric; summaries hold the fraction of trials that reach each rank."""


def summarize_comparison(results: Sequence[TrialResults]) -> dict[str, Any]:
    """Return the summary of a comparison, as written to ``summary.json``.

    * ``environments``: for each environment ID

      * ``task``: :meth:`nas_gym.Task.describe`;
      * ``metric``: ``name``, ``unit`` and ``maximize`` of the reported metric, and ``regret_of``,
        the column or the reward to which regrets refer (see :func:`describe_report`);
      * ``architectures``: size of the search space;
      * ``optimum``: best value of the reported metric, ``null`` if unknown;
      * ``median_regret``: unit of normalized regret, see :attr:`nas_gym.Task.regret_unit`;
      * ``ceiling``: ``regret`` and ``noise`` of the :class:`nas_gym.tasks.ceiling.Ceiling`;
        ``null`` if it is unknown;
      * ``queries``: number of queries of each trial;
      * ``agents``: for each agent

        * ``searched_env``: ID of the same task in the mode that the agent searched in;
        * ``trials``: number of finished trials; ``seeds``: their seeds; ``failures``: error texts
          of the failed trials by seed;
        * ``at_queries``: for each of :data:`BUDGETS` and the last query, ``report``, ``regret`` and
          ``log_rank`` (:meth:`nas_gym.Task.log_rank`, ``null`` if unknown) of the incumbents (see
          :func:`describe_values`), and the mean of ``unique_queries``, the number of distinct
          architectures queried; in a task with objectives, also ``igd_plus`` and ``share`` of the
          fronts (see :func:`describe_fronts`);
        * ``at_unique_queries``: the same statistics for each of :data:`UNIQUE_BUDGETS`, at the
          query in which a trial reaches this number of distinct architectures, or at the trial's
          last query; ``queries`` is the mean number of that query, and ``complete`` is the fraction
          of trials that reach this number of distinct architectures;
        * ``incumbent_metrics`` and ``incumbent_feasible``, if the reward combines several metrics
          or the task has constraints: see :func:`describe_incumbents`;
        * ``reached``: for each of :data:`RANKS`, the fraction of trials whose last incumbent is at
          least as good as the architecture of this rank, ``null`` if unknown;
        * ``unique_queries``, ``agent_seconds`` and ``training_seconds``: means over the trials
          after the last query; ``training_seconds`` is the time that training the queried
          architectures takes according to the benchmark, ``null`` if the benchmark does not state
          it;

      * ``probability_of_improvement``: for each agent and each other agent, the ``probability``
        that a trial of the first ends with less regret than a trial of the other (ties count
        half), and its ``interval``;

    * ``aggregate``: over all environments, ``null`` if there is only one:

      * ``agents``: for each agent, ``normalized_regret``: ``iqm`` and ``iqm_interval`` over its
        trials in all environments after the last query;
      * ``probability_of_improvement``: the mean of the above probabilities over environments.

    Intervals are 95 % intervals [low, high] (see :mod:`nas_gym.experiments.bootstrap`). A value is
    ``null`` if no trial determines it. The aggregate of an agent is ``null`` if all trials of the
    agent failed in one of the environments.

    Args:
        results: Results of every agent in every environment.
    """
    environments = group_by_environment(results)
    return {
        "environments": {env: _environment(members) for env, members in environments.items()},
        "aggregate": _aggregate(list(environments.values())) if len(environments) > 1 else None,
    }


def describe_report(task: Task) -> dict[str, Any]:
    """Return ``name``, ``unit`` and ``maximize`` of a task's reported value, and ``regret_of``.

    ``regret_of`` names the column that regrets refer to. Under a reward that combines several
    metrics, it is this reward of the reported column.
    """
    metric = task.report_metric
    return {
        "name": metric.name,
        "unit": metric.unit,
        "maximize": metric.maximize,
        "regret_of": str(task.report) if metric == task.metric(task.report) else metric.description,
    }


def below_ceiling(found: Mapping[str, Any], agent: str) -> bool:
    """Return whether an agent's mean regret after the last query is below the ceiling.

    Args:
        found: Summary of one environment.
        agent: Agent with at least one finished trial.
    """
    ceiling, at_end = found["ceiling"], found["agents"][agent]["at_queries"][str(found["queries"])]
    return ceiling is not None and at_end["regret"]["mean"] < ceiling["regret"]


def group_by_environment(results: Sequence[TrialResults]) -> dict[str, list[TrialResults]]:
    """Return the results of each environment, in order of appearance."""
    result: dict[str, list[TrialResults]] = {}
    for one in results:
        result.setdefault(one.env, []).append(one)
    return result


def describe_values(values: NDArray[np.float64]) -> dict[str, Any]:
    """Return averages of values, ``(trials,)``.

    Returns:
        ``mean``, ``std`` (sample standard deviation; 0 for one trial), ``median``, ``iqm``
        (interquartile mean, of the middle half), and the 95 % intervals ``mean_interval`` and
        ``iqm_interval``, [low, high]. All of them are ``None`` if there are no trials.
    """
    if len(values) == 0:
        names = ("mean", "std", "median", "iqm", "mean_interval", "iqm_interval")
        return dict.fromkeys(names)
    return {
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "median": float(np.median(values)),
        "iqm": float(average_trials(values, "iqm")),
        "mean_interval": confidence_interval(values, "mean").tolist(),
        "iqm_interval": confidence_interval(values, "iqm").tolist(),
    }


def at_queries(curves: Curves) -> dict[str, Any]:
    """Return statistics of the incumbents at each of :data:`BUDGETS` and at the last query."""
    queries = len(curves.regrets)
    budgets = [q for q in BUDGETS if q < queries] + [queries] * (queries > 0)
    return {
        str(q): {
            "report": describe_values(curves.reports[q - 1]),
            "regret": describe_values(curves.regrets[q - 1]),
            "log_rank": None
            if curves.log_ranks is None
            else describe_values(curves.log_ranks[q - 1]),
            "unique_queries": _mean(curves.unique[q - 1]),
            **describe_fronts(curves, q),
        }
        for q in budgets
    }


def describe_fronts(curves: Curves, queries: int) -> dict[str, Any]:
    """Return statistics of the fronts found after a number of queries.

    Returns:
        ``igd_plus``, the mean distance of the Pareto front from the architectures found, over the
        trials that have found a feasible one; and ``share``, the fraction of the Pareto front that
        was found. Empty if the task has no objectives.
    """
    if curves.fronts is None:
        return {}
    distances = curves.fronts.distances[queries - 1]
    return {
        "igd_plus": describe_values(distances[np.isfinite(distances)]),
        "share": describe_values(curves.fronts.shares[queries - 1]),
    }


def at_unique_queries(curves: Curves) -> dict[str, Any]:
    """Return statistics of the incumbents at each of :data:`UNIQUE_BUDGETS`."""
    queries, trials = curves.unique.shape
    result = {}
    for unique in (u for u in UNIQUE_BUDGETS if u <= queries):
        enough = curves.unique >= unique
        complete: NDArray[np.bool_] = np.any(enough, axis=0)
        last = np.where(complete, enough.argmax(axis=0), queries - 1)
        each = np.arange(trials)
        result[str(unique)] = {
            "report": describe_values(curves.reports[last, each]),
            "regret": describe_values(curves.regrets[last, each]),
            "queries": _mean(last + 1),
            "complete": _mean(complete),
        }
    return result


def describe_incumbents(task: Task, curves: Curves) -> dict[str, Any]:
    """Return metrics of the incumbents after the last query, by :attr:`Task.side_columns`.

    Returns:
        ``metrics``: the ``unit`` and :func:`describe_values` of each column; and, for a task with
        constraints, ``feasible``, the fraction of trials whose incumbent is feasible. Empty if the
        task has no such columns.
    """
    if not task.side_columns or not curves.incumbents.size:
        return {}
    last = curves.incumbents[-1]
    metrics = {
        str(column): {
            "unit": task.metric(column).unit,
            **describe_values(task.column_values(column, last)),
        }
        for column in task.side_columns
    }
    feasible = {"feasible": _mean(task.violations(last) == 0)} if task.constraints else {}
    return {"metrics": metrics, **feasible}


def performance_profile(
    regrets: NDArray[np.float64], taus: NDArray[np.float64], strata: Sequence[int] | None = None
) -> NDArray[np.float64]:
    """Return the fraction of trials whose regret is at most ``tau``, for each of ``taus``.

    Args:
        regrets: Regrets, ``(trials,)``; normalized if they are from several environments.
        taus: Regrets to compare with, ``(points,)``.
        strata: Numbers of trials of each environment, in the order of ``regrets``.

    Returns:
        The fraction, and the ends of its 95 % interval, ``(3, points)``.
    """
    within = (regrets <= taus[:, None]).astype(np.float64)
    return np.vstack([average_trials(within, "mean"), confidence_interval(within, "mean", strata)])


def final_regrets(results: TrialResults) -> NDArray[np.float64]:
    """Return the regrets of the trials' last incumbents, ``(trials,)``."""
    return results.curves.regrets[-1] if results.seeds else np.empty(0)


def normalized_regrets(environments: Sequence[Sequence[TrialResults]]) -> dict[str, list[Any]]:
    """Return the normalized final regrets of agents that have trials in every environment.

    Args:
        environments: Results of each environment.

    Returns:
        One array ``(trials,)`` per environment, by agent.
    """
    agents = list(dict.fromkeys(one.agent for members in environments for one in members))
    result: dict[str, list[Any]] = {agent: [] for agent in agents}
    for members in environments:
        for one in members:
            if one.seeds:
                result[one.agent].append(final_regrets(one) / one.task.regret_unit)
    return {agent: found for agent, found in result.items() if len(found) == len(environments)}


def _environment(members: list[TrialResults]) -> dict[str, Any]:
    """Return the summary of one environment."""
    task = members[0].task
    ceiling = compute_ceiling(task)
    return {
        "task": task.describe(),
        "metric": describe_report(task),
        "architectures": task.space.size,
        "optimum": task.optimum,
        "median_regret": task.regret_unit,
        "ceiling": None if ceiling is None else asdict(ceiling),
        "queries": max(len(one.curves.regrets) for one in members),
        "agents": {one.agent: _agent(one) for one in members},
        "probability_of_improvement": _improvements(
            {one.agent: [final_regrets(one)] if one.seeds else None for one in members}
        ),
    }


def _agent(results: TrialResults) -> dict[str, Any]:
    """Return the summary of one agent in one environment."""
    curves = results.curves
    training = curves.training_seconds
    return {
        "searched_env": results.searched_env,
        "trials": len(results.seeds),
        "seeds": results.seeds,
        "failures": {str(seed): error for seed, error in results.failures.items()},
        "at_queries": at_queries(curves),
        "at_unique_queries": at_unique_queries(curves),
        **{f"incumbent_{k}": v for k, v in describe_incumbents(results.task, curves).items()},
        "reached": _reached(results),
        "unique_queries": _mean(curves.unique[-1:]),
        "agent_seconds": _mean(curves.agent_seconds[-1:]),
        "training_seconds": None if training is None else _mean(training[-1:]),
    }


def _reached(results: TrialResults) -> dict[str, float | None]:
    """For each of `RANKS`, return the fraction of trials whose final incumbent has at least this
    rank."""
    ranked = results.task.ranked_regrets
    if ranked is None:
        return dict.fromkeys(RANKS)
    last = final_regrets(results)
    return {name: _mean(last <= ranked[min(rank, len(ranked)) - 1]) for name, rank in RANKS.items()}


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if values.size else None


def _aggregate(environments: list[list[TrialResults]]) -> dict[str, Any]:
    """Return the summary over all environments."""
    normalized = normalized_regrets(environments)
    agents = dict.fromkeys(one.agent for members in environments for one in members)
    return {
        "agents": {
            agent: {"normalized_regret": _pooled(normalized.get(agent))} for agent in agents
        },
        "probability_of_improvement": _improvements(
            {agent: normalized.get(agent) for agent in agents}
        ),
    }


def _pooled(regrets: list[NDArray[np.float64]] | None) -> dict[str, Any]:
    """Return the IQM of normalized regrets over all environments, and its interval."""
    if regrets is None:
        return {"iqm": None, "iqm_interval": None}
    values, strata = np.concatenate(regrets), [len(one) for one in regrets]
    return {
        "iqm": float(average_trials(values, "iqm")),
        "iqm_interval": confidence_interval(values, "iqm", strata).tolist(),
    }


def _improvements(
    regrets: dict[str, list[NDArray[np.float64]] | None],
) -> dict[str, dict[str, Any]]:
    """Return the probability of improvement of each agent over each other agent.

    Args:
        regrets: One array ``(trials,)`` per environment, by agent; ``None`` if there are no trials.
    """
    result: dict[str, dict[str, Any]] = {agent: {} for agent in regrets}
    for i, (a, regrets_a) in enumerate(regrets.items()):
        for b, regrets_b in list(regrets.items())[i + 1 :]:
            if regrets_a is None or regrets_b is None:
                result[a][b] = result[b][a] = {"probability": None, "interval": None}
                continue
            probability, (low, high) = probability_of_improvement(regrets_a, regrets_b)
            result[a][b] = {"probability": probability, "interval": [float(low), float(high)]}
            # the probability in the other direction follows from this one
            result[b][a] = {
                "probability": 1 - probability,
                "interval": [float(1 - high), float(1 - low)],
            }
    return {a: {b: result[a][b] for b in regrets if b != a} for a in regrets}
