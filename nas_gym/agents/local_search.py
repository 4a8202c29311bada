"""Local search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.config import AgentConfig, setting
from nas_gym.agents.common.query_memory import QueryMemory
from nas_gym.agents.common.saved import refuse_nan


@dataclass(frozen=True)
class LocalSearchConfig(AgentConfig):
    """Settings of :class:`LocalSearch`."""

    num_initial: int = setting(
        10,
        "Number of random architectures; a climb starts at the best one.",
        low=1,
        high=1_000_000,
    )


class LocalSearch(QueryMemory, Agent):
    """Hill climbing with restarts (White, Nolen and Savani, UAI 2021).

    A climb starts at the best of ``num_initial`` random architectures. It queries, in random order,
    all neighbours, which differ in one decision. If the best neighbour has a higher fitness, the
    climb moves there; otherwise the climb ends, and another one starts. Neighbours that were
    queried before are skipped, as in the authors' code.

    Attributes:
        drawn: Number of random architectures of the current climb, ``(n,)``, for ``n`` trials.
        current: Position of the climb, ``(n, L)``.
        height: Fitness of the position, ``(n,)``; ``-inf`` before the climb starts.
        next: Best architecture since the last move, ``(n, L)``.
        next_height: Fitness of ``next``, ``(n,)``.
    """

    config_class = LocalSearchConfig
    config: LocalSearchConfig
    state_attributes = (
        "drawn", "climbing", "current", "height", "next", "next_height", "queue", "queue_index",
        "priority",
    )  # fmt: skip
    checks_state = True

    # Each trial is in one of two phases: it draws random architectures (drawn < num_initial, and
    # its queue is empty), or it queries a queue of neighbours in order of descending priority.

    def setup(self) -> None:
        """Prepare the first climb; see :meth:`Agent.setup`."""
        n, decisions = self.num_trials, self.space.num_decisions
        neighbors = int((self.space.num_choices - 1).sum())
        self._rows = np.arange(n)
        self.forget_queries(n)
        self.drawn = np.zeros(n, np.int64)
        self.climbing = np.zeros(n, bool)  # whether the current query comes from the queue
        self.current = np.zeros((n, decisions), np.int64)
        self.height = np.full(n, -np.inf)
        self.next = np.zeros((n, decisions), np.int64)
        self.next_height = np.full(n, -np.inf)
        self.queue = np.zeros((n, neighbors, decisions), np.int64)
        self.queue_index = np.full((n, neighbors), -1, np.int64)
        self.priority = np.full((n, neighbors), -1.0)  # neighbours below 0 are not queried

    def ask(self) -> NDArray[np.int64]:
        """Return a random architecture or the next neighbour; see :meth:`Agent.ask`."""
        # both phases draw equally many random numbers, so that trials are independent
        fresh = self.space.sample(self.num_trials, self.rng)
        if self.priority.shape[1] == 0:
            return fresh
        first = self.priority.argmax(axis=1)
        self.climbing = self.priority[self._rows, first] >= 0
        return np.where(self.climbing[:, None], self.queue[self._rows, first], fresh)

    def tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        """Advance each trial's climb; see :meth:`Agent.tell`."""
        indices = self.space.encode(genotypes)
        self.remember_queries(indices)
        # query only one of several neighbours that the benchmark treats as the same architecture
        self.priority[self.queue_index == indices[:, None]] = -1.0
        drawing = self.drawn < self.config.num_initial
        better = (drawing | self.climbing) & (fitness > self.next_height)
        self.next[better], self.next_height[better] = genotypes[better], fitness[better]
        self.climbing = np.zeros_like(self.climbing)
        self.drawn += drawing
        order = self.rng.random(self.priority.shape)
        is_last_draw = self.drawn == self.config.num_initial
        done = np.where(drawing, is_last_draw, (self.priority < 0).all(axis=1))
        # a trial whose neighbours were all queried before starts the next climb at once
        while done.any():
            moves = done & (self.next_height > self.height)
            self._move(moves, order)
            self._restart(done & ~moves)
            done = moves & (self.priority < 0).all(axis=1)

    def check_state(self) -> None:
        """Raise an error if a climb or its queue is damaged; see :meth:`Agent.check_state`."""
        super().check_state()
        names = ("height", "next_height", "priority")
        refuse_nan({name: getattr(self, name) for name in names})
        self.check_architectures("current", self.current, self.height)
        self.check_architectures("next", self.next, self.next_height)
        queued = np.where(self.priority < 0, -np.inf, self.priority)
        self.check_architectures("queue", self.queue, queued)
        indices = self.queue_index
        if (indices < -1).any() or (indices >= self.space.size).any() or self.drawn.min() < 0:
            raise ValueError("queue_index or drawn is out of range")

    def _move(self, moves: NDArray[np.bool_], order: NDArray[np.float64]) -> None:
        """Move the climbs of some trials to the best neighbour, and queue the new neighbours."""
        if not moves.any():
            return
        self.current[moves] = self.next[moves]
        self.height[moves] = self.next_height[moves]
        neighbors, valid = self.space.neighbors(self.current[moves])
        indices = np.full(valid.shape, -1, np.int64)
        indices[valid] = self.space.encode(neighbors[valid])
        seen = self.seen.contains(indices, self._rows[moves])
        self.queue[moves], self.queue_index[moves] = neighbors, indices
        self.priority[moves] = np.where(valid & ~seen, order[moves], -1.0)

    def _restart(self, restarts: NDArray[np.bool_]) -> None:
        """Start new climbs in some trials."""
        self.drawn[restarts] = 0
        self.height[restarts] = -np.inf
        self.next_height[restarts] = -np.inf
        self.priority[restarts] = -1.0
