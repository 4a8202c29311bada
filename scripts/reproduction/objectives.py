"""Searches for several objectives: agents compared on problems with known Pareto fronts."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents import Agent
from nas_gym.experiments.records import TrialResults
from nas_gym.experiments.statistics import describe_fronts, describe_values
from reproduction.pages import Page, command_blocks, markdown_table
from reproduction.studies import FIRST_SEED, ComparisonStudy

PROBLEMS = {"NB201-MO1-v0": 43, "NB201-MO2-v0": 75, "NB201-MO3-v0": 181}
"""Environment IDs, and the number of distinct vectors on their Pareto fronts."""

QUERIES = (100, 300, 1000)
"""Numbers of queries at which the page compares the agents."""

RIDGE = "reproduction.objectives:PairRidge"
AGENTS = {
    "random": "random search (`random`)",
    "nsga2": "NSGA-II (`nsga2`)",
    "nsga3": "NSGA-III (`nsga3`)",
    "mo-rea": "evolution with ranks and crowding (`mo-rea`)",
    "scalarized": "regularized evolution, random Chebyshev weights (`scalarized`)",
    RIDGE: "ridge baseline",
    "maximin": "kernel regression, maximin improvement (`maximin`)",
}


class PairRidge(Agent):
    """Baseline: ridge regression on pairs of choices, queries by random Chebyshev weights."""

    multi_objective = True

    def setup(self) -> None:
        """Prepare the features of every architecture."""
        choices = self.space.one_hot(self.space.decode(np.arange(self.space.size)))
        first, second = np.triu_indices(choices.shape[1])
        pairs = choices[:, first] * choices[:, second]
        self.features = pairs[:, pairs.any(axis=0)]
        self.indices: list[list[int]] = [[] for _ in self.rng.seeds]
        self.vectors: list[list[NDArray[np.float64]]] = [[] for _ in self.rng.seeds]
        self.batches: list[deque[int]] = [deque() for _ in self.rng.seeds]

    def ask(self) -> NDArray[np.int64]:
        """Return 50 random architectures, then batches of ten."""
        if len(self.indices[0]) < 50:
            return self.space.sample(self.num_trials, self.rng)
        if not self.batches[0]:
            draws = -np.log1p(-self.rng.random((self.num_trials, 10 * self.best_fitness.shape[1])))
            for trial, own in enumerate(draws):
                self.batches[trial].extend(self._choose(trial, own.reshape(10, -1)))
        return self.space.decode([batch.popleft() for batch in self.batches])

    def _choose(self, trial: int, weights: NDArray[np.float64]) -> list[int]:
        queried, values = self.features[self.indices[trial]], np.array(self.vectors[trial])
        scores = (values - values.mean(axis=0)) / values.std(axis=0)
        matrix = (queried.T @ queried).astype(np.float64) + np.eye(queried.shape[1])
        found = self.features @ np.linalg.solve(matrix, queried.T @ scores).astype(np.float32)
        scaled = (found - found.max(axis=0)) / (found.max(axis=0) - found.min(axis=0))
        chosen: list[int] = []
        for own in weights / weights.sum(axis=1, keepdims=True):
            utility = (scaled * own).min(axis=1)
            utility[self.indices[trial] + chosen] = -np.inf
            chosen.append(int(utility.argmax()))
        return chosen

    def tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        """Store the rewards."""
        for trial, index in enumerate(self.space.encode(genotypes)):
            self.indices[trial].append(int(index))
            self.vectors[trial].append(fitness[trial])


def _describe_fronts_at_queries(trials: Sequence[TrialResults]) -> dict[str, Any]:
    """Return the fronts of each agent in each environment at :data:`QUERIES`."""
    fronts: dict[str, Any] = {}
    for one in trials:
        fronts.setdefault(one.env, {})[one.agent] = {
            str(queries): {
                "gap": describe_values(one.curves.regrets[queries - 1]),
                **describe_fronts(one.curves, queries),
            }
            for queries in QUERIES
        }
    return {"fronts": fronts}


STUDY = ComparisonStudy(
    "objectives",
    envs=list(PROBLEMS),
    agents=list(AGENTS),
    queries=max(QUERIES),
    seeds=12,
    first_seed=FIRST_SEED,
    statistics=_describe_fronts_at_queries,
)


CONSTRAINT_AGENTS = {
    "random": "random search (`random`)",
    "local": "local search (`local`)",
    "rea": "regularized evolution (`rea`)",
    "tpe": "TPE (`tpe`)",
    "l2nas": "L2NAS (`l2nas`)",
}
CONSTRAINT_QUERIES = (100, 200, 300)
"""Numbers of queries at which the page counts the optima found under a constraint."""


def _count_optima(trials: Sequence[TrialResults]) -> dict[str, Any]:
    """Return how many trials of each agent found the best feasible architecture."""
    found = {
        one.agent: {
            str(queries): int((one.curves.regrets[queries - 1] == 0).sum())
            for queries in CONSTRAINT_QUERIES
        }
        for one in trials
    }
    return {"optima_found": found}


CONSTRAINT_STUDY = ComparisonStudy(
    "objectives-constraint",
    envs=["NB201-cifar10-v0"],
    agents=list(CONSTRAINT_AGENTS),
    queries=max(CONSTRAINT_QUERIES),
    seeds=20,
    first_seed=5000,
    env_arguments={"table": "nats-bench", "constraint": "help-latency:raspi4 <= 5"},
    statistics=_count_optima,
)


def _constraint_rows() -> str:
    found, seeds = CONSTRAINT_STUDY.result["optima_found"], CONSTRAINT_STUDY.seeds
    rows = [
        [label, *(f"{found[agent][str(queries)]} of {seeds}" for queries in CONSTRAINT_QUERIES)]
        for agent, label in CONSTRAINT_AGENTS.items()
    ]
    return markdown_table(["agent", *(f"{each} queries" for each in CONSTRAINT_QUERIES)], rows)


def _cell(entry: Mapping[str, Any], digits: int, factor: float = 1.0) -> str:
    low, high = (factor * end for end in entry["mean_interval"])
    return f"{factor * entry['mean']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _rows(measure: str, queries: int, digits: int, factor: float = 1.0) -> str:
    rows = [
        [label, *(_cell(_entry(env, agent, queries)[measure], digits, factor) for env in PROBLEMS)]
        for agent, label in AGENTS.items()
    ]
    return markdown_table(["agent", *(env.removesuffix("-v0") for env in PROBLEMS)], rows)


def _entry(env: str, agent: str, queries: int) -> dict[str, Any]:
    return dict(STUDY.result["fronts"][env][agent][str(queries)])


def objectives_blocks() -> dict[str, str]:
    """Return the generated blocks of the page."""
    return {
        **{f"gap-{queries}": _rows("gap", queries, 4) for queries in QUERIES},
        **{f"share-{queries}": _rows("share", queries, 0, 100) for queries in QUERIES[1:]},
        "distance-300": _rows("igd_plus", 300, 4),
        "constraint": _constraint_rows(),
        "commands": command_blocks([STUDY]),
        "constraint-command": command_blocks([CONSTRAINT_STUDY]),
    }


PAGE = Page("results/objectives.md", [STUDY, CONSTRAINT_STUDY], objectives_blocks)
