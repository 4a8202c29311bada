"""Tree-structured Parzen estimator of Optuna."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.config import AgentConfig, setting
from nas_gym.agents.common.saved import State, refuse_infinite

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import TPESampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

_ATTEMPTS = 10  # maximum number of proposals per query in a restricted space


@dataclass(frozen=True)
class TPEConfig(AgentConfig):
    """Settings of :class:`TPE`; the defaults are those of Optuna 5."""

    num_initial: int = setting(
        10,
        "Number of random architectures (Optuna's n_startup_trials).",
        low=1,
        high=1_000_000,
    )
    multivariate: bool = setting(
        True, "Whether decisions are modelled jointly rather than independently of each other."
    )


class TPE(Agent):
    """The tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) of Optuna (Akiba et
    al., KDD 2019).

    Each trial has its own Optuna study, in memory; each decision is a categorical parameter. In a
    restricted search space, a proposal outside the space is reported to Optuna as failed, and
    Optuna proposes again. After ten failed proposals, an architecture is drawn uniformly.

    Proposals depend on the installed version of Optuna. A proposal takes 2 ms after 100 queries and
    6 ms after 1,000 queries; the trials are computed one after another.

    Attributes:
        genotypes: Architectures that each trial has evaluated, ``(n, queries, L)``.
        fitness: Fitness of ``genotypes``, ``(n, queries)``.
        studies: Optuna study of each trial.

    Raises:
        ImportError: If Optuna is not installed.
    """

    config_class = TPEConfig
    config: TPEConfig
    packages = ("optuna",)
    state_attributes = ("genotypes", "fitness")  # the studies are rebuilt from these
    checks_state = True

    def setup(self) -> None:
        """Create empty studies; see :meth:`Agent.setup`."""
        self._distributions = _distributions(self.space.num_choices.tolist())
        joint = self._distributions if self.config.multivariate else {}
        self._sampler_class = _sampler_class(joint)
        self.genotypes = np.zeros((self.num_trials, 0, self.space.num_decisions), np.int64)
        self.fitness = np.zeros((self.num_trials, 0))
        self._make_studies()

    def load_state_dict(self, state: State, *, env_restored: bool = False) -> None:
        """Restore a state and its studies; see :meth:`Agent.load_state_dict`."""
        super().load_state_dict(state, env_restored=env_restored)
        self._make_studies()

    def check_state(self) -> None:
        """Raise an error if the observations are damaged; see :meth:`Agent.check_state`."""
        super().check_state()
        refuse_infinite({"fitness": self.fitness})
        self.check_architectures("genotypes", self.genotypes, self.fitness)

    def _make_studies(self) -> None:
        import optuna

        with _without_messages():
            self.studies = [optuna.create_study(direction="maximize") for _ in self.fitness]
        # latest proposal of each study; None if the evaluated architecture is not a proposal
        self._proposed: list[Trial | None] = [None] * self.num_trials
        for study, *history in zip(self.studies, self.genotypes, self.fitness, strict=True):
            study.add_trials(map(self._completed_trial, *history))

    def _completed_trial(self, genotype: NDArray[np.int64], fitness: np.float64) -> FrozenTrial:
        from optuna.trial import create_trial

        params = dict(zip(self._distributions, genotype.tolist(), strict=True))
        return create_trial(params=params, distributions=self._distributions, value=float(fitness))

    def ask(self) -> NDArray[np.int64]:
        """Return Optuna's proposals; see :meth:`Agent.ask`."""
        # every trial draws equally many random numbers, so that trials are independent
        fresh = self.space.sample(self.num_trials, self.rng)
        genotypes = np.empty_like(fresh)
        seeds = self.rng.integers(2**32, (self.num_trials, _ATTEMPTS))
        rows = np.arange(self.num_trials)
        for attempt in seeds.T.tolist():
            genotypes[rows] = [self._propose(row, attempt[row]) for row in rows.tolist()]
            rows = rows[~self.space.contains(genotypes[rows])]
            if len(rows) == 0:
                return genotypes
            self._reject(rows)
        genotypes[rows] = fresh[rows]
        return genotypes

    def _propose(self, row: int, seed: int) -> list[int]:
        # A new sampler for each proposal keeps all randomness in the saved random streams.
        self.studies[row].sampler = self._sampler_class(
            seed=seed,
            n_startup_trials=self.config.num_initial,
            multivariate=self.config.multivariate,
            constant_liar=False,  # only needed for proposals that are evaluated at the same time
        )
        trial = self._proposed[row] = self.studies[row].ask(self._distributions)
        return [trial.params[name] for name in self._distributions]

    def _reject(self, rows: NDArray[np.int64]) -> None:
        """Report the latest proposals of some trials as failed."""
        from optuna.trial import TrialState

        for row in rows.tolist():
            trial, self._proposed[row] = self._proposed[row], None
            assert trial is not None
            self.studies[row].tell(trial, state=TrialState.FAIL)

    def tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        """Report fitness to the studies; see :meth:`Agent.tell`."""
        self.genotypes = np.concatenate([self.genotypes, genotypes[:, None]], axis=1)
        self.fitness = np.concatenate([self.fitness, fitness[:, None]], axis=1)
        for row, (study, trial) in enumerate(zip(self.studies, self._proposed, strict=True)):
            if trial is None:
                study.add_trial(self._completed_trial(genotypes[row], fitness[row]))
            else:
                study.tell(trial, float(fitness[row]))
        self._proposed = [None] * self.num_trials


def _distributions(num_choices: list[int]) -> dict[str, BaseDistribution]:
    """Return Optuna's distribution of each decision."""
    try:
        from optuna.distributions import CategoricalDistribution
    except ImportError as error:
        raise ImportError('TPE needs Optuna: pip install "nas-gym[optuna]".') from error
    return {f"decision{i}": CategoricalDistribution(range(k)) for i, k in enumerate(num_choices)}


def _sampler_class(joint: dict[str, BaseDistribution]) -> type[TPESampler]:
    """Return a subclass of Optuna's sampler with a fixed set of decisions to model jointly.

    At every query, Optuna's sampler infers this set from the parameters of all earlier queries,
    which takes most of its time.
    """
    from optuna.samplers import TPESampler

    joint = {name: choices for name, choices in joint.items() if not choices.single()}

    class Sampler(TPESampler):
        def infer_relative_search_space(
            self, study: Study, trial: FrozenTrial
        ) -> dict[str, BaseDistribution]:
            return joint

    return Sampler


@contextmanager
def _without_messages() -> Iterator[None]:
    """Silence Optuna's messages about new studies, but not its warnings."""
    from optuna import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(max(verbosity, logging.WARNING))
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
