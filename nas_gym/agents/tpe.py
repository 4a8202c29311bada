"""The tree-structured Parzen estimator of Optuna."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent, State

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import TPESampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

_ATTEMPTS = 10  # proposals of a query outside a restricted space before one is drawn uniformly


class TPE(Agent):
    """The tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) of Optuna (Akiba et
    al., KDD 2019).

    Each trial has an Optuna study of its own, in memory; each decision is a categorical
    parameter. Where the search space is restricted, a proposal outside it is told as failed and
    another is asked for, ten times at most; then an architecture is drawn uniformly.

    Proposals are those of the installed version of Optuna. One takes 2 ms after 100 queries and
    6 ms after 1,000; trials take turns.

    Settings (defaults of Optuna 5):
        num_initial: 10; so many architectures are random (Optuna's ``n_startup_trials``).
        multivariate: True; whether decisions are modelled jointly rather than each on its own.

    Raises:
        ImportError: Optuna is not installed.
    """

    settings: ClassVar[dict[str, Any]] = {"num_initial": 10, "multivariate": True}
    num_initial: int
    multivariate: bool
    _STATE = ("genotypes", "fitness")  # of which the studies are made

    def _setup(self) -> None:
        if self.num_initial < 1:
            raise ValueError("num_initial is at least 1.")
        self._distributions = _distributions(self.space.num_choices.tolist())
        self._sampler_class = _sampler_class(self._distributions if self.multivariate else {})
        self._genotypes = np.zeros((self.num_trials, 0, self.space.num_decisions), np.int64)
        self._fitness = np.zeros((self.num_trials, 0))
        self._make_studies()

    def load_state_dict(self, state: State, *, began: bool = False) -> None:
        """See :meth:`Agent.load_state_dict`."""
        super().load_state_dict(state, began=began)
        self._make_studies()

    def _make_studies(self) -> None:
        import optuna

        with _quiet():
            self._studies = [optuna.create_study(direction="maximize") for _ in self._fitness]
        # what each study proposed last; nothing where what is evaluated comes from elsewhere
        self._proposed: list[Trial | None] = [None] * self.num_trials
        for study, *history in zip(self._studies, self._genotypes, self._fitness, strict=True):
            study.add_trials(map(self._evaluated, *history))

    def _evaluated(self, genotype: NDArray[np.int64], fitness: np.float64) -> FrozenTrial:
        from optuna.trial import create_trial

        params = dict(zip(self._distributions, genotype.tolist(), strict=True))
        return create_trial(params=params, distributions=self._distributions, value=float(fitness))

    def _ask(self) -> NDArray[np.int64]:
        # the same numbers are drawn however many are needed, so that trials stay independent
        fresh = self.space.sample(self.num_trials, self.streams)
        genotypes = np.empty_like(fresh)
        seeds = (self.streams.random((self.num_trials, _ATTEMPTS)) * 2**32).astype(np.int64)
        rows = np.arange(self.num_trials)
        for attempt in seeds.T.tolist():
            genotypes[rows] = [self._propose(row, attempt[row]) for row in rows.tolist()]
            rows = rows[~self.space.contains(genotypes[rows])]
            if len(rows) == 0:
                return genotypes
            self._refuse(rows)
        genotypes[rows] = fresh[rows]
        return genotypes

    def _propose(self, row: int, seed: int) -> list[int]:
        # A sampler for each proposal: the streams are all that has to be saved of what is random.
        self._studies[row].sampler = self._sampler_class(
            seed=seed,
            n_startup_trials=self.num_initial,
            multivariate=self.multivariate,
            constant_liar=False,  # it tells proposals apart that are evaluated at the same time
        )
        trial = self._proposed[row] = self._studies[row].ask(self._distributions)
        return [trial.params[name] for name in self._distributions]

    def _refuse(self, rows: NDArray[np.int64]) -> None:
        from optuna.trial import TrialState

        for row in rows.tolist():
            trial, self._proposed[row] = self._proposed[row], None
            assert trial is not None
            self._studies[row].tell(trial, state=TrialState.FAIL)

    def _tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        self._genotypes = np.concatenate([self._genotypes, genotypes[:, None]], axis=1)
        self._fitness = np.concatenate([self._fitness, fitness[:, None]], axis=1)
        for row, (study, trial) in enumerate(zip(self._studies, self._proposed, strict=True)):
            if trial is None:
                study.add_trial(self._evaluated(genotypes[row], fitness[row]))
            else:
                study.tell(trial, float(fitness[row]))
        self._proposed = [None] * self.num_trials


def _distributions(num_choices: list[int]) -> dict[str, BaseDistribution]:
    try:
        from optuna.distributions import CategoricalDistribution
    except ImportError as error:
        raise ImportError('TPE needs Optuna: pip install "nas-gym[optuna]".') from error
    return {f"decision{i}": CategoricalDistribution(range(k)) for i, k in enumerate(num_choices)}


def _sampler_class(jointly: dict[str, BaseDistribution]) -> type[TPESampler]:
    """Optuna's sampler, told which decisions to model jointly.

    On its own it compares the parameters of all queries so far to find out, at every query: most
    of its time.
    """
    from optuna.samplers import TPESampler

    jointly = {name: choices for name, choices in jointly.items() if not choices.single()}

    class Sampler(TPESampler):
        def infer_relative_search_space(
            self, study: Study, trial: FrozenTrial
        ) -> dict[str, BaseDistribution]:
            return jointly

    return Sampler


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna without its messages of new studies, its warnings kept."""
    from optuna import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(max(verbosity, logging.WARNING))
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
