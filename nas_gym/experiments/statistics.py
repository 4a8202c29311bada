"""What comparisons report: averages with intervals, ranks reached, and who is better how often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.experiments.bootstrap import average, improvement, interval
from nas_gym.experiments.records import Trials
from nas_gym.recording.curves import Curves

BUDGETS = (50, 100, 150, 500, 1000)
"""Numbers of queries at which summaries tell how the searches stood."""

UNIQUE_BUDGETS = (50, 100, 150)
"""Numbers of distinct architectures at which summaries tell the same."""

RANKS = {"best": 1, "top_3": 3, "top_10": 10}
"""Ranks by the reported metric that a search may reach."""


def summarize(trials: Sequence[Trials]) -> dict[str, Any]:
    """What a comparison came to, as written to ``summary.json``.

    * ``environments``: for each environment's ID

      * ``task``: :meth:`nas_gym.tasks.Task.describe`; ``metric``: ``name``, ``unit`` and
        ``maximize`` of the reported metric; ``architectures``: how many the space has;
      * ``optimum``: the reported metric's best value, null where nobody knows it;
        ``median_regret``: the unit of normalized regret, see
        :attr:`nas_gym.tasks.Task.regret_unit`; ``queries``: of each trial;
      * ``agents``: for each agent's name

        * ``searched_env``: the ID of the same task in the mode that the agent searched in;
          ``trials``: how many finished; their ``seeds``; ``failures``: error texts by seed;
        * ``at_queries``: for each of :data:`BUDGETS` and the last query, ``report`` and
          ``regret`` of the incumbents (see :func:`statistics`) and the mean of
          ``unique_queries``, distinct architectures queried;
        * ``at_unique_queries``: the same for each of :data:`UNIQUE_BUDGETS`, as each trial stood
          when it had queried so many distinct architectures, or at its end if it never did;
          ``queries`` is the mean of all queries until then, ``complete`` the share of trials that
          got so far;
        * ``reached``: for each of :data:`RANKS`, the share of trials whose last incumbent's
          reported metric is at least that of the architecture of this rank, null where nobody
          knows;
        * ``unique_queries``, ``agent_seconds`` and ``training_seconds``: means over trials, at
          the end; the last one is what the benchmark says that training would have taken, null
          where it does not say;

      * ``probability_of_improvement``: for each agent and each other one, the ``probability``
        that a trial of the first ends with less regret than one of the other (ties count half)
        and its ``interval``;

    * ``aggregate``, over all environments, null where there is but one:

      * ``agents``: for each agent, ``normalized_regret``: ``iqm`` and ``iqm_interval`` over its
        trials in all environments at the end;
      * ``probability_of_improvement``: as above, the mean over environments.

    Intervals are [low, high], 95 %, see :mod:`nas_gym.experiments.bootstrap`. What no trial tells
    is null; so is what is said over all environments of an agent that failed in one altogether.
    """
    environments = by_env(trials)
    return {
        "environments": {env: _environment(members) for env, members in environments.items()},
        "aggregate": _aggregate(list(environments.values())) if len(environments) > 1 else None,
    }


def by_env(trials: Sequence[Trials]) -> dict[str, list[Trials]]:
    """The trials of each environment, in order of appearance."""
    result: dict[str, list[Trials]] = {}
    for one in trials:
        result.setdefault(one.env, []).append(one)
    return result


def statistics(values: NDArray[np.float64]) -> dict[str, Any]:
    """Averages of ``(trials,)`` values.

    Returns:
        ``mean``, ``std`` (of the sample; 0 for one trial), ``median``, ``iqm`` (interquartile
        mean: that of the middle half), and 95 % intervals ``mean_interval`` and ``iqm_interval``,
        [low, high]. All of them are ``None`` where there are no trials.
    """
    if len(values) == 0:
        names = ("mean", "std", "median", "iqm", "mean_interval", "iqm_interval")
        return dict.fromkeys(names)
    return {
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "median": float(np.median(values)),
        "iqm": float(average(values, "iqm")),
        "mean_interval": interval(values, "mean").tolist(),
        "iqm_interval": interval(values, "iqm").tolist(),
    }


def at_queries(curves: Curves) -> dict[str, Any]:
    """How trials stood at each of :data:`BUDGETS` and at their last query."""
    queries = len(curves.regrets)
    budgets = [q for q in BUDGETS if q < queries] + [queries] * (queries > 0)
    return {
        str(q): {
            "report": statistics(curves.reports[q - 1]),
            "regret": statistics(curves.regrets[q - 1]),
            "unique_queries": _mean(curves.unique[q - 1]),
        }
        for q in budgets
    }


def at_unique_queries(curves: Curves) -> dict[str, Any]:
    """How trials stood when they had queried each of :data:`UNIQUE_BUDGETS` architectures."""
    queries, trials = curves.unique.shape
    result = {}
    for unique in (u for u in UNIQUE_BUDGETS if u <= queries):
        enough = curves.unique >= unique
        complete: NDArray[np.bool_] = np.any(enough, axis=0)
        last = np.where(complete, enough.argmax(axis=0), queries - 1)
        each = np.arange(trials)
        result[str(unique)] = {
            "report": statistics(curves.reports[last, each]),
            "regret": statistics(curves.regrets[last, each]),
            "queries": _mean(last + 1),
            "complete": _mean(complete),
        }
    return result


def performance_profile(
    regrets: NDArray[np.float64], taus: NDArray[np.float64], strata: Sequence[int] | None = None
) -> NDArray[np.float64]:
    """The share of trials whose regret is at most ``tau``, for each of ``taus``.

    Args:
        regrets: ``(trials,)``, normalized where they are of several environments.
        taus: ``(points,)``.
        strata: numbers of trials of each environment, in the order of ``regrets``.

    Returns:
        ``(3, points)``: the share, and the ends of its 95 % interval at each point.
    """
    within = (regrets <= taus[:, None]).astype(np.float64)
    return np.vstack([average(within, "mean"), interval(within, "mean", strata)])


def final_regrets(trials: Trials) -> NDArray[np.float64]:
    """The regrets of the trials' last incumbents, ``(trials,)``."""
    return trials.curves.regrets[-1] if trials.seeds else np.empty(0)


def normalized_regrets(environments: Sequence[Sequence[Trials]]) -> dict[str, list[Any]]:
    """Of each agent with trials in every environment: an array ``(trials,)`` for each of these."""
    agents = list(dict.fromkeys(one.agent for members in environments for one in members))
    result: dict[str, list[Any]] = {agent: [] for agent in agents}
    for members in environments:
        for one in members:
            if one.seeds:
                result[one.agent].append(final_regrets(one) / one.task.regret_unit)
    return {agent: found for agent, found in result.items() if len(found) == len(environments)}


def _environment(members: list[Trials]) -> dict[str, Any]:
    task = members[0].task
    metric = task.metric(task.report)
    return {
        "task": task.describe(),
        "metric": {"name": metric.name, "unit": metric.unit, "maximize": metric.maximize},
        "architectures": task.space.size,
        "optimum": task.optimum,
        "median_regret": task.regret_unit,
        "queries": max(len(one.curves.regrets) for one in members),
        "agents": {one.agent: _agent(one) for one in members},
        "probability_of_improvement": _improvements(
            {one.agent: [final_regrets(one)] if one.seeds else None for one in members}
        ),
    }


def _agent(trials: Trials) -> dict[str, Any]:
    curves = trials.curves
    training = curves.training_seconds
    return {
        "searched_env": trials.searched_env,
        "trials": len(trials.seeds),
        "seeds": trials.seeds,
        "failures": {str(seed): error for seed, error in trials.failures.items()},
        "at_queries": at_queries(curves),
        "at_unique_queries": at_unique_queries(curves),
        "reached": _reached(trials),
        "unique_queries": _mean(curves.unique[-1:]),
        "agent_seconds": _mean(curves.agent_seconds[-1:]),
        "training_seconds": None if training is None else _mean(training[-1:]),
    }


def _reached(trials: Trials) -> dict[str, float | None]:
    ranked = trials.task.ranked_regrets
    if ranked is None:
        return dict.fromkeys(RANKS)
    last = final_regrets(trials)
    return {name: _mean(last <= ranked[min(rank, len(ranked)) - 1]) for name, rank in RANKS.items()}


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if values.size else None


def _aggregate(environments: list[list[Trials]]) -> dict[str, Any]:
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
    if regrets is None:
        return {"iqm": None, "iqm_interval": None}
    values, strata = np.concatenate(regrets), [len(one) for one in regrets]
    return {
        "iqm": float(average(values, "iqm")),
        "iqm_interval": interval(values, "iqm", strata).tolist(),
    }


def _improvements(
    regrets: dict[str, list[NDArray[np.float64]] | None],
) -> dict[str, dict[str, Any]]:
    """For each agent and each other one: regrets in each environment, ``None`` where missing."""
    result: dict[str, dict[str, Any]] = {agent: {} for agent in regrets}
    for i, (a, of_a) in enumerate(regrets.items()):
        for b, of_b in list(regrets.items())[i + 1 :]:
            if of_a is None or of_b is None:
                result[a][b] = result[b][a] = {"probability": None, "interval": None}
                continue
            probability, (low, high) = improvement(of_a, of_b)
            result[a][b] = {"probability": probability, "interval": [float(low), float(high)]}
            # the other way round is the same thing said again
            result[b][a] = {
                "probability": 1 - probability,
                "interval": [float(1 - high), float(1 - low)],
            }
    return {a: {b: result[a][b] for b in regrets if b != a} for a in regrets}
