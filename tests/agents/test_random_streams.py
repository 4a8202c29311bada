"""Random streams: those of NumPy, independent of each other, and resumed."""

from __future__ import annotations

import numpy as np
import pytest

from nas_gym.agents.common.random_streams import RandomStreams


def test_numbers_are_those_of_numpy_and_resume():
    streams = RandomStreams([3, 4])
    drawn = np.concatenate([streams.random((2, k)) for k in (1, 5, 5000, 2)], axis=1)
    branch = np.random.SeedSequence(4, spawn_key=(1,))
    own = np.random.Generator(np.random.PCG64(branch)).random(5008)
    np.testing.assert_array_equal(drawn[1], own)
    assert not np.isin(drawn[1], np.random.default_rng(4).random(5008)).any()  # environments
    again = RandomStreams.resume([3, 4], 5006)
    np.testing.assert_array_equal(again.random((2, 2)), drawn[:, 5006:])
    with pytest.raises(ValueError, match="number of trials, 2"):
        streams.random((3, 1))


def test_integers_and_normal_numbers():
    streams, copy = RandomStreams([0, 1]), RandomStreams([0, 1])
    drawn = streams.integers(7, (2, 5000))
    np.testing.assert_array_equal(drawn, np.floor(copy.random((2, 5000)) * 7))
    assert drawn.min() == 0
    assert drawn.max() == 6
    numbers = streams.normal((2, 20_000))
    assert abs(numbers.mean()) < 0.03
    assert abs(numbers.std() - 1) < 0.03
