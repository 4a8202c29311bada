"""Model-based search for several objectives by maximin improvement."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import ndtri

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.config import AgentConfig, setting
from nas_gym.agents.common.saved import State, refuse_infinite
from nas_gym.spaces import SearchSpace
from nas_gym.spaces.path_encoding import path_encoding
from nas_gym.tasks.fronts import non_dominated

_MOST_ARCHITECTURES = 2**22  # of a space; each is encoded


@dataclass(frozen=True)
class MaximinConfig(AgentConfig):
    """Settings of :class:`Maximin`."""

    num_random: int = setting(
        20, "Number of random architectures at the start.", low=2, high=100_000
    )
    batch_size: int = setting(
        5, "Number of queries between two refits of the model.", low=1, high=10_000
    )
    num_candidates: int = setting(
        30_000,
        "Largest number of candidates: a random part of the search space if the space is larger.",
        low=10,
        high=1_000_000,
    )
    decay: float = setting(
        0.5,
        "Factor by which each differing decision lowers the correlation of two architectures.",
        above=0,
        below=1,
    )
    path_length_scale: float = setting(
        2.0, "Length scale of the kernel on path encodings.", above=0, high=1_000
    )
    noise: float = setting(0.02, "Variance of the noise in normal scores.", above=0, high=1_000)


class Maximin(Agent):
    """Kernel regression of every objective, and queries with the largest maximin improvement.

    Objectives are replaced by normal scores of their ranks. One kernel ridge regression predicts
    all of them. The kernel is the mean of ``decay ** (number of decisions that differ)`` and a
    Gaussian kernel on path encodings (White et al., BANANAS, AAAI 2021).

    A candidate's lead over an architecture of the front found so far is the largest amount by which
    its prediction exceeds the architecture in an objective. The improvement of the candidate is its
    smallest lead over the whole front (the maximin improvement of Svenson and Santner, CSDA 2016,
    of the mean prediction). Choices alternate between two scales: the normal scores, which spread
    the architectures near the front, and values scaled to the range of the front. The architectures
    of a batch are chosen one after another; each one joins the front with its predictions.

    The kernel values of all candidates take 4 bytes per candidate and query of a trial: 60 MB after
    1,000 queries in NAS-Bench-201.
    """

    config_class = MaximinConfig
    config: MaximinConfig
    multi_objective = True
    searches_in = "environments with objectives"
    packages = ("scipy",)
    state_attributes = ("genotypes", "vectors", "candidates")

    def setup(self) -> None:
        """Prepare an empty model for each trial; see :meth:`Agent.setup`.

        Raises:
            ValueError: If the task has no objectives, or the search space is too large.
        """
        if not self.task.objectives:
            raise ValueError(
                "maximin needs a task with objectives, such as NB201-cifar10-mo-v0 or objectives=."
            )
        n, size = self.num_trials, self.space.size
        if size > _MOST_ARCHITECTURES:
            raise ValueError(
                f"maximin encodes every architecture of the search space, at most "
                f"{_MOST_ARCHITECTURES:,}; {self.space.name} has {size:,}. Choose another agent "
                "for several objectives, such as nsga2 or mo-rea."
            )
        self.genotypes = np.empty((n, 0, self.space.num_decisions), np.int64)
        self.vectors = np.empty((n, 0, len(self.task.objectives)))
        self.candidates = np.tile(np.arange(size), (n, 1))
        if size > self.config.num_candidates:
            draws = self.rng.random((n, self.config.num_candidates))
            self.candidates = np.sort((draws * size).astype(np.int64), axis=1)
        self._start()

    def _start(self) -> None:
        kernel = _shared_kernel(self.space, self.config)
        size, noise = self.space.size, self.config.noise
        self._models = [_Model(kernel, noise, own, size) for own in self.candidates]
        self._batches: list[deque[int]] = [deque() for _ in self._models]

    def ask(self) -> NDArray[np.int64]:
        """Return random architectures, then those of the model; see :meth:`Agent.ask`."""
        queries = self.vectors.shape[1]
        if queries < self.config.num_random:
            return self.space.sample(self.num_trials, self.rng)
        for model, batch, vectors in zip(self._models, self._batches, self.vectors, strict=True):
            if not batch:
                batch.extend(model.choose(vectors, self.config.batch_size))
        return self.space.decode([batch.popleft() for batch in self._batches])

    def tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        """Add the architectures to the models; see :meth:`Agent.tell`."""
        self.genotypes = np.concatenate([self.genotypes, genotypes[:, None]], axis=1)
        self.vectors = np.concatenate([self.vectors, fitness[:, None]], axis=1)
        for model, index in zip(self._models, self.space.encode(genotypes), strict=True):
            model.add(int(index))

    def load_state_dict(self, state: State, *, env_restored: bool = False) -> None:
        """Restore a state, and the models from its queries; see :meth:`Agent.load_state_dict`."""
        super().load_state_dict(state, env_restored=env_restored)
        self._start()
        queries = self.vectors.shape[1]
        # the batch in progress was chosen from the queries before it
        begun = max(queries - self.config.num_random, 0)
        before = queries - begun % self.config.batch_size
        for model, batch, own, vectors in zip(
            self._models, self._batches, self.genotypes, self.vectors, strict=True
        ):
            indices = self.space.encode(own)
            for query, index in enumerate(indices):
                if query == before and query >= self.config.num_random:
                    batch.extend(model.choose(vectors[:before], self.config.batch_size))
                    for _ in range(queries - before):
                        batch.popleft()
                model.add(int(index))

    def check_state(self) -> None:
        """Raise an error if the history is damaged; see :meth:`Agent.check_state`."""
        super().check_state()
        refuse_infinite({"vectors": self.vectors})
        self.check_architectures("genotypes", self.genotypes, self.vectors[..., 0])
        if self.candidates.min() < 0 or self.candidates.max() >= self.space.size:
            raise ValueError(f"candidates holds indices outside {self.space.name}")


def normal_scores(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the normal quantiles of the ranks in each column, ``(n, D)`` -> ``(n, D)``.

    Equal values have equal scores: the quantile of the middle of their ranks.
    """
    scores = np.empty(vectors.shape)
    for column in range(vectors.shape[1]):
        _, place, counts = np.unique(vectors[:, column], return_inverse=True, return_counts=True)
        middle = (np.cumsum(counts) - counts / 2) / len(vectors)
        scores[:, column] = ndtri(middle)[place]
    return scores


class _Kernel:
    """Kernel between architectures of a space; see :class:`Maximin`.

    Args:
        space: Search space.
        config: Settings of the agent.
    """

    def __init__(self, space: SearchSpace, config: MaximinConfig) -> None:
        genotypes = space.decode(np.arange(space.size))
        self._genotypes = genotypes.astype(np.min_scalar_type(space.max_choices))
        self._paths = path_encoding(space, genotypes)
        self._norms = (self._paths**2).sum(axis=1)
        self._by_matches = np.array(
            [0.5 * config.decay**i for i in range(space.num_decisions, -1, -1)], np.float32
        )
        self._rate = np.float32(-0.5 / config.path_length_scale**2)

    def values(self, index: int, others: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the kernel between one architecture and others, ``(m,)`` float32."""
        matches = (self._genotypes[others] == self._genotypes[index]).sum(axis=1)
        products = self._paths[others] @ self._paths[index]
        distances = np.maximum(self._norms[others] + self._norms[index] - 2 * products, 0)
        result: NDArray[np.float32] = self._by_matches[matches] + np.float32(0.5) * np.exp(
            self._rate * distances
        )
        return result


# the trials of a process share the encodings of the space
_shared_kernel = lru_cache(maxsize=4)(_Kernel)


class _Model:
    """Kernel ridge regression on the queries of one trial, with predictions for its candidates.

    Args:
        kernel: Kernel between architectures.
        noise: Variance of the noise.
        candidates: Indices of the candidates, ``(m,)`` int64, ascending.
        size: Number of architectures of the space.
    """

    def __init__(
        self, kernel: _Kernel, noise: float, candidates: NDArray[np.int64], size: int
    ) -> None:
        self._kernel, self._noise, self._candidates = kernel, noise, candidates
        # a slice avoids a copy of all encodings
        self._rows = slice(None) if len(candidates) == size else candidates
        self._queries = np.empty(0, np.int64)
        self._open = np.ones(len(candidates), bool)
        self._values = np.empty((64, len(candidates)), np.float32)  # kernel, row by query
        self._factor = np.zeros((64, 64))  # Cholesky factor of the kernel matrix of the queries

    def add(self, index: int) -> None:
        """Add a queried architecture."""
        n = len(self._queries)
        if n == len(self._values):
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
            self._factor = np.pad(self._factor, (0, n))
        self._values[n] = self._kernel.values(index, self._rows)
        row: NDArray[np.float64] = np.empty(0)
        if n:
            covariances = self._kernel.values(index, self._queries).astype(np.float64)
            row = solve_triangular(self._factor[:n, :n], covariances, lower=True)
        self._factor[n, :n] = row
        self._factor[n, n] = max(1.0 + self._noise - float(row @ row), 1e-6) ** 0.5
        self._queries = np.append(self._queries, index)
        place = np.searchsorted(self._candidates, index)
        if place < len(self._candidates) and self._candidates[place] == index:
            self._open[place] = False

    def predict(self, scores: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return predictions for all candidates, ``(D, m)``, given scores of queries ``(n, D)``."""
        n, mean = len(scores), scores.mean(axis=0)
        factor = self._factor[:n, :n]
        half = solve_triangular(factor, scores - mean, lower=True)
        weights = solve_triangular(factor, half, lower=True, trans="T")
        predictions: NDArray[np.float32] = weights.T.astype(np.float32) @ self._values[:n]
        predictions += mean[:, None].astype(np.float32)
        return predictions

    def choose(self, vectors: NDArray[np.float64], count: int) -> list[int]:
        """Return the candidates of largest maximin improvement, alternating between both scales.

        Args:
            vectors: Objectives of all queries, ``(n, D)``.
            count: Number of candidates. If fewer are left, queried ones are chosen again.
        """
        left = np.flatnonzero(self._open)
        if len(left) < count:
            left = np.arange(len(self._candidates))
        scores, front = normal_scores(vectors), non_dominated(vectors)
        predictions = np.ascontiguousarray(self.predict(scores)[:, left])
        values = _values_of_scores(predictions, scores, vectors)
        low, width = vectors[front].min(axis=0), np.ptp(vectors[front], axis=0)
        width = np.where(width > 0, width, 1.0)
        scaled = ((values.T - low) / width).T.astype(np.float32)
        improvements = [
            _Improvements(predictions, scores[front]),
            _Improvements(scaled, (vectors[front] - low) / width),
        ]
        chosen = []
        for turn in range(count):
            best = improvements[turn % 2].best()
            chosen.append(int(self._candidates[left[best]]))
            for each in improvements:
                each.choose(best)
        return chosen


class _Improvements:
    """Maximin improvement of candidates over a front that grows.

    Args:
        predictions: Predictions for the candidates, ``(D, m)``.
        front: Vectors of the front, ``(k, D)``.
    """

    def __init__(self, predictions: NDArray[np.float32], front: NDArray[np.float64]) -> None:
        self._predictions = predictions
        self._least = np.full(predictions.shape[1], np.inf, np.float32)
        for vector in front.astype(np.float32):
            self._extend(vector)

    def _extend(self, vector: NDArray[np.float32]) -> None:
        """Add a vector ``(D,)`` to the front."""
        excess = (self._predictions - vector[:, None]).max(axis=0)
        np.minimum(self._least, excess, out=self._least)

    def best(self) -> int:
        """Return the candidate of largest improvement."""
        return int(self._least.argmax())

    def choose(self, candidate: int) -> None:
        """Add the predictions for a candidate to the front; the candidate cannot be best again."""
        self._extend(self._predictions[:, candidate].copy())
        self._least[candidate] = -np.inf


def _values_of_scores(
    predictions: NDArray[np.float32], scores: NDArray[np.float64], vectors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return predicted scores, ``(D, m)``, as values, by linear interpolation between the queries.

    Beyond the extreme queries, the line through the two most extreme scores continues for the
    distance of these two.
    """
    values = np.empty(predictions.shape)
    for row, predicted in enumerate(predictions):
        known, first = np.unique(scores[:, row], return_index=True)
        mapped = vectors[first, row]
        if len(known) > 1:
            ends = (2 * known[[0, -1]] - known[[1, -2]], 2 * mapped[[0, -1]] - mapped[[1, -2]])
            known, mapped = (
                np.concatenate([end[:1], middle, end[1:]])
                for end, middle in zip(ends, (known, mapped), strict=True)
            )
        values[row] = np.interp(predicted, known, mapped)
    return values
