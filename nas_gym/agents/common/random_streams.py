"""Random numbers for trials in lockstep, one independent stream each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_AHEAD = 4096  # numbers that are drawn at a time


class TrialStreams:
    """A source of uniform numbers with one stream for each trial.

    Row ``i`` of what :meth:`random` gives comes from the stream of trial ``i`` alone, so that a
    trial's numbers do not depend on how many trials run beside it.

    Args:
        seeds: one seed for each trial.
    """

    def __init__(self, seeds: list[int]) -> None:
        self.seeds = list(seeds)
        self.drawn = 0  # how many numbers each stream has given
        self._ahead = np.empty((len(seeds), 0))
        # A branch of the seed's own: environments draw from PCG64(seed) itself.
        branches = [np.random.SeedSequence(seed, spawn_key=(1,)) for seed in seeds]
        self._generators = [np.random.Generator(np.random.PCG64(branch)) for branch in branches]

    def random(self, size: tuple[int, int], /) -> NDArray[np.float64]:
        """Uniform numbers in [0, 1), shape ``(number of trials, k)``.

        Raises:
            ValueError: another number of rows than there are trials.
        """
        trials, count = size
        if trials != len(self.seeds):
            raise ValueError(f"There are {len(self.seeds)} streams, asked for {trials} rows.")
        if self._ahead.shape[1] < count:
            fresh = [generator.random(max(count, _AHEAD)) for generator in self._generators]
            self._ahead = np.concatenate([self._ahead, np.stack(fresh)], axis=1)
        result, self._ahead = self._ahead[:, :count], self._ahead[:, count:]
        self.drawn += count
        return result

    def normal(self, size: tuple[int, int], /) -> NDArray[np.float64]:
        """Standard normal numbers, shape ``(number of trials, k)``."""
        trials, count = size
        radius, angle = np.split(self.random((trials, 2 * count)), 2, axis=1)
        numbers: NDArray[np.float64] = np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)
        return numbers  # Box and Muller's method

    @classmethod
    def resume(cls, seeds: list[int], drawn: int) -> TrialStreams:
        """The streams as they were after ``drawn`` numbers each."""
        streams = cls(seeds)
        for generator in streams._generators:
            # PCG64 takes one step for each double
            generator.bit_generator.advance(drawn)  # type: ignore[attr-defined]
        streams.drawn = drawn
        return streams
