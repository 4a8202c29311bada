"""Local search."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.queried import Remembering


class LocalSearch(Remembering, Agent):
    """Hill climbing with restarts (White, Nolen and Savani, UAI 2021).

    A climb starts at the best of ``num_initial`` random architectures. All neighbours (one
    decision changed) that were not queried before are queried, in random order; the climb moves
    to the best of them where it is better, and ends otherwise. Then another one starts.
    Neighbours that were queried before are passed over, as in the authors' code.

    Settings:
        num_initial: 10.
    """

    settings: ClassVar[dict[str, Any]] = {"num_initial": 10}
    num_initial: int
    _STATE = (
        "queried", "drawn", "climbing", "current", "height", "next", "next_height", "queue",
        "queue_index", "priority",
    )  # fmt: skip

    # Each trial is in one of two phases: drawing starts (drawn < num_initial, its queue empty), or
    # working through a queue of neighbours in order of descending priority.

    def _setup(self) -> None:
        if self.num_initial < 1:
            raise ValueError("num_initial is at least 1.")
        n, decisions = self.num_trials, self.space.num_decisions
        neighbors = int((self.space.num_choices - 1).sum())
        self._rows = np.arange(n)
        self._forget_queries(n)
        self._drawn = np.zeros(n, np.int64)
        self._climbing = np.zeros(n, bool)  # whether what was asked for is from the queue
        self._current = np.zeros((n, decisions), np.int64)
        self._height = np.full(n, -np.inf)
        self._next = np.zeros((n, decisions), np.int64)
        self._next_height = np.full(n, -np.inf)
        self._queue = np.zeros((n, neighbors, decisions), np.int64)
        self._queue_index = np.full((n, neighbors), -1, np.int64)
        self._priority = np.full((n, neighbors), -1.0)  # negative: not to be queried

    def _ask(self) -> NDArray[np.int64]:
        # the same numbers are drawn whatever the phase, so that trials stay independent
        fresh = self.space.sample(self.num_trials, self.streams)
        if self._priority.shape[1] == 0:
            return fresh
        first = self._priority.argmax(axis=1)
        self._climbing = self._priority[self._rows, first] >= 0
        return np.where(self._climbing[:, None], self._queue[self._rows, first], fresh)

    def _tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        indices = self.space.encode(genotypes)
        self._note_queries(indices)
        # once is enough for neighbours that the benchmark counts as one architecture
        self._priority[self._queue_index == indices[:, None]] = -1.0
        drawing = self._drawn < self.num_initial
        better = (drawing | self._climbing) & (fitness > self._next_height)
        self._next[better], self._next_height[better] = genotypes[better], fitness[better]
        self._climbing = np.zeros_like(self._climbing)
        self._drawn += drawing
        order = self.streams.random(self._priority.shape)
        done = np.where(drawing, self._drawn == self.num_initial, (self._priority < 0).all(axis=1))
        # A trial whose neighbourhood was all seen before goes straight on to the next climb.
        while done.any():
            moves = done & (self._next_height > self._height)
            self._move(moves, order)
            self._restart(done & ~moves)
            done = moves & (self._priority < 0).all(axis=1)

    def _move(self, moves: NDArray[np.bool_], order: NDArray[np.float64]) -> None:
        if not moves.any():
            return
        self._current[moves] = self._next[moves]
        self._height[moves] = self._next_height[moves]
        neighbors, valid = self.space.neighbors(self._current[moves])
        indices = np.full(valid.shape, -1, np.int64)
        indices[valid] = self.space.encode(neighbors[valid])
        seen = self._seen.contains(indices, self._rows[moves])
        self._queue[moves], self._queue_index[moves] = neighbors, indices
        self._priority[moves] = np.where(valid & ~seen, order[moves], -1.0)

    def _restart(self, restarts: NDArray[np.bool_]) -> None:
        self._drawn[restarts] = 0
        self._height[restarts] = -np.inf
        self._next_height[restarts] = -np.inf
        self._priority[restarts] = -1.0
