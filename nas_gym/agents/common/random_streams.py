"""Random number generator for trials in lockstep, with one independent stream per trial."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas_gym.utils.random import box_muller

_BLOCK = 4096  # count of numbers that each generator draws at a time


class RandomStreams:
    """A random number generator with one independent stream per trial.

    Row ``i`` of every result comes from the stream of trial ``i`` alone. The numbers of a trial
    therefore do not depend on the number of trials that run in lockstep, provided that all trials
    draw in the same order.

    Args:
        seeds: One seed per trial.
    """

    def __init__(self, seeds: list[int]) -> None:
        self.seeds = list(seeds)
        self.drawn = 0  # count of numbers that each stream has returned
        self._buffer = np.empty((len(seeds), 0))
        # The spawn key makes the streams differ from PCG64(seed), from which environments draw.
        branches = [np.random.SeedSequence(seed, spawn_key=(1,)) for seed in seeds]
        self._generators = [np.random.Generator(np.random.PCG64(branch)) for branch in branches]

    def random(self, size: tuple[int, int], /) -> NDArray[np.float64]:
        """Draw uniform numbers in [0, 1).

        Args:
            size: Shape of the result: the number of trials, and the count of numbers per trial.

        Raises:
            ValueError: If ``size[0]`` is not the number of trials.
        """
        trials, count = size
        if trials != len(self.seeds):
            raise ValueError(
                f"The first entry of size must be the number of trials, {len(self.seeds)}; "
                f"got {trials}."
            )
        if self._buffer.shape[1] < count:
            fresh = [generator.random(max(count, _BLOCK)) for generator in self._generators]
            self._buffer = np.concatenate([self._buffer, np.stack(fresh)], axis=1)
        result, self._buffer = self._buffer[:, :count], self._buffer[:, count:]
        self.drawn += count
        return result

    def integers(self, high: int, size: tuple[int, int], /) -> NDArray[np.int64]:
        """Draw uniform integers from 0 to ``high - 1``; ``size`` as in :meth:`random`."""
        return (self.random(size) * high).astype(np.int64)

    def normal(self, size: tuple[int, int], /) -> NDArray[np.float64]:
        """Draw standard normal numbers; ``size`` as in :meth:`random`."""
        trials, count = size
        first, second = np.split(self.random((trials, 2 * count)), 2, axis=1)
        return box_muller(first, second)

    @classmethod
    def resume(cls, seeds: list[int], drawn: int) -> RandomStreams:
        """Return streams in the state after ``drawn`` numbers per trial."""
        streams = cls(seeds)
        for generator in streams._generators:
            # PCG64 takes one step per double
            generator.bit_generator.advance(drawn)  # type: ignore[attr-defined]
        streams.drawn = drawn
        return streams
